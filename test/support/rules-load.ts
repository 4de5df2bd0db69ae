// Loads one rule with a given condition: for tests of conditions.
import { loadRules } from '../../src/rules/loader/load.ts';
import type { LoadResult } from '../../src/rules/loader/load.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import type { RuleSet } from '../../src/rules/rule-set.ts';
import type { Subject } from '../../src/rules/subject.ts';

export function load(text: string): LoadResult {
  return loadRules([{ name: 'rules.yaml', text }]);
}

/** A whole rule file around a condition (written as a quoted YAML scalar). */
export function ruleFile(condition: string, output = 'x'): string {
  return `- rule: r\n  desc: d\n  priority: notice\n  warn_evttypes: false\n  output: ${JSON.stringify(output)}\n  condition: ${JSON.stringify(condition)}\n`;
}

/** A file of a rule around each condition: r0, r1 and so on. */
export const ruleFiles = (conditions: readonly string[]): string =>
  conditions
    .map((condition, at) => ruleFile(condition).replace('rule: r', `rule: r${at}`))
    .join('\n');

export function ruleSetOf(text: string): RuleSet {
  const result = load(text);
  if (result.ruleSet === undefined) {
    throw new Error(
      result.errors.map((error) => `${error.line}:${error.column} ${error.message}`).join('\n'),
    );
  }
  return result.ruleSet;
}

/** Does the condition hold for the subject, by the generated code? */
export function holds(condition: string, subject: Subject): boolean {
  return new RuleEngine(ruleSetOf(ruleFile(condition))).evaluate(subject).length > 0;
}

/** The first error of a rule with this condition: `line:column code message`, or '' when it loads. */
export function conditionError(condition: string): string {
  const [error] = load(ruleFile(condition)).errors;
  return error === undefined ? '' : `${error.code} ${error.message}`;
}
