import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import {
  engine,
  run,
  describe,
  logLines,
  until,
  fifoOf,
  settled,
  newStream,
  nextDelivery,
  deliveryAt,
  theLine,
} from '../support/container-log.ts';
import { execInContainer } from '../support/e2e-docker.ts';
import { processesNaming } from '../support/processes.ts';
import { containerOf } from '../unit/streams/delivery-fixture.ts';

test('a detection of the run before never cuts off the log of the next', async () => {
  const app = await run('echo started; exec sleep 600');
  await settled(app);
  const old = nextDelivery(app.container);
  const state = { restarting: true };
  const restart = app.docker.restart({ t: 0 }).finally(() => (state.restarting = false));
  const stream = newStream();
  let tries = 0;
  while (state.restarting) {
    await stream.deliver(old);
    tries++;
    await new Promise(setImmediate);
  }
  await restart;
  assert.ok(tries > 20);
  await until(
    'the second run has written',
    async () => (await logLines(app)).filter((text) => text === 'started').length === 2,
  );
  // The same, now that the shim writes: it is held back only as long as it must be.
  const again = { ...app, container: await describe(app.docker) };
  const late = deliveryAt(again.container, old.detection.timeNs);
  assert.ok(statSync(join(fifoOf(again), '..'), { bigint: true }).mtimeNs > late.detection.timeNs);
  assert.equal(await newStream().deliver(late), true);
  await theLine(again, late.seq);
});

test('a command that is run in the container does not make what was detected before it another run’s', async () => {
  const app = await run('echo started; exec sleep 600');
  await settled(app);
  // As the engine described it before it had a process: what is detected in its first moments is told by that.
  const container = { ...app.container, initPid: 0 };
  const early = nextDelivery(container);
  // Files’ times are those of the last tick of the kernel’s clock, up to 10 ms ago.
  await delay(20);
  assert.equal(await execInContainer(app.docker, 'true'), 0);
  assert.ok(statSync(join(fifoOf(app), '..'), { bigint: true }).mtimeNs > early.detection.timeNs);
  const stream = newStream();
  assert.equal(await stream.deliver(early), true);
  await theLine(app, early.seq);
  const own = { ...early, detection: { ...early.detection, source: 'varvel' as const } };
  assert.equal(stream.accepts(own), true, 'that lines were lost is told too');
  await app.docker.remove({ force: true });
  assert.equal(stream.accepts(own), false);
  assert.equal(await stream.deliver(early), false);
});

test('a detection during the start is held until the shim is ready, and does not spoil the start', async () => {
  for (let round = 0; round < 5; round++) await detectDuringStart(async (start) => await start);
});

test('it is held for as long as a busy host takes to start a container', async () => {
  await detectDuringStart(async (start, { id }) => {
    const creating = processesNaming(id).filter(({ argv }) => argv.includes('create'));
    assert.ok(creating.length > 0, 'runc is at work');
    for (const { pid } of creating) process.kill(pid, 'SIGSTOP');
    await delay(2000);
    for (const { pid } of creating) process.kill(pid, 'SIGCONT');
    await start;
  });
});

/** Delivers while the runtime sets a container up, whose start is seen through by `meanwhile`. */
async function detectDuringStart(
  meanwhile: (start: Promise<unknown>, container: Docker.Container) => Promise<unknown>,
): Promise<void> {
  const docker = await engine.docker.createContainer({
    Image: await engine.importBusybox(),
    Cmd: ['/bin/sh', '-c', 'echo started; exec sleep 600'],
    HostConfig: { NetworkMode: 'none' },
  });
  const container = containerOf({ fullId: docker.id });
  const start = docker.start();
  // From here on the runtime's own processes are in the container's cgroup, and events can name it; the
  // shim opens the FIFO only some milliseconds later.
  const deadline = Date.now() + 15_000;
  while (!isSetUp(docker.id)) {
    assert.ok(Date.now() < deadline);
    await new Promise(setImmediate);
  }
  const delivery = deliveryAt(container, BigInt(Date.now() + 1) * 1_000_000n);
  const delivered = newStream().deliver(delivery);
  await meanwhile(start, docker);
  assert.equal(await delivered, true);
  const app = { docker, container };
  await until('the app has written', async () => (await logLines(app)).includes('started'));
  await theLine(app, delivery.seq);
  await docker.remove({ force: true });
}

function isSetUp(id: string): boolean {
  const runtime = join(engine.execRoot, 'runtime-runc');
  return (
    existsSync(runtime) &&
    readdirSync(runtime).some((namespace) => existsSync(join(runtime, namespace, id, 'exec.fifo')))
  );
}
