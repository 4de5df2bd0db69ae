import { APP_LIMITS } from './limits.ts';
import { LAST_INSTANCE, UNCHECKED, type Response } from './response.ts';

/**
 * Pauses the container: the kernel stops all its processes where they are (see ContainerPauses). Comes after the effect of the call that
 * was detected. What is in memory stays there to be looked at.
 */
export const pause: Response = {
  said: {
    done: 'container paused, after this had happened',
    'too late': 'container not paused, it had ended',
    refused: 'container not paused, it cannot be done here: see the agent’s log',
    monitored: 'container would have been paused (the response is in monitor mode)',
    limited:
      'container not paused, the limit of containers (at once, or in ten minutes) is reached',
    unanswered: `container not paused, ${UNCHECKED}`,
  },
  saidOfLast: `container not paused, ${LAST_INSTANCE}`,
  limits: APP_LIMITS,
  endsProcess: false,
  isInForce: (target, { isPaused }) => isPaused(target),
  apply(target, host) {
    try {
      host.pause(target);
      return 'done';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === 'ESRCH' ? 'too late' : code === 'ENOSPC' ? 'limited' : 'refused';
    }
  },
};
