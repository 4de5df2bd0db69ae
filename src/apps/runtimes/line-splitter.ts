/** A line without its end, or what is kept of one that was longer than the bound. */
export interface SplitLine {
  readonly text: string;
  /** `text` is the line's beginning only: the line was longer than the bound. */
  readonly cut: boolean;
}

/**
 * Cuts a byte stream into lines, also where a chunk ends inside a character. Of a line longer than `maxLineBytes` only the
 * first `headBytes` are kept; the rest is skipped up to the next newline. Holds at most `maxLineBytes`.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  readonly #headBytes: number;
  #parts: Buffer[] = [];
  #bytes = 0;
  #isCut = false;

  constructor(maxLineBytes: number, headBytes: number) {
    this.#maxLineBytes = maxLineBytes;
    this.#headBytes = headBytes;
  }

  /** The lines that this chunk completes. */
  push(chunk: Buffer): SplitLine[] {
    const lines: SplitLine[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end));
      lines.push({ text: Buffer.concat(this.#parts).toString('utf8'), cut: this.#isCut });
      this.#parts = [];
      this.#bytes = 0;
      this.#isCut = false;
      from = end + 1;
    }
    this.#keep(chunk.subarray(from));
    return lines;
  }

  #keep(part: Buffer): void {
    if (part.length === 0 || this.#isCut) return;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes <= this.#maxLineBytes) return;
    this.#isCut = true;
    // A copy: a view would keep the chunks.
    this.#parts = [Buffer.concat(this.#parts, Math.min(this.#headBytes, this.#bytes))];
  }
}
