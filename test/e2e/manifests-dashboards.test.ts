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
import { Authority } from '../support/certificates.ts';
import { ALERTS, alerts, queries, recording, RECORDING } from '../support/dashboards.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { GardenCell } from '../support/garden-cell.ts';
import { propertiesOf } from '../support/garden-server.ts';
import { readPromql } from '../support/promql.ts';

/** Labels that Prometheus itself gives a target. */
const OF_PROMETHEUS = ['instance', 'job'];
/** What the platforms' exporters have, by their documentation (README.md names it). */
const OF_PLATFORMS: Readonly<Record<string, readonly string[]>> = {
  bosh_job_process_healthy: [
    'bosh_deployment',
    'bosh_job_name',
    'bosh_job_id',
    'bosh_job_ip',
    'bosh_job_process_name',
  ],
  firehose_value_metric_rep_capacity_total_containers: [
    'bosh_deployment',
    'bosh_job_name',
    'bosh_job_id',
    'bosh_job_ip',
  ],
  firehose_value_metric_varvel_process_resident_memory_bytes: ['bosh_job_ip'],
  kube_node_info: ['node', 'os_image'],
  kube_daemonset_status_desired_number_scheduled: ['namespace', 'daemonset'],
  kube_pod_info: ['namespace', 'pod', 'node', 'created_by_kind', 'created_by_name'],
  kube_pod_status_ready: ['namespace', 'pod', 'condition'],
};

/** What Prometheus answers: a series and its value. */
interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}
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
        '--pdeathsig',
        'KILL',
        'prometheus',
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
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
    series.set('up', new Set(OF_PROMETHEUS));
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
