import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parser } from '@grafana/lezer-logql';
import { parse } from 'yaml';

import { HOSTILE, printed, VARIANTS } from './printed.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

async function rules(...options: readonly string[]): Promise<Map<string, Rule>> {
  const { out } = await printed('loki', ...options);
  const { groups } = parse(out) as { groups: { name: string; rules: Rule[] }[] };
  assert.equal(groups.length, 1);
  return new Map(groups[0]!.rules.map((rule) => [rule.alert, rule]));
}

/** Grafana's own grammar of LogQL: the matchers of all selectors. Fails for what does not parse. */
function matchersOf(expr: string): string[] {
  const matchers: string[] = [];
  parser.parse(expr).iterate({
    enter(node) {
      assert.ok(!node.type.isError, `${expr.slice(0, node.from)}⟵ here`);
      if (node.name === 'Matcher') matchers.push(expr.slice(node.from, node.to));
    },
  });
  assert.ok(matchers.length > 0);
  return matchers;
}

test('the parser of the tests refuses what is wrong', () => {
  assert.throws(() => matchersOf('sum by (x) (count_over_time({a="b}[15m]))'));
  assert.throws(() => matchersOf('absent_over_time({a="b"} unless [15m])'));
});

for (const options of [...VARIANTS, ...HOSTILE]) {
  test(`every expression is LogQL and asks for the source: ${JSON.stringify(options)}`, async () => {
    const all = await rules(...options);
    assert.deepEqual(
      [...all.keys()],
      ['VarvelDetection', 'VarvelLoss', 'VarvelTailLoss', 'VarvelSilence'],
    );
    for (const { expr, labels, annotations } of all.values()) {
      const matchers = matchersOf(expr);
      const selectors = expr.match(/\{source_type="/g)!.length;
      assert.equal(matchers.filter((it) => it.startsWith('source_type=')).length, selectors);
      assert.equal(labels['severity'], 'page');
      assert.ok(annotations['summary']! && annotations['description']!);
    }
  });
}

test('what is detected is by priority and rule; the agent’s own lines are not', async () => {
  const usual = matchersOf((await rules()).get('VarvelDetection')!.expr);
  assert.deepEqual(usual, [
    'source_type="VARVEL"',
    'varvel_priority=~"Emergency|Alert|Critical|Error|Warning"',
    'varvel_rule!~"Varvel: not watched|Varvel: no room|Varvel: rules switched off|Varvel: own rules|Varvel: policy|Varvel: state not kept|Varvel: denial ended"',
  ]);
  const severe = matchersOf((await rules('-p', 'error')).get('VarvelDetection')!.expr);
  assert.equal(severe.length, 2, 'nothing that the agent says of itself is so severe');
  const low = matchersOf((await rules('-p', 'informational')).get('VarvelDetection')!.expr);
  assert.ok(
    low.some((it) => /^varvel_rule!~".*Varvel: coverage.*"$/.test(it)),
    low.join(),
  );
  const named = (await rules('--rule', 'a.b (c)|d', '-r', 'e"\\')).get('VarvelDetection')!.expr;
  const [, , rule] = matchersOf(named);
  const pattern = new RegExp(
    `^(?:${JSON.parse(rule!.replace('varvel_rule=~', '')) as string})$`,
    'u',
  );
  for (const [text, fits] of [
    ['a.b (c)|d', true],
    ['e"\\', true],
    ['axb (c)|d', false],
    ['a.b c', false],
    ['d', false],
  ] as const)
    assert.equal(pattern.test(text), fits, text);
});

test('values of labels are those of the tags: hidden characters are visible there', async () => {
  const expr = (await rules('--app', 'a\nb"\\')).get('VarvelLoss')!.expr;
  const app = matchersOf(expr).find((it) => it.startsWith('app_name='))!;
  assert.equal(JSON.parse(app.slice('app_name='.length)), 'a\\nb"\\');
});

test('one app’s silence is an absence; all apps’ are told apart', async () => {
  assert.match((await rules('--app', 'shop')).get('VarvelSilence')!.expr, /^absent_over_time\(/);
  const all = (await rules()).get('VarvelSilence')!.expr;
  assert.match(all, /unless on \(host, app\)/);
  assert.match(all, /\[24h\]/);
  assert.match(all, /\[15m\]/);
});

test('labels of other names; none that is no label', async () => {
  const { out } = await printed('loki', '--field', 'rule=my_rule', '--field', 'source_type=src');
  assert.match(out, /\{src="VARVEL", my_rule=~"Varvel: lines lost/);
  assert.match(out, /target_label {2}= "my_rule"/);
});
