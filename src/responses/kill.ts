import { startTicksOf } from '../context/proc-reader.ts';
import type { Response } from './response.ts';

/**
 * Kills the process in which a detection happened. The agent does it itself, some 0.1 ms after it has read the record, so after the
 * effect. It prevents nothing.
 */
export const kill: Response = {
  guarantee: 'after the effect',
  said: {
    done: 'killed, after this had happened',
    'too late': 'not killed, it had ended by itself',
    refused: 'not killed, the host did not let the agent (it needs root or CAP_KILL)',
    monitored: 'would have been killed (the response is in monitor mode)',
    limited: 'not killed, as many as may be were killed in this minute',
    unanswered: 'not killed, as the app’s own exceptions to this rule are paused or not known yet',
  },
  apply({ pid, startBootNs }, { killProcess }) {
    try {
      killProcess(pid, startTicksOf(startBootNs));
      return 'done';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === 'ESRCH' ? 'too late' : 'refused';
    }
  },
};
