// The agent's own canary: a real cgroup, the kernel, a Loggregator ingress, and a Log Cache that gives back what that took.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { canaryGroups } from '../../../src/agent/canary-container.ts';
import type { CanaryRun } from '../../../src/agent/canary-run.ts';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { Authority, type Certificate } from '../../support/certificates.ts';
import { E2eAgent, until } from '../../support/e2e-agent.ts';
import { LogCacheServer } from '../../support/log-cache-server.ts';
import { LoggregatorServer } from '../../support/loggregator-server.ts';
import { prometheusSums } from '../../support/prometheus.ts';
import { runCommand } from '../../support/run-command.ts';

const GUID = '5711bbdd-ef74-4626-ab17-ed29d72c3f7c';
/** No test waits for it. */
const LONG = '300s';
/** So long the tests wait that see nothing come. */
const SHORT = '8s';

const { mountPoint } = detectHierarchy();
const folder = mkdtempSync(join(tmpdir(), 'varvel-canary-'));
let ca: string;
let client: Certificate;
let ingress: LoggregatorServer;
let logCache: LogCacheServer;
/** Nobody asks it for a run: it has the time of all other tests for the first one by itself. */
let alone: E2eAgent;

before(async () => {
  const authority = new Authority(folder);
  ({ ca } = authority);
  client = authority.issue('varvel');
  ingress = new LoggregatorServer(ca, authority.issue('metron'));
  const certificate = authority.issue('log-cache', ['IP:127.0.0.1']);
  logCache = new LogCacheServer(ca, certificate, () => ingress.envelopes);
  await Promise.all([ingress.start(), logCache.start()]);
  alone = await startAgent('50s', { guid: 'alone', interval: '1m' });
});

after(async () => {
  await alone[Symbol.asyncDispose]();
  ingress.stop();
  logCache.stop();
  rmSync(folder, { recursive: true, force: true });
});

function startAgent(
  timeout: string,
  {
    read = true,
    guid = GUID,
    interval = '24h',
    config = [],
  }: { read?: boolean; guid?: string; interval?: string; config?: readonly string[] } = {},
): Promise<E2eAgent> {
  const tls = `ca: ${ca}, cert: ${client.cert}, key: ${client.key}`;
  const from = read ? `, read: {log_cache: {address: '${logCache.url}', ${tls}}}` : '';
  return E2eAgent.start({
    streams: [
      'container: {enabled: false}',
      `loggregator: {enabled: true, address: '${ingress.address}', ${tls}}`,
    ],
    config: [
      `canary: {enabled: true, interval: ${interval}, timeout: ${timeout}, app: {guid: ${guid}, space: ops, org: platform}${from}}`,
      ...config,
    ],
  });
}

/** `varvel canary`, beside the servers, which are in this process. */
async function runCanary(agent: E2eAgent): Promise<{ code: number; run: CanaryRun }> {
  const { code, out, err } = await runCommand('canary', '--json', '--config', agent.configFile);
  assert.equal(err, '');
  return { code, run: JSON.parse(out) as CanaryRun };
}

const groupsOf = (agent: E2eAgent): string[] =>
  canaryGroups(mountPoint, join(agent.folder, 'state')).filter((group) => existsSync(group));

test('its detection comes out of the log system, and nothing is left', async () => {
  await using agent = await startAgent(LONG, { config: ['coverage: {interval: 5s}'] });
  assert.match(agent.varvel('status').stdout, /^canary: no run yet/m);
  const { code, run } = await runCanary(agent);
  assert.deepEqual([code, run.result, run.hop], [0, 'seen', 'log system'], run.says);
  assert.ok(run.seconds !== undefined && run.seconds > 0);
  assert.deepEqual(groupsOf(agent), []);

  // All that is said of its app is this one line, which pages nobody; no coverage either.
  const lines = await until('the operator has it', () => {
    const found = agent.detections().filter(({ app }) => app?.['guid'] === GUID);
    return found.length > 0 ? found : undefined;
  });
  assert.deepEqual(
    lines.map(({ rule, priority, app }) => [rule, priority, app?.['name'], app?.['space']]),
    [['Varvel canary', 'Informational', 'varvel-canary', 'ops']],
  );
  const envelopes = ingress.envelopes.filter(({ source_id: id }) => id === GUID);
  assert.deepEqual(
    envelopes.map(({ tags, log }) => [tags['varvel_rule'], log?.type]),
    [['Varvel canary', 'OUT']],
  );

  const metrics = await agent.metrics();
  const count = (result: string): number | undefined =>
    prometheusSums(metrics, 'varvel_canary_runs_total', { result });
  assert.deepEqual(['seen', 'delivered', 'not_seen', 'failed'].map(count), [1, 0, 0, 0]);
  assert.match(metrics, /^varvel_canary_seconds \d/m);
  assert.match(metrics, /^varvel_canary_last_seen_timestamp_seconds \d{10}/m);
  const status = agent.varvel('status').stdout;
  assert.match(
    status,
    /^canary at \S+Z: Its line came out of the log system after .* Runs: 1 seen$/m,
  );
  assert.equal((await agent.end()).code, 0);
  assert.deepEqual(groupsOf(agent), []);
});

test('runs at the same time are one', async () => {
  await using agent = await startAgent(LONG);
  const runs = await Promise.all([runCanary(agent), runCanary(agent), runCanary(agent)]);
  assert.equal(new Set(runs.map(({ run }) => JSON.stringify(run))).size, 1);
  const second = await runCanary(agent);
  assert.equal(second.run.result, 'seen', second.run.says);
  assert.equal((await agent.snapshot()).canary?.runs.seen, 2);
});

test('an ingress that is down: not seen, and the stream is named; what waited arrives later', async () => {
  await using agent = await startAgent(SHORT);
  ingress.stop();
  try {
    const { code, run } = await runCanary(agent);
    assert.deepEqual([code, run.result, run.hop], [1, 'not_seen', 'stream'], run.says);
    assert.match(run.says, /in the stream loggregator it waits for the receiver/);
    await agent.logged(/"level":"warn".*Canary: Its line did not come out of Log Cache/);
    const status = agent.varvel('status').stdout;
    assert.match(status, /^CANARY NOT SEEN at .*loggregator.* Runs: 1 not seen$/m);
    assert.deepEqual(groupsOf(agent), []);
  } finally {
    await ingress.start();
  }
});

test('a Log Cache without its line: not seen, and every receiver had it', async () => {
  await using agent = await startAgent(SHORT);
  logCache.misbehaviour = (_, response) => response.end('{"envelopes":{"batch":[]}}');
  try {
    const { code, run } = await runCanary(agent);
    assert.deepEqual([code, run.result, run.hop], [1, 'not_seen', 'receiver'], run.says);
    assert.match(
      run.says,
      /their receivers \(.*loggregator.*\); after that it was not seen\. Log Cache was asked \d+ times/,
    );
  } finally {
    logCache.misbehaviour = undefined;
  }
});

test('a Log Cache that refuses us: nobody knows, and it says why', async () => {
  await using agent = await startAgent(SHORT);
  logCache.misbehaviour = (_, response) => response.writeHead(401).end();
  try {
    const { code, run } = await runCanary(agent);
    assert.deepEqual([code, run.result], [1, 'failed'], run.says);
    assert.match(run.says, /rejects the agent’s credentials \(401\)/);
  } finally {
    logCache.misbehaviour = undefined;
  }
});

test('without a log system to read: delivered, and it says that this is all it knows', async () => {
  await using agent = await startAgent(LONG, { read: false });
  const { code, run } = await runCanary(agent);
  assert.deepEqual([code, run.result], [0, 'delivered'], run.says);
  assert.match(run.says, /\(.*loggregator.*\) .*canary\.read names none/);
});

test('without its rule it fails, and says what to do', async () => {
  await using agent = await startAgent(LONG, { config: ['minimum_priority: notice'] });
  const { code, run } = await runCanary(agent);
  assert.deepEqual([code, run.result], [1, 'failed']);
  assert.match(run.says, /The rule "Varvel canary" is not on: .*minimum_priority/);
});

test('an agent that is killed in a run leaves a cgroup, which the next one removes with what is in it', async () => {
  await using agent = await startAgent(LONG);
  let left: string | undefined;
  for (let tries = 0; left === undefined && tries < 50; tries++) {
    if (!agent.running) await agent.run();
    const over = new AbortController();
    const asked = runCommand('canary', '--config', agent.configFile).finally(() => over.abort());
    while (!over.signal.aborted && groupsOf(agent).length === 0) await setImmediate();
    await agent.end('SIGKILL');
    await asked;
    left = groupsOf(agent)
      .flatMap((group) => readdirSync(group, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map(({ parentPath, name }) => join(parentPath, name))[0];
  }
  assert.ok(left !== undefined, 'one was left');
  const stuck = spawn('sh', ['-c', `echo 0 > ${left}/cgroup.procs && echo in && exec sleep 600`]);
  await once(stuck.stdout, 'data');
  const ended = once(stuck, 'exit');
  await agent.run();
  assert.deepEqual(groupsOf(agent), []);
  assert.equal((await ended)[1], 'SIGKILL');
  const { apps } = await agent.snapshot();
  assert.deepEqual(apps.containers, [], 'nobody took it for an app');
  const { run } = await runCanary(agent);
  assert.equal(run.result, 'seen', run.says);
});

test('it ends at once with the agent, and leaves nothing', async () => {
  await using agent = await startAgent(LONG);
  logCache.misbehaviour = () => undefined;
  try {
    const looks = (): number => logCache.asked.filter((path) => path.includes(GUID)).length;
    const before = looks();
    const asked = runCommand('canary', '--config', agent.configFile);
    await until('the log system is asked', () => looks() > before);
    assert.equal((await agent.end()).code, 0);
    assert.equal((await asked).code, 1);
    assert.deepEqual(groupsOf(agent), []);
  } finally {
    logCache.misbehaviour = undefined;
  }
});

test('without a canary nobody can ask for a run', async () => {
  await using agent = await E2eAgent.start({});
  const { code, err } = await runCommand('canary', '--config', agent.configFile);
  assert.equal(code, 1);
  assert.match(err, /The canary is off: set canary.enabled and canary.app.guid/);
  assert.equal((await agent.snapshot()).canary, undefined);
  assert.doesNotMatch(await agent.metrics(), /varvel_canary/);
});

test('it runs by itself, a minute and a little after the start', async () => {
  const { startedAtMs } = await alone.snapshot();
  const first = await until(
    'its first run is over',
    async () => (await alone.snapshot()).canary?.last,
    180_000,
  );
  assert.ok(first.atMs - startedAtMs > 60_000);
  await until(
    'one was seen',
    async () => ((await alone.snapshot()).canary?.runs.seen ?? 0) > 0,
    180_000,
  );
});
