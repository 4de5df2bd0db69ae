import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conditionCost, outputNanos } from '../../../src/rules/cost/rule-cost.ts';
import { loadRules } from '../../../src/rules/loader/load.ts';
import type { LoadedRule } from '../../../src/rules/rule-set.ts';

function ruleOf(condition: string, output = 'x'): LoadedRule {
  const text = JSON.stringify([
    { list: 'many', items: Array.from({ length: 50 }, (_, at) => `/a${at}`) },
    { macro: 'twice', condition: 'proc.cmdline contains abc' },
    {
      rule: 'r',
      desc: 'd',
      condition: `evt.type = execve and ${condition}`,
      output,
      priority: 'ERROR',
    },
  ]);
  const { ruleSet, errors } = loadRules([{ name: 'r.yaml', text }]);
  assert.deepEqual(errors, []);
  const [rule] = ruleSet?.rules ?? [];
  assert.ok(rule);
  return rule;
}

const micros = (condition: string): number =>
  Math.round(conditionCost([ruleOf(condition).condition]).nanos / 1000);

describe('the estimate of a rule', () => {
  for (const [what, condition, from, to] of [
    ['a number', 'proc.pid = 1', 0, 30],
    ['a search in a command line', 'proc.cmdline contains abc', 200, 300],
    ['the same one twice counts once', 'proc.cmdline contains abc and twice and twice', 200, 400],
    ['the same in any ancestor counts for each', 'proc.acmdline contains abc', 10_000, 15_000],
    ['each constant of a modifier', 'proc.cmdline contains anyof (abc, def, ghi)', 400, 500],
    ['a list of paths', 'fd.name pmatch (many)', 300, 600],
    ['a list of names', 'proc.name in (many)', 0, 30],
    ['a transformer', 'tolower(proc.cmdline) contains abc', 250, 400],
    [
      'transformers that multiply',
      'join(proc.args, (proc.args, proc.args, proc.args)) contains x',
      900,
      2000,
    ],
    ['a regular expression with a table', 'proc.cmdline regex ".*(curl|wget).*"', 200, 600],
    ['one without', 'proc.cmdline regex ".*a.{0,900}b"', 100_000, 10_000_000],
    ['a glob', 'proc.cmdline glob "*a?b*"', 200, 500],
    ['a long glob', `proc.cmdline glob "*${'?'.repeat(200)}b"`, 500, 900],
  ] as const) {
    test(what, () => {
      const cost = micros(condition);
      assert.ok(cost >= from && cost <= to, String(cost));
    });
  }

  test('an output counts each field once', () => {
    const micros = (output: string): number => outputNanos(ruleOf('proc.pid = 1', output)) / 1000;
    assert.ok(micros('x') < 100);
    assert.ok(micros('%proc.aargs') > 5000);
    assert.ok(micros('%proc.aargs'.repeat(20)) < micros('%proc.aargs') + 100);
  });
});
