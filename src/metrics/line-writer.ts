import { write } from 'node:fs';

/** How long to wait when the descriptor is non-blocking and full. */
const RETRY_MS = 20;

/** Bytes written with one call. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Writes lines to a descriptor, in order and off the event loop, so that a stalled reader never blocks the agent. At
 * most `maxBytes` wait. Drops and counts lines beyond that, lines whose write fails (a full disk), and all lines once
 * the reader is gone. The caller closes the descriptor.
 */
export class LineWriter {
  readonly #fd: number;
  readonly #maxBytes: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #busy = false;
  #broken = false;
  #dropped = 0;
  #idle: (() => void)[] = [];

  constructor(fd: number, maxBytes: number) {
    this.#fd = fd;
    this.#maxBytes = maxBytes;
  }

  /** Takes a line with its newline. */
  write(line: string): void {
    const bytes = Buffer.from(line, 'utf8');
    if (this.#broken || this.#waitingBytes + bytes.length > this.#maxBytes) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (!this.#busy) this.#next();
  }

  /** Lines given up. Monotonic. */
  dropped(): number {
    return this.#dropped;
  }

  /** Resolves when everything taken so far is written, or given up, at the latest after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #next(): void {
    const lines: Buffer[] = [];
    let bytes = 0;
    while (bytes < CHUNK_BYTES) {
      const line = this.#waiting[lines.length];
      if (line === undefined) break;
      lines.push(line);
      bytes += line.length;
    }
    this.#busy = lines.length > 0;
    if (!this.#busy) {
      for (const done of this.#idle.splice(0)) done();
      return;
    }
    this.#waiting = this.#waiting.slice(lines.length);
    this.#send(Buffer.concat(lines), lines.length);
  }

  #send(bytes: Buffer, lines: number): void {
    write(this.#fd, bytes, 0, bytes.length, null, (error, written) => {
      if (error?.code === 'EAGAIN') {
        setTimeout(() => this.#send(bytes, lines), RETRY_MS);
        return;
      }
      if (error !== null) {
        this.#dropped += lines;
        this.#waitingBytes -= bytes.length;
        // A full disk may be emptied; a reader that has gone does not come back.
        this.#broken = error.code === 'EPIPE' || error.code === 'EBADF';
        if (this.#broken) {
          this.#dropped += this.#waiting.length;
          this.#waiting = [];
          this.#waitingBytes = 0;
        }
        this.#next();
        return;
      }
      this.#waitingBytes -= written;
      if (written < bytes.length) this.#send(bytes.subarray(written), lines);
      else this.#next();
    });
  }
}
