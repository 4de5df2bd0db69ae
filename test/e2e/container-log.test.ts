import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import {
  ContainerLogStream,
  type ContainerLogCounters,
} from '../../src/streams/container/container-log-stream.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, quantile, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, logLines, runContainer } from '../support/e2e-docker.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';

const RULE = 'Sensitive file read';
const ENABLED = { 'varvel.enable': 'true' };
const ATTACK = 'cat /etc/shadow > /dev/null';

let engine: TestDockerd;

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

/** Not what the agent says of itself, such as that nobody watched before its start. */
const isOurs = (line: string): boolean =>
  line.startsWith('{"time":') && !line.includes('"rule":"Varvel: ');

/** Our lines of a container's log, parsed, once there are as many as expected. */
async function ourLines(
  container: Docker.Container,
  count: number,
  tty = false,
): Promise<DetectionLine[]> {
  const ours = await until(`${count} lines in the log`, async () => {
    const lines = (await logLines(engine, container, tty)).filter(isOurs);
    return lines.length >= count && lines;
  });
  assert.equal(ours.length, count);
  return ours.map((line) => JSON.parse(line) as DetectionLine);
}

const remove = (container: Docker.Container): Promise<unknown> => container.remove({ force: true });

test('the line stands in docker logs once, among the app’s own, and is the operator’s line', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const told = join(agent.folder, 'told');
  mkdirSync(told);
  const untilTold = (name: string): string => `until [ -e /told/${name} ]; do sleep 0.05; done`;
  const app = await runContainer(
    engine,
    `echo before; ${untilTold('attack')}; ${ATTACK}; ${untilTold('go-on')}; echo after; sleep 600`,
    { labels: { ...ENABLED, 'varvel.app': 'shop' }, hostConfig: { Binds: [`${told}:/told:ro`] } },
  );
  const says = async (text: string): Promise<boolean> =>
    (await logLines(engine, app)).includes(text);
  try {
    // Its own lines come through its shim, and ours do not: each is there before the next is written.
    await until('the app has begun', () => says('before'));
    writeFileSync(join(told, 'attack'), '');
    await ourLines(app, 1);
    writeFileSync(join(told, 'go-on'), '');
    await until('the app goes on', () => says('after'));
    await settled(agent);
    const [line] = await ourLines(app, 1);
    assert.deepEqual(line, agent.detections()[0]);
    assert.equal(agent.detections().length, 1);
    assert.deepEqual(line?.app, { name: 'shop' });
    const lines = await logLines(engine, app);
    assert.deepEqual(
      lines.map((text) => (isOurs(text) ? RULE : text)),
      ['before', RULE, 'after'],
    );
  } finally {
    await remove(app);
  }
});

test('unended output, a terminal, and an app that closes or swaps its stdout', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const cases = [
    { script: `printf 'no newline> '; sleep 0.3; ${ATTACK}; sleep 600`, own: ['no newline> '] },
    {
      script: `echo up; printf '$ '; sleep 0.3; ${ATTACK}; sleep 600`,
      own: ['up', '$ '],
      tty: true,
    },
    { script: `echo up; exec >&-; sleep 0.3; cat /etc/shadow 2>/dev/null; sleep 600`, own: ['up'] },
    { script: `echo up; exec >/tmp/log; sleep 0.3; ${ATTACK}; sleep 600`, own: ['up'] },
    { script: `echo up; exec >/dev/null; sleep 0.3; ${ATTACK}; sleep 600`, own: ['up'] },
  ];
  const containers: Docker.Container[] = [];
  try {
    for (const { script, own, tty = false } of cases) {
      const app = await runContainer(engine, script, { labels: ENABLED, tty });
      containers.push(app);
      const [line] = await ourLines(app, 1, tty);
      assert.equal(line?.output_fields['container.id'], app.id.slice(0, 12), script);
      // They come through the app's shim, and may be later than ours.
      const others = await until(`what the app itself said: ${script}`, async () => {
        const lines = await logLines(engine, app, tty);
        const found = lines.filter((text) => !isOurs(text));
        return found.length >= own.length && found;
      });
      assert.deepEqual(others, own, script);
    }
    const { delivery } = await settled(agent);
    assert.equal(delivery.streams['container']?.delivered, cases.length);
    assert.equal(agent.detections(RULE).length, cases.length);
  } finally {
    await Promise.all(containers.map(remove));
  }
});

test('after a restart of the agent lines go on, each once', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const app = await runContainer(engine, 'sleep 600', { labels: ENABLED });
  try {
    await until('it is known', async () => (await agent.containerStatus(app.id))?.name);
    assert.equal(await execInContainer(app, ATTACK), 0);
    await ourLines(app, 1);
    assert.equal((await agent.end()).code, 0);
    assert.equal(await execInContainer(app, ATTACK), 0);
    await agent.run();
    assert.equal(await execInContainer(app, ATTACK), 0);
    const lines = await ourLines(app, 2);
    await settled(agent);
    assert.equal(new Set(lines.map(({ id }) => id)).size, 2);
    assert.deepEqual(
      lines,
      agent.detections().filter(({ source }) => source !== 'varvel'),
    );
  } finally {
    await remove(app);
  }
});

test('a container that ended first: its line is in the operator’s file, and counted', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const other = await runContainer(engine, 'sleep 600', { labels: ENABLED });
  await until('hooks are attached', async () => (await agent.containerStatus(other.id))?.name);
  // dockerd must have let go of the log before the agent can write: the agent stands still meanwhile.
  const app = await engine.docker.createContainer({
    Image: await engine.importBusybox(),
    Cmd: ['cat', '/etc/shadow'],
    Labels: ENABLED,
    HostConfig: { NetworkMode: 'none' },
  });
  try {
    agent.kill('SIGSTOP');
    await app.start();
    await app.wait();
    await until(
      'the log is closed',
      () => !existsSync(join(engine.execRoot, 'containerd', app.id)),
    );
    agent.kill('SIGCONT');
    const snapshot = await settled(agent);
    assert.equal(agent.detections(RULE).length, 1);
    assert.equal(agent.detections(RULE)[0]?.output_fields['container.id'], app.id.slice(0, 12));
    assert.deepEqual((await logLines(engine, app)).filter(isOurs), []);
    const { delivered, failed, endedFirst } = snapshot.streams['container'] as ContainerLogCounters;
    assert.deepEqual([delivered, failed, endedFirst], [0, 1, 1]);
  } finally {
    agent.kill('SIGCONT');
    await remove(app);
    await remove(other);
  }
});

test('a detection made while the runtime still sets the container up never breaks its start', async () => {
  // What an agent may take for the app's doing: it started meanwhile, or records were lost.
  const stream = new ContainerLogStream({ execRoots: [engine.execRoot], format: 'json' });
  const image = await engine.importBusybox();
  const { mountPoint } = detectHierarchy();
  const deliveries: Promise<boolean>[] = [];
  for (let round = 0; round < 5; round++) {
    const app = await engine.docker.createContainer({
      Image: image,
      Cmd: ['sh', '-c', 'echo one; sleep 0.2; echo two; exec sleep 600'],
      HostConfig: { NetworkMode: 'none' },
    });
    const members = join(mountPoint, 'docker', app.id, 'cgroup.procs');
    const state = { starting: true };
    const start = app.start().finally(() => (state.starting = false));
    start.catch(() => undefined);
    try {
      while (state.starting) {
        // From the first process on, which is the runtime's, there can be a detection.
        if (existsSync(members) && readFileSync(members, 'utf8') !== '') {
          const container = containerOf({ fullId: app.id, initPid: 0 });
          const timeNs = BigInt(Date.now()) * 1_000_000n;
          // Not awaited: it waits for the start.
          const seq = deliveries.length + 1;
          deliveries.push(stream.deliver(deliveryOf({ container, timeNs }, { seq })));
        }
        await delay(2);
      }
      await start;
      await until('the app’s output is whole', async () => {
        const lines = (await logLines(engine, app)).filter((line) => !isOurs(line));
        return lines.join() === 'one,two';
      });
    } finally {
      await remove(app);
    }
  }
  const written = await Promise.all(deliveries);
  assert.ok(written.length >= 5, `${written.length} detections came during the start`);
  const { delivered, failed } = stream.counters();
  assert.equal(delivered + failed, written.length);
});

test('docker wait and the container’s end are not delayed by the agent', async (t) => {
  const image = await engine.importBusybox();
  const measure = async (): Promise<number[]> => {
    const times: number[] = [];
    for (let index = 0; index < 20; index++) {
      const app = await engine.docker.createContainer({
        Image: image,
        Cmd: ['sh', '-c', `${ATTACK}; ${ATTACK}`],
        Labels: ENABLED,
        HostConfig: { NetworkMode: 'none' },
      });
      const started = performance.now();
      await app.start();
      // Asked now, and not for the next end before: that question may be overtaken by the start, and then is never answered.
      await app.wait();
      times.push(performance.now() - started);
      await remove(app);
    }
    return times;
  };
  const without = await measure();
  let lines = 0;
  let withAgent: number[];
  {
    await using agent = await E2eAgent.start({ dockerd: engine });
    withAgent = await measure();
    await settled(agent);
    lines = agent.detections(RULE).length;
  }
  assert.equal(lines, 40);
  const [before, now] = [quantile(without, 0.5), quantile(withAgent, 0.5)];
  t.diagnostic(
    `start to end of docker wait, median of 20: ${before.toFixed(0)} ms without, ${now.toFixed(0)} ms with the agent ` +
      `(max ${Math.max(...without).toFixed(0)} and ${Math.max(...withAgent).toFixed(0)} ms)`,
  );
  assert.ok(now < before + 1000, `${now} ms with, ${before} ms without`);
});
