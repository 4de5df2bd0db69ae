import type { Writable } from 'node:stream';
import { formatLine, type LineFormat } from '../format.ts';
import type { Delivery, LogStream, StreamCounters } from '../stream.ts';

const MAX_PENDING_LINES = 4096;
const MAX_PENDING_BYTES = 8 * 1024 * 1024;
/** With lines of at most 8 KiB, half of the bytes that may wait. */
const MAX_UNDER_WAY = 512;

export interface StdoutOptions {
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly format: LineFormat;
}

/**
 * Writes every detection of the host to the agent's own output. Text is coloured on a terminal only. A slow reader blocks
 * nobody: 4096 lines and 8 MiB are queued, then lines are dropped and counted. Does not end the output, which the caller owns.
 */
export class StdoutStream implements LogStream {
  readonly name = 'stdout';
  readonly audience = 'operator';
  /** One line at a time would take two event loop turns per line, and turns are long in a flood. */
  readonly maxUnderWay = MAX_UNDER_WAY;
  readonly #output: StdoutOptions['output'];
  readonly #format: LineFormat;
  readonly #pending = new Set<(written: boolean) => void>();
  #delivered = 0;
  #failed = 0;
  #dropped = 0;
  #broken = false;
  readonly #onError = (): void => {
    // The reader has gone (EPIPE): that is its business, and no reason for the agent to end.
    this.#broken = true;
    this.#giveUp();
  };

  constructor(options: StdoutOptions) {
    this.#output = options.output;
    this.#format = options.format;
    this.#output.on('error', this.#onError);
  }

  accepts(): boolean {
    return true;
  }

  deliver(delivery: Delivery): Promise<boolean> {
    if (this.#broken || !this.#output.writable) {
      this.#failed++;
      return Promise.resolve(false);
    }
    const colour = this.#output.isTTY === true;
    const line = `${formatLine(delivery, { format: this.#format, colour })}\n`;
    if (
      this.#pending.size >= MAX_PENDING_LINES ||
      this.#output.writableLength + line.length > MAX_PENDING_BYTES
    ) {
      this.#dropped++;
      return Promise.resolve(false);
    }
    return new Promise((resolve) => {
      const settle = (written: boolean): void => {
        if (!this.#pending.delete(settle)) return;
        if (written) this.#delivered++;
        else this.#failed++;
        resolve(written);
      };
      this.#pending.add(settle);
      this.#output.write(line, (error) => {
        settle(error === null || error === undefined);
      });
    });
  }

  counters(): StreamCounters {
    return { delivered: this.#delivered, failed: this.#failed, dropped: this.#dropped };
  }

  /** Lines that the reader has not taken by now are given up. */
  close(): Promise<void> {
    this.#broken = true;
    this.#giveUp();
    return Promise.resolve();
  }

  #giveUp(): void {
    for (const settle of [...this.#pending]) settle(false);
  }
}
