import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RULES_FILE } from '../../../manifests/docs/default-rules.ts';
import { checkPolicy, operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { readRuleFile } from '../../../src/rules/loader/load.ts';

const operator = operatorRulesOf([readRuleFile(RULES_FILE)]);
const errorsOf = (rule: string): string[] =>
  checkPolicy({ name: 'varvel.yml', text: `custom_rules:\n  - ${rule}\n` }, operator).errors.map(
    ({ message }) => message,
  );
const MORE = 'desc: d, output: x, priority: WARNING, condition: program_start';

test('an app can except a program from drills, and can make no rule that passes for one', () => {
  const append =
    'exceptions: [{name: programs, values: [[shop, /bin/sh]]}], override: {exceptions: append}';
  assert.deepEqual(errorsOf(`{rule: Varvel drill, ${append}}`), []);
  assert.match(errorsOf(`{rule: Varvel drill, ${MORE}}`).join(), /only exceptions can be added/);
  for (const name of ['Varvel drill of ours', '"Varvel: coverage"'])
    assert.match(errorsOf(`{rule: ${name}, ${MORE}}`).join(), /names that begin with "Varvel"/);
});
