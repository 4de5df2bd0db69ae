import { kill } from './kill.ts';
import { APP_LIMITS } from './limits.ts';
import {
  LAST_INSTANCE,
  UNCHECKED,
  type Response,
  type ResponseHost,
  type ResponseTarget,
} from './response.ts';

/**
 * Ends the container: the process of the detection at once, all others a second later (see ContainerEnds). The platform starts it anew where
 * it does so. Comes after the effect.
 */
export const restart: Response = {
  said: {
    done: 'container ended for a restart, after this had happened',
    'too late': 'container not ended, it had ended by itself',
    refused: 'container not ended, it cannot be done here: see the agent’s log',
    monitored: 'container would have been ended for a restart (the response is in monitor mode)',
    limited: 'container not ended, the limit of restarts in ten minutes is reached',
    unanswered: `container not ended, ${UNCHECKED}`,
  },
  saidOfLast: `container not ended, ${LAST_INSTANCE}`,
  limits: APP_LIMITS,
  endsProcess: false,
  isInForce: (target, { isEnding }) => isEnding(target),
  again: killNow,
  apply(target, host) {
    try {
      host.endContainer(target);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH' ? 'too late' : 'refused';
    }
    killNow(target, host);
    return 'done';
  },
};

/**
 * The process may have ended already, or be beyond what the agent may kill: the container's end takes it along. With the first
 * process all of the container would end before its line is written.
 */
function killNow(target: ResponseTarget, host: ResponseHost): void {
  const { process, container } = target;
  if (process.vpid !== 1 && process.pid !== container.initPid) kill.apply(target, host);
}
