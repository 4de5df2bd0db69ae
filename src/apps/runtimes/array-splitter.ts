import type { SplitLine } from './line-splitter.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * Cuts a JSON array of objects, as it arrives, into the texts of its objects. Of an object longer than `maxBytes` only the
 * first `headBytes` are kept (`cut`). Holds at most `maxBytes`, however long the array is. It does not check the JSON.
 */
export class ArraySplitter {
  readonly #maxBytes: number;
  readonly #headBytes: number;
  #parts: Buffer[] = [];
  #bytes = 0;
  #isCut = false;
  #depth = 0;
  #inString = false;
  #escaped = false;

  constructor(maxBytes: number, headBytes: number) {
    this.#maxBytes = maxBytes;
    this.#headBytes = headBytes;
  }

  /** Whether the last object has ended. */
  get isComplete(): boolean {
    return this.#depth === 0;
  }

  /** The objects that this chunk completes. */
  push(chunk: Buffer): SplitLine[] {
    const found: SplitLine[] = [];
    let from = this.#depth > 0 ? 0 : -1;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === OPEN) {
        if (this.#depth++ === 0) from = at;
      } else if (byte === CLOSE && this.#depth > 0 && --this.#depth === 0) {
        this.#keep(chunk.subarray(from, at + 1));
        found.push({ text: Buffer.concat(this.#parts).toString('utf8'), cut: this.#isCut });
        this.#parts = [];
        this.#bytes = 0;
        this.#isCut = false;
        from = -1;
      }
    }
    if (from >= 0) this.#keep(chunk.subarray(from));
    return found;
  }

  #keep(part: Buffer): void {
    if (this.#isCut) return;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes <= this.#maxBytes) return;
    this.#isCut = true;
    this.#parts = [Buffer.concat(this.#parts, Math.min(this.#headBytes, this.#bytes))];
  }
}
