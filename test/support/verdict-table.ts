import { ruleClausesOf, withCertainRules } from '../../src/plan/verdicts/rule-clauses.ts';
import { verdictTableOf, type VerdictTable } from '../../src/plan/verdicts/table.ts';
import type { RuleSet } from '../../src/rules/rule-set.ts';
import { atOnce } from '../../src/shared/turns.ts';

/** The table of these rules, for containers of this type, in which programs are denied by those with these names. */
export function verdictTable(
  { rules }: RuleSet,
  containerType = 'docker',
  denied: ReadonlySet<string> = new Set(),
): VerdictTable {
  const clauses = atOnce(ruleClausesOf(rules, containerType));
  const denying = new Set(rules.filter(({ name }) => denied.has(name)));
  return atOnce(verdictTableOf(atOnce(withCertainRules(clauses, rules, containerType, denying))));
}
