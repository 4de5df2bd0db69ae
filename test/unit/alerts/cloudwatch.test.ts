import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { z } from 'zod';

import { runCommand } from '../../support/run-command.ts';
import { printed, VARIANTS } from './printed.ts';
import { CLOUDFORMATION } from './shapes.ts';

interface Property {
  readonly Required?: boolean;
  readonly PrimitiveType?: string;
  readonly Type?: string;
  readonly ItemType?: string;
  readonly PrimitiveItemType?: string;
}

/** AWS's own specification of CloudFormation's resources. */
const SPECIFICATION = JSON.parse(
  readFileSync(
    createRequire(import.meta.url).resolve('@aws-cdk/cfnspec/spec/specification.json'),
    'utf8',
  ),
) as {
  readonly ResourceTypes: Record<string, { Properties: Record<string, Property> } | undefined>;
  readonly PropertyTypes: Record<string, { Properties: Record<string, Property> } | undefined>;
};

/** Fails where the properties are not those that the specification has. */
function check(type: string, known: Record<string, Property>, given: object, where: string): void {
  for (const [name, { Required }] of Object.entries(known))
    if (Required === true) assert.ok(name in given, `${where}.${name} is missing`);
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    const property = known[name];
    assert.ok(property !== undefined, `${where}.${name} is unknown`);
    const values = property.Type === 'List' ? (value as unknown[]) : [value];
    const item = property.ItemType ?? (property.Type === 'List' ? undefined : property.Type);
    const primitive = property.PrimitiveItemType ?? property.PrimitiveType;
    for (const it of values) {
      if (item !== undefined) {
        const of = SPECIFICATION.PropertyTypes[`${type}.${item}`];
        check(type, of!.Properties, it as object, `${where}.${name}`);
      } else if (typeof it !== 'object') {
        const wanted = primitive === 'String' ? 'string' : 'number';
        assert.equal(typeof it, wanted, `${where}.${name}`);
      } else assert.deepEqual(Object.keys(it as object), ['Ref'], `${where}.${name}`);
    }
  }
}

type Resources = z.infer<typeof CLOUDFORMATION>['Resources'];

async function resources(...options: readonly string[]): Promise<Resources> {
  const { out, err } = await printed('cloudwatch', ...options);
  assert.match(err, /^Where: aws cloudformation deploy/);
  return CLOUDFORMATION.parse(JSON.parse(out)).Resources;
}

const FILTER = z.looseObject({
  FilterPattern: z.string().max(1024),
  MetricTransformations: z.tuple([z.looseObject({ MetricName: z.string() })]),
});
const ALARM = z.looseObject({
  MetricName: z.string(),
  TreatMissingData: z.string(),
  Period: z.int(),
  EvaluationPeriods: z.int(),
  DatapointsToAlarm: z.int(),
});
const filter = (all: Resources, name: string): z.infer<typeof FILTER> =>
  FILTER.parse(all[`${name}Filter`]?.Properties);
const alarm = (all: Resources, name: string): z.infer<typeof ALARM> =>
  ALARM.parse(all[`${name}Alarm`]?.Properties);

test('the check knows what is wrong', () => {
  const alarm = SPECIFICATION.ResourceTypes['AWS::CloudWatch::Alarm']!.Properties;
  assert.throws(() => check('AWS::CloudWatch::Alarm', alarm, { Peroid: 1 }, 'x'), /missing/);
  const good = { ComparisonOperator: 'x', EvaluationPeriods: 1 };
  check('AWS::CloudWatch::Alarm', alarm, good, 'x');
  assert.throws(() =>
    check('AWS::CloudWatch::Alarm', alarm, { ...good, EvaluationPeriods: '1' }, 'x'),
  );
  assert.throws(
    () => check('AWS::CloudWatch::Alarm', alarm, { ...good, Peroid: 1 }, 'x'),
    /Peroid is unknown/,
  );
});

for (const options of VARIANTS) {
  test(`every resource is as AWS specifies it: ${JSON.stringify(options)}`, async () => {
    const all = await resources(...options);
    const names = new Set([...Object.keys(all), 'LogGroupName']);
    for (const [name, { Type, Properties }] of Object.entries(all)) {
      const known = SPECIFICATION.ResourceTypes[Type];
      assert.ok(known !== undefined, Type);
      check(Type, known.Properties, Properties, name);
      for (const [, ref] of JSON.stringify(Properties).matchAll(/"Ref":"(\w+)"/g))
        assert.ok(names.has(ref!), ref);
    }
    const pairs = Object.keys(all).flatMap((name) => /^(.*)Filter$/.exec(name)?.[1] ?? []);
    assert.ok(pairs.length >= 3);
    const metrics = new Set<string>();
    for (const name of pairs) {
      const { FilterPattern, MetricTransformations } = filter(all, name);
      assert.match(FilterPattern, /^\{ \(\$\.source_type = "VARVEL"\) && /);
      const [{ MetricName }] = MetricTransformations;
      assert.equal(alarm(all, name).MetricName, MetricName);
      metrics.add(MetricName);
    }
    assert.equal(metrics.size, pairs.length);
  });
}

test('silence is a breach, also without any data; the other alarms are off without', async () => {
  const all = await resources('--app', 'shop');
  const silence = alarm(all, 'Silence');
  assert.equal(silence.TreatMissingData, 'breaching');
  assert.equal(silence.Period * silence.EvaluationPeriods, 900);
  assert.equal(silence.DatapointsToAlarm, silence.EvaluationPeriods);
  assert.equal(alarm(all, 'Detection').TreatMissingData, 'notBreaching');
  assert.match(filter(all, 'Detection').FilterPattern, /\(\$\.app_name = "shop"\)/);
  const byRule = await resources('-r', 'a', '-r', 'b');
  assert.match(filter(byRule, 'Detection2').FilterPattern, /varvel_rule = "b"/);
});

test('what a filter pattern cannot say is refused, with the reason', async () => {
  for (const value of ['a"b', 'a*b', 'a\\b', 'a\nb']) {
    const { code, out, err } = await runCommand('alerts', 'cloudwatch', '--app', value);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /CloudWatch’s filter patterns cannot look for "a.*they have no way to write/);
  }
  const names = ['rule', 'priority', 'source_type'].flatMap((name) => [
    '--field',
    `${name}=${'x'.repeat(190)}`,
  ]);
  const { code, err } = await runCommand('alerts', 'cloudwatch', ...names);
  assert.equal(code, 2);
  assert.match(err, /at most 1024 characters; this one has \d{4}/);
});
