import { someTest, type Read } from '../rules/compile/checked.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';

/** Whether an enabled rule reads one of these fields, in its condition or its output. */
export function readsAnyOf(ruleSet: RuleSet, names: readonly string[]): boolean {
  const isOne = (read: Read | undefined): boolean =>
    read?.fields.some((name) => names.some((one) => name === one || name.startsWith(`${one}[`))) ===
    true;
  return ruleSet.rules.some((rule) => rule.enabled && readsOf(rule).some(isOne));
}

function readsOf(rule: LoadedRule): (Read | undefined)[] {
  const reads: (Read | undefined)[] = [];
  someTest(rule.condition, ({ left, right }) => {
    reads.push(left, right);
    return false;
  });
  const formats = [rule.output, ...(rule.extraFields ?? []).map(({ format }) => format)];
  for (const { fields } of formats) for (const { plain } of fields) reads.push(...plain);
  return reads;
}
