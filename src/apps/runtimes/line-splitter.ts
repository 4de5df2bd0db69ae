/** Cuts a byte stream into lines, also where a chunk ends inside a character; bounded. */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The lines that this chunk completes, without their ends. Throws RangeError past the bound of one line. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10)) {
      lines.push(data.toString('utf8', 0, end));
      data = data.subarray(end + 1);
    }
    if (data.length > this.#maxLineBytes) {
      throw new RangeError(`a line has more than ${this.#maxLineBytes} bytes`);
    }
    this.#rest = data;
    return lines;
  }
}
