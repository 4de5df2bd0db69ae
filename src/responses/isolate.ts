import { APP_LIMITS } from './limits.ts';
import { LAST_INSTANCE, UNCHECKED, type Response } from './response.ts';

/**
 * Cuts the container off from the network, but for loopback and the host's name servers, until it ends. Comes after the effect of
 * the call that was detected; from then on no packet of the container's sockets leaves it.
 */
export const isolate: Response = {
  said: {
    done: 'container cut off from the network, after this had happened',
    'too late': 'container not cut off from the network, it had ended',
    refused:
      'container not cut off from the network, it cannot be done here: see varvel doctor and the agent’s log',
    monitored:
      'container would have been cut off from the network (the response is in monitor mode)',
    limited:
      'container not cut off from the network, the limit of containers (at once, or in ten minutes) is reached',
    unanswered: `container not cut off from the network, ${UNCHECKED}`,
  },
  saidOfLast: `container not cut off from the network, ${LAST_INSTANCE}`,
  limits: APP_LIMITS,
  endsProcess: false,
  isInForce: (target, { isIsolated }) => isIsolated(target),
  apply(target, host) {
    try {
      host.isolate(target);
      return 'done';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === 'ESRCH' ? 'too late' : code === 'ENOSPC' ? 'limited' : 'refused';
    }
  },
};
