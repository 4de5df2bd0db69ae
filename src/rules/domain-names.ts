import { someTest } from './compile/checked.ts';
import type { RuleSet } from './rule-set.ts';

const FIELDS: ReadonlySet<string | undefined> = new Set([
  'fd.cip.name',
  'fd.sip.name',
  'fd.lip.name',
  'fd.rip.name',
]);

/** The domain names that enabled rules compare addresses with: what has to be looked up for them. */
export function domainNamesIn(ruleSet: RuleSet): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { enabled, condition } of ruleSet.rules) {
    if (!enabled) continue;
    someTest(condition, ({ left, values }) => {
      if (FIELDS.has(left.field)) for (const value of values) names.add(String(value));
      return false;
    });
  }
  return names;
}
