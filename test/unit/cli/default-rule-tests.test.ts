import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { GivenFields } from '../../../src/rules/given/given-fields.ts';
import { Reasons } from '../../../src/rules/given/reasons.ts';
import { loadRules, readRuleFile } from '../../../src/rules/loader/load.ts';
import { RulesUnderTest } from '../../../src/rules/testing/rules-under-test.ts';
import { readTestFile } from '../../../src/rules/testing/test-file.ts';
import { runCommand } from '../../support/run-command.ts';

describe('the tests of the rules that come with varvel', () => {
  const tests = 'manifests/rules/tests';

  test('all pass', async () => {
    const { code, out, err } = await runCommand('test', tests);
    assert.deepEqual([code, err], [0, ''], out);
  });

  test('each rule has its file: it fires, with an output, and it does not fire', () => {
    const { ruleSet } = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')]);
    const slug = (name: string): string => `${name.toLowerCase().replaceAll(' ', '-')}.yaml`;
    const names = (ruleSet?.rules ?? []).map(({ name }) => name);
    assert.deepEqual(readdirSync(tests).sort(), names.map(slug).sort());
    for (const name of names) {
      const path = join(tests, slug(name));
      const own = readTestFile({ name: path, text: readFileSync(path, 'utf8') }).tests;
      const firing = own.flatMap(({ fires }) => fires.filter(({ rule }) => rule.value === name));
      assert.ok(
        firing.some(({ output, outputFields }) => output !== undefined || outputFields.length > 0),
        `${name}: output`,
      );
      assert.ok(
        own.some(({ exactly, fires }) => exactly && fires.length === 0),
        `${name}: does not fire`,
      );
    }
  });
});

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
