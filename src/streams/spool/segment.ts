import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { tookAPart } from '../../shared/disk-trouble.ts';
import { MAGIC, payloadOf, scanRecords, type RecordPlace } from './record.ts';

const FILE_MODE = 0o600;
const NUMBER_DIGITS = 12;
/** What a settled record has in the file beside it. */
export const SETTLED_BYTES = 4;
/** No file of a spool is larger, with some room: a spool's own segments have 4 MiB. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** A file's name for its number. */
export const segmentName = (number: number): string =>
  `${String(number).padStart(NUMBER_DIGITS, '0')}.spool`;

/** The number in such a name; undefined for another. */
export function segmentNumber(name: string): number | undefined {
  const found = /^(\d{12})\.spool$/.exec(name)?.[1];
  return found === undefined ? undefined : Number(found);
}

/**
 * One file of a spool, and beside it (`.done`) the ordinals of its settled records, 32 bits each. Both are append-only. Written
 * data is in the kernel's page cache: it survives the process, however that ends.
 */
export class Segment {
  readonly number: number;
  readonly #path: string;
  readonly #file: number;
  readonly #done: number;
  #bytes: number;
  #records = 0;

  private constructor(number: number, path: string, file: number, done: number, bytes: number) {
    this.number = number;
    this.#path = path;
    this.#file = file;
    this.#done = done;
    this.#bytes = bytes;
  }

  /** Makes a new one. Throws the file system's error, with nothing left behind. */
  static create(folder: string, number: number): Segment {
    const path = `${folder}/${segmentName(number)}`;
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
    const file = openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, FILE_MODE);
    let done: number | undefined;
    try {
      done = openSync(`${path}.done`, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, FILE_MODE);
      if (writeSync(file, MAGIC) !== MAGIC.length) throw tookAPart();
      return new Segment(number, path, file, done, MAGIC.length);
    } catch (error) {
      closeSync(file);
      unlinkSync(path);
      if (done !== undefined) {
        closeSync(done);
        unlinkSync(`${path}.done`);
      }
      throw error;
    }
  }

  /**
   * Opens one that an earlier process left, and gives its unsettled records by their running numbers. Throws if it is
   * no regular file of one name that is ours, or larger than a spool makes it.
   */
  static recover(
    folder: string,
    number: number,
  ): {
    readonly segment: Segment;
    readonly unsettled: readonly (readonly [ordinal: number, place: RecordPlace])[];
    readonly unreadBytes: number;
  } {
    const path = `${folder}/${segmentName(number)}`;
    const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants;
    const file = openSync(path, O_NOFOLLOW | O_NONBLOCK | O_RDWR);
    let done: number | undefined;
    try {
      requireOwn(file, path);
      done = openSync(`${path}.done`, O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_RDWR, FILE_MODE);
      requireOwn(done, `${path}.done`);
      const bytes = readFileSync(file);
      const { records, unreadBytes } = scanRecords(bytes);
      const settled = settledNumbers(readFileSync(done));
      const unsettled = records.map((place, ordinal) => [ordinal, place] as const);
      const segment = new Segment(number, path, file, done, bytes.length);
      segment.#records = records.length;
      const left = unsettled.filter(([ordinal]) => !settled.has(ordinal));
      return { segment, unsettled: left, unreadBytes };
    } catch (error) {
      closeSync(file);
      if (done !== undefined) closeSync(done);
      throw error;
    }
  }

  /** Of the file of records. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The most that both files can have, with all of these records settled. */
  get maxBytes(): number {
    return this.#bytes + this.#records * SETTLED_BYTES;
  }

  /** Adds a record; returns its running number and offset. Throws the file system's error; nothing is half added then. */
  append(record: Buffer): { readonly ordinal: number; readonly offset: number } {
    const offset = this.#bytes;
    let written = 0;
    try {
      written = writeSync(this.#file, record, 0, record.length, offset);
    } finally {
      if (written !== record.length) ftruncateSync(this.#file, offset);
    }
    if (written !== record.length) throw tookAPart();
    this.#bytes += record.length;
    return { ordinal: this.#records++, offset };
  }

  /** The payload of a record; undefined if the file does not hold what was written, or the disk does not give it. */
  read({ offset, length }: Pick<RecordPlace, 'offset' | 'length'>): Buffer | undefined {
    const record = Buffer.allocUnsafe(length);
    try {
      const read = readSync(this.#file, record, 0, length, offset);
      return read === length ? payloadOf(record) : undefined;
    } catch {
      // The disk reports an error.
      return undefined;
    }
  }

  /** Marks records as settled. Throws the file system's error: after a crash they would be sent again. */
  settle(ordinals: readonly number[]): void {
    const bytes = Buffer.allocUnsafe(ordinals.length * SETTLED_BYTES);
    ordinals.forEach((ordinal, at) => bytes.writeUInt32LE(ordinal, at * SETTLED_BYTES));
    const { size } = fstatSync(this.#done);
    writeSync(this.#done, bytes, 0, bytes.length, size - (size % SETTLED_BYTES));
  }

  /** To the disk, so that it outlives the host's end too. `then` gets the error, if any. */
  sync(then: (error: Error | null) => void): void {
    fdatasync(this.#file, then);
  }

  close(): void {
    closeSync(this.#file);
    closeSync(this.#done);
  }

  /** Closes it and removes its files. Throws the file system's error. */
  remove(): void {
    this.close();
    unlinkSync(this.#path);
    unlinkSync(`${this.#path}.done`);
  }
}

function settledNumbers(bytes: Buffer): Set<number> {
  const settled = new Set<number>();
  for (let at = 0; at + SETTLED_BYTES <= bytes.length; at += SETTLED_BYTES) {
    settled.add(bytes.readUInt32LE(at));
  }
  return settled;
}

function requireOwn(fd: number, path: string): void {
  const stat = fstatSync(fd);
  if (!stat.isFile() || stat.nlink !== 1 || stat.uid !== process.geteuid?.()) {
    throw new Error(`${path} is not a file of this agent's`);
  }
  if (stat.size > MAX_FILE_BYTES) throw new Error(`${path} is larger than an agent makes it`);
}
