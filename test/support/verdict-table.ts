import type { Container } from '../../src/apps/identity.ts';
import {
  ageTestsOf,
  containerTestsOf,
  factsOf,
  factsOfType,
} from '../../src/plan/verdicts/container-tests.ts';
import { eachKind, NO_KINDS, type Kinds } from '../../src/plan/verdicts/call-kinds.ts';
import { TABLE } from '../../src/plan/verdicts/layout.ts';
import { ruleClausesOf, withCertainRules } from '../../src/plan/verdicts/rule-clauses.ts';
import { verdictTableOf, type VerdictTable } from '../../src/plan/verdicts/table.ts';
import type { RuleSet } from '../../src/rules/rule-set.ts';
import { atOnce } from '../../src/shared/turns.ts';

/** The table of these rules, for a container or for those of a type, in which programs are denied by the rules with these names. */
export function verdictTable(
  { rules }: RuleSet,
  container: Container | string = 'docker',
  denied: ReadonlySet<string> = new Set(),
  { ageNs = 0n }: { readonly ageNs?: bigint } = {},
): VerdictTable {
  const conditions = rules.map(({ condition }) => condition);
  const facts =
    typeof container === 'string'
      ? factsOfType(container)
      : factsOf(container, containerTestsOf(conditions), ageTestsOf(conditions), ageNs);
  const clauses = atOnce(ruleClausesOf(rules, facts));
  const denying = new Set(rules.filter(({ name }) => denied.has(name)));
  return atOnce(verdictTableOf(atOnce(withCertainRules(clauses, rules, facts, denying))));
}

/** The kinds of calls that a rule of the table denies. */
export function kindsDenied(bytes: Uint8Array): Kinds {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [...eachKind()].reduce(
    (all, [kind, bit]) => (view.getUint32(TABLE.denying + 4 * kind, true) === 0 ? all : all | bit),
    NO_KINDS,
  );
}
