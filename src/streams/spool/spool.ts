import { readdirSync } from 'node:fs';
import { OwnFolder } from '../../shared/own-folder.ts';
import { UserError } from '../../shared/user-error.ts';
import { FairQueue } from './fair-queue.ts';
import { encodeRecord, type RecordLabel, type RecordPlace } from './record.ts';
import { Segment, segmentNumber } from './segment.ts';

const DEFAULT_SEGMENT_BYTES = 4 * 1024 * 1024;
/** The index is in memory, some 150 bytes a record. */
const MAX_RECORDS = 131_072;
/** Of the bounds, what only urgent records may use. */
const URGENT_SHARE = 0.1;
const SYNC_AFTER_MS = 1000;
/** The file in use is not removed and made anew for every line. */
const KEEP_BELOW_BYTES = 256 * 1024;

/** Options of `Spool`. */
export interface SpoolOptions {
  /** Made if it is not there, with mode 0700; its parent must exist or be makeable. */
  readonly folder: string;
  /** Bound on the files together, settled records that are not removed yet included. */
  readonly maxBytes: number;
  /** Of one file. Default 4 MiB. */
  readonly segmentBytes?: number;
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
  /** Records that did not fit, or that the disk did not take. */
  readonly refused: number;
}

interface Waiting extends RecordPlace {
  readonly segment: Segment;
  readonly ordinal: number;
}

/**
 * Lines on a disk between the agent and a receiver that may be down: what was appended is sent, in order, also after
 * the agent was killed (what the last second brought may be lost with the host). A line whose sending was under way
 * then comes again. Order is kept within a lane; lanes take turns, so that none waits for another's flood, and urgent
 * records go first. Bounds: `maxBytes` of files and 131,072 records; the last tenth of either is for urgent ones.
 *
 * Reads and writes are of the page cache and done in place. Only one process uses a folder, which must be the agent's
 * own: a link, or a folder that others may write to, is refused.
 */
export class Spool {
  readonly #folder: OwnFolder;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  readonly #segments = new Set<Segment>();
  readonly #queue = new FairQueue<Waiting>();
  /** Given out by `peek`, not settled yet. */
  #given: Waiting[] = [];
  #active: Segment | undefined;
  #lastNumber = 0;
  #recovered = 0;
  #unreadBytes = 0;
  #refused = 0;
  #syncTimer: NodeJS.Timeout | undefined;

  /** Throws UserError for a folder that cannot be used, also while another process uses it. */
  static verify(folder: string): void {
    try {
      OwnFolder.open(folder).close();
    } catch (error) {
      throw unusable(folder, error);
    }
  }

  /** Opens the folder and takes up what an earlier process left. Throws UserError with a sentence. */
  static open(options: SpoolOptions): Spool {
    let folder: OwnFolder | undefined;
    try {
      folder = OwnFolder.open(options.folder);
      folder.claim();
      const spool = new Spool(options, folder);
      spool.#recover();
      return spool;
    } catch (error) {
      folder?.close();
      throw unusable(options.folder, error);
    }
  }

  private constructor(options: SpoolOptions, folder: OwnFolder) {
    this.#folder = folder;
    this.#maxBytes = options.maxBytes;
    this.#segmentBytes = options.segmentBytes ?? DEFAULT_SEGMENT_BYTES;
  }

  /** Adds a record; false when there is no room for it, or the disk does not take it (counted). */
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
    try {
      const segment = this.#activeFor(record.length);
      const { ordinal, offset } = segment.append(record);
      this.#queue.push({ ...label, segment, ordinal, offset, length: record.length });
      this.#syncSoon(segment);
      return true;
    } catch {
      // A full disk, mostly. The caller counts it per app and says so.
      this.#refused++;
      return false;
    }
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
    };
  }

  /** What waits stays on the disk. */
  close(): void {
    clearTimeout(this.#syncTimer);
    for (const segment of this.#segments) {
      if (segment.unsettled === 0) segment.remove();
      else segment.close();
    }
    this.#segments.clear();
    this.#active = undefined;
    this.#folder.close();
  }

  #settle(done: readonly Waiting[]): void {
    const bySegment = new Map<Segment, number[]>();
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
      segment.remove();
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

  #activeFor(bytes: number): Segment {
    if (this.#active !== undefined && this.#active.bytes + bytes <= this.#segmentBytes) {
      return this.#active;
    }
    this.#active = Segment.create(this.#folder.inside, ++this.#lastNumber);
    this.#segments.add(this.#active);
    return this.#active;
  }

  #syncSoon(segment: Segment): void {
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      if (this.#segments.has(segment)) segment.sync(() => undefined);
    }, SYNC_AFTER_MS).unref();
  }

  #recover(): void {
    const numbers = readdirSync(this.#folder.inside)
      .flatMap((name) => segmentNumber(name) ?? [])
      .sort((one, other) => one - other);
    for (const number of numbers) {
      this.#lastNumber = number;
      const { segment, unsettled, unreadBytes } = Segment.recover(this.#folder.inside, number);
      this.#unreadBytes += unreadBytes;
      if (unsettled.length === 0) {
        segment.remove();
        continue;
      }
      this.#segments.add(segment);
      this.#recovered += unsettled.length;
      for (const [ordinal, place] of unsettled) this.#queue.push({ ...place, segment, ordinal });
    }
  }
}

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
