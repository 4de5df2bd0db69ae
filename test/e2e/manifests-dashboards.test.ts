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
import { readPromql } from '../support/promql.ts';

const FOLDER = join(import.meta.dirname, '../../manifests/dashboards');
const ALERTS = join(FOLDER, 'alerts.yaml');
/** Labels that Prometheus itself gives a target. */
const OF_PROMETHEUS = ['instance', 'job'];

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly legendFormat: string;
  }[];
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
const dashboard = JSON.parse(readFileSync(join(FOLDER, 'varvel.json'), 'utf8')) as Dashboard;
const alerts = (
  parse(readFileSync(ALERTS, 'utf8')) as { groups: { rules: { alert: string; expr: string }[] }[] }
).groups.flatMap(({ rules }) => rules);

/** As Grafana fills them in, for an interval of the test's. */
const filled = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '10s').replaceAll('$instance', '.*');

const queries = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => ({ what: title, expr: filled(expr), legendFormat })),
  ),
  ...dashboard.annotations.list.map(({ expr }) => ({
    what: 'annotation',
    expr: filled(expr),
    legendFormat: '',
  })),
  ...alerts.map(({ alert, expr }) => ({ what: alert, expr, legendFormat: '' })),
];

describe('the dashboard', () => {
  test('its panels have ids and places of their own', () => {
    assert.equal(dashboard.uid, 'varvel');
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
    for (const { type, title, datasource, targets } of dashboard.panels) {
      assert.ok(['row', 'stat', 'timeseries'].includes(type), title);
      if (type === 'row') continue;
      assert.deepEqual(datasource, { type: 'prometheus', uid: '${datasource}' }, title);
      assert.ok(targets !== undefined && targets.length > 0, title);
      const refs = targets.map(({ refId }) => refId);
      assert.equal(new Set(refs).size, refs.length, title);
      for (const { expr } of targets) {
        for (const [, name] of expr.matchAll(/\$(\w+)/g))
          assert.ok(name === '__rate_interval' || variables.includes(name!), `${title}: $${name}`);
        assert.ok(expr.includes('$instance'), `${title} is of the chosen hosts`);
      }
    }
  });
});

describe('its queries and the alerts', () => {
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
      config: ['cgroup_hierarchy: v2'],
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
    const target = `127.0.0.1:${(exporter.address() as AddressInfo).port}`;
    writeFileSync(
      join(folder, 'prometheus.yml'),
      `global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [${ALERTS}]\nscrape_configs:\n- {job_name: varvel, static_configs: [{targets: ["${target}"]}]}\n`,
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
    for (const { what, expr, legendFormat } of queries) {
      const { selectors, groupings } = readPromql(expr);
      assert.ok(selectors.length > 0, what);
      const known = new Set<string>();
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
    // Nothing was lost, nothing was old: these are empty as long as all is well.
    const quiet = /^(?:Records lost|annotation|Varvel(?!SpoolFills))/;
    for (const { what, expr } of queries) {
      await query(expr);
      if (!quiet.test(what) || what === 'Records lost in the last hour')
        if (!what.startsWith('Varvel'))
          await answered(`${what} shows something: ${expr}`, expr, (found) => found.length > 0);
    }
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
    const checked = spawnSync('promtool', ['check', 'rules', ALERTS], { encoding: 'utf8' });
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
