import type { AgentConfig, RuleSettings } from '../config/config.ts';
import type { StartTrial } from '../plan/denial-test.ts';
import { isDeniable, kindsOfEvent, NO_KINDS } from '../plan/verdicts/call-kinds.ts';
import { unhookedKindsOf } from '../plan/verdicts/rule-clauses.ts';
import type { RefusedCall } from '../responses/response.ts';
import { fitsAll } from '../rules/loader/selection.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import { isDrillRule } from '../shared/drill.ts';
import { UserError } from '../shared/user-error.ts';
import { knownDeniedKindsOf, refusingOf, waysToRefuse } from './refused-kinds.ts';
import type { Refusal } from './refusals.ts';
import type { ReceivedRecords } from './report.ts';

/** Why such calls cannot be denied on this host, as part of a sentence; undefined: they can. */
export type WhyNotDenied = (call: StartTrial | RefusedCall) => string | undefined;

/** What the agent has found out. */
interface Found {
  /** By the trial at its start. */
  readonly received: Pick<ReceivedRecords, 'denial'>;
  readonly refusals: Readonly<Record<RefusedCall, Pick<Refusal, 'isAvailable' | 'unavailable'>>>;
}

export const whyNotDenied =
  ({ probe }: Pick<AgentConfig, 'probe'>, { received, refusals }: Found): WhyNotDenied =>
  (call) => {
    if (!probe.kernelVerdicts) return 'probe.kernel_verdicts is false';
    if (call !== 'program')
      return refusals[call].isAvailable() ? undefined : (refusals[call].unavailable ?? 'no reason');
    // Not tried: nothing was to be denied at the start.
    const found = received.denial?.program ?? 'denied';
    return found === 'denied' ? undefined : `the trial at the start was not denied (${found})`;
  };

/**
 * Throws UserError if an entry is to deny before the effect, or else refuse (`else: refuse`), and this host cannot deny one of the events of one
 * of its rules in time. It names the first such rule and event. Of a rule without room in a table that is only known later.
 */
export function checkGuarantees(
  { responses }: Pick<RuleSettings, 'responses'>,
  rules: readonly LoadedRule[],
  whyNot: WhyNotDenied,
): void {
  for (const { match, refuses, mode, position } of responses) {
    if (!refuses || mode !== 'enforce') continue;
    const meant = rules.filter(
      (rule) => rule.enabled && !isDrillRule(rule.name) && fitsAll(match)(rule),
    );
    for (const rule of meant) {
      for (const event of rule.events) {
        const why = whyNotDeniedBy(rule, event, whyNot);
        if (why === undefined) continue;
        throw new UserError(
          `The rule ${JSON.stringify(rule.name)} is to be denied before the effect, with "else: refuse", but this host gives only a report of the event ${event}: ${why}. Set "else: report", or name other rules in the entry.`,
          position === undefined ? {} : { position },
        );
      }
    }
  }
}

function whyNotDeniedBy(rule: LoadedRule, event: string, whyNot: WhyNotDenied): string | undefined {
  if (!isDeniable(event)) return 'no kernel lets it be denied by varvel';
  if ((unhookedKindsOf(rule) & kindsOfEvent(event)) !== NO_KINDS)
    return 'no kernel lets it be denied but where its flags contain CLONE_NEWUSER';
  const kinds = knownDeniedKindsOf(rule) & kindsOfEvent(event);
  if (kinds === NO_KINDS)
    return 'the kernel cannot be certain that the rule matches (varvel explain says why)';
  for (const sort of refusingOf(kinds)) {
    const whys = (sort === 'program' ? [sort] : waysToRefuse(sort, kinds).all).map(whyNot);
    if (!whys.includes(undefined)) return whys.at(-1);
  }
  return undefined;
}
