import { SILENT_LOGGER, type Logger } from '../../shared/logger.ts';
import { formatLine, type LineFormat } from '../format.ts';
import type { Delivery, LogStream, StreamCounters } from '../stream.ts';
import { AppendFile } from './append-file.ts';

export interface OperatorFileOptions {
  readonly path: string;
  readonly format: LineFormat;
  readonly logger?: Logger;
}

/** The operator's copy: every detection of the host in one file, also what has no container. */
export class OperatorFileStream implements LogStream {
  readonly name = 'file';
  readonly audience = 'operator';
  readonly #file: AppendFile;
  readonly #format: LineFormat;

  constructor(options: OperatorFileOptions) {
    this.#format = options.format;
    this.#file = new AppendFile(options.path, {
      logger: options.logger ?? SILENT_LOGGER,
      shared: false,
    });
  }

  /**
   * Accepts lines while half of the file's queue is free. One write takes the whole queue and ends in a later event loop turn;
   * a turn can bring some 2,000 detections.
   */
  get maxUnderWay(): number {
    return this.#file.hasRoom ? Infinity : 0;
  }

  /** Opens the file at start. Throws a UserError when it cannot be used. */
  verify(): Promise<void> {
    return this.#file.verify();
  }

  /** Opens the file anew with the next line: for SIGHUP. A renamed file is noticed without it. */
  reopen(): void {
    this.#file.reopen();
  }

  accepts(): boolean {
    return true;
  }

  deliver(delivery: Delivery): Promise<boolean> {
    return this.#file.append(formatLine(delivery, { format: this.#format }));
  }

  counters(): StreamCounters {
    return this.#file.counters();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
