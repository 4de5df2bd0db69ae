// The agent with a Loggregator ingress on the other side, the tests' own or a real one: real containers, gRPC with mutual TLS.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { buildApp, E2eAgent, settled, until } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import { LoggregatorPeer } from '../support/loggregator-peer.ts';
import type { ReceivedEnvelope } from '../support/loggregator-server.ts';
import { prometheusSums } from '../support/prometheus.ts';

const RULES = `
- rule: Data file opened
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name = /data/file
  output: opened by %proc.cmdline
  priority: WARNING
- rule: Crown jewels opened
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name = /data/jewels
  output: opened by %proc.cmdline
  priority: CRITICAL
`;
const SCRIPT = 'mkdir /data; echo x > /data/file; echo x > /data/jewels; exec sleep 600';

/** Busybox's shell runs its cat as /proc/self/exe. */
const BY_CAT = /opened by (?:cat|exe) \/data\//;

let engine: TestDockerd;
let folder: string;
let server: LoggregatorPeer;
let appMount: string;
let streams: string[];

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
  folder = mkdtempSync(join(tmpdir(), 'varvel-loggregator-'));
  appMount = buildApp(folder);
  server = await LoggregatorPeer.start(folder);
  const { address, ca, cert, key } = server;
  streams = [
    'container: {enabled: false}',
    `loggregator: {enabled: true, address: '${address}', ca: ${ca}, cert: ${cert}, key: ${key}}`,
  ];
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const startAgent = (config: readonly string[] = []): Promise<E2eAgent> =>
  E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    streams,
    config,
  });

const guidOf = (app: string): string => `${app}-0000-4000-8000-000000000000`;

function runApp(app: string): Promise<Docker.Container> {
  return runContainer(engine, SCRIPT, {
    labels: {
      'varvel.enable': 'true',
      'varvel.app': app,
      'varvel.app-guid': guidOf(app),
      'varvel.instance': '2',
    },
    hostConfig: { Binds: [appMount] },
  });
}

async function known(agent: E2eAgent, ...apps: Docker.Container[]): Promise<void> {
  for (const app of apps) {
    await until('it is watched', async () => {
      return (await agent.containerStatus(app.id))?.state === 'included';
    });
  }
}

const of = (app: string, rule: string): ReceivedEnvelope[] =>
  server.envelopes.filter(
    ({ source_id: id, tags }) => id === guidOf(app) && tags['varvel_rule'] === rule,
  );

const seqs = (envelopes: readonly ReceivedEnvelope[]): number[] =>
  envelopes.map(({ tags }) => Number(tags['varvel_seq']));

test('a detection is an envelope of its app, and of no other', async () => {
  await using agent = await startAgent();
  const [shop, other] = [await runApp('shop'), await runApp('other')];
  try {
    await known(agent, shop, other);
    // What its own shell opened at its start comes first.
    await until('its shell’s has arrived', () => of('shop', 'Data file opened').length > 0);
    const before = of('shop', 'Data file opened').length;
    assert.equal(await execInContainer(shop, 'cat /data/file'), 0);
    const [line] = await until('it has arrived', () => {
      const found = of('shop', 'Data file opened').slice(before);
      return found.length > 0 ? found : undefined;
    });
    assert.deepEqual([line?.instance_id, line?.log?.type], ['2', 'OUT']);
    assert.equal(line?.tags['source_type'], 'VARVEL');
    const { app, output } = JSON.parse(line.log!.payload.toString()) as {
      app: { name: string };
      output: string;
    };
    assert.equal(app.name, 'shop');
    assert.match(output, BY_CAT);
    await until('the operator has it too', () =>
      agent.detections('Data file opened').some(({ output: own }) => own === output),
    );
  } finally {
    for (const app of [shop, other]) await app.remove({ force: true });
  }
});

test('its metrics come by the same way, the last at its end, and are those that Prometheus has', async () => {
  server.envelopes.length = 0;
  await using agent = await startAgent();
  const app = await runApp('counted');
  try {
    await known(agent, app);
    assert.equal(await execInContainer(app, 'cat /data/file /data/jewels'), 0);
    await until('both have arrived', () => of('counted', 'Crown jewels opened').length > 0);
    await settled(agent);
    const text = await agent.metrics();
    // Those that it sends every 30 s have other numbers.
    const already = server.envelopes.length;
    assert.equal((await agent.end()).code, 0);
    const last = await until('the last ones are here', () => {
      const found = server.envelopes.slice(already).filter(({ source_id: id }) => id === 'varvel');
      return found.some(({ gauge }) => gauge !== undefined) ? found : undefined;
    });
    const counters = last.filter(({ counter }) =>
      /^varvel_(detections|stream)/.test(counter?.name ?? ''),
    );
    assert.ok(counters.length >= 6);
    for (const { counter, tags } of counters) {
      const labels = Object.fromEntries(
        Object.entries(tags).filter(([name]) => ['priority', 'stream', 'result'].includes(name)),
      );
      assert.equal(
        Number(counter?.total),
        prometheusSums(text, counter?.name ?? '', labels),
        `${counter?.name ?? ''} ${JSON.stringify(labels)}`,
      );
    }
  } finally {
    await app.remove({ force: true });
  }
});

test('an agent killed in mid-flood: every numbered line arrives; what comes twice has the same id', async (t) => {
  server.envelopes.length = 0;
  await using agent = await startAgent(['limits: {enabled: false}']);
  const app = await runApp('killed');
  try {
    await known(agent, app);
    // The receiver is slow, so that lines wait.
    server.slowMs = 100;
    const flood = execInContainer(app, '/app storm 1000 /data/file; /app storm 1000 /data/file');
    await until('some have arrived', () => of('killed', 'Data file opened').length >= 300);
    agent.kill('SIGKILL');
    await until('it is gone', () => !agent.running);
    server.slowMs = 0;
    assert.equal(await flood, 0);
    const arrived = server.envelopes.length;
    await agent.run();
    await until('what waited has arrived', async () => {
      const { streams: all } = await agent.snapshot();
      const spool = (all['loggregator'] as unknown as { spool: { waiting: number } }).spool;
      return spool.waiting === 0;
    });
    const lines = server.envelopes.filter(({ source_id: id }) => id === guidOf('killed'));
    const numbers = new Map(lines.map((line) => [line.tags['varvel_id'], line]));
    const ordered = [...numbers.values()].map(({ tags }) => Number(tags['varvel_seq']));
    // Written by the agent that was killed: the next one numbers anew.
    const first = ordered.slice(0, ordered.lastIndexOf(Math.max(...ordered)) + 1);
    assert.ok(lines.length > arrived, 'some waited');
    assert.deepEqual(
      first,
      first.map((_, nth) => nth + 1),
      'no number is missing',
    );
    t.diagnostic(
      `${arrived} before the kill, ${numbers.size - arrived} after it, ${lines.length - numbers.size} twice`,
    );
  } finally {
    server.slowMs = 0;
    await app.remove({ force: true });
  }
});

test('20 apps flood, the ingress goes away and comes back: nothing is lost unsaid, and a quiet app’s critical line comes first', async (t) => {
  server.envelopes.length = 0;
  await using agent = await startAgent(['limits: {enabled: false}']);
  const names = Array.from({ length: 20 }, (_, n) => `flood${String(n).padStart(3, '0')}`);
  const all = [...names, 'quiet'];
  const apps = await Promise.all(names.map(runApp));
  const quiet = await runApp('quiet');
  try {
    await known(agent, ...apps, quiet);
    // 3000 each: 60,000.
    const storm = '/app storm 1000 /data/file;';
    const floods = apps.map((app) => execInContainer(app, storm.repeat(3)));
    await until('lines arrive', () => server.envelopes.length > 2000);
    server.stop();
    await delay(1000);
    await server.restart();
    assert.equal(await execInContainer(quiet, 'cat /data/jewels'), 0);
    const quietLines = (): string[] =>
      server.envelopes.flatMap(({ source_id: id, log }) =>
        id === guidOf('quiet') ? [log?.payload.toString() ?? ''] : [],
      );
    // 21 processes that never wait share the processors with the agent.
    const [line] = await until(
      () =>
        `the critical line among ${server.envelopes.length}, of which the quiet app has ${quietLines().join('; ')}`,
      () => {
        const found = of('quiet', 'Crown jewels opened').filter(({ log }) =>
          BY_CAT.test(log!.payload.toString()),
        );
        return found.length > 0 ? found : undefined;
      },
      240_000,
    );
    const waitedMs = Date.now() - Number(BigInt(line!.timestamp) / 1_000_000n);
    const beside = server.envelopes.length;
    assert.deepEqual([line?.log?.type, line?.tags['varvel_priority']], ['ERR', 'Critical']);
    assert.ok((await Promise.all(floods)).every((code) => code === 0));
    const snapshot = await until(
      'all has arrived',
      async () => {
        const now = await agent.snapshot();
        const { spool } = now.streams['loggregator'] as unknown as { spool: { waiting: number } };
        return spool.waiting === 0 && (now.delivery.streams['loggregator']?.waiting ?? 1) === 0
          ? now
          : undefined;
      },
      120_000,
    );
    const made = snapshot.engine.detections['Data file opened'] ?? 0;
    await until(
      'and what is missing is said',
      () =>
        arrivedOf(all) + told(all, 'Varvel: lines lost') >= made &&
        told(all, 'Varvel: events lost') >= snapshot.kernel.dropped,
      60_000,
    );
    assert.equal(told(all, 'Varvel: events lost'), snapshot.kernel.dropped);
    const arrived = arrivedOf(all);
    assert.ok(made + snapshot.kernel.dropped >= 60_000);
    assert.ok(arrived >= 0.99 * made, `${arrived} of ${made}`);
    assert.equal(arrived + told(all, 'Varvel: lines lost'), made);
    for (const name of names) {
      const numbers = seqs(of(name, 'Data file opened'));
      assert.deepEqual(
        numbers,
        [...numbers].sort((a, b) => a - b),
        `${name}: in order`,
      );
    }
    t.diagnostic(
      `${made} detections of 20 apps (${snapshot.kernel.dropped} records lost in the kernel), ${arrived} arrived, ${told(all, 'Varvel: lines lost')} told as lost; ` +
        `the quiet app's line after ${waitedMs} ms, when ${beside} had arrived`,
    );
  } finally {
    for (const app of [...apps, quiet]) await app.remove({ force: true });
  }
});

const arrivedOf = (names: readonly string[]): number =>
  names.reduce((sum, name) => sum + new Set(seqs(of(name, 'Data file opened'))).size, 0);

/** What the lines of that rule say is missing. */
const told = (names: readonly string[], rule: string): number =>
  names
    .flatMap((name) => of(name, rule))
    .reduce((sum, { log }) => {
      const { output_fields: fields } = JSON.parse(log!.payload.toString()) as {
        output_fields: Record<string, number>;
      };
      return sum + (fields['lost.count'] ?? 0);
    }, 0);
