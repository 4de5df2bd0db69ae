import { closeSync, openSync, readSync, statSync } from 'node:fs';
import type { Process } from './process.ts';
import { parseProcStat, startTicksOf } from './proc-reader.ts';

/** Larger than these files: they have lines of fixed form, and at most 15 cgroup paths. */
const MAX_BYTES = 64 * 1024;

/** What /proc/PID/status says of memory (kB) and threads. */
export interface ProcessStatus {
  readonly vmSizeKb: number;
  readonly vmRssKb: number;
  readonly vmSwapKb: number;
  readonly threads: number;
}

/**
 * Resource usage of processes at the time of the call, some ms after the event. Each call reads /proc, and returns
 * undefined once the process has ended.
 */
export interface ProcessUsage {
  statusOf(process: Process): ProcessStatus | undefined;
  /** Open descriptors. Undefined before Linux 6.2, where each would have to be listed. */
  openFilesOf(process: Process): number | undefined;
  /** RLIMIT_NOFILE's soft limit; -1 for none. */
  fileLimitOf(process: Process): number | undefined;
  /** The path by each controller of cgroup v1, and under '' that of cgroup v2. */
  cgroupsOf(process: Process): ReadonlyMap<string, string> | undefined;
  /** Page faults since it started, of all its threads. */
  faultsOf(process: Process): { readonly minor: number; readonly major: number } | undefined;
}

/** Reads them from a proc file system. Never throws. */
export class ProcUsage implements ProcessUsage {
  readonly #root: string;
  readonly #buffer = Buffer.allocUnsafe(MAX_BYTES);

  constructor(root = '/proc') {
    this.#root = root;
  }

  statusOf(process: Process): ProcessStatus | undefined {
    const text = this.#read(process, 'status');
    // Name: comes first and is escaped by the kernel, so no comm can begin a line of its own.
    const numberAt = (key: string): number =>
      Number(new RegExp(`\n${key}:\\s*(\\d+)`).exec(text ?? '')?.[1] ?? 0);
    return text === undefined
      ? undefined
      : {
          vmSizeKb: numberAt('VmSize'),
          vmRssKb: numberAt('VmRSS'),
          vmSwapKb: numberAt('VmSwap'),
          threads: numberAt('Threads'),
        };
  }

  openFilesOf(process: Process): number | undefined {
    const { size } = this.#held(process, (folder) => statSync(`${folder}/fd`)) ?? { size: 0 };
    return size === 0 ? undefined : size;
  }

  fileLimitOf(process: Process): number | undefined {
    const limit = /^Max open files\s+(\d+|unlimited)/m.exec(this.#read(process, 'limits') ?? '');
    return limit === null ? undefined : limit[1] === 'unlimited' ? -1 : Number(limit[1]);
  }

  cgroupsOf(process: Process): ReadonlyMap<string, string> | undefined {
    const text = this.#read(process, 'cgroup');
    if (text === undefined) return undefined;
    const lines = text.split('\n').map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
    return new Map(
      lines.flatMap((line) =>
        (line?.[1] ?? '').split(',').map((name) => [name, line?.[2] ?? ''] as const),
      ),
    );
  }

  faultsOf(process: Process): { readonly minor: number; readonly major: number } | undefined {
    const text = this.#read(process, 'stat');
    const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields && { minor: Number(fields[7]), major: Number(fields[9]) };
  }

  #read(process: Process, name: string): string | undefined {
    return this.#held(process, (folder) => this.#bytes(`${folder}/${name}`).toString());
  }

  /** What `look` finds, if one process held the pid before and after. */
  #held<Found>({ pid, startBootNs }: Process, look: (folder: string) => Found): Found | undefined {
    const folder = `${this.#root}/${pid}`;
    const isIt = (): boolean =>
      parseProcStat(this.#bytes(`${folder}/stat`))?.startTicks === startTicksOf(startBootNs);
    try {
      if (!isIt()) return undefined;
      const found = look(folder);
      return isIt() ? found : undefined;
    } catch {
      // It has ended.
      return undefined;
    }
  }

  #bytes(path: string): Buffer {
    const fd = openSync(path, 'r');
    try {
      let length = 0;
      for (;;) {
        const read = readSync(fd, this.#buffer, length, MAX_BYTES - length, null);
        length += read;
        if (read === 0 || length === MAX_BYTES)
          return Buffer.from(this.#buffer.subarray(0, length));
      }
    } finally {
      closeSync(fd);
    }
  }
}
