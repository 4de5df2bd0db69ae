import { readdirSync } from 'node:fs';
import { encodeRecord, MAGIC, ORIGIN_BYTES, type RecordLabel } from './record.ts';
import { Segment, segmentName, segmentNumber, SETTLED_BYTES } from './segment.ts';

const SYNC_AFTER_MS = 1000;
/** The file in use is not removed and made anew for every line. */
const KEEP_BELOW_BYTES = 256 * 1024;

/** A record that waits, wherever it is. */
export interface Waiting extends RecordLabel {
  readonly segment: {
    /** The payload; undefined if it is not there as it was written. */
    read(waiting: Waiting): Buffer | undefined;
  };
  readonly ordinal: number;
  readonly offset: number;
  readonly length: number;
  /** Its first place, which orders it: file and running number. */
  readonly originFile: number;
  readonly originOrdinal: number;
}

/** One on the disk. It may be moved to another file meanwhile. */
export interface OnDisk extends Waiting {
  segment: Segment;
  ordinal: number;
  offset: number;
  length: number;
}

/** A file, and what in it still waits. */
interface Held {
  readonly segment: Segment;
  /** By running numbers, in their order. */
  readonly live: Map<number, OnDisk>;
  liveBytes: number;
  /** Of those: never moved, so that they are longer once they are. */
  unmoved: number;
}

/** What an earlier process left. */
export interface Left {
  /** In their order. */
  readonly waiting: readonly OnDisk[];
  readonly unreadBytes: number;
}

/**
 * The files of a spool. A file is removed once all its records are settled. If settled records take up needed space, the
 * waiting ones are moved to another file, and the old one is removed. Each record knows its original place. So order survives
 * the process, and a record that exists twice after a kill is read once.
 */
export class Segments {
  readonly #folder: string;
  readonly #segmentBytes: number;
  readonly #held = new Map<Segment, Held>();
  readonly #unsynced = new Set<Segment>();
  #active: Segment | undefined;
  #lastNumber = 0;
  #syncTimer: NodeJS.Timeout | undefined;

  /** A file takes no more records once it has `segmentBytes`. */
  constructor(folder: string, segmentBytes: number) {
    this.#folder = folder;
    this.#segmentBytes = segmentBytes;
  }

  /** Of all files: the most that they can have with these records. */
  get bytes(): number {
    let sum = 0;
    for (const segment of this.#held.keys()) sum += segment.maxBytes;
    return sum;
  }

  /** Takes up what is in the folder. `onUnreadable` is told of each file that cannot be used. */
  recover(onUnreadable: (name: string, error: unknown) => void): Left {
    const numbers = readdirSync(this.#folder)
      .flatMap((name) => segmentNumber(name) ?? [])
      .sort((one, other) => one - other);
    const all: OnDisk[] = [];
    let unreadBytes = 0;
    for (const number of numbers) {
      this.#lastNumber = number;
      try {
        unreadBytes += this.#recoverOne(number, all);
      } catch (error) {
        onUnreadable(segmentName(number), error);
      }
    }
    // The sort is stable: of one that is there twice, the copy comes last.
    all.sort(byOrigin);
    const waiting: OnDisk[] = [];
    const twice: OnDisk[] = [];
    for (const [at, one] of all.entries()) {
      const next = all[at + 1];
      (next !== undefined && byOrigin(one, next) === 0 ? twice : waiting).push(one);
    }
    for (const one of waiting) this.#add(one);
    this.settle(twice);
    for (const held of [...this.#held.values()]) this.#release(held);
    return { waiting, unreadBytes };
  }

  /** Adds its records that wait to `all`; returns how many bytes of it cannot be read. */
  #recoverOne(number: number, all: OnDisk[]): number {
    const { segment, unsettled, unreadBytes } = Segment.recover(this.#folder, number);
    this.#hold(segment);
    for (const [ordinal, { origin = { file: number, ordinal }, ...place }] of unsettled) {
      const waiting = { ...place, segment, ordinal };
      all.push({ ...waiting, originFile: origin.file, originOrdinal: origin.ordinal });
    }
    return unreadBytes;
  }

  /** Returns a number between those of the past and future files: it orders records that are kept in memory meanwhile. */
  pause(): number {
    const held = this.#active === undefined ? undefined : this.#held.get(this.#active);
    this.#active = undefined;
    // Room on the disk, at once.
    if (held !== undefined) this.#release(held);
    return ++this.#lastNumber;
  }

  /** Adds an encoded record. Throws the file system's error; nothing is half added then. */
  append({ lane, urgent, kept }: RecordLabel, record: Buffer): OnDisk {
    const segment = this.#activeFor(record.length);
    const { ordinal, offset } = segment.append(record);
    const origin = { originFile: segment.number, originOrdinal: ordinal };
    const label = kept === true ? { lane, urgent, kept } : { lane, urgent };
    const waiting = { ...label, segment, ordinal, offset, length: record.length, ...origin };
    this.#add(waiting);
    this.#syncSoon(segment);
    return waiting;
  }

  /** These need not be kept any more. */
  settle(done: readonly OnDisk[]): void {
    const bySegment = new Map<Segment, number[]>();
    for (const waiting of done) {
      const ordinals = bySegment.get(waiting.segment) ?? [];
      ordinals.push(waiting.ordinal);
      bySegment.set(waiting.segment, ordinals);
      this.#forget(waiting);
    }
    for (const [segment, ordinals] of bySegment) {
      settleIn(segment, ordinals);
      const held = this.#held.get(segment);
      if (held !== undefined) this.#release(held);
    }
  }

  /**
   * Frees the space of the settled records of the file that has the most of it. False if no file has any. Writes less than `segmentBytes`,
   * and only then frees more than that. Throws the file system's error; records moved by then stay moved.
   */
  clean(): boolean {
    let best: Held | undefined;
    let most = 0;
    for (const held of this.#held.values()) {
      const gain = gainOf(held);
      if (gain <= most) continue;
      best = held;
      most = gain;
    }
    if (best === undefined) return false;
    if (best.segment === this.#active) this.#active = undefined;
    const moved: number[] = [];
    try {
      for (const [ordinal, waiting] of best.live) {
        this.#move(waiting);
        moved.push(ordinal);
      }
    } catch (error) {
      settleIn(best.segment, moved);
      throw error;
    }
    this.#remove(best.segment);
    return true;
  }

  /** What waits stays on the disk. */
  close(): void {
    clearTimeout(this.#syncTimer);
    for (const { segment, live } of this.#held.values()) {
      if (live.size === 0) removed(segment);
      else segment.close();
    }
    this.#held.clear();
    this.#active = undefined;
  }

  /** A record that cannot be read becomes empty; `peek` counts it then. */
  #move(waiting: OnDisk): void {
    const { originFile: file, originOrdinal } = waiting;
    const payload = waiting.segment.read(waiting) ?? Buffer.alloc(0);
    const record = encodeRecord(waiting, payload, { file, ordinal: originOrdinal });
    const segment = this.#activeFor(record.length);
    const place = segment.append(record);
    this.#forget(waiting);
    Object.assign(waiting, { ...place, segment, length: record.length });
    this.#add(waiting);
    this.#syncSoon(segment);
  }

  #hold(segment: Segment): void {
    this.#held.set(segment, { segment, live: new Map(), liveBytes: 0, unmoved: 0 });
  }

  #add(waiting: OnDisk): void {
    const held = this.#held.get(waiting.segment);
    if (held === undefined) return;
    held.live.set(waiting.ordinal, waiting);
    held.liveBytes += waiting.length + SETTLED_BYTES;
    if (!isMoved(waiting)) held.unmoved++;
  }

  #forget(waiting: OnDisk): void {
    const held = this.#held.get(waiting.segment);
    if (held?.live.delete(waiting.ordinal) !== true) return;
    held.liveBytes -= waiting.length + SETTLED_BYTES;
    if (!isMoved(waiting)) held.unmoved--;
  }

  /** Removes its file when nothing in it waits. */
  #release({ segment, live }: Held): void {
    if (live.size > 0) return;
    if (segment === this.#active) {
      if (segment.bytes < KEEP_BELOW_BYTES) return;
      this.#active = undefined;
    }
    this.#remove(segment);
  }

  #remove(segment: Segment): void {
    this.#held.delete(segment);
    this.#unsynced.delete(segment);
    removed(segment);
  }

  #activeFor(bytes: number): Segment {
    if (this.#active !== undefined && this.#active.bytes + bytes <= this.#segmentBytes) {
      return this.#active;
    }
    const last = this.#active;
    this.#active = Segment.create(this.#folder, ++this.#lastNumber);
    this.#hold(this.#active);
    const held = last === undefined ? undefined : this.#held.get(last);
    if (held !== undefined) this.#release(held);
    return this.#active;
  }

  #syncSoon(segment: Segment): void {
    this.#unsynced.add(segment);
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      for (const one of this.#unsynced) one.sync(() => undefined);
      this.#unsynced.clear();
    }, SYNC_AFTER_MS).unref();
  }
}

function settleIn(segment: Segment, ordinals: readonly number[]): void {
  try {
    segment.settle(ordinals);
  } catch {
    // A full disk: at worst they are sent again after a restart, with the ids that they have.
  }
}

/** A file that a failing disk keeps has only settled records: at worst they are sent again, with the same ids. */
function removed(segment: Segment): void {
  try {
    segment.remove();
  } catch {
    // As above.
  }
}

/** Older first. */
export const byOrigin = (one: Waiting, other: Waiting): number =>
  one.originFile - other.originFile || one.originOrdinal - other.originOrdinal;

const isMoved = ({ segment, originFile }: OnDisk): boolean => segment.number !== originFile;

/** Of the record before it was moved. */
export const lengthOf = (waiting: OnDisk): number =>
  waiting.length - (isMoved(waiting) ? ORIGIN_BYTES : 0);

/** Bytes that moving all that waits in it would free. */
function gainOf({ segment, live, liveBytes, unmoved }: Held): number {
  if (live.size === 0) return segment.maxBytes;
  return segment.maxBytes - MAGIC.length - liveBytes - unmoved * ORIGIN_BYTES;
}
