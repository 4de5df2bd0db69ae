import { constants } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../shared/logger.ts';
import { UserError } from '../../shared/user-error.ts';
import type { StreamCounters } from '../stream.ts';

const MAX_QUEUED_LINES = 8192;
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/** Limit of one write: usually all queued lines, unless they are very long. */
const MAX_WRITE_BYTES = 4 * 1024 * 1024;
/** How long a line is retried while the file cannot be written (disk full, folder missing). */
const PATIENCE_MS = 5_000;
const RETRY_MS = 250;
const WARN_EVERY_MS = 60_000;
const NEWLINE = 0x0a;
const FILE_MODE = 0o640;

export interface AppendFileOptions {
  readonly logger: Logger;
  /** The app writes to the file too: check before every line whether the last line ends with a newline. */
  readonly shared: boolean;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
}

interface QueuedLine {
  readonly bytes: Buffer;
  readonly deadlineMs: number;
  readonly done: (written: boolean) => void;
}

/**
 * Appends lines to one file, in order, all queued lines with one write(2); to a shared file, one line at a time. Limits: 8192
 * lines and 8 MiB are queued; further lines are dropped and counted. A line that cannot be written is retried for 5 s, then
 * counted as failed.
 *
 * The file is created with mode 0640. It must be a regular file with one name, and its last path component must not be a link.
 * A shared file is only looked for in the folder that was found first, since its app may own the path. The file is reopened
 * when its name leads to another file (log rotation). A missing newline at its end is added first, so that lines never merge: a
 * full disk may have cut an earlier write, or the app left its line open.
 */
export class AppendFile {
  readonly path: string;
  readonly #options: AppendFileOptions;
  readonly #nowMs: () => number;
  readonly #queue: QueuedLine[] = [];
  #queuedBytes = 0;
  #draining: Promise<void> | undefined;
  #handle: FileHandle | undefined;
  #dev = 0;
  #ino = 0;
  #folder: FileHandle | undefined;
  #tailKnown = false;
  #reopenWanted = false;
  #closed = false;
  #delivered = 0;
  #failed = 0;
  #dropped = 0;
  #warnedAtMs = -Infinity;

  constructor(path: string, options: AppendFileOptions) {
    this.path = path;
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Nothing is queued or under way. */
  get idle(): boolean {
    return this.#draining === undefined;
  }

  /** Half of the queue's bounds are free, so that the longest line has its place. */
  get hasRoom(): boolean {
    return this.#queue.length < MAX_QUEUED_LINES / 2 && this.#queuedBytes < MAX_QUEUED_BYTES / 2;
  }

  /** Opens the file now. Throws a UserError that says why it cannot be used. */
  async verify(): Promise<void> {
    try {
      await this.#ensureOpen();
    } catch (error) {
      throw new UserError(this.#sentence(error), { cause: error });
    }
  }

  /** Queues a line (without newline). Resolves true when it is written, false when it was given up. */
  append(line: string): Promise<boolean> {
    const bytes = Buffer.from(`${line}\n`);
    if (
      this.#closed ||
      this.#queue.length >= MAX_QUEUED_LINES ||
      this.#queuedBytes + bytes.length > MAX_QUEUED_BYTES
    ) {
      this.#dropped++;
      return Promise.resolve(false);
    }
    this.#queuedBytes += bytes.length;
    return new Promise((done) => {
      this.#queue.push({ bytes, deadlineMs: this.#nowMs() + PATIENCE_MS, done });
      this.#draining ??= this.#drain();
    });
  }

  /** The next line opens the path anew, also through a folder that was replaced: for SIGHUP. */
  reopen(): void {
    this.#reopenWanted = true;
  }

  counters(): StreamCounters {
    return { delivered: this.#delivered, failed: this.#failed, dropped: this.#dropped };
  }

  /** Writes what is queued (each line is tried once), then closes. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#draining;
    await this.#closeHandle();
    await this.#letGoOfFolder();
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const lines = this.#next();
      try {
        await this.#write(lines);
      } catch (error) {
        this.#warn(error);
        this.#tailKnown = false;
        await this.#closeHandle();
        // Somebody may have made the folder anew; but a folder that belongs to an app is trusted once.
        if (!this.#options.shared) await this.#letGoOfFolder();
        this.#giveUp(lines);
        if (this.#queue.length > 0 && !this.#closed) await delay(RETRY_MS);
      }
    }
    this.#draining = undefined;
  }

  /**
   * Fails all lines that are past their deadline, at once: one per round would rewrite the whole queue for each. After `close`,
   * it fails all lines that were tried.
   */
  #giveUp(tried: readonly QueuedLine[]): void {
    const last = this.#closed ? tried.at(-1) : undefined;
    const nowMs = this.#nowMs();
    let goesOn = last !== undefined;
    for (let line = this.#queue[0]; line !== undefined; line = this.#queue[0]) {
      if (!goesOn && nowMs < line.deadlineMs) return;
      this.#settle(line, false);
      goesOn &&= line !== last;
    }
  }

  /** The lines of the next write: only one for a shared file, since the app may have written in between. */
  #next(): readonly QueuedLine[] {
    if (this.#options.shared) return this.#queue.slice(0, 1);
    let bytes = 0;
    const end = this.#queue.findIndex((line) => (bytes += line.bytes.length) > MAX_WRITE_BYTES);
    return this.#queue.slice(0, end < 0 ? this.#queue.length : Math.max(end, 1));
  }

  /** The first of the queue is done. */
  #settle(line: QueuedLine, written: boolean): void {
    if (written) this.#delivered++;
    else this.#failed++;
    this.#queue.shift();
    this.#queuedBytes -= line.bytes.length;
    line.done(written);
  }

  /** Writes lines; each is settled once it is completely written. Throws the file's write error. */
  async #write(lines: readonly QueuedLine[]): Promise<void> {
    const handle = await this.#ensureOpen();
    const startsAnew =
      this.#tailKnown && !this.#options.shared ? true : await endsWithNewline(handle);
    const start = startsAnew ? [] : [Buffer.of(NEWLINE)];
    const whole = Buffer.concat([...start, ...lines.map(({ bytes }) => bytes)]);
    this.#tailKnown = false;
    let settled = 0;
    let end = startsAnew ? 0 : 1;
    for (let offset = 0; offset < whole.length;) {
      // Less than asked for only happens at the edge of a full disk; the next call says why.
      const { bytesWritten } = await handle.write(whole, offset);
      offset += bytesWritten;
      for (let line = lines[settled]; line !== undefined; line = lines[settled]) {
        if (offset < end + line.bytes.length) break;
        end += line.bytes.length;
        settled++;
        this.#settle(line, true);
      }
    }
    this.#tailKnown = true;
  }

  async #ensureOpen(): Promise<FileHandle> {
    if (this.#reopenWanted) {
      this.#reopenWanted = false;
      await this.#closeHandle();
      await this.#letGoOfFolder();
    }
    const { O_DIRECTORY, O_RDONLY } = constants;
    this.#folder ??= await open(dirname(this.path), O_RDONLY | O_DIRECTORY);
    // As openat(2) would: whatever the folder's path leads to by now, this is the folder of the first time.
    const path = `/proc/self/fd/${this.#folder.fd}/${basename(this.path)}`;
    const found = await lstat(path).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    });
    if (this.#handle !== undefined) {
      if (found?.dev === this.#dev && found.ino === this.#ino) return this.#handle;
      await this.#closeHandle();
    }
    // Before open, which would already act on a device or a FIFO.
    if (found !== undefined && !found.isFile()) throw new UnusableFile('is not a regular file');
    const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    const flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
    const handle = await open(path, flags, FILE_MODE);
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) throw new UnusableFile('is not a regular file');
      if (stat.nlink > 1) throw new UnusableFile('has several names (hard links)');
      if (stat.nlink === 0) throw new Error('it was removed while it was opened');
      this.#dev = stat.dev;
      this.#ino = stat.ino;
    } catch (error) {
      await handle.close();
      throw error;
    }
    this.#tailKnown = false;
    this.#handle = handle;
    return handle;
  }

  async #closeHandle(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    // An error of close(2) (EIO, ENOSPC on network file systems) shows in an earlier or later write as well.
    await handle?.close().catch(() => undefined);
  }

  async #letGoOfFolder(): Promise<void> {
    const folder = this.#folder;
    this.#folder = undefined;
    await folder?.close();
  }

  #warn(error: unknown): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#warnedAtMs < WARN_EVERY_MS) return;
    this.#warnedAtMs = nowMs;
    this.#options.logger.warn(
      { path: this.path, failed: this.#failed, dropped: this.#dropped, queued: this.#queue.length },
      this.#sentence(error),
    );
  }

  #sentence(error: unknown): string {
    return `Detections cannot be written to ${this.path}: ${reason(error, this.path)}`;
  }
}

class UnusableFile extends Error {}

function reason(error: unknown, path: string): string {
  if (error instanceof UnusableFile) return `it ${error.message}. Name another file.`;
  if (isErrno(error, 'ENOSPC') || isErrno(error, 'EDQUOT'))
    return 'the disk is full. Make room; writing goes on by itself then.';
  if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR'))
    return `the folder ${dirname(path)} does not exist. Create it; writing goes on by itself then.`;
  if (isErrno(error, 'ELOOP')) return 'it is a symbolic link. Name the file itself.';
  if (isErrno(error, 'EACCES') || isErrno(error, 'EPERM') || isErrno(error, 'EROFS'))
    return 'this is not permitted there. Check the mode of the file and its folder, and whether the file system is read-only.';
  return `${error instanceof Error ? error.message : String(error)}.`;
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

async function endsWithNewline(handle: FileHandle): Promise<boolean> {
  const { size } = await handle.stat();
  if (size === 0) return true;
  const last = Buffer.alloc(1);
  const { bytesRead } = await handle.read(last, 0, 1, size - 1);
  // Nothing read: cut short by someone else meanwhile.
  return bytesRead === 0 || last[0] === NEWLINE;
}
