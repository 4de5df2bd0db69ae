import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  engine,
  run,
  describe,
  logLines,
  fifoOf,
  settled,
  newStream,
  nextDelivery,
  deliveryAt,
  theLine,
} from '../../support/container-log.ts';
import { execInContainer, restartContainer } from '../../support/e2e-docker.ts';
import { processesNaming } from '../../support/processes.ts';
import { until } from '../../support/until.ts';
import { containerOf } from '../../unit/streams/delivery-fixture.ts';

test('a detection of the run before never cuts off the log of the next', async () => {
  const app = await run('echo started; exec sleep 600');
  await settled(app);
  const old = nextDelivery(app.container);
  const state = { restarting: true };
  const restart = restartContainer(app.docker).finally(() => (state.restarting = false));
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
  const goesOn = (): (() => Promise<void>) => () => Promise.resolve();
  for (let round = 0; round < 5; round++) await detectDuringStart(goesOn);
});

test('it is held for as long as a busy host takes to start a container', async () => {
  await detectDuringStart((id) => {
    const creating = processesNaming(id).filter(({ argv }) => argv.includes('create'));
    const stopped = creating.filter(({ pid }) => signal(pid, 'SIGSTOP'));
    if (stopped.length === 0) return undefined; // runc is at work no more
    return async () => {
      await delay(2000);
      for (const { pid } of stopped) signal(pid, 'SIGCONT');
    };
  });
});

/** Whether the process was there. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/**
 * Stops the runtime that sets a container up, if need be; gives what lets it go on again. Undefined when it had finished.
 */
type Hold = (id: string) => (() => Promise<void>) | undefined;

/**
 * Delivers while the runtime sets a container up. That lasts some milliseconds, and this process may not run in them: then it
 * is another container's turn.
 */
async function detectDuringStart(hold: Hold): Promise<void> {
  for (let tries = 1; !(await detectDuringThisStart(hold)); tries++)
    assert.ok(tries < 50, 'no start was seen');
}

async function detectDuringThisStart(hold: Hold): Promise<boolean> {
  const docker = await engine.docker.createContainer({
    Image: await engine.importBusybox(),
    Cmd: ['/bin/sh', '-c', 'echo started; exec sleep 600'],
    HostConfig: { NetworkMode: 'none' },
  });
  const container = containerOf({ fullId: docker.id });
  const state = { starting: true };
  const start = docker.start().finally(() => (state.starting = false));
  // From here on the runtime's own processes are in the container's cgroup, and events can name it; the
  // shim opens the FIFO only some milliseconds later.
  const deadline = Date.now() + 60_000;
  while (state.starting && !isSetUp(docker.id)) {
    assert.ok(Date.now() < deadline);
    await new Promise(setImmediate);
  }
  const goOn = state.starting ? hold(docker.id) : undefined;
  if (goOn === undefined) {
    await start;
    await docker.remove({ force: true });
    return false;
  }
  const delivery = deliveryAt(container, BigInt(Date.now() + 1) * 1_000_000n);
  const stream = newStream();
  const { detection } = delivery;
  const own = { ...delivery, detection: { ...detection, source: 'varvel' as const } };
  const isAccepted = stream.accepts(own);
  const delivered = stream.deliver(delivery);
  await goOn();
  await start;
  assert.equal(isAccepted, true, 'the agent’s notices are held, too');
  assert.equal(await delivered, true);
  const app = { docker, container };
  await until('the app has written', async () => (await logLines(app)).includes('started'));
  await theLine(app, delivery.seq);
  await docker.remove({ force: true });
  return true;
}

function isSetUp(id: string): boolean {
  const runtime = join(engine.execRoot, 'runtime-runc');
  return (
    existsSync(runtime) &&
    readdirSync(runtime).some((namespace) => existsSync(join(runtime, namespace, id, 'exec.fifo')))
  );
}
