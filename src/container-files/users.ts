import type { ContainerRootReader } from '../host/container-root.ts';
import { decodeText } from '../shared/text.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import type { ProcReader } from '../context/proc-reader.ts';
import type { UserNames } from '../context/process.ts';

const USER_FILES = ['/etc/passwd', '/etc/group'];

/** More of a passwd or group file is not read. */
export const USER_FILE_MAX_BYTES = 1024 * 1024;

/** More entries of one file are not kept. */
export const USER_ENTRIES_MAX = 16384;

/** Longest name, directory or shell that is kept; longer ones are cut. useradd allows 32 for names. */
const TEXT_MAX = 256;

const REFRESH_MS = 60_000;
const MISS_REFRESH_MS = 5000;

/** After an attempt that failed because the process had ended. */
const RETRY_MS = 100;

/** While the container is being set up, which takes milliseconds. */
const SETUP_RETRY_MS = 5;

/** Containers per second whose files are read at once; those of others are read in the next turn. */
const FIRST_READS_MAX = 64;

/**
 * Where a container's names are from. `directory`: its file system, before the runtime makes it the root and mounts
 * volumes. `setup`: its root before the app's program runs. `container`: the root of its own process.
 */
type ReadFrom = 'nowhere' | 'directory' | 'setup' | 'container';

interface User {
  readonly name: string;
  readonly home: string;
  readonly shell: string;
}

/**
 * The lines of a passwd(5) or group(5) file by id. Colons separate fields, the third is the id, and the first entry of
 * an id counts (as for getpwuid). Skips comments, NIS marks, broken lines and ids beyond 32 bits.
 */
export function parseIdFile(bytes: Buffer, minFields: number): Map<number, readonly string[]> {
  const entries = new Map<number, readonly string[]>();
  let from = 0;
  while (from < bytes.length && entries.size < USER_ENTRIES_MAX) {
    const newline = bytes.indexOf(0x0a, from);
    const end = newline < 0 ? bytes.length : newline;
    // The file was cut at the bound: its last line may be half a line.
    if (newline < 0 && bytes.length >= USER_FILE_MAX_BYTES) break;
    const line = bytes.subarray(from, end);
    from = end + 1;
    if (line.length === 0 || line.length > 4096 || line[0] === 0x23) continue;
    const fields = line.toString('latin1').split(':');
    const [name, , id] = fields;
    if (fields.length < minFields || name === undefined || name === '') continue;
    if (id === undefined || !/^\d{1,10}$/.test(id)) continue;
    const key = Number(id);
    if (key > 0xffffffff || entries.has(key)) continue;
    entries.set(
      key,
      fields.map((field) => decodeText(Buffer.from(field, 'latin1')).slice(0, TEXT_MAX)),
    );
  }
  return entries;
}

/** What the files of an image say. */
interface ImageNames {
  readonly users: ReadonlyMap<number, User>;
  readonly groups: ReadonlyMap<number, string>;
}

/** Limit on cached images; the least recently read one is evicted. */
const IMAGES_MAX = 1024;

/** One container's names. Until its files are read, those that another container of its image had. */
class ContainerNames implements UserNames {
  ofImage: ImageNames | undefined;
  users = new Map<number, User>();
  groups = new Map<number, string>();
  /** When the next reading is due, if no id is missed before. */
  staleAtMs = Number.NEGATIVE_INFINITY;
  /** No reading before this, even if ids are missing. */
  restUntilMs = Number.NEGATIVE_INFINITY;
  queued = false;
  readFrom: ReadFrom = 'nowhere';
  /** An id was asked for that is not there: the file may have changed. */
  missed = false;

  userName(uid: number): string | undefined {
    return this.#user(uid)?.name ?? (uid === 0 ? 'root' : undefined);
  }

  groupName(gid: number): string | undefined {
    const name = this.groups.get(gid) ?? this.#ofImage?.groups.get(gid);
    if (name === undefined) this.missed = true;
    return name ?? (gid === 0 ? 'root' : undefined);
  }

  homeDir(uid: number): string | undefined {
    return this.#user(uid)?.home ?? (uid === 0 ? '/root' : undefined);
  }

  shell(uid: number): string | undefined {
    return this.#user(uid)?.shell;
  }

  #user(uid: number): User | undefined {
    const user = this.users.get(uid) ?? this.#ofImage?.users.get(uid);
    if (user === undefined) this.missed = true;
    return user;
  }

  get #ofImage(): ImageNames | undefined {
    return this.readFrom === 'nowhere' ? this.ofImage : undefined;
  }
}

export interface ContainerUsersOptions {
  readonly rootReader: Pick<ContainerRootReader, 'filesIn' | 'isHostRootInside'>;
  readonly procReader: ProcReader;
  /** Containers remembered; the one known longest goes. Default 4096. */
  readonly maxContainers?: number;
  /** Monotonic milliseconds. */
  readonly nowMs?: () => number;
  /** Which image the container (the caller's key) was made from; undefined where that is not known. */
  readonly imageOf?: (key: number) => string | undefined;
  /** A process that runs in the container, and is certainly in it; undefined where none is known. */
  readonly processIn?: (key: number) => number | undefined;
}

/**
 * User and group names from the containers' own files. Lookups are synchronous and never read. `ensure` reads the
 * files. The first time it reads at once, so that a container's first event has names (some 0.2 ms; at most
 * FIRST_READS_MAX containers a second). Later it reads between two turns of the event loop: after a minute, or after
 * five seconds when an id was not found. A failed read keeps what was known. `ensure` reads nothing during set-up: the
 * root, and so the names, are still the host's then. `readAhead` does, for containers that end before their first event
 * arrives.
 *
 * A container that ended before any read has the names of its image from an earlier container. They are as the runtime
 * made them, not as an app left them.
 *
 * An id without a name is undefined. The exception is 0: without an entry it is `root` (and `/root`), as Falco has it.
 */
export class ContainerUsers {
  readonly #options: ContainerUsersOptions;
  readonly #nowMs: () => number;
  readonly #containers = new Map<number, ContainerNames>();
  /** Least recently read first. */
  readonly #images = new Map<string, ImageNames>();
  #firstReads = 0;
  #firstReadsSinceMs = Number.NEGATIVE_INFINITY;

  constructor(options: ContainerUsersOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** The names of a container by the caller's key (its root cgroup id). The object stays current. */
  names(key: number): UserNames {
    const entry = this.#entry(key);
    if (entry.readFrom === 'nowhere') {
      const image = this.#options.imageOf?.(key);
      entry.ofImage = image === undefined ? undefined : this.#images.get(image);
    }
    return entry;
  }

  /**
   * Reads the container's files, at once or soon, through any process that runs in it. Cheap when nothing is due: call
   * it with every event. `startBootNs` guards against the pid being reused meanwhile.
   */
  ensure(key: number, pid: number, startBootNs: bigint): void {
    const entry = this.#entry(key);
    if (entry.queued) return;
    const now = this.#nowMs();
    if (now < entry.restUntilMs || (now < entry.staleAtMs && !entry.missed)) return;
    const startTicks = startTicksOf(startBootNs);
    if (entry.readFrom !== 'container' && this.#mayReadAtOnce(now)) {
      this.#read(key, entry, pid, startTicks);
      return;
    }
    entry.queued = true;
    setImmediate(() => this.#read(key, entry, pid, startTicks));
  }

  /** Whether nothing has been read through the container's root yet. */
  isUnknown(key: number): boolean {
    const { readFrom } = this.#entry(key);
    return readFrom === 'nowhere' || readFrom === 'directory';
  }

  /**
   * Reads the files through a process of the runtime: in its working directory, if the container's file system is
   * mounted there, or in its root, when that is the container's. What they say holds until they are read in the root,
   * or the container's first event has them read again. Returns false when they could not be looked for.
   */
  readAhead(key: number, pid: number, startTicks: number, where: 'directory' | 'root'): boolean {
    const entry = this.#entry(key);
    const taken =
      where === 'root'
        ? this.#take(entry, pid, startTicks, 'setup')
        : entry.readFrom === 'nowhere' && this.#take(entry, pid, startTicks, 'directory');
    // (A file that a volume has put there is not read.)
    if (taken && entry.users.size > 0) this.#remember(key, entry);
    return taken;
  }

  #remember(key: number, { users, groups }: ContainerNames): void {
    const image = this.#options.imageOf?.(key);
    if (image === undefined) return;
    this.#images.delete(image);
    this.#images.set(image, { users, groups });
    if (this.#images.size <= IMAGES_MAX) return;
    for (const oldest of this.#images.keys()) {
      this.#images.delete(oldest);
      return;
    }
  }

  #mayReadAtOnce(now: number): boolean {
    if (now - this.#firstReadsSinceMs >= 1000) {
      this.#firstReadsSinceMs = now;
      this.#firstReads = 0;
    }
    return this.#firstReads++ < FIRST_READS_MAX;
  }

  forget(key: number): void {
    this.#containers.delete(key);
  }

  #entry(key: number): ContainerNames {
    let entry = this.#containers.get(key);
    if (entry === undefined) {
      entry = new ContainerNames();
      this.#containers.set(key, entry);
      if (this.#containers.size > (this.#options.maxContainers ?? 4096)) {
        const [oldest] = this.#containers.keys();
        if (oldest !== undefined) this.#containers.delete(oldest);
      }
    }
    return entry;
  }

  #read(key: number, entry: ContainerNames, pid: number, startTicks: number): void {
    entry.queued = false;
    if (this.#options.rootReader.isHostRootInside(pid)) {
      entry.restUntilMs = this.#nowMs() + SETUP_RETRY_MS;
      return;
    }
    const taken =
      this.#take(entry, pid, startTicks, 'container') || this.#readThroughAnother(key, entry);
    const now = this.#nowMs();
    entry.restUntilMs = now + (taken ? MISS_REFRESH_MS : RETRY_MS);
    if (!taken) return;
    entry.staleAtMs = now + REFRESH_MS;
    entry.missed = false;
  }

  /** The event's own process may have ended while the container goes on: a command that was run in it. */
  #readThroughAnother(key: number, entry: ContainerNames): boolean {
    const { rootReader, procReader, processIn } = this.#options;
    const pid = processIn?.(key);
    const startTicks = pid === undefined ? undefined : procReader.stat(pid)?.startTicks;
    if (pid === undefined || startTicks === undefined) return false;
    if (rootReader.isHostRootInside(pid)) return false;
    return this.#take(entry, pid, startTicks, 'container');
  }

  /** Reads the files into the entry. False, with nothing changed, when another process has the pid, or there was nothing to read. */
  #take(
    entry: ContainerNames,
    pid: number,
    startTicks: number,
    from: Exclude<ReadFrom, 'nowhere'>,
  ): boolean {
    const { rootReader, procReader } = this.#options;
    const where = from === 'directory' ? 'mounted directory' : 'root';
    const files = rootReader.filesIn(pid, where, USER_FILES, USER_FILE_MAX_BYTES);
    if (files === undefined) return false;
    const [passwd, group] = files;
    // After the reading: if it is still the same process now, it was while its files were read.
    if (procReader.stat(pid)?.startTicks !== startTicks) return false;
    if (from === 'directory' && passwd === undefined && group === undefined) return false;
    if (entry.readFrom === 'directory') {
      // A volume may hide what was there.
      entry.users = new Map();
      entry.groups = new Map();
    }
    entry.readFrom = from;
    if (passwd !== undefined) {
      entry.users = new Map();
      for (const [uid, fields] of parseIdFile(passwd, 7))
        entry.users.set(uid, {
          name: fields[0] ?? '',
          home: fields[5] ?? '',
          shell: fields[6] ?? '',
        });
    }
    if (group !== undefined) {
      entry.groups = new Map();
      for (const [gid, fields] of parseIdFile(group, 3)) entry.groups.set(gid, fields[0] ?? '');
    }
    return true;
  }
}
