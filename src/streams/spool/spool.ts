import { rmSync } from 'node:fs';
import { diskTrouble } from '../../shared/disk-trouble.ts';
import { SILENT_LOGGER, type Logger } from '../../shared/logger.ts';
import { setAside } from '../../host/own-file.ts';
import { OwnFolder } from '../../host/own-folder.ts';
import { UserError } from '../../shared/user-error.ts';
import { FairQueue } from './fair-queue.ts';
import type { Measure } from './lane-shares.ts';
import { MemoryRecords } from './memory-records.ts';
import { encodeRecord, MAGIC, ORIGIN_BYTES, type RecordLabel } from './record.ts';
import { Room } from './room.ts';
import { Segment, SETTLED_BYTES } from './segment.ts';
import type { SpoolCounters, SpoolItem, SpoolOptions } from './spool-types.ts';
import { byOrigin, lengthOf, Segments, type OnDisk, type Waiting } from './segments.ts';

const DEFAULT_SEGMENT_BYTES = 4 * 1024 * 1024;
/** Small beside the whole: moving what waits in one file takes a time that is bounded by its size. */
const MIN_SEGMENTS = 32;
/** What the index in memory has of a record, bytes, about. */
const INDEX_BYTES = 250;
const MAX_RECORDS = 131_072;
/**
 * Of `maxBytes`, what settled records may always take up. The file with the most of it has a sixteenth of it at least then,
 * so that freeing a byte takes moving fifteen at most.
 */
const SETTLED_SHARE = 1 / 16;
/** What a record may need besides itself. */
const NEW_FILE_BYTES = MAGIC.length + SETTLED_BYTES;
/** What the disk does not take waits in memory, up to here. */
const DEFAULT_MEMORY_BYTES = 8 * 1024 * 1024;
/** A disk that took nothing is tried again after so long. */
const RETRY_DISK_MS = 10_000;

/** The folder, while it is open. */
interface Disk {
  readonly folder: OwnFolder;
  readonly segments: Segments;
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
 * While the disk takes nothing, records wait in memory: 8 MiB of them, index included, shared among the lanes in the same
 * way. The disk is tried again every 10 s. What was on a disk that could not be read until then comes after what came
 * meanwhile.
 *
 * Reads and writes are of the page cache and done in place. Only one process uses a folder, which must be the agent's
 * own: a link, or a folder that others may write to, is set aside.
 */
export class Spool {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #onTrouble: (error: unknown) => void;
  readonly #nowMs: () => number;
  readonly #maxBytes: number;
  /** Of the files, before a file is tidied up. */
  readonly #fullBytes: number;
  readonly #segmentBytes: number;
  /** Undefined while the disk does not give it. */
  #disk: Disk | undefined;
  readonly #diskRoom: Room;
  readonly #memory = new MemoryRecords();
  readonly #memoryRoom: Room;
  /** Orders what comes into memory now among the files; undefined while the disk takes records. */
  #memoryFile: number | undefined;
  /** Undefined while it takes records. */
  #triedDiskMs: number | undefined;
  readonly #queue = new FairQueue<Waiting>();
  /** Given out by `peek`, not settled yet. */
  #given: Waiting[] = [];
  #setAside = 0;
  #recovered = 0;
  #unreadBytes = 0;
  #refused = 0;
  #dropped = 0;
  #onDropped: (payload: Buffer) => void = () => undefined;

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
    try {
      spool.#disk = spool.#openDisk();
    } catch (error) {
      if (diskTrouble(error) === undefined) throw unusable(options.folder, error);
      spool.#noteTrouble(error);
    }
    return spool;
  }

  private constructor(options: SpoolOptions) {
    const { maxBytes, segmentBytes = DEFAULT_SEGMENT_BYTES } = options;
    this.#path = options.folder;
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.#onTrouble = options.onTrouble ?? (() => undefined);
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#maxBytes = maxBytes;
    const largest = Math.floor(maxBytes / MIN_SEGMENTS);
    // With room for what the file of settled numbers has, and the head of a new file.
    this.#segmentBytes = Math.min(segmentBytes, largest * 0.75);
    // A file's records are moved before it is removed: for a moment they are there twice.
    this.#fullBytes = maxBytes - largest;
    this.#diskRoom = new Room({
      bytes: this.#fullBytes - maxBytes * SETTLED_SHARE,
      // To be settled and moved.
      besides: SETTLED_BYTES + ORIGIN_BYTES,
      maxRecords: MAX_RECORDS,
    });
    this.#memoryRoom = new Room({
      bytes: Math.min(options.memoryBytes ?? DEFAULT_MEMORY_BYTES, maxBytes),
      besides: INDEX_BYTES,
      maxRecords: MAX_RECORDS,
    });
  }

  /** Who is told of each record that is dropped to make room. One that cannot be read is counted only. */
  onDropped(tell: (payload: Buffer) => void): void {
    this.#onDropped = tell;
  }

  /** Adds a record; false when there is no room for it (counted). */
  append(label: RecordLabel, payload: Buffer): boolean {
    const record = encodeRecord(label, payload);
    const isTaken = this.#appendToDisk(label, record) ?? this.#appendToMemory(label, record);
    if (!isTaken) this.#refused++;
    return isTaken;
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
    return oldest === undefined ? undefined : oldest.segment.read(oldest);
  }

  counters(): SpoolCounters {
    return {
      waiting: this.#queue.size + this.#given.length,
      bytes: this.#disk?.segments.bytes ?? 0,
      maxBytes: this.#maxBytes,
      recovered: this.#recovered,
      unreadBytes: this.#unreadBytes,
      refused: this.#refused,
      dropped: this.#dropped,
      inMemory: this.#memory.size,
      setAside: this.#setAside,
    };
  }

  /** What waits stays on the disk. What waits in memory is lost: the log says how much. */
  close(): void {
    const lost = this.#memory.size;
    if (lost > 0)
      this.#logger.error(
        { lost },
        `${lost} lines that waited in memory for their receiver are lost: the disk of ${this.#path} took nothing.`,
      );
    this.#memory.clear();
    this.#disk?.segments.close();
    this.#disk?.folder.close();
    this.#disk = undefined;
  }

  #settle(done: readonly Waiting[]): void {
    for (const one of done) {
      this.#roomOf(one).remove(one, bytesOf(one));
      if (!isOnDisk(one)) this.#memory.settle(one);
    }
    this.#disk?.segments.settle(done.filter(isOnDisk));
  }

  #roomOf(waiting: Waiting): Room {
    return isOnDisk(waiting) ? this.#diskRoom : this.#memoryRoom;
  }

  /** Undefined when the disk does not take it; false when its lane is to give way itself. */
  #appendToDisk(label: RecordLabel, record: Buffer): boolean | undefined {
    const triedMs = this.#triedDiskMs;
    if (triedMs !== undefined && this.#nowMs() - triedMs < RETRY_DISK_MS) return undefined;
    try {
      this.#disk ??= this.#openDisk();
      const { segments } = this.#disk;
      if (!this.#makeRoomOnDisk(segments, label, record.length)) return false;
      this.#push(segments.append(label, record));
    } catch (error) {
      this.#noteTrouble(error);
      return undefined;
    }
    this.#memoryFile = undefined;
    if (triedMs !== undefined) {
      this.#triedDiskMs = undefined;
      this.#onTrouble(undefined);
    }
    return true;
  }

  /** False when its lane is to give way itself. */
  #appendToMemory(label: RecordLabel, record: Buffer): boolean {
    if (!this.#makeRoom(this.#memoryRoom, label, record.length)) return false;
    this.#memoryFile ??= this.#disk?.segments.pause() ?? 0;
    this.#push(this.#memory.append(label, record, this.#memoryFile));
    return true;
  }

  #push(waiting: Waiting): void {
    this.#queue.push(waiting);
    this.#roomOf(waiting).add(waiting, bytesOf(waiting));
  }

  /** False when its lane is to give way itself. Throws the file system's error. */
  #makeRoomOnDisk(segments: Segments, label: RecordLabel, bytes: number): boolean {
    if (!this.#makeRoom(this.#diskRoom, label, bytes)) return false;
    while (segments.bytes + bytes + NEW_FILE_BYTES > this.#fullBytes) {
      if (!segments.clean()) return false;
    }
    return true;
  }

  #makeRoom(room: Room, label: RecordLabel, bytes: number): boolean {
    return room.make(label, bytes, (...what) => this.#dropNewest(room, ...what));
  }

  /** Drops a lane's newest records there, those that are not urgent first, until so much is free or there are no more. */
  #dropNewest(room: Room, lane: string, measure: Measure, charge: number): number {
    const isThere = (waiting: Waiting): boolean => this.#roomOf(waiting) === room;
    const dropped: Waiting[] = [];
    let freed = 0;
    while (freed < charge) {
      const waiting =
        this.#queue.dropNewest(lane, false, isThere) ??
        (measure === 'all' ? this.#queue.dropNewest(lane, true, isThere) : undefined);
      if (waiting === undefined) break;
      freed += room.chargeOf(bytesOf(waiting));
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

  #noteTrouble(error: unknown): void {
    this.#triedDiskMs = this.#nowMs();
    this.#onTrouble(error);
  }

  /** Takes up what is there. Throws an Error that says why it cannot be used. */
  #openDisk(): Disk {
    const { folder, setAside: isSetAside } = OwnFolder.openOrSetAside(this.#path);
    if (isSetAside) this.#noteSetAside(this.#path, 'it is not a folder of this agent');
    const segments = new Segments(folder.inside, this.#segmentBytes);
    try {
      folder.claim();
      const { waiting, unreadBytes } = segments.recover((name, error) =>
        this.#onUnreadable(`${folder.inside}/${name}`, name, error),
      );
      this.#unreadBytes += unreadBytes;
      this.#recovered += waiting.length;
      for (const one of waiting) this.#push(one);
    } catch (error) {
      segments.close();
      folder.close();
      throw error;
    }
    return { folder, segments };
  }

  /** A disk that gives it later may have good lines in it; anything else is moved out of the way. */
  #onUnreadable(path: string, name: string, error: unknown): void {
    try {
      if (diskTrouble(error) !== undefined) throw error;
      setAside(path);
      rmSync(`${path}.done`, { force: true, recursive: true });
      this.#noteSetAside(name, error instanceof Error ? error.message : String(error));
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

const isOnDisk = (waiting: Waiting): waiting is OnDisk => waiting.segment instanceof Segment;

const bytesOf = (waiting: Waiting): number =>
  isOnDisk(waiting) ? lengthOf(waiting) : waiting.length;

const isForbidden = (error: unknown): boolean =>
  ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');

function unusable(folder: string, error: unknown): UserError {
  const why = error instanceof Error ? error.message : String(error);
  return new UserError(
    `The spool's folder ${folder} cannot be used: ${why}. Lines wait there while a receiver is down. Set state_dir to a folder of the agent's own.`,
    { cause: error },
  );
}
