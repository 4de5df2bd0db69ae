import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { loadRules, readRuleFile } from '../../../src/rules/loader/load.ts';
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
