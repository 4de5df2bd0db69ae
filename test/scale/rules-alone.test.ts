import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GivenFields } from '../../src/rules/given/given-fields.ts';
import { Reasons } from '../../src/rules/given/reasons.ts';
import { loadRules, readRuleFile } from '../../src/rules/loader/load.ts';
import { RulesUnderTest } from '../../src/rules/testing/rules-under-test.ts';
import { readTestFile } from '../../src/rules/testing/test-file.ts';

test('a rule alone comes to what it comes to among all others', () => {
  const given = new GivenFields();
  const { ruleSet } = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')], {
    fieldSource: given.source,
  });
  const enabled = (ruleSet?.rules ?? []).filter((rule) => rule.enabled);
  const alone = enabled.map((rule) => ({ rule, reasons: new Reasons(rule.condition) }));
  const rules = new RulesUnderTest([readRuleFile('manifests/rules/varvel_rules.yaml')]);
  let events = 0;
  for (const name of readdirSync('manifests/rules/tests')) {
    const text = readFileSync(join('manifests/rules/tests', name), 'utf8');
    for (const event of readTestFile({ name, text }).tests.flatMap((one) => one.events)) {
      events += 1;
      rules.show(event);
      given.give(Object.fromEntries(event.fields.map(({ key, value }) => [key, value])));
      const expected = rules.fired().map((rule) => rule.name);
      const outcomes = alone.map(({ rule, reasons }) => ({ rule, ...reasons.outcome() }));
      const found = outcomes.filter(({ holds }) => holds).map(({ rule }) => rule.name);
      assert.deepEqual(found, expected, name);
      for (const { decidedBy } of outcomes) assert.ok(decidedBy.length > 0);
    }
  }
  assert.ok(events > 100);
});
