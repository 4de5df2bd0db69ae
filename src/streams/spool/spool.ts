import { OwnFolder } from '../../shared/own-folder.ts';
import { UserError } from '../../shared/user-error.ts';
import { FairQueue } from './fair-queue.ts';
import { LaneShares, type Measure } from './lane-shares.ts';
import { encodeRecord, MAGIC, ORIGIN_BYTES, type RecordLabel } from './record.ts';
import { SETTLED_BYTES } from './segment.ts';
import { byOrigin, lengthOf, Segments, type Waiting } from './segments.ts';

const DEFAULT_SEGMENT_BYTES = 4 * 1024 * 1024;
/** Small beside the whole: moving what waits in one file takes a time that is bounded by its size. */
const MIN_SEGMENTS = 32;
/** The index is in memory, some 250 bytes a record. */
const MAX_RECORDS = 131_072;
/** Of the bounds, what only urgent records may use. */
const URGENT_SHARE = 0.1;
/**
 * Of `maxBytes`, what settled records may always take up. The file with the most of it has a sixteenth of it at least then,
 * so that freeing a byte takes moving fifteen at most.
 */
const SETTLED_SHARE = 1 / 16;
/** What a record may need besides itself. */
const NEW_FILE_BYTES = MAGIC.length + SETTLED_BYTES;

/** Options of `Spool`. */
export interface SpoolOptions {
  /** Made if it is not there, with mode 0700; its parent must exist or be makeable. */
  readonly folder: string;
  /** Bound on the files together, settled records that are not removed yet included. */
  readonly maxBytes: number;
  /** Of one file; at most a 32nd of `maxBytes`. Default 4 MiB. */
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
  /** Records that were taken and made room for another lane's later. */
  readonly dropped: number;
}

/**
 * Lines on a disk between the agent and a receiver that may be down: what was appended is sent, in order, also after
 * the agent was killed (what the last second brought may be lost with the host). A line whose sending was under way
 * then comes again. Order is kept within a lane; lanes take turns, so that none waits for another's flood, and urgent
 * records go first.
 *
 * Bounds: `maxBytes` of files and 131,072 records. What waits may use 29 of 32 parts of `maxBytes`, the rest is for tidying
 * up; the last tenth of that is for urgent records. When it is full, the lane that holds the most gives way: its own new
 * record is refused, and for another lane's its newest records are dropped, those that are not urgent first. So a lane below
 * its equal share is never refused. What is under way (`peek`) and what tells of losses (`kept`) is not dropped.
 *
 * Reads and writes are of the page cache and done in place. Only one process uses a folder, which must be the agent's
 * own: a link, or a folder that others may write to, is refused.
 */
export class Spool {
  readonly #folder: OwnFolder;
  readonly #maxBytes: number;
  /** Of the files, before a file is tidied up. */
  readonly #fullBytes: number;
  /** Of what waits. */
  readonly #limits: Readonly<Record<Measure, number>>;
  readonly #minCharge: number;
  readonly #segments: Segments;
  readonly #queue = new FairQueue<Waiting>();
  readonly #shares = new LaneShares();
  /** Given out by `peek`, not settled yet. */
  #given: Waiting[] = [];
  #recovered = 0;
  #unreadBytes = 0;
  #refused = 0;
  #dropped = 0;
  #onDropped: (payload: Buffer) => void = () => undefined;

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
    const { maxBytes, segmentBytes = DEFAULT_SEGMENT_BYTES } = options;
    this.#folder = folder;
    this.#maxBytes = maxBytes;
    const largest = Math.floor(maxBytes / MIN_SEGMENTS);
    // A file's records are moved before it is removed: for a moment they are there twice.
    this.#fullBytes = maxBytes - largest;
    const all = this.#fullBytes - maxBytes * SETTLED_SHARE;
    this.#limits = { all, others: all * (1 - URGENT_SHARE) };
    // Whole bytes: what is added and taken away again comes to nothing.
    this.#minCharge = Math.ceil(all / MAX_RECORDS);
    // With room for what the file of settled numbers has, and the head of a new file.
    this.#segments = new Segments(folder.inside, Math.min(segmentBytes, largest * 0.75));
  }

  /** Who is told of each record that is dropped to make room. One that cannot be read is counted only. */
  onDropped(tell: (payload: Buffer) => void): void {
    this.#onDropped = tell;
  }

  /** Adds a record; false when there is no room for it, or the disk does not take it (counted). */
  append(label: RecordLabel, payload: Buffer): boolean {
    const record = encodeRecord(label, payload);
    try {
      if (this.#makeRoom(label, record.length)) {
        const waiting = this.#segments.append(label, record);
        this.#queue.push(waiting);
        this.#shares.add(waiting, this.#chargeOf(record.length));
        return true;
      }
    } catch {
      // A full disk, mostly. The caller counts it per app and says so.
    }
    this.#refused++;
    return false;
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
      if (payload === undefined || payload.length === 0) lost.push(waiting);
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
      if (oldest === undefined || byOrigin(waiting, oldest) < 0) oldest = waiting;
    }
    return oldest?.segment.read(oldest);
  }

  counters(): SpoolCounters {
    return {
      waiting: this.#waiting(),
      bytes: this.#segments.bytes,
      maxBytes: this.#maxBytes,
      recovered: this.#recovered,
      unreadBytes: this.#unreadBytes,
      refused: this.#refused,
      dropped: this.#dropped,
    };
  }

  /** What waits stays on the disk. */
  close(): void {
    this.#segments.close();
    this.#folder.close();
  }

  #settle(done: readonly Waiting[]): void {
    for (const one of done) this.#shares.remove(one, this.#chargeOf(lengthOf(one)));
    this.#segments.settle(done);
  }

  #waiting(): number {
    return this.#queue.size + this.#given.length;
  }

  /** Room for a record of so many bytes; false when its lane is to give way itself. Throws the file system's error. */
  #makeRoom(label: RecordLabel, bytes: number): boolean {
    const charge = this.#chargeOf(bytes);
    if (!label.urgent && !this.#giveWay('others', label.lane, charge)) return false;
    if (!this.#giveWay('all', label.lane, charge)) return false;
    while (this.#segments.bytes + bytes + NEW_FILE_BYTES > this.#fullBytes) {
      if (!this.#segments.clean()) return false;
    }
    return true;
  }

  /** The lane with the most gives way until the record fits; false when that is the record's own, with it. */
  #giveWay(measure: Measure, lane: string, charge: number): boolean {
    let excess = this.#shares.total(measure) + charge - this.#limits[measure];
    const asked = new Set<string>();
    while (excess > 0) {
      const largest = this.#shares.largest(measure, asked);
      if (largest === undefined) return false;
      const own = this.#shares.of(lane, measure) + charge;
      if (this.#shares.of(largest, measure) <= own) return false;
      excess -= this.#dropNewest(largest, measure, excess);
      asked.add(largest);
    }
    return true;
  }

  /** Drops a lane's newest records, those that are not urgent first, until so much is free or there are no more. */
  #dropNewest(lane: string, measure: Measure, bytes: number): number {
    const dropped: Waiting[] = [];
    let freed = 0;
    while (freed < bytes) {
      const waiting =
        this.#queue.dropNewest(lane, false) ??
        (measure === 'all' ? this.#queue.dropNewest(lane, true) : undefined);
      if (waiting === undefined) break;
      freed += this.#chargeOf(lengthOf(waiting));
      dropped.push(waiting);
    }
    for (const waiting of dropped) {
      const payload = waiting.segment.read(waiting);
      if (payload !== undefined) this.#onDropped(payload);
    }
    this.#dropped += dropped.length;
    this.#settle(dropped);
    return freed;
  }

  /**
   * What a record counts for: itself, what it needs to be settled and moved, and at least so much that no more than
   * MAX_RECORDS fit.
   */
  #chargeOf(bytes: number): number {
    return Math.max(bytes + SETTLED_BYTES + ORIGIN_BYTES, this.#minCharge);
  }

  #recover(): void {
    const { waiting, unreadBytes } = this.#segments.recover();
    this.#unreadBytes += unreadBytes;
    this.#recovered += waiting.length;
    for (const one of waiting) {
      this.#queue.push(one);
      this.#shares.add(one, this.#chargeOf(lengthOf(one)));
    }
  }
}

function unusable(folder: string, error: unknown): UserError {
  const why = error instanceof Error ? error.message : String(error);
  return new UserError(
    `The spool's folder ${folder} cannot be used: ${why}. Lines wait there while a receiver is down. Set state_dir to a folder of the agent's own.`,
    { cause: error },
  );
}
