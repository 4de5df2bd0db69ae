import { rmSync } from 'node:fs';
import { diskTrouble } from '../../shared/disk-trouble.ts';
import { SILENT_LOGGER, type Logger } from '../../shared/logger.ts';
import { setAside } from '../../host/own-file.ts';
import { OwnFolder } from '../../host/own-folder.ts';
import { UserError } from '../../shared/user-error.ts';
import { Addressee } from './addressee.ts';
import { FairQueue } from './fair-queue.ts';
import type { Measure } from './lane-shares.ts';
import { MemoryRecords } from './memory-records.ts';
import { encodeRecord, MAGIC, ORIGIN_BYTES, type RecordLabel } from './record.ts';
import { Room } from './room.ts';
import { Segment, SETTLED_BYTES } from './segment.ts';
import type { SpoolCounters, SpoolItem, SpoolOptions } from './spool-types.ts';
import { byOrigin, lengthOf, Segments, type OnDisk, type Waiting } from './segments.ts';

const DEFAULT_SEGMENT_BYTES = 4 * 1024 * 1024;
/** Limits the segment size: moving the records of one file takes time in proportion to it. */
const MIN_SEGMENTS = 32;
/** Approximate bytes of a record's index entry in memory. */
const INDEX_BYTES = 250;
const MAX_RECORDS = 131_072;
/**
 * Share of `maxBytes` that settled records may use. The file with the most of them then has at least a sixteenth settled, so
 * freeing a byte moves at most fifteen.
 */
const SETTLED_SHARE = 1 / 16;
/** Extra bytes that a record may need. */
const NEW_FILE_BYTES = MAGIC.length + SETTLED_BYTES;
/** Limit on records in memory while the disk takes none. */
const DEFAULT_MEMORY_BYTES = 8 * 1024 * 1024;
/** A disk that took nothing is tried again after so long. */
const RETRY_DISK_MS = 10_000;

/** The folder, while it is open. */
interface Disk {
  readonly folder: OwnFolder;
  readonly segments: Segments;
}

/**
 * A disk queue between the agent and a receiver that may be down. Appended lines are sent in order, also after the agent was
 * killed (a host crash may lose the last second). A line whose sending was under way is then sent again. Order is kept within a
 * lane; lanes take turns, so no lane waits for another's flood. Urgent records go first.
 *
 * Limits: `maxBytes` of files and 131,072 records. Waiting records may use 29 of 32 parts of `maxBytes`, the rest is for
 * compaction; the last tenth of that is for urgent records. When it is full, the lane that holds the most yields: its own new
 * record is refused. For another lane's record its newest records are dropped, those that are not urgent first. So a lane below
 * its equal share is never refused. Records under way (`peek`) and loss notices (`kept`) are not dropped.
 *
 * While the disk takes nothing, records wait in memory: 8 MiB, index included, shared among the lanes in the same way. The disk
 * is retried every 10 s. Records on a disk that was unreadable until then come after those that came meanwhile.
 *
 * Reads and writes use the page cache and are synchronous. Only one process uses a folder, which must be the agent's own: a
 * link, or a folder that others may write to, is set aside.
 */
export class Spool {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #onTrouble: (error: unknown) => void;
  readonly #onDropped: (payload: Buffer) => void;
  readonly #addressee: Addressee;
  readonly #nowMs: () => number;
  readonly #maxBytes: number;
  /** Size of the files at which compaction starts. */
  readonly #fullBytes: number;
  readonly #segmentBytes: number;
  /** Undefined while the disk is unusable. */
  #disk: Disk | undefined;
  readonly #diskRoom: Room;
  readonly #memory = new MemoryRecords();
  readonly #memoryRoom: Room;
  /** Orders new memory records relative to the files; undefined while the disk takes records. */
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

  /**
   * Throws UserError for a folder that the agent may not use. Any other fault of the folder or disk is no error here: `open`
   * handles it.
   */
  static verify(folder: string): void {
    try {
      OwnFolder.open(folder).close();
    } catch (error) {
      if (isForbidden(error)) throw unusable(folder, error);
    }
  }

  /**
   * Opens the folder and recovers the records of an earlier process. Throws UserError if another process uses the folder, or if
   * the agent may not.
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
    this.#onDropped = options.onDropped ?? (() => undefined);
    this.#addressee = new Addressee(options);
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

  /** Settles the first `count` records that `peek` gave. */
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
    const { former } = this.#addressee;
    return {
      waiting: this.#queue.size + this.#given.length,
      bytes: this.#disk?.segments.bytes ?? 0,
      maxBytes: this.#maxBytes,
      recovered: this.#recovered,
      unreadBytes: this.#unreadBytes,
      refused: this.#refused,
      dropped: this.#dropped,
      givenUp: this.#addressee.givenUp,
      ...(former === undefined ? {} : { former }),
      inMemory: this.#memory.size,
      setAside: this.#setAside,
    };
  }

  /** Waiting records stay on disk. Those in memory are lost; the log says how many. */
  close(): void {
    const lost = this.#memory.size;
    if (lost > 0)
      this.#logger.error(
        { lost },
        `${lost} lines that waited in memory for their receiver are lost: they could not be written to the disk of ${this.#path}.`,
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

  /** Undefined if the disk does not take it; false if the record's own lane has to yield. */
  #appendToDisk(label: RecordLabel, record: Buffer): boolean | undefined {
    const triedMs = this.#triedDiskMs;
    if (triedMs !== undefined && this.#nowMs() - triedMs < RETRY_DISK_MS) return undefined;
    try {
      this.#disk ??= this.#openDisk();
      const { folder, segments } = this.#disk;
      // Otherwise the next agent would take the record for one of another receiver.
      this.#addressee.writeTo(folder.inside);
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

  /** Drops a lane's newest records in `room`, non-urgent ones first, until `charge` is freed or none is left. */
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
    this.#tellDropped(dropped);
    this.#dropped += dropped.length;
    this.#settle(dropped);
    return freed;
  }

  #tellDropped(dropped: readonly Waiting[]): void {
    for (const waiting of dropped) {
      const payload = waiting.segment.read(waiting);
      if (payload !== undefined) this.#onDropped(payload);
    }
  }

  #noteTrouble(error: unknown): void {
    this.#triedDiskMs = this.#nowMs();
    this.#onTrouble(error);
  }

  /** Opens the folder and recovers its records. Throws an Error with the reason. */
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
      this.#takeOver(folder.inside, segments, waiting);
    } catch (error) {
      segments.close();
      folder.close();
      throw error;
    }
    return { folder, segments };
  }

  /** Queues the records of an earlier process, but for those that are to be dropped. */
  #takeOver(folder: string, segments: Segments, left: readonly OnDisk[]): void {
    const { stay, go } = this.#addressee.divide(folder, left);
    this.#tellDropped(go);
    segments.settle(go);
    try {
      this.#addressee.writeTo(folder);
    } catch {
      // A full disk gives records all the same. It is tried again before a new one is added.
    }
    for (const one of stay) this.#push(one);
  }

  /** After a disk error the file may be readable later, so it stays; any other unreadable file is set aside. */
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
      `${name} in the spool's folder is damaged, or was changed by something other than an agent: it was moved to ${name}.damaged. Lines in it are not sent. Find out what changed it.`,
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
