import { closeSync, openSync } from 'node:fs';
import { digestOf, reasonAgainst, type FileDigest, type FileState } from '../host/file-digest.ts';
import { containerRootReader } from '../host/root-reader.ts';

/** Limits: of one file, of all files in a minute, and of files that wait. */
export const DIGEST_MAX_BYTES = 128 * 1024 * 1024;
export const DIGESTS_MAX_BYTES = 512 * 1024 * 1024;
const WAITING_MAX = 16;
const MINUTE_MS = 60_000;

/** A file that is to be read. */
export interface DigestJob {
  /** The digest, or why there is none; undefined: not known yet. */
  readonly result: FileDigest | string | undefined;
  /** Resolves when it has a result, or was given up. Never rejects. */
  readonly ended: Promise<void>;
  giveUp(): void;
}

/** Descriptors that a job owns. */
interface Open {
  readonly file: number;
  readonly mounts: number;
}

/** Reads files of containers for their SHA-256, one after the other, in small steps beside everything else. */
export class FileDigests {
  readonly #nowMs: () => number;
  #last = Promise.resolve();
  #waiting = 0;
  #sinceMs = -Infinity;
  #bytes = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Of an open file. `hosts`: see `reasonAgainst`. */
  ofOpen(open: Open, hosts: readonly number[], state?: FileState): DigestJob {
    const job: { result: DigestJob['result']; isWanted: boolean } = {
      result: undefined,
      isWanted: true,
    };
    const close = (): void => [open.file, open.mounts].forEach((fd) => closeSync(fd));
    if (this.#waiting >= WAITING_MAX) {
      close();
      return known('too many wait');
    }
    this.#waiting++;
    const run = async (): Promise<void> => {
      if (job.isWanted) job.result = await this.#read(open, hosts, state, () => job.isWanted);
      close();
      this.#waiting--;
    };
    this.#last = this.#last.then(run);
    const ended = this.#last;
    return {
      get result() {
        return job.result;
      },
      ended,
      giveUp: () => (job.isWanted = false),
    };
  }

  /** Of the file at this path below the root of the first of these processes that is there, if it is still the one meant. */
  ofPath(
    path: string,
    pids: readonly number[],
    state: FileState,
    hosts: readonly number[],
  ): DigestJob {
    // Of what ran before the agent.
    if (state.ino === 0) return known('its inode is not known');
    let why = 'no process of the container is left';
    for (const pid of pids) {
      const mounts = pid === 0 ? undefined : tryOpen(`/proc/${pid}/mountinfo`);
      if (mounts === undefined) continue;
      try {
        const file = containerRootReader.openFile(pid, path);
        return this.ofOpen({ file, mounts }, hosts, state);
      } catch (error) {
        closeSync(mounts);
        why = (error as NodeJS.ErrnoException).code ?? String(error);
      }
    }
    return known(why);
  }

  async #read(
    { file, mounts }: Open,
    hosts: readonly number[],
    state: FileState | undefined,
    isWanted: () => boolean,
  ): Promise<DigestJob['result']> {
    const nowMs = this.#nowMs();
    if (nowMs - this.#sinceMs >= MINUTE_MS) {
      this.#sinceMs = nowMs;
      this.#bytes = 0;
    }
    if (this.#bytes >= DIGESTS_MAX_BYTES) return 'enough was read in this minute';
    const reason = await reasonAgainst(file, mounts, hosts);
    if (reason !== undefined) return reason;
    const onRead = (bytes: number): void => void (this.#bytes += bytes);
    return digestOf(file, { maxBytes: DIGEST_MAX_BYTES, isWanted, onRead }, state);
  }
}

function known(result: string): DigestJob {
  return { result, ended: Promise.resolve(), giveUp: () => undefined };
}

/** Undefined if the process has ended. */
function tryOpen(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch {
    return undefined;
  }
}
