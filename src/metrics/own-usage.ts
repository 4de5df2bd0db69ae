import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the agent uses now. */
export interface Usage {
  /** Of one CPU, since the reading before: 100 is one whole CPU. User and system, all threads. */
  readonly cpuPercent: number;
  /** Resident. */
  readonly memoryBytes: number;
}

/** Reads the agent's own use of CPU and memory. */
export class OwnUsage {
  #cpu = process.cpuUsage();
  #atMs = performance.now();

  read(): Usage {
    const spent = process.cpuUsage(this.#cpu);
    const nowMs = performance.now();
    const elapsedMs = Math.max(1, nowMs - this.#atMs);
    this.#cpu = process.cpuUsage();
    this.#atMs = nowMs;
    return {
      cpuPercent: (spent.user + spent.system) / 10 / elapsedMs,
      memoryBytes: process.memoryUsage.rss(),
    };
  }
}

/** Under a lower limit a storm of processes in one container has ended the agent; it took up to 245 MiB in one. */
const LEAST_BYTES = 256 * 1024 ** 2;

/** Minimum memory of the agent, in bytes. Its rings count in its cgroup too, and twice as much may be queued behind them. */
export function leastMemory(rings: { execRingBytes: number; bulkRingBytes: number }): number {
  return LEAST_BYTES + 3 * (rings.execRingBytes + rings.bulkRingBytes);
}

/**
 * The memory at which the kernel slows down or ends what is in the agent's cgroup, or in one above it: the least of
 * memory.high, memory.max and, with cgroups v1, memory.limit_in_bytes. Undefined without such a limit.
 */
export function cgroupMemoryLimit(
  proc = '/proc/self/cgroup',
  mount = '/sys/fs/cgroup',
): number | undefined {
  const limits: number[] = [];
  for (const line of text(proc).split('\n')) {
    // cgroups(7): hierarchy, controllers, path; v2 has neither number nor controllers.
    const [id, controllers = '', path = ''] = line.split(':');
    const isV2 = id === '0' && controllers === '';
    if (!isV2 && !controllers.split(',').includes('memory')) continue;
    const root = isV2 ? mount : join(mount, 'memory');
    const names = isV2 ? ['memory.high', 'memory.max'] : ['memory.limit_in_bytes'];
    const parts = path.split('/').filter((part) => part !== '');
    for (let depth = parts.length; depth >= 0; depth--) {
      const folder = join(root, ...parts.slice(0, depth));
      for (const name of names) {
        const limit = Number(text(join(folder, name)).trim() || 'max');
        // v1 says "none" by a number near 2^63.
        if (Number.isFinite(limit) && limit > 0 && limit < 2 ** 53) limits.push(limit);
      }
    }
  }
  return limits.length === 0 ? undefined : Math.min(...limits);
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
