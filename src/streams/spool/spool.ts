import { readdirSync, rmSync } from 'node:fs';
import { diskTrouble } from '../../shared/disk-trouble.ts';
import { SILENT_LOGGER, type Logger } from '../../shared/logger.ts';
import { setAside } from '../../shared/own-file.ts';
import { OwnFolder } from '../../shared/own-folder.ts';
import { UserError } from '../../shared/user-error.ts';
import { FairQueue } from './fair-queue.ts';
import { encodeRecord, type RecordLabel, type RecordPlace } from './record.ts';
import { MemorySegment } from './memory-segment.ts';
import { Segment, segmentName, segmentNumber, type SpoolSegment } from './segment.ts';

const DEFAULT_SEGMENT_BYTES = 4 * 1024 * 1024;
/** The index is in memory, some 150 bytes a record. */
const MAX_RECORDS = 131_072;
/** Of the bounds, what only urgent records may use. */
const URGENT_SHARE = 0.1;
const SYNC_AFTER_MS = 1000;
/** The file in use is not removed and made anew for every line. */
const KEEP_BELOW_BYTES = 256 * 1024;
/** What the disk does not take waits in memory, up to here. */
const MAX_MEMORY_BYTES = 8 * 1024 * 1024;
/** A disk that took nothing is tried again after so long. */
const RETRY_DISK_MS = 10_000;

/** Options of `Spool`. */
export interface SpoolOptions {
  /** Made if it is not there, with mode 0700; its parent must exist or be makeable. */
  readonly folder: string;
  /** Bound on the files together, settled records that are not removed yet included. */
  readonly maxBytes: number;
  /** Of one file. Default 4 MiB. */
  readonly segmentBytes?: number;
  readonly logger?: Logger;
  /** The disk does not take records any more, or (without an error) takes them again. */
  readonly onTrouble?: (error: unknown) => void;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
}

/** A record that waits. */
export interface SpoolItem {
  readonly lane: string;
  readonly payload: Buffer;
}

/** Counters of a spool; `waiting` and `bytes` of now, the others monotonic. */
export interface SpoolCounters {
  readonly waiting: number;
  readonly bytes: number;
  /** The bound on `bytes`. */
  readonly maxBytes: number;
  /** Left by an earlier process. */
  readonly recovered: number;
  /** Could not be read back: a write that was cut off, or a damaged file. Bytes. */
  readonly unreadBytes: number;
  /** Records that did not fit: into the spool or, when the disk took nothing, into memory. */
  readonly refused: number;
  /** Of `waiting`: in memory, because the disk takes nothing. They are lost when the agent ends. */
  readonly inMemory: number;
  /** Files that could not be read and were set aside, as `NAME.damaged`. */
  readonly setAside: number;
}

interface Waiting extends RecordPlace {
  readonly segment: SpoolSegment;
  readonly ordinal: number;
}

/**
 * Lines on a disk between the agent and a receiver that may be down: what was appended is sent, in order, also after
 * the agent was killed (what the last second brought may be lost with the host). A line whose sending was under way
 * then comes again. Order is kept within a lane; lanes take turns, so that none waits for another's flood, and urgent
 * records go first. Bounds: `maxBytes` of files and 131,072 records; the last tenth of either is for urgent ones.
 *
 * Reads and writes are of the page cache and done in place. Only one process uses a folder, which must be the agent's
 * own: a link, or a folder that others may write to, is set aside. While the disk takes nothing, records wait in memory, at
 * most 8 MiB of them; the disk is tried again every 10 s.
 */
export class Spool {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #onTrouble: (error: unknown) => void;
  readonly #nowMs: () => number;
  /** Undefined while the disk does not give it. */
  #folder: OwnFolder | undefined;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  readonly #segments = new Set<SpoolSegment>();
  readonly #queue = new FairQueue<Waiting>();
  /** Given out by `peek`, not settled yet. */
  #given: Waiting[] = [];
  #active: SpoolSegment | undefined;
  #triedDiskMs = -Infinity;
  #setAside = 0;
  #lastNumber = 0;
  #recovered = 0;
  #unreadBytes = 0;
  #refused = 0;
  #syncTimer: NodeJS.Timeout | undefined;

  /**
   * Throws UserError for a folder that the agent may not use. One that cannot be used otherwise, or a disk that takes nothing,
   * is no error: `open` deals with it.
   */
  static verify(folder: string): void {
    try {
      OwnFolder.open(folder).close();
    } catch (error) {
      if (isForbidden(error)) throw unusable(folder, error);
    }
  }

  /**
   * Opens the folder and takes up what an earlier process left. Throws UserError with a sentence while another process uses
   * the folder, or when the agent may not use it.
   */
  static open(options: SpoolOptions): Spool {
    const spool = new Spool(options);
    spool.#openFolder();
    return spool;
  }

  private constructor(options: SpoolOptions) {
    this.#path = options.folder;
    this.#maxBytes = options.maxBytes;
    this.#segmentBytes = options.segmentBytes ?? DEFAULT_SEGMENT_BYTES;
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.#onTrouble = options.onTrouble ?? (() => undefined);
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Adds a record; false when there is no room for it (counted). */
  append(label: RecordLabel, payload: Buffer): boolean {
    const record = encodeRecord(label, payload);
    const share = label.urgent ? 1 : 1 - URGENT_SHARE;
    if (
      this.#bytes() + record.length > this.#maxBytes * share ||
      this.#waiting() >= MAX_RECORDS * share
    ) {
      this.#refused++;
      return false;
    }
    const place = this.#appendToDisk(record) ?? this.#appendToMemory(record);
    if (place === undefined) {
      this.#refused++;
      return false;
    }
    this.#queue.push({ ...label, ...place, length: record.length });
    return true;
  }

  /**
   * The next records, at most `max`, urgent ones first and lanes in turn; the same again until they are settled. Those
   * that cannot be read back are left out, and counted.
   */
  peek(max: number): readonly SpoolItem[] {
    while (this.#given.length < max) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      this.#given.push(next);
    }
    const items: SpoolItem[] = [];
    const lost: Waiting[] = [];
    for (const waiting of this.#given) {
      const payload = waiting.segment.read(waiting);
      if (payload === undefined) lost.push(waiting);
      else items.push({ lane: waiting.lane, payload });
    }
    if (lost.length > 0) {
      this.#unreadBytes += lost.reduce((sum, { length }) => sum + length, 0);
      this.#given = this.#given.filter((waiting) => !lost.includes(waiting));
      this.#settle(lost);
    }
    return items;
  }

  /** The first `count` of what `peek` gave are done with. */
  settle(count: number): void {
    this.#settle(this.#given.splice(0, count));
  }

  /** The payload of the record that has waited for longest; undefined when none waits, or it cannot be read. */
  oldest(): Buffer | undefined {
    let oldest: Waiting | undefined = this.#given[0];
    for (const waiting of [...this.#given, ...this.#queue.heads()]) {
      if (oldest === undefined || isBefore(waiting, oldest)) oldest = waiting;
    }
    return oldest?.segment.read(oldest);
  }

  counters(): SpoolCounters {
    return {
      waiting: this.#waiting(),
      bytes: this.#bytes(),
      maxBytes: this.#maxBytes,
      recovered: this.#recovered,
      unreadBytes: this.#unreadBytes,
      refused: this.#refused,
      inMemory: this.#inMemory(),
      setAside: this.#setAside,
    };
  }

  /** What waits stays on the disk. What waits in memory is lost: the log says how much. */
  close(): void {
    clearTimeout(this.#syncTimer);
    const lost = this.#inMemory();
    if (lost > 0)
      this.#logger.error(
        { lost },
        `${lost} lines that waited in memory for their receiver are lost: the disk of ${this.#path} took nothing.`,
      );
    for (const segment of this.#segments) {
      if (segment.unsettled === 0) removed(segment);
      else segment.close();
    }
    this.#segments.clear();
    this.#active = undefined;
    this.#folder?.close();
    this.#folder = undefined;
  }

  #settle(done: readonly Waiting[]): void {
    const bySegment = new Map<SpoolSegment, number[]>();
    for (const { segment, ordinal } of done) {
      const ordinals = bySegment.get(segment) ?? [];
      ordinals.push(ordinal);
      bySegment.set(segment, ordinals);
    }
    for (const [segment, ordinals] of bySegment) {
      try {
        segment.settle(ordinals);
      } catch {
        // A full disk: at worst they are sent again after a restart, with the ids that they have.
      }
      if (segment.unsettled > 0) continue;
      if (segment === this.#active) {
        if (segment.bytes < KEEP_BELOW_BYTES) continue;
        this.#active = undefined;
      }
      this.#segments.delete(segment);
      removed(segment);
    }
  }

  #waiting(): number {
    return this.#queue.size + this.#given.length;
  }

  #bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#segments) sum += bytes;
    return sum;
  }

  #inMemory(): number {
    let sum = 0;
    for (const segment of this.#segments)
      if (segment instanceof MemorySegment) sum += segment.unsettled;
    return sum;
  }

  /** Undefined when the disk does not take it. */
  #appendToDisk(record: Buffer): Omit<Waiting, 'lane' | 'urgent' | 'length'> | undefined {
    const wasDown = this.#triedDiskMs > -Infinity;
    if (wasDown && this.#nowMs() - this.#triedDiskMs < RETRY_DISK_MS) return undefined;
    try {
      if (this.#folder === undefined) this.#openFolder();
      if (this.#folder === undefined) return undefined;
      const segment = this.#diskSegmentFor(record.length, this.#folder);
      const place = { segment, ...segment.append(record) };
      this.#syncSoon(segment);
      if (wasDown) {
        this.#triedDiskMs = -Infinity;
        this.#onTrouble(undefined);
      }
      return place;
    } catch (error) {
      this.#noteTrouble(error);
      return undefined;
    }
  }

  #appendToMemory(record: Buffer): Omit<Waiting, 'lane' | 'urgent' | 'length'> | undefined {
    let segment = this.#active;
    if (!(segment instanceof MemorySegment)) {
      // Room on the disk, at once.
      if (segment?.unsettled === 0 && this.#segments.delete(segment)) removed(segment);
      let waits = 0;
      for (const one of this.#segments) if (one instanceof MemorySegment) waits += one.bytes;
      segment = new MemorySegment(++this.#lastNumber, MAX_MEMORY_BYTES - waits);
      this.#segments.add(segment);
      this.#active = segment;
    }
    try {
      return { segment, ...segment.append(record) };
    } catch {
      return undefined;
    }
  }

  #diskSegmentFor(bytes: number, folder: OwnFolder): SpoolSegment {
    const active = this.#active;
    if (
      active !== undefined &&
      !(active instanceof MemorySegment) &&
      active.bytes + bytes <= this.#segmentBytes
    )
      return active;
    const created = Segment.create(folder.inside, ++this.#lastNumber);
    this.#active = created;
    this.#segments.add(created);
    return created;
  }

  #noteTrouble(error: unknown): void {
    this.#triedDiskMs = this.#nowMs();
    this.#onTrouble(error);
  }

  #syncSoon(segment: SpoolSegment): void {
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      if (this.#segments.has(segment)) segment.sync(() => undefined);
    }, SYNC_AFTER_MS).unref();
  }

  #openFolder(): void {
    let folder: OwnFolder | undefined;
    try {
      const opened = OwnFolder.openOrSetAside(this.#path);
      ({ folder } = opened);
      if (opened.setAside) this.#noteSetAside(this.#path, 'it is not a folder of this agent');
      folder.claim();
    } catch (error) {
      folder?.close();
      if (diskTrouble(error) === undefined) throw unusable(this.#path, error);
      this.#noteTrouble(error);
      return;
    }
    this.#folder = folder;
    this.#recover(folder.inside);
  }

  #recover(folder: string): void {
    const numbers = readdirSync(folder)
      .flatMap((name) => segmentNumber(name) ?? [])
      .sort((one, other) => one - other);
    for (const number of numbers) {
      this.#lastNumber = Math.max(this.#lastNumber, number);
      try {
        this.#recoverOne(folder, number);
      } catch (error) {
        this.#onUnreadable(folder, number, error);
      }
    }
  }

  #recoverOne(folder: string, number: number): void {
    const { segment, unsettled, unreadBytes } = Segment.recover(folder, number);
    this.#unreadBytes += unreadBytes;
    if (unsettled.length === 0) {
      removed(segment);
      return;
    }
    this.#segments.add(segment);
    this.#recovered += unsettled.length;
    for (const [ordinal, place] of unsettled) this.#queue.push({ ...place, segment, ordinal });
  }

  /** A disk that gives it later may have good lines in it; anything else is moved out of the way. */
  #onUnreadable(folder: string, number: number, error: unknown): void {
    const name = segmentName(number);
    const why = error instanceof Error ? error.message : String(error);
    try {
      if (diskTrouble(error) !== undefined) throw error;
      setAside(`${folder}/${name}`);
      rmSync(`${folder}/${name}.done`, { force: true, recursive: true });
      this.#noteSetAside(name, why);
    } catch {
      this.#logger.warn(
        { file: name, error },
        `The spool's file ${name} in ${this.#path} cannot be read now: its lines wait for the next start of the agent.`,
      );
    }
  }

  #noteSetAside(name: string, why: string): void {
    this.#setAside++;
    this.#logger.warn(
      { name, why },
      `${name} in the spool's folder was moved to ${name}.damaged: an agent did not make it so. Lines in it are not sent. Find out what changed it.`,
    );
  }
}

/** A file that stays on a disk that fails has nothing to send in it: at worst it is looked at again by the next agent. */
function removed(segment: SpoolSegment): void {
  try {
    segment.remove();
  } catch {
    // As above.
  }
}

const isForbidden = (error: unknown): boolean =>
  ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');

const isBefore = (one: Waiting, other: Waiting): boolean =>
  one.segment.number < other.segment.number ||
  (one.segment === other.segment && one.ordinal < other.ordinal);

function unusable(folder: string, error: unknown): UserError {
  const why = error instanceof Error ? error.message : String(error);
  return new UserError(
    `The spool's folder ${folder} cannot be used: ${why}. Lines wait there while a receiver is down. Set state_dir to a folder of the agent's own.`,
    { cause: error },
  );
}
