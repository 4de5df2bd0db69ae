import { ALL_KINDS, EXEC_KINDS } from '../plan/verdicts/call-kinds.ts';
import {
  ruleClausesOf,
  withCertainRules,
  type RuleClauses,
} from '../plan/verdicts/rule-clauses.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import type { Steps } from '../shared/turns.ts';
import { BEFORE_IDENTITY } from './judged-app.ts';
import type { Group } from './verdict-group.ts';

/** Nothing ends in the kernel: an app's own rules may be about any call. */
const ALL_PASS: RuleClauses = {
  clauses: [{ kinds: ALL_KINDS & ~EXEC_KINDS, literals: [] }],
  widened: [],
  certain: [],
};

/** What the table of a group is made of; `operators`: the rules in force. */
export function* clausesOfGroup(
  { app, facts, denied }: Pick<Group, 'app' | 'facts' | 'denied'>,
  operators: RuleSet,
): Steps<RuleClauses> {
  const denying = new Set(denied);
  if (app === BEFORE_IDENTITY) return yield* withCertainRules(ALL_PASS, denied, facts, denying);
  const ofOperator = new Set(operators.rules);
  // An app's own rules must not take the place of what the operator denies.
  const first = denied.filter((rule) => ofOperator.has(rule));
  const possible = app === 'none' ? operators.rules : app.possibleAmong(operators.rules);
  const clauses = yield* ruleClausesOf(possible, facts, ofOperator, first);
  // What an app's policy takes away is not in its clauses: there the kernel is certain only of what denies.
  const certain = app === 'none' ? operators.rules : denied;
  return yield* withCertainRules(clauses, certain, facts, denying, new Set(first));
}
