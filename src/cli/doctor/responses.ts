import type { AgentConfig } from '../../config/config.ts';
import type { ResponseSetting } from '../../config/response-config.ts';
import {
  deniedAccessesAmong,
  deniesCallsAmong,
  deniesChangesAmong,
} from '../../plan/verdicts/call-kinds.ts';
import { canDeny, deniedKindsOf } from '../../plan/verdicts/rule-clauses.ts';
import { fitsAll } from '../../rules/loader/selection.ts';
import type { LoadedRule, RuleSet } from '../../rules/rule-set.ts';
import { note, ok, warn, type Verdict } from './finding.ts';

/** Rules that are named. */
const MAX_NAMES = 5;

/** What the entries of `responses` come to with these rules. `ruleSet` is undefined if they did not load. */
export function checkResponses(config: AgentConfig, ruleSet: RuleSet | undefined): Verdict {
  const { responses } = config;
  if (responses.length === 0) return note('Detections are only reported: responses is empty.');
  if (ruleSet === undefined) return note('Not checked, because the rules do not load.');
  const enabled = ruleSet.rules.filter((rule) => rule.enabled);
  const rulesOf = ({ match }: ResponseSetting): LoadedRule[] => enabled.filter(fitsAll(match));
  const idle = responses.flatMap((entry, at) => (rulesOf(entry).length === 0 ? [at] : []));
  if (idle.length > 0)
    return warn(
      `${list(idle.map((at) => `responses[${at}]`))} ${idle.length === 1 ? 'matches' : 'match'} no enabled rule: nothing is done by ${idle.length === 1 ? 'it' : 'them'}.`,
      'For names and tags see REFERENCE.md or "varvel explain --all"; or switch the rules on.',
    );
  const modes = responses.filter(({ mode }) => mode === 'enforce').length;
  const says = `Entries of responses: ${modes} enforced, ${responses.length - modes} in monitor mode.`;
  const denied = new Set(responses.filter(({ response }) => response === 'deny').flatMap(rulesOf));
  if (denied.size === 0) return ok(`${says} All come after the effect.`);
  const isLate = (rule: LoadedRule): boolean => !canDeny(rule);
  const late = [...denied].filter(isLate).map(({ name }) => name);
  const early = denied.size - late.length;
  const kinds = [...denied].map(deniedKindsOf);
  const files = kinds.some((one) => deniedAccessesAmong(one) !== 0 || deniesChangesAmong(one));
  const calls = kinds.some(deniesCallsAmong);
  const reported = responses.some(({ guarantee }) => guarantee === 'before the effect');
  const instead = reported
    ? 'it is only reported, or the process is killed after the event'
    : 'the process is killed after the event instead';
  const deny = `${early} of ${denied.size} deny rules can act before the effect.${files ? ' For files this also needs the check "files" to be ok.' : ''}${calls ? ' For mounts, modules and the like it needs "calls".' : ''}`;
  if (late.length === 0) return ok(`${says} ${deny}`);
  return (early === 0 ? warnOf : ok)(
    `${says} ${deny} For ${late.length === 1 ? 'rule' : 'rules'} ${list(late.map((name) => JSON.stringify(name)))} ${instead} ("varvel explain RULE" says why).`,
  );
}

const warnOf = (says: string): Verdict =>
  warn(says, 'Deny by rules that ask only for what the kernel decides ("varvel explain RULE").');

function list(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}
