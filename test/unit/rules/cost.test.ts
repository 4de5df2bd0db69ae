import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conditionCost, outputNanos } from '../../../src/rules/cost/rule-cost.ts';
import { boundOf } from '../../../src/rules/cost/value-bounds.ts';
import { FIELD_NAMES, findField } from '../../../src/rules/fields/registry.ts';
import { loadRules } from '../../../src/rules/loader/load.ts';
import type { LoadedRule } from '../../../src/rules/rule-set.ts';
import { worstViews } from '../../support/worst-views.ts';

const viewsByUnit = ['a', '\ufffd', 'a/', 'é', '😀'].map((unit) => worstViews(unit));
const views = viewsByUnit.flat();
/** What is said of a container is the same in each event of it: one event a unit. */
const ofContainers = viewsByUnit.map(([view]) => view!);

/** Arguments that a field may take, and none. */
const ARGUMENTS = {
  none: [undefined],
  optional: [undefined, '0', '1', '64', 'AB'],
  required: ['args', 'oldpath', 'name', '1', '64', 'data', 'fd', '/a/*', 'team', 'filename', 'exe'],
} as const;

describe('the bounds of fields', () => {
  test('no value of the worst events is longer than its field’s bound, and there are no more of them', () => {
    let checked = 0;
    for (const name of FIELD_NAMES) {
      const field = findField(name)?.field;
      assert.ok(field);
      for (const argument of ARGUMENTS[field.argument]) {
        const reader = field.reader(argument);
        if ('problem' in reader) continue;
        const { length, values, total } = boundOf(field, argument);
        for (const view of name.startsWith('container.') ? ofContainers : views) {
          const value = reader.read(view);
          const all = Array.isArray(value)
            ? (value as unknown[]).map(String)
            : [String(value ?? '')];
          const what = `${name}[${argument ?? ''}] in ${view.event.type}`;
          const longest = Math.max(...all.map((one) => one.length), 0);
          assert.ok(longest <= length, `${what}: ${longest} of ${length}`);
          assert.ok(!Array.isArray(value) || all.length <= values, `${what}: ${all.length}`);
          assert.ok(all.join('').length <= total, what);
          checked += 1;
        }
      }
    }
    assert.ok(checked > 5000, String(checked));
  });
});

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
