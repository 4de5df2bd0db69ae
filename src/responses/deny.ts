import type { AgentConfig } from '../config/config.ts';
import { kill } from './kill.ts';
import type { Response } from './response.ts';

/**
 * Ends a program before its first instruction, or refuses a connection, to open or change a file, or another call, where the kernel is certain that the rule
 * matches (plan/verdicts). What it is not certain of is killed after the effect, as by `kill`.
 */
export const deny: Response = {
  said: {
    ...kill.said,
    prevented: {
      program: 'program ended before its first instruction',
      connection: 'connection refused before it was made (EPERM)',
      file: 'file not opened (EPERM)',
      change: 'change refused before it was made (EPERM)',
      call: 'call refused before it had an effect (EPERM)',
    },
    done: 'process killed after the event (it could not be denied before)',
    reported: 'not denied, only reported (guarantee: before the effect)',
    monitored: 'monitor mode: deny would have blocked this, or killed the process',
  },
  limits: kill.limits,
  endsProcess: true,
  isInForce: () => false,
  apply: (target, host) => kill.apply(target, host),
};

/** Whether anything is to be denied: by the operator, or by apps that may ask for it. */
export const asksToDeny = ({
  responses,
  policies,
}: Pick<AgentConfig, 'responses' | 'policies'>): boolean =>
  responses.some(({ response }) => response === 'deny') || policies.responses.includes('deny');
