// What is written about the default rules is complete, is about what they write, and can be used as it stands.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { readDefaultRules, RULES_FILE } from '../../../manifests/docs/default-rules.ts';
import { exampleOf, selectionPolicy } from '../../../manifests/docs/example.ts';
import { TECHNIQUES } from '../../../manifests/docs/techniques.ts';
import { checkPolicy, operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { readRuleFile } from '../../../src/rules/loader/load.ts';
import { runbookBeside } from '../../../src/rules/loader/runbook.ts';
import { RulesUnderTest } from '../../../src/rules/testing/rules-under-test.ts';
import { NOTICE_RULES } from '../../../src/streams/notice-rules.ts';

const rules = readDefaultRules();
const operator = operatorRulesOf([readRuleFile(RULES_FILE)]);
const reference = readFileSync('manifests/rules/REFERENCE.md', 'utf8');
const runbook = readFileSync('manifests/rules/RUNBOOK.md', 'utf8');

/** The YAML of a rule's section, as the page has it. */
function snippetOf(name: string): string {
  const start = reference.indexOf(`\n## ${name}\n`);
  assert.ok(start > 0, name);
  const [, text] = /^```yaml\n([^]*?)^```$/m.exec(reference.slice(start)) ?? [];
  assert.ok(text, name);
  return text;
}

const check = (text: string) => {
  const { policy, errors, warnings } = checkPolicy({ name: 'varvel.yml', text }, operator);
  assert.deepEqual([errors, warnings], [[], []], text);
  assert.ok(policy);
  return policy.summary;
};

describe('the reference of the default rules', () => {
  test('each rule’s snippet is a policy that does what it says', () => {
    for (const { rule } of rules.all) {
      const { excepted, enabled, muted, own } = check(snippetOf(rule.name));
      const isOff = rules.off.has(rule.name);
      assert.deepEqual(
        [excepted, enabled, muted, own],
        [isOff ? [] : [rule.name], isOff ? [rule.name] : [], [], []],
        rule.name,
      );
    }
  });

  test('each rule can be switched off by name', () => {
    for (const documented of rules.all) {
      if (rules.off.has(documented.rule.name)) continue;
      assert.deepEqual(check(selectionPolicy(documented, false)).muted, [documented.rule.name]);
    }
  });

  test('with its snippet a rule does not fire for its example any more, and without it does', () => {
    const custom = rules.all
      .filter(({ rule }) => !rules.off.has(rule.name))
      .map(({ rule }) => snippetOf(rule.name).replace('custom_rules:\n', ''));
    const text = custom.join('').replaceAll(/^ {2}/gm, '');
    const excepted = new RulesUnderTest([readRuleFile(RULES_FILE), { name: 'all.yaml', text }]);
    assert.ok(excepted.result.ruleSet, JSON.stringify(excepted.result.errors));
    for (const documented of rules.all) {
      const { name } = documented.rule;
      if (rules.off.has(name)) continue;
      const { event, output } = exampleOf(documented, rules.underTest);
      assert.ok(reference.includes(`\n${output}\n`), name);
      excepted.show(event);
      const fired = excepted.fired().map((rule) => rule.name);
      assert.ok(!fired.includes(name), name);
    }
  });

  test('no name of a technique is without a rule', () => {
    const tags = new Set(rules.all.flatMap(({ rule }) => rule.tags));
    assert.deepEqual(
      Object.keys(TECHNIQUES).filter((id) => !tags.has(id)),
      [],
    );
  });
});

/** Words like `file=` in backticks. */
const labelsIn = (text: string): string[] =>
  [...text.matchAll(/`(\w+)=[^`]*`/g)].map(([, label = '']) => label);

describe('the runbook', () => {
  test('has an entry for each default rule, and none for another', () => {
    const names = rules.all.map(({ rule }) => rule.name);
    assert.deepEqual([...runbookBeside(RULES_FILE).keys()].sort(), [...names].sort());
  });

  test('names words that the rule’s lines have', () => {
    for (const { rule, runbook: entry, words } of rules.all) {
      const { means, look, benign, attack, contain, keep } = entry;
      const text = [means, ...look, benign, attack, contain, keep].join('\n');
      const known = new Set(words.map(({ label }) => label));
      assert.deepEqual(
        labelsIn(text).filter((label) => !known.has(label)),
        [],
        rule.name,
      );
      assert.ok(labelsIn(look.join('\n')).length > 0, `${rule.name}: looks at no word of its line`);
    }
  });

  test('names other rules that there are', () => {
    const names = new Set(rules.all.map(({ rule }) => rule.name));
    for (const { rule, runbook: entry } of rules.all) {
      const text = [...entry.look, entry.attack, entry.contain, entry.benign].join('\n');
      for (const [, name = ''] of text.matchAll(/"([A-Z][a-z]+ [^"]+)"/g)) {
        assert.ok(names.has(name), `${rule.name}: "${name}"`);
      }
    }
  });

  test('says what to do about everything that the agent says of itself', () => {
    for (const { name } of NOTICE_RULES) assert.ok(runbook.includes(`| \`${name}\` `), name);
  });
});
