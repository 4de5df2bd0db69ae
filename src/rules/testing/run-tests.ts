import type { OutputValue } from '../detection.ts';
import type { Given } from '../given/given-fields.ts';
import type { DecidingTest } from '../given/reasons.ts';
import type { LoadedRule } from '../rule-set.ts';
import { eventStatus } from '../fields/events.ts';
import { findField } from '../fields/registry.ts';
import type { Place } from '../loader/source.ts';
import type { RulesUnderTest } from './rules-under-test.ts';
import { TestFileError } from './test-file.ts';
import type { ExpectedRule, Placed, RuleTest, TestEvent, TestFile } from './test-file.ts';

/** One thing that came out differently for an event. */
export type Difference =
  | {
      /** It should have fired. `decidedBy` is undefined when the rule is not run for this type of event. */
      readonly kind: 'missing';
      readonly rule: string;
      readonly eventType: string;
      readonly runFor: readonly string[];
      readonly decidedBy: readonly DecidingTest[] | undefined;
    }
  | {
      /** It should not have fired. */
      readonly kind: 'unexpected';
      readonly rule: string;
      readonly decidedBy: readonly DecidingTest[];
    }
  | {
      readonly kind: 'output';
      readonly rule: string;
      readonly expected: string;
      readonly actual: string;
    }
  | {
      readonly kind: 'output_field';
      readonly rule: string;
      readonly field: string;
      readonly expected: Given;
      readonly actual: OutputValue;
    };

/** An event of a test that did not come to what was expected. */
export interface FailedEvent {
  /** Its number within the test, from 1. */
  readonly event: number;
  readonly place: Place;
  readonly fired: readonly string[];
  readonly differences: readonly Difference[];
}

export interface TestResult {
  readonly test: RuleTest;
  /** None when it passed. */
  readonly failures: readonly FailedEvent[];
  readonly durationMs: number;
}

/**
 * Looks whether everything that a file's tests name is there and of the right type, which running them relies on.
 * Throws TestFileError at the first thing wrong.
 */
export function checkTests(file: TestFile, rules: RulesUnderTest): void {
  const known = rules.result.ruleSet?.rules ?? [];
  for (const { value, place } of file.enable) {
    if (!/[*?]/.test(value) && !known.some((rule) => rule.name === value)) {
      throw new TestFileError(`there is no rule "${value}"`, place);
    }
  }
  for (const test of file.tests) {
    for (const expected of test.fires) checkExpected(expected, rules);
    for (const rule of test.excludes) {
      rules.find(rule);
      if (test.fires.some((other) => other.rule.value === rule.value)) {
        throw new TestFileError(`rule "${rule.value}" is in 'includes' too`, rule.place);
      }
    }
    for (const event of test.events) rules.show(event);
  }
}

function checkExpected({ rule, outputFields }: ExpectedRule, rules: RulesUnderTest): void {
  const keys = keysOf(rules.find(rule));
  for (const { key, place } of outputFields) {
    if (!keys.has(key)) {
      throw new TestFileError(
        `the output of rule "${rule.value}" has no field ${key}: it has ${[...keys].join(', ')}`,
        place,
      );
    }
  }
  rules.checkFields(outputFields.filter(({ key }) => key !== 'evt.time'));
}

const keysOf = (rule: LoadedRule): ReadonlySet<string> =>
  new Set(['evt.time', ...rule.output.fields.flatMap(({ plain }) => plain.map(({ key }) => key))]);

/** What a file's tests give that no event of this version's agent has; each once, where it is first given. */
export function notProducedYet(file: TestFile): readonly Placed<string>[] {
  const found = new Map<string, Placed<string>>();
  for (const { fields } of file.tests.flatMap(({ events }) => events)) {
    for (const { key, value, place } of fields) {
      const name = key === 'evt.type' ? String(value) : key;
      if (found.has(name) || value === null) continue;
      const what =
        key === 'evt.type'
          ? eventStatus(name) !== 'reported' && 'is not reported by the agent yet'
          : findField(key.replace(/\[.*$/s, ''))?.field.status === 'not yet' &&
            'is absent in every event of the agent so far';
      if (what !== false) found.set(name, { value: `${name} ${what}`, place });
    }
  }
  return [...found.values()];
}

/** Runs the tests of a file that checkTests has let through. */
export function runTests(file: TestFile, rules: RulesUnderTest): readonly TestResult[] {
  return file.tests.map((test) => {
    const start = performance.now();
    const failures = test.events.flatMap((event, index): FailedEvent[] => {
      rules.show(event);
      const fired = rules.fired();
      const differences = compare(test, fired, rules);
      if (differences.length === 0) return [];
      const names = fired.map(({ name }) => name);
      return [{ event: index + 1, place: placeOf(event, test), fired: names, differences }];
    });
    return { test, failures, durationMs: performance.now() - start };
  });
}

const placeOf = (event: TestEvent, test: RuleTest): Place =>
  test.events.length === 1 ? test.place : event.place;

function compare(
  test: RuleTest,
  fired: readonly LoadedRule[],
  rules: RulesUnderTest,
): readonly Difference[] {
  const differences: Difference[] = [];
  for (const expected of test.fires) {
    const rule = fired.find(({ name }) => name === expected.rule.value);
    if (rule !== undefined) differences.push(...compareOutput(expected, rule, rules));
    else {
      const missing = rules.find(expected.rule);
      differences.push({
        kind: 'missing',
        rule: missing.name,
        eventType: rules.eventType,
        runFor: [...missing.events].sort(),
        decidedBy: rules.why(missing).decidedBy,
      });
    }
  }
  for (const rule of fired) {
    const wanted = test.fires.some((expected) => expected.rule.value === rule.name);
    const refused = test.exactly
      ? !wanted
      : test.excludes.some((excluded) => excluded.value === rule.name);
    if (!refused) continue;
    const { decidedBy = [] } = rules.why(rule);
    differences.push({ kind: 'unexpected', rule: rule.name, decidedBy });
  }
  return differences;
}

function compareOutput(
  { output, outputFields }: ExpectedRule,
  rule: LoadedRule,
  rules: RulesUnderTest,
): readonly Difference[] {
  if (output === undefined && outputFields.length === 0) return [];
  const differences: Difference[] = [];
  const { text, fields } = rules.output(rule);
  if (output !== undefined && output.value !== text) {
    differences.push({ kind: 'output', rule: rule.name, expected: output.value, actual: text });
  }
  for (const { key, value } of outputFields) {
    const actual = fields[key] ?? null;
    if (isSame(value, actual)) continue;
    differences.push({
      kind: 'output_field',
      rule: rule.name,
      field: key,
      expected: value,
      actual,
    });
  }
  return differences;
}

/** YAML has texts where fields have numbers: they are compared as written. */
function isSame(expected: Given, actual: OutputValue): boolean {
  if (expected === null || actual === null) return expected === actual;
  if (typeof expected !== 'object' || typeof actual !== 'object') {
    return typeof expected !== 'object' && typeof actual !== 'object'
      ? String(expected) === String(actual)
      : false;
  }
  return (
    expected.length === actual.length &&
    expected.every((item, index) => String(item) === actual[index])
  );
}
