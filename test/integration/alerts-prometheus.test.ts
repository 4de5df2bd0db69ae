// What `varvel alerts prometheus` prints, checked and run over scenarios by Prometheus's own promtool.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { AgentMetrics } from '../../src/metrics/metrics.ts';
import type { CountedLine } from '../../src/metrics/incident-metrics.ts';
import { containerOf } from '../unit/streams/delivery-fixture.ts';
import { alerts } from '../support/dashboards.ts';
import { runCommand } from '../support/run-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-promtool-'));
after(() => rmSync(folder, { recursive: true }));

async function rulesOf(...options: readonly string[]): Promise<string> {
  const { code, out, err } = await runCommand('alerts', 'prometheus', ...options);
  assert.equal(code, 0, err);
  return out;
}

/** All of the agent's metrics, as a scrape has them. */
function scrape(): Promise<string> {
  const metrics = new AgentMetrics('1.2.3', {
    apps: () => [
      { app: 'shop', space: 'prod', org: 'acme', emitted: 1, dropped: 0, prefiltered: 0 },
    ],
  });
  metrics.countDetection('Sensitive file read', 'Warning');
  metrics.countIncident(lineOf({ incident: 'k3zq81vd' }));
  return metrics.text();
}

const VARIANTS: readonly (readonly string[])[] = [
  [],
  ['-p', 'debug', '-w', 'https://hooks.example.org/x?a="b"#c'],
  ['--rule', 'a "quoted\\ (rule) | with {{ $x }} ${y}', '--rule', 'two\nlines\u2028\u{e0041}'],
  ['--app', 'sh"op\\', '--space', 'pro\nd\u0000'],
  ['--app', '4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70'],
];
for (const options of VARIANTS) {
  test(`promtool check rules: ${JSON.stringify(options)}`, async () => {
    const file = join(folder, 'checked.yaml');
    writeFileSync(file, await rulesOf(...options));
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /SUCCESS: [1-9]\d* rules? found/);
  });
}

test('every metric and label that the rules name is in a scrape of the agent', async () => {
  const text = await scrape();
  const rules = (await rulesOf('-p', 'debug')) + (await rulesOf('--rule', 'R'));
  const names = new Set(rules.match(/\bvarvel_[a-z_]+/g));
  assert.deepEqual([...names].sort(), [
    'varvel_app_records_dropped_total',
    'varvel_detections_total',
    'varvel_incidents_total',
  ]);
  for (const name of names) assert.match(text, new RegExp(`^${name}(?:\\{| )`, 'm'));
  for (const [, labels] of rules.matchAll(/sum by \(([^)]*)\)/g)) {
    for (const label of labels!.split(', ')) {
      // Prometheus adds these two itself.
      if (label !== 'job' && label !== 'instance') assert.match(text, new RegExp(`[{,]${label}="`));
    }
  }
  for (const [, label] of rules.matchAll(/([a-z_]+)=~?"/g))
    assert.match(text, new RegExp(`[{,]${label}="`));
});

/** Alerts that fire then, with the labels that tell them apart. */
interface Expected {
  readonly at: string;
  readonly alert: string;
  /** Of each; none: nothing fires. */
  readonly firing: readonly Readonly<Record<string, string>>[];
}

const HOST = { job: 'varvel', instance: 'cell-1' };
const QUIET = [
  'varvel_incidents_total{at_least="Warning",rule="Sensitive file read",app="shop",space="prod",org="acme",job="varvel",instance="cell-1"}=7x120',
  'varvel_app_records_dropped_total{app="shop",space="prod",org="acme",job="varvel",instance="cell-1"}=3x120',
];

/** The quiet host with one thing different. */
function but(...series: readonly string[]): readonly string[] {
  const selectors = series.map((text) => text.split('=').slice(0, -1).join('='));
  return [...QUIET.filter((text) => !selectors.some((it) => text.startsWith(`${it}=`))), ...series];
}

const ALL = ['VarvelIncident', 'VarvelEventsLost'];
const never = (alert: string, ...at: readonly string[]): Expected[] =>
  at.map((time) => ({ at: time, alert, firing: [] }));

const APP = { app: 'shop', space: 'prod', org: 'acme' };
const of = (atLeast: string, app = 'shop'): string =>
  `varvel_incidents_total{at_least="${atLeast}",rule="R",app="${app}",space="prod",org="acme",job="varvel",instance="cell-1"}`;
const fires = { ...HOST, ...APP, rule: 'R' };

const SCENARIOS: readonly (readonly [name: string, series: readonly string[], Expected[]])[] = [
  [
    'nothing: counters of before the last 15 minutes stand still',
    QUIET,
    ALL.flatMap((alert) => never(alert, '20m', '60m', '110m')),
  ],
  [
    'the first incident of a rule, which begins its series, and its end',
    [...QUIET, `${of('Warning')}=_x30 1x90`],
    [
      ...never('VarvelIncident', '29m'),
      { at: '32m', alert: 'VarvelIncident', firing: [fires] },
      { at: '44m', alert: 'VarvelIncident', firing: [fires] },
      ...never('VarvelIncident', '50m', '110m'),
    ],
  ],
  [
    'three incidents within a minute and one more later are one alert; then silence; then another',
    [...QUIET, `${of('Warning')}=5x30 8x10 9x40 10x40`],
    [
      ...never('VarvelIncident', '28m'),
      { at: '32m', alert: 'VarvelIncident', firing: [fires] },
      { at: '50m', alert: 'VarvelIncident', firing: [fires] },
      ...never('VarvelIncident', '70m'),
      { at: '84m', alert: 'VarvelIncident', firing: [fires] },
    ],
  ],
  [
    'an agent that restarts counts from nothing again',
    [...QUIET, `${of('Warning')}=5x30 _x5 1x90`],
    [
      ...never('VarvelIncident', '30m'),
      { at: '40m', alert: 'VarvelIncident', firing: [fires] },
      ...never('VarvelIncident', '80m'),
    ],
  ],
  [
    'less severe than asked for is none, and how far one went beyond it makes no second',
    [...QUIET, `${of('Notice')}=0+1x120`, `${of('Critical')}=0+1x120`, `${of('Error')}=0+1x120`],
    never('VarvelIncident', '30m', '60m'),
  ],
  [
    'incidents of two apps are two alerts',
    [...QUIET, `${of('Warning')}=5x30 6x90`, `${of('Warning', 'cart')}=_x30 1x90`],
    [{ at: '32m', alert: 'VarvelIncident', firing: [{ ...fires, app: 'cart' }, fires] }],
  ],
  [
    'events lost, of one app',
    but(
      'varvel_app_records_dropped_total{app="shop",space="prod",org="acme",job="varvel",instance="cell-1"}=3x40 903x80',
    ),
    [
      ...never('VarvelEventsLost', '38m'),
      {
        at: '45m',
        alert: 'VarvelEventsLost',
        firing: [{ ...HOST, app: 'shop', space: 'prod', org: 'acme' }],
      },
      ...never('VarvelEventsLost', '65m'),
    ],
  ],
];

for (const [name, series, expected] of SCENARIOS) {
  test(`promtool test rules: ${name}`, async () => {
    writeFileSync(join(folder, 'rules.yaml'), await rulesOf());
    run(series, expected);
  });
}

/** A line of an incident. */
function lineOf(line: Partial<CountedLine>): CountedLine {
  const app = { name: 'shop', space: 'prod', org: 'acme' };
  const container = containerOf({}, app);
  return { incident: 'k3zq81vd', rule: 'R', priority: 'Warning', container, ...line };
}

test('promtool test rules: a shell that six lines of three rules tell of pages once, on what the agent counts', async () => {
  const metrics = new AgentMetrics('1.2.3');
  const samples: Record<string, (number | undefined)[]> = {};
  const minute = async (...lines: Partial<CountedLine>[]): Promise<void> => {
    const length = Math.max(0, ...Object.values(samples).map((it) => it.length));
    for (const line of lines) metrics.countIncident(lineOf(line));
    for (const [, name = '', value] of (await metrics.text()).matchAll(/^(varvel_inc.*}) (\d+)$/gm))
      (samples[name] ??= Array<undefined>(length).fill(undefined)).push(Number(value));
  };
  for (let at = 0; at < 20; at++)
    await minute({ incident: 'former00', rule: 'A', priority: 'Error' });
  await minute(
    { rule: 'A', priority: 'Warning' },
    { rule: 'B', priority: 'Critical' },
    { rule: 'C', priority: 'Critical' },
  );
  await minute(
    { rule: 'A', priority: 'Critical' },
    { rule: 'C' },
    { rule: 'B', priority: 'Alert' },
  );
  for (let at = 0; at < 20; at++) await minute({ rule: 'C', priority: 'Critical' });
  const series = Object.entries(samples).map(
    ([name, values]) =>
      `${name.slice(0, -1)},job="varvel",instance="cell-1"}=${values.map((it) => it ?? '_').join(' ')}`,
  );
  for (const [priority, rule] of [
    ['warning', 'A'],
    ['critical', 'B'],
    ['alert', 'B'],
  ] as const) {
    writeFileSync(join(folder, 'rules.yaml'), await rulesOf('-p', priority));
    const firing = [{ ...HOST, ...APP, rule }];
    run(series, [
      ...never('VarvelIncident', '19m'),
      { at: '22m', alert: 'VarvelIncident', firing },
      { at: '34m', alert: 'VarvelIncident', firing },
      ...never('VarvelIncident', '40m'),
    ]);
  }
});

test('promtool test rules: with rules and an app only these', async () => {
  writeFileSync(join(folder, 'rules.yaml'), await rulesOf('--rule', 'R(1)|"x"', '-r', 'R2'));
  const series = (rule: string): string =>
    `varvel_detections_total{rule=${JSON.stringify(rule)},priority="Notice",job="varvel",instance="cell-1"}=0+1x60`;
  run(
    [...QUIET, series('R(1)|"x"'), series('R1'), series('x'), series('R22')],
    [
      {
        at: '30m',
        alert: 'VarvelDetection',
        firing: [{ ...HOST, rule: 'R(1)|"x"', priority: 'Notice' }],
      },
    ],
  );

  writeFileSync(join(folder, 'rules.yaml'), await rulesOf('--app', 'sh"op\\'));
  const lost = (app: string): string =>
    `varvel_app_records_dropped_total{app=${JSON.stringify(app)},space="prod",org="acme",job="varvel",instance="cell-1"}=0+1x60`;
  run(
    [
      ...QUIET,
      lost('sh"op\\'),
      lost('cart'),
      `${of('Warning', 'sh\\"op\\\\')}=0+1x60`,
      `${of('Warning', 'cart')}=0+1x60`,
    ],
    [
      {
        at: '30m',
        alert: 'VarvelEventsLost',
        firing: [{ ...HOST, app: 'sh"op\\', space: 'prod', org: 'acme' }],
      },
      ...never('VarvelDetection', '30m'),
      { at: '30m', alert: 'VarvelIncident', firing: [{ ...fires, app: 'sh"op\\' }] },
    ],
  );
});

function seriesOf(alert: string, labels: Readonly<Record<string, string>>): string {
  const all = { ...labels, severity: 'page', alertname: alert, alertstate: 'firing' };
  const matchers = Object.entries(all).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `ALERTS{${matchers.join(', ')}}`;
}

function run(series: readonly string[], expected: readonly Expected[]): void {
  const document = {
    rule_files: ['rules.yaml'],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: series.map((text) => {
          const at = text.lastIndexOf('=');
          return { series: text.slice(0, at), values: text.slice(at + 1) };
        }),
        promql_expr_test: expected.map(({ at, alert, firing }) => ({
          eval_time: at,
          expr: `ALERTS{alertname="${alert}",alertstate="firing"}`,
          exp_samples: firing.map((labels) => ({ labels: seriesOf(alert, labels), value: 1 })),
        })),
      },
    ],
  };
  // JSON is YAML.
  const file = join(folder, 'test.yaml');
  writeFileSync(file, JSON.stringify(document));
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout + stderr);
}

test('what concerns the agents themselves is in one place, to which the header points', async () => {
  const rules = await rulesOf();
  assert.match(rules, /manifests\/dashboards\/alerts\.yaml and recording\.yaml/);
  const own = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  assert.deepEqual(own, ALL);
  const shipped = alerts.map(({ alert }) => alert);
  for (const name of ['VarvelAgentDown', 'VarvelNoAgents', 'VarvelLinesLost'])
    assert.ok(shipped.includes(name), name);
  assert.deepEqual(
    own.filter((name) => shipped.includes(name)),
    [],
  );
});

test('promtool is the real one', () => {
  assert.match(execFileSync('promtool', ['--version'], { encoding: 'utf8' }), /^promtool, version/);
});
