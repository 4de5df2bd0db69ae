// The agent's own metrics on their way to the platform: a real gRPC server with mutual TLS on the other side.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AgentMetrics } from '../../src/metrics/metrics.ts';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import { MetricSender } from '../../src/streams/loggregator/metric-sender.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { until } from '../support/e2e-agent.ts';
import { LoggregatorServer } from '../support/loggregator-server.ts';
import { prometheusSums } from '../support/prometheus.ts';

let folder: string;
let authority: Authority;
let client: Certificate;
let server: LoggregatorServer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-metrics-'));
  authority = new Authority(folder);
  client = authority.issue('varvel');
  server = new LoggregatorServer(authority.ca, authority.issue('metron'));
  await server.start();
});

after(() => {
  server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('the platform has the totals that Prometheus has, also when it was away; a delta is never lost or sent twice', async () => {
  let dropped = 4;
  let suppressed = 2;
  const warned: string[] = [];
  const metrics = new AgentMetrics('1', {
    probe: () => ({
      emitted: 100,
      dropped,
      skipped: 0,
      readErrors: 0,
      scopeFull: 0,
      deniedDropped: 0,
    }),
    suppressed: () => suppressed,
    cgroups: () => ({ pending: 1, included: 2, excluded: 3 }),
    streams: () => [
      ['loggregator', { spooled: 5, sent: 3, refused: 1, failed: 1, dropped: 2, waiting: 0 }],
    ],
    spools: () => [
      {
        name: 'loggregator',
        counters: {
          retries: 0,
          spool: {
            waiting: 7,
            bytes: 4096,
            maxBytes: 1 << 20,
            recovered: 0,
            unreadBytes: 0,
            refused: 0,
            dropped: 0,
            givenUp: 0,
            inMemory: 0,
            setAside: 0,
          },
        },
      },
    ],
  });
  for (const rule of ['one', 'two']) metrics.countDetection(rule, 'Warning');
  metrics.countDetection('one', 'Critical');
  let beforeRound: () => void = () => undefined;
  const sender = new MetricSender({
    config: {
      enabled: true,
      format: 'json',
      address: server.address,
      ca: authority.ca,
      ...client,
      serverName: 'metron',
      sourceType: 'VARVEL',
      linesPerSecond: 1,
      metrics: { enabled: true, intervalMs: 50, sourceId: 'varvel' },
    },
    hostname: 'cell 1',
    samples: () => {
      beforeRound();
      return metrics.samples();
    },
    logger: { ...SILENT_LOGGER, warn: (_, text) => warned.push(text) },
  });
  const rounds = (): number =>
    server.envelopes.filter(({ counter }) => counter?.name === 'varvel_records_emitted_total')
      .length;
  await until('three rounds', () => rounds() >= 3);
  // Between rounds: of one that ends in the middle of a call nobody knows whether it took what it was sent.
  await new Promise<void>((resolve) => {
    beforeRound = () => {
      beforeRound = () => undefined;
      server.stop();
      resolve();
    };
  });
  [dropped, suppressed] = [11, 12];
  metrics.countDetection('three', 'Warning');
  await until('it was missed', () => warned.length > 0);
  await server.start();
  const before = rounds();
  await until('two more', () => rounds() >= before + 2);
  await sender.stop();

  assert.deepEqual(warned.length, 1);
  const sums = new Map<string, { delta: number; total: number }>();
  const gauges = new Map<string, number>();
  for (const {
    counter,
    gauge,
    tags,
    source_id: source,
    instance_id: instance,
  } of server.envelopes) {
    const { origin, source_id: id, instance_id: from, ...own } = tags;
    assert.deepEqual(
      [source, instance, origin, id, from],
      ['varvel', 'cell-1', 'varvel', 'varvel', 'cell-1'],
    );
    const key = (name: string): string => JSON.stringify([name, own]);
    if (counter !== undefined) {
      const last = sums.get(key(counter.name)) ?? { delta: 0, total: 0 };
      sums.set(key(counter.name), {
        delta: last.delta + Number(counter.delta),
        total: Number(counter.total),
      });
    }
    for (const [name, { value }] of Object.entries(gauge?.metrics ?? {}))
      gauges.set(key(name), value);
  }
  const text = await metrics.text();
  assert.equal(sums.size, 10);
  for (const [key, { delta, total }] of sums) {
    const [name, tags] = JSON.parse(key) as [string, Record<string, string>];
    assert.equal(total, prometheusSums(text, name, tags), key);
    assert.equal(delta, total, key);
  }
  assert.equal(sums.get('["varvel_detections_total",{"priority":"Warning"}]')?.total, 3);
  const lines = (result: string): number | undefined =>
    sums.get(JSON.stringify(['varvel_stream_deliveries_total', { stream: 'loggregator', result }]))
      ?.total;
  assert.deepEqual([lines('spooled'), lines('sent'), lines('delivered')], [5, 3, undefined]);
  for (const key of gauges.keys()) {
    const [name, tags] = JSON.parse(key) as [string, Record<string, string>];
    if (name.startsWith('process_')) continue;
    assert.equal(gauges.get(key), prometheusSums(text, name, tags), key);
  }
  assert.equal(gauges.get('["varvel_spool_bytes",{"stream":"loggregator"}]'), 4096);
  assert.ok((gauges.get('["process_resident_memory_bytes",{}]') ?? 0) > 1e6);
  assert.ok((gauges.get('["process_cpu_seconds_total",{}]') ?? 0) > 0);
});
