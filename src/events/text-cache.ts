import { decodeText } from '../shared/text.ts';

/** Texts of at most this many bytes are kept. */
const MAX_BYTES = 128;
const MAX_WORDS = MAX_BYTES / 4;

/** In any byte of a word: the bit that ASCII does not have. */
const NOT_ASCII = 0x80808080;

/** Slots, a power of two: 1 MiB of bytes, and at most 2 MiB of UTF-16 text. */
const SLOTS = 8192;

/** Record bytes, as the cache reads them. Little-endian, as all that this runs on. */
export interface TextBytes {
  readonly bytes: Buffer;
  readonly i32: Int32Array;
  readonly view: DataView;
}

/**
 * Cache of decoded texts by their bytes. A path that is opened again and again is decoded once and stays one string
 * object, whose hash the engine keeps. Each text has one slot, and a new text replaces the old one. Hits are compared
 * byte for byte, so a collision costs time and nothing else.
 */
export class TextCache {
  /** A slot's words; what its text leaves of the last one is zero. */
  readonly #kept = new Int32Array(SLOTS * MAX_WORDS);
  readonly #lengths = new Uint8Array(SLOTS);
  readonly #texts: string[] = new Array<string>(SLOTS).fill('');
  /** The text that is looked up. */
  readonly #words = new Int32Array(MAX_WORDS);

  decode(from: TextBytes, at: number, length: number): string {
    if (length === 0) return '';
    const { bytes } = from;
    // Past the end there is nothing, as for any other reader of the bytes.
    if (length > MAX_BYTES || at + length > bytes.length) {
      return decodeText(bytes.subarray(at, at + length));
    }
    const slot = this.#load(from, at, length);
    const words = (length + 3) >> 2;
    if (this.#lengths[slot] === length && this.#isKept(slot, words)) {
      return this.#texts[slot] ?? '';
    }
    // ASCII needs no decoder, and most paths are of it.
    const text = this.#keep(slot, words)
      ? bytes.toString('latin1', at, at + length)
      : decodeText(bytes.subarray(at, at + length));
    this.#lengths[slot] = length;
    this.#texts[slot] = text;
    return text;
  }

  /**
   * Reads the text into #words and returns its slot, by a hash of all bytes. Crafted names can collide under any such hash; that
   * only costs time.
   */
  #load({ bytes, i32, view }: TextBytes, at: number, length: number): number {
    const words = this.#words;
    const whole = length >> 2;
    let hash = length;
    if ((at & 3) === 0) {
      const first = at >> 2;
      for (let index = 0; index < whole; index++) {
        const word = i32[first + index] ?? 0;
        words[index] = word;
        hash = mix(hash, word);
      }
    } else {
      for (let index = 0; index < whole; index++) {
        const word = view.getInt32(at + 4 * index, true);
        words[index] = word;
        hash = mix(hash, word);
      }
    }
    if ((length & 3) !== 0) {
      let word = 0;
      for (let done = length & ~3; done < length; done++) {
        word |= (bytes[at + done] ?? 0) << (8 * (done & 3));
      }
      words[whole] = word;
      hash = mix(hash, word);
    }
    return hash & (SLOTS - 1);
  }

  /** Word by word: a call into the engine's copy would cost more than so few bytes. Returns whether all are ASCII. */
  #keep(slot: number, words: number): boolean {
    const to = slot * MAX_WORDS;
    let bits = 0;
    for (let index = 0; index < words; index++) {
      const word = this.#words[index] ?? 0;
      bits |= word;
      this.#kept[to + index] = word;
    }
    return (bits & NOT_ASCII) === 0;
  }

  #isKept(slot: number, words: number): boolean {
    const from = slot * MAX_WORDS;
    for (let index = 0; index < words; index++) {
      if (this.#words[index] !== this.#kept[from + index]) return false;
    }
    return true;
  }
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}
