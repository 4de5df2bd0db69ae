import type { AgentConfig } from '../../config/config.ts';
import { asksToDeny } from '../../responses/deny.ts';
import type { DenialOutcome } from '../../plan/denial-test.ts';
import { firstLine, note, ok, warn, type Verdict } from './finding.ts';

const WHY: Readonly<Record<Exclude<DenialOutcome, 'ended'>, string>> = {
  untold: 'in a test a program was ended, but the kernel reported nothing of it',
  ran: 'in a test a program ran although it was to be denied',
  'not run': 'the test’s program, /bin/true, could not be run',
};

/** Whether programs can be denied here. `tried`: what became of the test; undefined: no probe was loaded. */
export function checkDenial(
  config: AgentConfig,
  tried: PromiseSettledResult<DenialOutcome> | undefined,
): Verdict {
  const isAsked = asksToDeny(config);
  if (!config.probe.kernelVerdicts) {
    const says =
      'Programs are not denied (the response deny), only killed after the effect: probe.kernel_verdicts is off.';
    return isAsked ? warn(says, 'Set probe.kernel_verdicts: true.') : note(says);
  }
  if (tried === undefined) return note('Not known, because no probe was loaded.');
  const outcome = tried.status === 'fulfilled' ? tried.value : undefined;
  if (outcome === 'ended')
    return ok(
      'Programs can be denied (the response deny): in a test one was ended before its first instruction.',
    );
  if (outcome === 'ran' || outcome === 'untold')
    return warn(
      `Programs may not be denied (the response deny), only killed after the effect: ${WHY[outcome]}.`,
      'Use another response, and report this with your kernel version.',
    );
  const why =
    tried.status === 'fulfilled' ? WHY['not run'] : firstLine(tried.reason).replace(/\.$/, '');
  const says = `It was not tried whether programs can be denied (the response deny): ${why}.`;
  return isAsked ? warn(says, 'Begin with the response in monitor mode.') : note(says);
}
