import { readFileSync } from 'node:fs';
import { ProcFs } from './proc-reader.ts';

/** A process that no other can be taken for. */
export interface FirstProcess {
  readonly pid: number;
  /** Ticks since boot. */
  readonly startTicks: number;
}

/**
 * Of a container's processes the first one of its pid namespace. `gone`: there is no process. `shared`: the container has no pid
 * namespace of its own. Reads a procfs that shows the host's pid namespace.
 */
export function firstProcess(
  pids: readonly number[],
  reader: Pick<ProcFs, 'stat'> = new ProcFs(),
  statusOf: (pid: number) => string = readStatus,
): FirstProcess | 'gone' | 'shared' {
  let isThere = false;
  for (const pid of pids) {
    // The start before and after: between the two it is the same process.
    const startTicks = reader.stat(pid)?.startTicks;
    const status = statusOf(pid);
    if (startTicks === undefined || reader.stat(pid)?.startTicks !== startTicks) continue;
    isThere = true;
    // Two ids: in the host's namespace, and in the container's. A namespace that a program of the container made has three.
    if (/^NSpid:\t\d+\t1$/m.test(status)) return { pid, startTicks };
  }
  return isThere ? 'shared' : 'gone';
}

/** /proc/PID/status; empty when the process has ended. */
function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return '';
  }
}
