import { SILENT_LOGGER, type Logger } from '../../shared/logger.ts';
import { formatLine, type LineFormat } from '../format.ts';
import type { Delivery, LogStream, StreamCounters } from '../stream.ts';
import { AppendFile } from './append-file.ts';

/** Files that are open at a time. */
const MAX_FILES = 256;

export interface AppFileOptions {
  readonly format: LineFormat;
  readonly logger?: Logger;
}

/**
 * Writes detections into the log file of their app (`Container.logFile`), which the app itself may write to as well. Such an
 * app can also truncate the file: the operator's copy is the authoritative one.
 */
export class AppFileStream implements LogStream {
  readonly name = 'app-file';
  readonly audience = 'tenant';
  readonly #format: LineFormat;
  readonly #logger: Logger;
  /** Least recently used first. */
  readonly #files = new Map<string, AppendFile>();
  /** Of files that were closed to make room. */
  readonly #past = { delivered: 0, failed: 0, dropped: 0 };

  constructor(options: AppFileOptions) {
    this.#format = options.format;
    this.#logger = options.logger ?? SILENT_LOGGER;
  }

  accepts(delivery: Delivery): boolean {
    return delivery.detection.container?.logFile !== undefined;
  }

  deliver(delivery: Delivery): Promise<boolean> {
    const path = delivery.detection.container?.logFile;
    const file = path === undefined ? undefined : this.#file(path);
    if (file === undefined) {
      this.#past.dropped++;
      return Promise.resolve(false);
    }
    return file.append(formatLine(delivery, { format: this.#format }));
  }

  /** Opens every file anew with its next line: for SIGHUP. A renamed file is noticed without it. */
  reopen(): void {
    for (const file of this.#files.values()) file.reopen();
  }

  counters(): StreamCounters {
    const sum = { ...this.#past };
    for (const file of this.#files.values()) add(sum, file.counters());
    return sum;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.close()));
  }

  /** Undefined when all 256 files are busy. */
  #file(path: string): AppendFile | undefined {
    let file = this.#files.get(path);
    if (file === undefined) {
      if (this.#files.size >= MAX_FILES && !this.#closeOne()) return undefined;
      file = new AppendFile(path, { logger: this.#logger, shared: true });
    }
    this.#files.delete(path);
    this.#files.set(path, file);
    return file;
  }

  #closeOne(): boolean {
    for (const [path, file] of this.#files) {
      if (!file.idle) continue;
      this.#files.delete(path);
      add(this.#past, file.counters());
      void file.close();
      return true;
    }
    return false;
  }
}

function add(sum: { delivered: number; failed: number; dropped: number }, more: StreamCounters) {
  sum.delivered += more.delivered;
  sum.failed += more.failed;
  sum.dropped += more.dropped;
}
