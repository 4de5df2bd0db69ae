import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setAside } from './own-file.ts';

const OWNER = 'owner';
const ATTEMPTS = 3;
/** An owner's file of an earlier version is shorter. */
const MAX_OWNER_BYTES = 200;

/**
 * A folder that only this process's user owns and may write to: made with mode 0700 if needed, never a link. Operations
 * go through its descriptor, so a later change of the path has no effect.
 */
export class OwnFolder {
  /** Path prefix of the folder, valid while it is open. */
  readonly inside: string;
  readonly #fd: number;
  #claimed = false;

  private constructor(fd: number) {
    this.#fd = fd;
    this.inside = `/proc/self/fd/${fd}`;
  }

  /** Throws an Error that says why it cannot be used. */
  static open(path: string): OwnFolder {
    makeFolder(path);
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    const { uid, mode } = fstatSync(fd);
    if (uid === process.geteuid?.() && (mode & 0o022) === 0) return new OwnFolder(fd);
    closeSync(fd);
    throw new Error('it belongs to somebody else, or others may write to it');
  }

  /**
   * The same for a folder inside the agent's own: what cannot be used there, such as a link or a file, is moved to
   * `PATH.damaged`, and a new folder is made. Throws the file system's error.
   */
  static openOrSetAside(path: string): { readonly folder: OwnFolder; readonly setAside: boolean } {
    try {
      return { folder: OwnFolder.open(path), setAside: false };
    } catch (error) {
      if (!isOthers(path)) throw error;
      setAside(path);
      return { folder: OwnFolder.open(path), setAside: true };
    }
  }

  /**
   * Claims the folder for this process. The claim is a dangling symbolic link whose text names the owner. Making one is
   * atomic and needs no disk block, so it also works on a full disk. Returns a secret in the claim: who knows it can
   * read this folder. Throws an Error that names the other process, or the file system's error.
   */
  claim(): string {
    const path = `${this.inside}/${OWNER}`;
    const secret = randomBytes(16).toString('base64url');
    for (let attempt = 1; ; attempt++) {
      try {
        symlinkSync(`${process.pid} ${startOf('self')} ${secret}`, path);
        this.#claimed = true;
        return secret;
      } catch (error) {
        const isTaken = (error as NodeJS.ErrnoException).code === 'EEXIST';
        const owner = ownerIn(this.inside);
        if (owner !== undefined && owner !== process.pid) throw new TakenError(owner);
        if (!isTaken || attempt >= ATTEMPTS) throw error;
      }
      // Of a process that has ended.
      rmSync(path, { force: true, recursive: true });
    }
  }

  /** Removes the claim and closes the folder. Call it once. */
  close(): void {
    try {
      if (this.#claimed) rmSync(`${this.inside}/${OWNER}`, { force: true });
    } catch {
      // The disk is read-only by now. The claim names an ended process, so it blocks nobody.
    }
    closeSync(this.#fd);
  }
}

/** With its parents. Unlike Node's own recursive way it says why: a read-only disk is ENOENT there. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}

/** Whether something is there that is no folder of this process's own. */
function isOthers(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  return !stat.isDirectory() || stat.uid !== process.geteuid?.() || (stat.mode & 0o022) !== 0;
}

/** Another process has the folder. */
export class TakenError extends Error {
  constructor(owner: number) {
    super(`the process ${owner} uses it`);
  }
}

/** The running process that has claimed the folder; undefined when there is none. A zombie runs no more. */
export function ownerIn(folder: string): number | undefined {
  const [pid = '', start = ''] = claimIn(folder).split(' ');
  // By its id and its start, which no later process shares.
  return start !== '' && startOf(pid) === start ? Number(pid) : undefined;
}

/** The secret in the claim; undefined without one. */
export function secretIn(folder: string): string | undefined {
  return claimIn(folder).split(' ')[2];
}

/** The text of the claim; '' when there is none. */
function claimIn(folder: string): string {
  const path = `${folder}/${OWNER}`;
  try {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) return readlinkSync(path);
    // Earlier versions wrote a file.
    return stat.isFile() && stat.size <= MAX_OWNER_BYTES ? readFileSync(path, 'utf8') : '';
  } catch {
    return '';
  }
}

/** /proc/PID/stat's start time, which follows the name in brackets; '' when no such process runs. */
function startOf(pid: string): string {
  if (!/^(?:self|\d{1,10})$/.test(pid)) return '';
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state = '', threads, start = ''] = [fields[0], fields[17], fields[19]];
    // A zombie, unless only its first thread has ended.
    return 'ZXx'.includes(state) && Number(threads) <= 1 ? '' : start;
  } catch {
    return '';
  }
}
