import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

const OWNER = 'owner';
const ATTEMPTS = 3;

/**
 * A folder that is this process's own: made with mode 0700 if it is not there, no link, nobody else's, and not for others to
 * write to. All that is done in it is done in the folder that was looked at, whatever its path leads to later.
 */
export class OwnFolder {
  /** Stands for the folder in paths, as long as it is open. */
  readonly inside: string;
  readonly #fd: number;
  #claimed = false;

  private constructor(fd: number) {
    this.#fd = fd;
    this.inside = `/proc/self/fd/${fd}`;
  }

  /** Throws an Error that says why it cannot be used. */
  static open(path: string): OwnFolder {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    const { uid, mode } = fstatSync(fd);
    if (uid === process.geteuid?.() && (mode & 0o022) === 0) return new OwnFolder(fd);
    closeSync(fd);
    throw new Error('it belongs to somebody else, or others may write to it');
  }

  /** Only one process at a time uses it. Throws an Error that names the other one. */
  claim(): void {
    const path = `${this.inside}/${OWNER}`;
    const own = `${path}.${process.pid}`;
    writeFileSync(own, `${process.pid} ${startOf('self')}`, { mode: 0o600 });
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          // Whole from its first moment on, and of one process only.
          linkSync(own, path);
          this.#claimed = true;
          return;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt >= ATTEMPTS)
            throw error;
        }
        const owner = ownerIn(this.inside);
        if (owner !== undefined && owner !== process.pid)
          throw new Error(`the process ${owner} uses it`);
        rmSync(path, { force: true });
      }
    } finally {
      rmSync(own, { force: true });
    }
  }

  /** Lets go of it. Idempotent only as far as the claim: close it once. */
  close(): void {
    if (this.#claimed) rmSync(`${this.inside}/${OWNER}`, { force: true });
    closeSync(this.#fd);
  }
}

/** The running process that has claimed the folder; undefined when there is none. */
export function ownerIn(folder: string): number | undefined {
  let owner = '';
  try {
    owner = readFileSync(`${folder}/${OWNER}`, 'utf8');
  } catch {
    return undefined;
  }
  const [pid = '', start = ''] = owner.split(' ');
  // By its id and its start, which no later process shares.
  return start !== '' && startOf(pid) === start ? Number(pid) : undefined;
}

/** /proc/PID/stat's start time, which follows the name in brackets; '' when there is no such process. */
function startOf(pid: string): string {
  if (!/^(?:self|\d{1,10})$/.test(pid)) return '';
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
