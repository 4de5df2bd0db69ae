// The dashboard and the alerts beside a real agent: a Prometheus (Debian's) scrapes it and answers every query.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { Authority } from '../support/certificates.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { GardenCell } from '../support/garden-cell.ts';
import { propertiesOf } from '../support/garden-server.ts';
import { readLogql } from '../support/logql.ts';
import { readPromql } from '../support/promql.ts';
import { runCommand } from '../support/run-command.ts';

const FOLDER = join(import.meta.dirname, '../../manifests/dashboards');
const ALERTS = join(FOLDER, 'alerts.yaml');
const RECORDING = join(FOLDER, 'recording.yaml');
/** Labels that Prometheus itself gives a target. */
const OF_PROMETHEUS = ['instance', 'job'];
/** What the platforms' exporters have, by their documentation (README.md names it). */
const OF_PLATFORMS: Readonly<Record<string, readonly string[]>> = {
  bosh_job_process_healthy: [
    ...['bosh_deployment', 'bosh_job_name', 'bosh_job_id', 'bosh_job_ip', 'bosh_job_process_name'],
  ],
  firehose_value_metric_rep_capacity_total_containers: [
    ...['bosh_deployment', 'bosh_job_name', 'bosh_job_id', 'bosh_job_ip'],
  ],
  firehose_value_metric_varvel_process_resident_memory_bytes: ['bosh_job_ip'],
  kube_node_info: ['node', 'os_image'],
  kube_daemonset_status_desired_number_scheduled: ['namespace', 'daemonset'],
  kube_pod_info: ['namespace', 'pod', 'node', 'created_by_kind', 'created_by_name'],
  kube_pod_status_ready: ['namespace', 'pod', 'condition'],
};

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly targets?: readonly {
    readonly refId: string;
    readonly datasource: { readonly type: string; readonly uid: string };
    readonly expr: string;
    readonly legendFormat: string;
  }[];
}
interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
}
interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}
/** What Prometheus answers: a series and its value. */
interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}
const read = (name: string): Dashboard =>
  JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as Dashboard;
const agents = read('varvel.json');
const detections = read('detections.json');
const rulesOf = (file: string): Rule[] =>
  (parse(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
    ({ rules }) => rules,
  );
const alerts = rulesOf(ALERTS);
const recording = rulesOf(RECORDING);

/** As Grafana fills them in, for an interval of the test's. */
const filled = (expr: string): string =>
  expr
    .replaceAll('$__rate_interval', '10s')
    .replaceAll('$__range', '1h')
    .replaceAll('$instance', '.*');

const targets = [agents, detections].flatMap(({ panels }) =>
  panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat, datasource }) => ({
      ...{ what: title, expr: filled(expr), legendFormat },
      isLoki: datasource.type === 'loki',
    })),
  ),
);
const logQueries = targets.filter(({ isLoki }) => isLoki);
const queries = [
  ...targets.filter(({ isLoki }) => !isLoki),
  ...agents.annotations.list.map(({ expr }) => ({
    what: 'annotation',
    expr: filled(expr),
    legendFormat: '',
  })),
  ...[...alerts, ...recording].map(({ alert, record, expr }) => ({
    what: alert ?? record ?? '',
    expr,
    legendFormat: '',
  })),
];

for (const [dashboard, uid, types] of [
  [agents, 'varvel', ['row', 'stat', 'timeseries']],
  [detections, 'varvel-detections', ['row', 'stat', 'timeseries', 'bargauge', 'table', 'logs']],
] as const)
  describe(`the dashboard ${uid}`, () => {
    test('its panels have ids and places of their own', () => {
      assert.equal(dashboard.uid, uid);
      assert.ok(dashboard.schemaVersion >= 36);
      const ids = dashboard.panels.map(({ id }) => id);
      assert.equal(new Set(ids).size, ids.length);
      const taken = new Map<string, string>();
      for (const {
        title,
        gridPos: { x, y, w, h },
      } of dashboard.panels) {
        assert.ok(x >= 0 && w > 0 && h > 0 && x + w <= 24, title);
        for (let dx = 0; dx < w; dx++)
          for (let dy = 0; dy < h; dy++) {
            const cell = `${x + dx},${y + dy}`;
            assert.equal(taken.get(cell), undefined, `${title} is over ${taken.get(cell)}`);
            taken.set(cell, title);
          }
      }
    });

    test('what its panels need is there', () => {
      const variables = dashboard.templating.list.map(({ name }) => name);
      const sources = [
        { type: 'prometheus', uid: '${datasource}' },
        { type: 'loki', uid: '${logs}' },
      ].filter((source) => variables.includes(source.uid.slice(2, -1)));
      for (const { type, title, datasource, targets: own } of dashboard.panels) {
        assert.ok((types as readonly string[]).includes(type), title);
        if (type === 'row') continue;
        const source = sources.find((one) => one.type === datasource?.type);
        assert.ok(source !== undefined, title);
        assert.deepEqual(datasource, source, title);
        assert.ok(own !== undefined && own.length > 0, title);
        const refs = own.map(({ refId }) => refId);
        assert.equal(new Set(refs).size, refs.length, title);
        for (const target of own) {
          assert.deepEqual(target.datasource, source, title);
          for (const [, name] of target.expr.matchAll(/\$(\w+)/g))
            assert.ok(
              ['__rate_interval', '__range', ...variables].includes(name!),
              `${title}: $${name}`,
            );
          if (variables.includes('instance'))
            assert.ok(target.expr.includes('$instance'), `${title} is of the chosen hosts`);
        }
      }
    });
  });

test('what it asks Loki is LogQL over the labels, and selects what `varvel alerts loki` pages for', async () => {
  const { code, out } = await runCommand('alerts', 'loki');
  assert.equal(code, 0);
  const paged = new Set(
    (parse(out) as { groups: { rules: Rule[] }[] }).groups
      .flatMap(({ rules }) => rules)
      .filter(({ alert }) => alert === 'VarvelDetection' || alert === 'VarvelLoss')
      .flatMap(({ expr }) => readLogql(expr).selectors),
  );
  assert.equal(paged.size, 2);
  assert.ok(logQueries.length > 0);
  for (const { what, expr, legendFormat } of logQueries) {
    const { selectors, groupings } = readLogql(expr);
    assert.equal(selectors.length, 1, what);
    for (const selector of selectors) assert.ok(paged.has(selector), `${what}: ${selector}`);
    for (const label of groupings) assert.ok(out.includes(`target_label  = "${label}"`), what);
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
      assert.ok(groupings.includes(label!), `${what}: ${label}`);
  }
  assert.throws(() => readLogql('topk(10, sum by (app) (count_over_time({a="b"}[1h]))'));
});

describe('their queries, the alerts and the recording rules', () => {
  let folder: string;
  let agent: E2eAgent;
  let cell: GardenCell;
  let exporter: Server;
  let prometheus: ChildProcess;
  let api: string;
  let scrape: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'varvel-dashboards-'));
    cell = new GardenCell('v2');
    await cell.server.start();
    const authority = new Authority(folder);
    const { cert, key } = authority.issue('varvel');
    agent = await E2eAgent.start({
      garden: { socketPath: cell.server.socketPath, cgroupParents: [cell.root] },
      config: ['cgroup_hierarchy: v2', 'canary: {enabled: true, app: {guid: canary}}'],
      // Nobody listens there: lines wait.
      streams: [
        `loggregator: {enabled: true, address: '127.0.0.1:9', ca: ${authority.ca}, cert: ${cert}, key: ${key}}`,
      ],
    });
    // One series falls out of nothing: the kernel has counted before Prometheus looks.
    cell.server.create('h', propertiesOf({ guid: 'app-1', tags: { varvel: 'on' } }));
    cell.mkdir('/h');
    const attack = ['sh', '-c', 'cat /etc/shadow > /dev/null'];
    await cell.run('/h', attack).ended;
    await until('it is detected', () => agent.detections().length > 0);
    scrape = await until('its line waits for the receiver', async () => {
      const text = await agent.metrics();
      return text.includes('\nvarvel_spool_oldest_timestamp_seconds{') && text;
    });

    exporter = createServer((_, response) => {
      agent.metrics().then(
        (text) =>
          response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(text),
        () => response.destroy(),
      );
    });
    exporter.listen(0, '127.0.0.1');
    await once(exporter, 'listening');
    const port = await freePort();
    api = `http://127.0.0.1:${port}/api/v1`;
    mkdirSync(join(folder, 'data'));
    // What a day held is recorded every two minutes, and this test does not wait for that.
    const recorded = join(folder, 'recording.yaml');
    const text = readFileSync(RECORDING, 'utf8');
    assert.match(text, /interval: 2m/);
    writeFileSync(recorded, text.replace('interval: 2m', 'interval: 1s'));
    const target = `127.0.0.1:${(exporter.address() as AddressInfo).port}`;
    writeFileSync(
      join(folder, 'prometheus.yml'),
      `global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [${ALERTS}, ${recorded}]\nscrape_configs:\n- {job_name: varvel, static_configs: [{targets: ["${target}"]}]}\n`,
    );
    prometheus = spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'KILL', 'prometheus', `--config.file=${folder}/prometheus.yml`],
        ...[`--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`],
      ],
      { stdio: 'ignore' },
    );
    await until(
      'Prometheus has scraped twice',
      async () => {
        const found = await query('count_over_time(varvel_build_info[1m])').catch(() => []);
        return Number(found[0]?.value[1]) >= 3;
      },
      60_000,
    );
    await cell.run('/h', attack).ended;
    await until(
      'the second attack is scraped',
      async () => {
        const found = await query('sum(increase(varvel_detections_total[30s]))');
        return Number(found[0]?.value[1]) > 0;
      },
      60_000,
    );
  });
  after(async () => {
    const ended = once(prometheus, 'exit');
    prometheus.kill();
    await ended;
    exporter.close();
    await agent[Symbol.asyncDispose]();
    await cell[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** After a scrape that came too late there is nothing until the next one. */
  async function answered(
    what: string,
    expr: string,
    isRight: (found: readonly Series[]) => boolean,
  ): Promise<void> {
    await until(what, async () => isRight(await query(expr)));
  }

  async function query(expr: string): Promise<Series[]> {
    const response = await fetch(`${api}/query?query=${encodeURIComponent(expr)}`);
    const body = (await response.json()) as {
      status: string;
      error?: string;
      data: { result: Series[] };
    };
    assert.equal(body.status, 'success', `${expr}: ${body.error}`);
    return body.data.result;
  }

  test('every metric and label is in a scrape of the agent', () => {
    const series = new Map<string, Set<string>>();
    for (const line of scrape.split('\n')) {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? /.exec(line);
      if (match === null) continue;
      const labels = series.get(match[1]!) ?? new Set(OF_PROMETHEUS);
      for (const [, label] of (match[2] ?? '').matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g))
        labels.add(label!);
      series.set(match[1]!, labels);
    }
    assert.ok(series.size > 40);
    // A recorded series has the labels that its rule groups by, and what that read.
    for (const [metric, labels] of Object.entries(OF_PLATFORMS))
      series.set(metric, new Set([...labels, ...OF_PROMETHEUS]));
    for (const { record, expr } of recording) {
      assert.match(record!, /^[a-z_]+:[a-z_]+:[a-z0-9]+$/);
      const { groupings, selectors, aggregates } = readPromql(expr);
      const read = selectors.flatMap(({ metric }) => [...(series.get(metric) ?? [])]);
      series.set(record!, new Set(aggregates ? groupings : read));
    }
    for (const { what, expr, legendFormat } of queries) {
      const { selectors, groupings, made } = readPromql(expr);
      assert.ok(selectors.length > 0, what);
      const known = new Set<string>(made);
      for (const { metric, labels } of selectors) {
        const has = series.get(metric);
        assert.ok(has !== undefined, `${what}: there is no metric ${metric}`);
        for (const label of labels) assert.ok(has.has(label), `${what}: ${metric} has no ${label}`);
        for (const label of has) known.add(label);
      }
      const legend = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
      for (const label of [...groupings, ...legend])
        assert.ok(known.has(label), `${what}: nothing has ${label}`);
    }
    // These checks can fail.
    assert.throws(() => readPromql('sum by (rule) (rate(varvel_detections_total[5m])'));
    assert.equal(readPromql('rate(no_such{x="y"}[5m])').selectors[0]?.metric, 'no_such');
  });

  test('Prometheus answers every query, with something where something happened', async () => {
    // Nothing was lost, nothing was old, no platform tells its cells: these are empty as long as all is well.
    const quiet =
      /^(?:Records lost in the kernel|Records lost, by app|Apps that lost|Hosts: lost|annotation|Varvel)/;
    for (const { what, expr } of queries) {
      await query(expr);
      if (!quiet.test(what) && !/cell:varvel_(?:expected|absent)/.test(what + expr))
        await answered(`${what} shows something: ${expr}`, expr, (found) => found.length > 0);
    }
    // The first scrape after an attack has the first value of a series: increase() alone would not see it.
    await answered(
      'the first detection counts in what is recorded',
      'sum(rule_priority:varvel_detections:increase1h{rule="Sensitive file read"})',
      ([total]) => Math.round(Number(total?.value[1])) >= 2,
    );
    await answered(
      'the cell of the agent is its address',
      'cell:varvel_seen:group',
      ([seen]) => seen?.metric['cell'] === '127.0.0.1',
    );
    await answered(
      'both attacks are counted',
      'sum(varvel_detections_total{rule="Sensitive file read"})',
      ([total]) => Number(total?.value[1]) >= 2,
    );
    const byRule = queries.find(({ what }) => what.startsWith('By rule'))?.expr ?? '';
    await answered('the rule has a line', byRule, (found) =>
      found.some(({ metric }) => metric['rule'] === 'Sensitive file read'),
    );
  });

  test('promtool takes the alerts, and one fires when Garden goes away', async () => {
    const checked = spawnSync('promtool', ['check', 'rules', ALERTS, RECORDING], {
      encoding: 'utf8',
    });
    assert.equal(checked.status, 0, checked.stderr);
    const away = alerts.find(({ alert }) => alert === 'VarvelRuntimeAway')?.expr ?? '';
    assert.deepEqual(await query(away), []);
    await cell.server.stop();
    await until('it is true', async () => (await query(away)).length > 0, 60_000);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
