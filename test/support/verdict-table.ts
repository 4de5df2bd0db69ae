import { ruleClausesOf, withCertainRules } from '../../src/plan/verdicts/rule-clauses.ts';
import { verdictTableOf, type VerdictTable } from '../../src/plan/verdicts/table.ts';
import type { RuleSet } from '../../src/rules/rule-set.ts';
import { atOnce } from '../../src/shared/turns.ts';

/** The table of these rules, for containers of this type. */
export function verdictTable({ rules }: RuleSet, containerType = 'docker'): VerdictTable {
  const clauses = atOnce(ruleClausesOf(rules, containerType));
  return atOnce(verdictTableOf(atOnce(withCertainRules(clauses, rules, containerType))));
}
