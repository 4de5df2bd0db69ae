import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

import { bootNs } from '../host/boot-clock.ts';
import { decodeText } from '../shared/text.ts';
import { ImageWords, KeptImage, NO_FACTS } from './process-image.ts';
import {
  CMDLINE_MAX_BYTES,
  innermostId,
  livingThread,
  packCmdline,
  parseProcStat,
  type ProcReader,
  type ProcSnapshot,
  type ProcStat,
} from './proc-reader.ts';

const STAT_MAX_BYTES = 4096;
const STATUS_MAX_BYTES = 16 * 1024;
const UNSET_UID = 4294967295;
const DELETED = ' (deleted)';

/**
 * Reads a procfs that shows the host's pid namespace.
 *
 * Nothing here follows a link into a container: stat(2) of /proc/PID/exe would ask a FUSE server that the
 * container may run itself, and wait for its answer. So the executable's device, inode and layer stay unknown,
 * and the ` (deleted)` that the kernel appends to a path is taken off on sight. Reading cmdline is safe: since
 * CVE-2018-1120 (Linux 4.17) the kernel does not read it from pages that a file backs.
 */
export class ProcFs implements ProcReader {
  readonly #root: string;
  readonly #now: () => bigint;
  readonly #buffer = Buffer.allocUnsafe(CMDLINE_MAX_BYTES + 1);

  /** `now`: CLOCK_BOOTTIME in ns. */
  constructor(root = '/proc', now: () => bigint = bootNs) {
    this.#root = root;
    this.#now = now;
  }

  pids(): number[] {
    try {
      return readdirSync(this.#root)
        .filter((name) => /^[1-9]\d*$/.test(name))
        .map(Number);
    } catch {
      return [];
    }
  }

  stat(pid: number): ProcStat | undefined {
    const bytes = this.#readFile(`${this.#root}/${pid}/stat`, STAT_MAX_BYTES);
    const stat = bytes === undefined ? undefined : parseProcStat(bytes);
    return stat?.pid === pid ? stat : undefined;
  }

  read(pid: number, startTicks: number): ProcSnapshot | undefined {
    const stat = this.stat(pid);
    if (stat?.startTicks !== startTicks) return undefined;
    const directory = `${this.#root}/${pid}`;
    const status =
      this.#readFile(`${directory}/status`, STATUS_MAX_BYTES)?.toString('latin1') ?? '';
    const loginUid = Number(
      this.#readFile(`${directory}/loginuid`, 32)?.toString('latin1') ?? UNSET_UID,
    );
    const alive = livingThread(directory, stat);
    const cmdline = this.#readFile(`${alive}/cmdline`, CMDLINE_MAX_BYTES + 1) ?? Buffer.alloc(0);
    const argsTruncated = cmdline.length > CMDLINE_MAX_BYTES;
    const argv = packCmdline(cmdline.subarray(0, CMDLINE_MAX_BYTES));
    const exePath = this.#readLink(`${alive}/exe`);
    const cwd = this.#readLink(`${alive}/cwd`);
    // The same start before and after: one process held the pid all along.
    const after = this.stat(pid);
    if (after?.startTicks !== startTicks) return undefined;
    return {
      stat: after,
      vpid: innermostId(status, 'NSpid', pid),
      vpgid: innermostId(status, 'NSpgid', after.pgid),
      vsid: innermostId(status, 'NSsid', after.sid),
      loginUid: loginUid === UNSET_UID || !Number.isSafeInteger(loginUid) ? -1 : loginUid,
      image: new KeptImage(
        {
          ...NO_FACTS,
          name: after.comm,
          exePath,
          cwd,
          exeMemfd: exePath.startsWith('/memfd:'),
          readBootNs: this.#now(),
        },
        new ImageWords(argv, undefined, argsTruncated),
      ),
    };
  }

  /** At most `maxBytes` bytes, copied out of the shared buffer; undefined when it cannot be read. */
  #readFile(path: string, maxBytes: number): Buffer | undefined {
    let fd: number | undefined;
    try {
      fd = openSync(path, 'r');
      let length = 0;
      while (length < maxBytes) {
        const read = readSync(fd, this.#buffer, length, maxBytes - length, null);
        if (read === 0) break;
        length += read;
      }
      return Buffer.from(this.#buffer.subarray(0, length));
    } catch {
      return undefined;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  /** '' for kernel threads and processes that are gone. */
  #readLink(path: string): string {
    try {
      const target = decodeText(readlinkSync(path, { encoding: 'buffer' }));
      return target.endsWith(DELETED) ? target.slice(0, -DELETED.length) : target;
    } catch {
      return '';
    }
  }
}
