import { decodeText } from '../shared/text.ts';

/** Texts of at most this many bytes are kept. */
const MAX_BYTES = 128;

/** Slots, a power of two: 1 MiB of bytes, and at most 2 MiB of UTF-16 text. */
const SLOTS = 8192;

/**
 * Cache of decoded texts by their bytes. A path that is opened again and again is decoded once and stays one string
 * object, whose hash the engine keeps. Each text has one slot, and a new text replaces the old one. Hits are compared
 * byte for byte, so a collision costs time and nothing else.
 */
export class TextCache {
  readonly #kept = new DataView(new ArrayBuffer(SLOTS * MAX_BYTES));
  readonly #lengths = new Uint8Array(SLOTS);
  readonly #texts: string[] = new Array<string>(SLOTS).fill('');

  /** `view` covers `bytes`. */
  decode(bytes: Buffer, view: DataView, at: number, length: number): string {
    if (length === 0) return '';
    // Past the end there is nothing, as for any other reader of the bytes.
    if (length > MAX_BYTES || at + length > view.byteLength) {
      return decodeText(bytes.subarray(at, at + length));
    }
    const slot = slotOf(view, at, length);
    if (this.#lengths[slot] === length && this.#isKept(slot, view, at, length)) {
      return this.#texts[slot] ?? '';
    }
    const text = decodeText(bytes.subarray(at, at + length));
    this.#keep(slot, view, at, length);
    this.#lengths[slot] = length;
    this.#texts[slot] = text;
    return text;
  }

  /** Word by word: a call into the engine's copy would cost more than so few bytes. */
  #keep(slot: number, view: DataView, at: number, length: number): void {
    const to = slot * MAX_BYTES;
    let done = 0;
    for (; done + 4 <= length; done += 4) this.#kept.setInt32(to + done, view.getInt32(at + done));
    for (; done < length; done++) this.#kept.setUint8(to + done, view.getUint8(at + done));
  }

  #isKept(slot: number, view: DataView, at: number, length: number): boolean {
    const from = slot * MAX_BYTES;
    let done = 0;
    for (; done + 4 <= length; done += 4) {
      if (view.getInt32(at + done) !== this.#kept.getInt32(from + done)) return false;
    }
    for (; done < length; done++) {
      if (view.getUint8(at + done) !== this.#kept.getUint8(from + done)) return false;
    }
    return true;
  }
}

/** Hashes all bytes. Crafted names can collide under any such hash; that only costs time. */
function slotOf(view: DataView, at: number, length: number): number {
  let hash = length;
  let done = 0;
  for (; done + 4 <= length; done += 4) {
    hash = Math.imul(hash ^ view.getInt32(at + done), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; done < length; done++) {
    hash = Math.imul(hash ^ view.getUint8(at + done), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash & (SLOTS - 1);
}
