import { LIMITS } from '../../events/table.gen.ts';
import type { AgentConfig } from '../../config/config.ts';
import { isJudged } from '../../plan/verdicts/call-kinds.ts';
import { ruleClausesOf } from '../../plan/verdicts/rule-clauses.ts';
import { verdictTableOf } from '../../plan/verdicts/table.ts';
import type { RuleSet } from '../../rules/rule-set.ts';
import { atOnce } from '../../shared/turns.ts';
import { note, ok, warn, type Verdict } from './finding.ts';

/** Rules that are named. */
const MAX_NAMES = 5;
const { VERDICT_CLAUSES, VERDICT_STATES } = LIMITS;

/** Which file calls and connects the kernel discards with these rules, and what did not fit. `ruleSet` is undefined if they did not load. */
export function checkVerdicts(config: AgentConfig, ruleSet: RuleSet | undefined): Verdict {
  if (!config.probe.kernelVerdicts)
    return note(
      'probe.kernel_verdicts is off: the agent is told of all file calls and connects of watched apps.',
    );
  if (ruleSet === undefined) return note('Not checked, because the rules do not load.');
  const aboutFiles = ruleSet.rules.filter(
    ({ enabled, events }) => enabled && [...events].some(isJudged),
  );
  if (aboutFiles.length === 0)
    return ok('No rule is about file calls or connects: none is reported.');
  const table = atOnce(verdictTableOf(atOnce(ruleClausesOf(aboutFiles, undefined))));
  const { bytes, clauses, states, widened, leftOut } = table;
  if (bytes === undefined)
    return warn(
      `The ${aboutFiles.length} rules about file calls and connects are too many for the kernel: the agent is told of all of them.`,
      'Disable rules about them that are not needed.',
    );
  const size = `${clauses.length} of ${VERDICT_CLAUSES} conditions, ${states} of ${VERDICT_STATES} states`;
  const says = `The kernel discards file calls and connects that none of ${aboutFiles.length} rules can match (${size}).`;
  if (widened.length + leftOut.length === 0) return ok(says);
  const names = widened.slice(0, MAX_NAMES).join(', ') + (widened.length > MAX_NAMES ? ', …' : '');
  return ok(
    [
      says,
      ...(widened.length > 0
        ? [`Too many conditions, so all calls of their kind are reported for: ${names}.`]
        : []),
      ...(leftOut.length > 0
        ? [
            `Comparisons that did not fit into the kernel, so the agent makes them: ${leftOut.length}.`,
          ]
        : []),
    ].join(' '),
  );
}
