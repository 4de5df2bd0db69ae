import type { Process } from '../context/process.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import type { ResponseOutcome } from '../rules/response.ts';

/**
 * Sends SIGKILL to the process with this pid and start (ticks since boot), and to no other. Throws an Error with a code:
 * ESRCH when it has ended, EPERM without the right to.
 */
export type ProcessKiller = (pid: number, startTicks: number) => void;

/**
 * Ends the process in which a detection happened, by the agent itself: some 0.1 ms after the record was read, so after what it
 * was detected for. It is no prevention. Never throws.
 */
export function kill(killer: ProcessKiller, { pid, startBootNs }: Process): ResponseOutcome {
  try {
    killer(pid, startTicksOf(startBootNs));
    return 'done';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ESRCH' ? 'too late' : 'refused';
  }
}
