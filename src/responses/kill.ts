import { startTicksOf } from '../context/proc-reader.ts';
import { UNCHECKED, type Response } from './response.ts';

/**
 * Kills the process in which a detection happened. The agent does it itself, some 0.1 ms after it has read the record, so after the
 * effect. It prevents nothing.
 */
export const kill: Response = {
  said: {
    prevented: {
      program: 'process ended before the first instruction of the program: it is denied',
    },
    done: 'process killed, after this had happened',
    'too late': 'process not killed, it had ended by itself',
    refused: 'process not killed, the agent is not permitted to (it needs CAP_KILL)',
    monitored: 'process would have been killed (the response is in monitor mode)',
    limited: 'process not killed, the limit of processes killed in a minute is reached',
    unanswered: `process not killed, ${UNCHECKED}`,
  },
  limits: { periodMs: 60_000, ofHost: 600, ofOne: 60, oneOf: ({ fullId }) => fullId },
  endsProcess: true,
  isInForce: () => false,
  apply({ process: { pid, startBootNs } }, { killProcess }) {
    try {
      killProcess(pid, startTicksOf(startBootNs));
      return 'done';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === 'ESRCH' ? 'too late' : 'refused';
    }
  },
};
