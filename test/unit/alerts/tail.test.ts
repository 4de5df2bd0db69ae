// What the alert on a lost tail says of lines that came: each platform’s printed query, run over the agent’s own lines.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';

import type { AppIdentity } from '../../../src/apps/identity.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { coverageNotice } from '../../../src/streams/notices.ts';
import { esql, kql, logql, spl } from '../../support/line-queries.ts';
import type { KeptLine } from '../../support/line-queries.ts';
import { containerOf, deliveryOf, detectionOf } from '../streams/delivery-fixture.ts';
import { appOf } from '../streams/outgoing-line-fixture.ts';
import { printed, requestsOf } from './printed.ts';
import { AZURE_TEMPLATE, KIBANA_RULE } from './shapes.ts';

interface Whose extends Partial<AppIdentity> {
  readonly hostname?: string;
  /** As the log platform has it; what an app prints has another. */
  readonly source?: string;
}

function kept(
  ago: number,
  seq: number,
  { hostname = 'cell-1', source = 'VARVEL', ...app }: Whose,
  detection: (container: ReturnType<typeof containerOf>) => Detection,
): KeptLine {
  const identity = appOf({ name: 'shop', ...app });
  const made = detection(containerOf({}, identity));
  return {
    ago,
    source,
    app: identity.guid ?? identity.name,
    host: 'acme.prod.shop',
    instance: identity.instance,
    rule: made.rule,
    text: formatLine(deliveryOf(made, { seq, hostname }), { format: 'json' }),
  };
}

const line = (ago: number, seq: number, whose: Whose = {}): KeptLine =>
  kept(ago, seq, whose, (container) =>
    detectionOf({
      container,
      // What it holds may look like what is looked for.
      output: 'ran {"seq":99,"coverage.last_line":99,"instance":"7","hostname":"x"}',
      lineage: { processes: [{ pid: 1, start: 1, name: 'seq' }], above: 'outside' },
    }),
  );

const told = (ago: number, lastLine: number | undefined, whose: Whose = {}): KeptLine =>
  kept(ago, 0, whose, (container) =>
    coverageNotice(
      { when: 'running', version: '1.2.3', rules: 68, events: 5, lost: 0, suppressed: 0, lastLine },
      container,
      1_800_000_000_000_000_000n,
    ),
  );

const worker = { processType: 'worker' };
const second = { instance: '1' };
const moved = { hostname: 'cell-2' };
const alone = { instance: undefined };

const CASES: readonly (readonly [what: string, isLost: boolean, lines: readonly KeptLine[]])[] = [
  ['the tail is lost', true, [told(1200, 0), line(1000, 1), told(900, 1), told(300, 3)]],
  ['all lines are lost', true, [told(1200, 0), told(300, 3)]],
  [
    'the tail is lost of an instance whose older lines are older than the log',
    true,
    [told(1200, 500), told(300, 501)],
  ],
  [
    'the tail is lost on one host, and another goes on with higher numbers',
    true,
    [told(1200, 0), told(300, 2), told(1200, 50, moved), line(600, 51, moved)],
  ],
  [
    'the tail is lost of one instance, and of another nothing',
    true,
    [told(1200, 0), told(300, 2), told(1200, 50, second), line(600, 51, second)],
  ],
  [
    'the tail is lost of one process, and of another nothing',
    true,
    [told(1200, 0), told(300, 2), told(1200, 50, worker), line(600, 51, worker)],
  ],
  ['nothing is lost', false, [told(1200, 0), line(1000, 1), line(900, 2), told(300, 2)]],
  ['all lines are older than the log', false, [told(1200, 500), told(300, 500)]],
  ['a coverage line came seconds ago', false, [told(1200, 0), line(900, 1), told(20, 2)]],
  [
    'it was restarted and goes on with its numbers',
    false,
    [told(1200, 0), line(1000, 1), told(900, 1), told(890, 1), line(500, 2), told(300, 2)],
  ],
  [
    'it was replaced on another host, where numbers begin anew',
    false,
    [told(9000, 8), line(8000, 9), told(7000, 9), told(900, 0, moved), told(300, 0, moved)],
  ],
  [
    'numbers were skipped with the host’s end',
    false,
    [line(900, 1), told(800, 1), told(700, undefined), line(600, 1_000_002), told(300, 1_000_002)],
  ],
  [
    'containers without an instance have numbers of their own',
    false,
    [told(1200, 0, alone), line(900, 1, alone), told(800, 1, alone), told(300, 70, alone)],
  ],
  [
    'an app prints a coverage line of its own',
    false,
    [told(1200, 0), told(300, 0), told(300, 9, { source: 'APP/PROC/WEB' })],
  ],
];

interface Platform {
  /** What is found in the lines, by the query that is printed with these options. */
  readonly run: (lines: readonly KeptLine[]) => number;
}

async function platforms(): Promise<Map<string, Platform>> {
  const azure = AZURE_TEMPLATE.parse(JSON.parse((await printed('azure')).out)).resources.find(
    ({ name }) => name === 'varvel-tail-loss',
  );
  assert.ok(azure?.type === 'Microsoft.Insights/scheduledQueryRules');
  const { query } = azure.properties.criteria.allOf[0];

  const [, search] =
    /^\[varvel tail loss\]\nsearch = (.*)$/m.exec((await printed('splunk')).out) ?? [];

  const rules = requestsOf((await printed('elasticsearch')).out).map(([, body]) =>
    KIBANA_RULE.parse(body),
  );
  const params = rules.find(({ name }) => name === 'varvel tail')?.params;
  assert.ok(params?.searchType === 'esqlQuery');
  const { groups } = parse((await printed('loki')).out) as {
    groups: { rules: { alert: string; expr: string }[] }[];
  };
  const expression = groups[0]!.rules.find(({ alert }) => alert === 'VarvelTailLoss')!.expr;
  return new Map<string, Platform>([
    ['azure', { run: (lines) => kql(query, lines) }],
    ['splunk', { run: (lines) => spl(search!, lines) }],
    ['elasticsearch', { run: (lines) => esql(params.esqlQuery.esql, lines) }],
    ['loki', { run: (lines) => logql(expression, lines) }],
  ]);
}

const ALL = await platforms();

for (const [platform, { run }] of ALL) {
  for (const [what, isLost, lines] of CASES) {
    test(`${platform}: ${isLost ? 'an alert' : 'none'} where ${what}`, () => {
      assert.equal(run(lines), isLost ? 1 : 0);
    });
  }

  test(`${platform}: two apps are two alerts, two instances of one app are one`, () => {
    const other = { guid: '00000000-9f3c-4f8a-9a3e-1f0a4d3f6b70' };
    const lost = (whose: Whose): KeptLine[] => [told(1200, 0, whose), told(300, 2, whose)];
    assert.equal(run([...lost({}), ...lost(second), ...lost(other)]), 2);
  });
}

test('platforms that cannot compare say so', async () => {
  for (const platform of ['cloudwatch', 'datadog', 'opensearch', 'papertrail', 'prometheus']) {
    const { out, err } = await printed(platform);
    assert.match(out + err, /No alert here sees lines that the log system itself lost/, platform);
  }
});
