// Containers that are paused, and what lets them go on: with real processes in real containers.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import { RULES, nextLine, outcomeOf } from './responses-fixture.ts';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

/** It counts as long as it may run, and reads the secret as often as it is told to. */
const COUNTS =
  'n=0; while :; do n=$((n+1)); echo $n > /tmp/n; if [ -e /tmp/read ]; then rm /tmp/read; read -r a < /etc/shadow; fi; sleep 0.05; done';
const ENTRY = 'responses: [{match: {tag: secrets}, do: pause, last_instance: true, mode: enforce}]';

/** An app that counts. Nobody can run a command in it while it is paused: it is looked at from the host. */
async function countingApp(name: string, policy?: string) {
  const app = await runContainer(engine, COUNTS, {
    labels: { 'varvel.enable': 'true', 'varvel.app': name },
    ...(policy === undefined ? {} : { hostConfig: { RestartPolicy: { Name: policy } } }),
  });
  const { Pid } = (await app.inspect()).State;
  const root = `/proc/${Pid}/root`;
  const count = (): string => readFileSync(`${root}/tmp/n`, 'latin1');
  /** Whether it has counted on by the time that it would have done so five times. */
  const runs = async (): Promise<boolean> => {
    const first = count();
    for (let left = 50; left > 0; left--) {
      await delay(100);
      if (count() !== first) return true;
    }
    return false;
  };
  return {
    app,
    runs,
    read: (): void => writeFileSync(`${root}/tmp/read`, ''),
    paused: (): Promise<unknown> =>
      until('it is paused', async () => {
        const first = count();
        await delay(500);
        return count() === first;
      }),
    goesOn: (): Promise<unknown> => until('it goes on', runs),
  };
}

test('a container is paused: it stands still, its neighbour does not; a reload, a lift and the agent’s end let it go on', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [ENTRY],
  });
  const [shop, blog] = [await countingApp('shop'), await countingApp('blog')];
  try {
    await shop.goesOn();
    shop.read();
    const line = await nextLine(engine, shop.app, 0);
    assert.match(line.output, / \| container paused, after this had happened$/);
    assert.deepEqual(
      ['varvel.response', 'varvel.response.outcome'].map((field) => line.output_fields[field]),
      ['pause', 'done'],
    );
    await shop.paused();
    assert.equal(await blog.runs(), true);
    assert.match(
      agent.varvel('status').stdout,
      /^PAUSED: container [\da-f]{12} of shop since .*, by "Shadow read"$/m,
    );
    assert.match(await agent.metrics(), /^varvel_paused_containers 1$/m);

    const taken = readFileSync(agent.configFile, 'utf8').replaceAll(', mode: enforce', '');
    writeFileSync(agent.configFile, taken);
    await agent.reload();
    await shop.goesOn();
    assert.doesNotMatch(agent.varvel('status').stdout, /PAUSED/);
    shop.read();
    assert.equal(outcomeOf(await nextLine(engine, shop.app, 1)), 'monitored');
    assert.equal(await shop.runs(), true);

    writeFileSync(
      agent.configFile,
      taken.replace('last_instance: true', 'last_instance: true, mode: enforce'),
    );
    await agent.reload();
    shop.read();
    await nextLine(engine, shop.app, 2);
    await shop.paused();
    assert.equal(agent.varvel('lift', '--app', 'shop').code, 0);
    await shop.goesOn();
    assert.equal(agent.varvel('lift', '--end').code, 0);

    blog.read();
    await nextLine(engine, blog.app, 0);
    await blog.paused();
    agent.kill('SIGTERM');
    await blog.goesOn();
  } finally {
    for (const { app } of [shop, blog]) await app.remove({ force: true });
  }
});

test('what a killed agent has left paused goes on by varvel lift, and with the next agent', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [ENTRY],
  });
  const [shop, blog] = [await countingApp('shop'), await countingApp('blog')];
  try {
    for (const it of [shop, blog]) {
      await it.goesOn();
      it.read();
      await nextLine(engine, it.app, 0);
      await it.paused();
      await agent.end('SIGKILL');
      assert.equal(await it.runs(), false, 'the kernel keeps it so');
      if (it === shop) assert.equal(agent.varvel('lift').code, 0);
      await agent.run();
      await it.goesOn();
    }
    assert.equal(await shop.runs(), true);
  } finally {
    for (const { app } of [shop, blog]) await app.remove({ force: true });
  }
});

test('a paused container can be killed, by a restart for the same detection and by its engine', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      'responses: [{match: {tag: secrets}, do: pause, last_instance: true, mode: enforce}, {match: {tag: secrets, app: shop}, do: restart, last_instance: true, mode: enforce}]',
    ],
  });
  const [shop, blog] = [await countingApp('shop', 'always'), await countingApp('blog')];
  /** In the operator's file: at load the end of a container may come before a line is in its log. */
  const told = (name: string): Promise<DetectionLine> =>
    until(`the read of ${name} is told`, () =>
      agent.detections('Shadow read').find(({ app }) => app?.['name'] === name),
    );
  try {
    await shop.goesOn();
    shop.read();
    assert.equal(outcomeOf(await told('shop')), 'done, done');
    await until('it runs anew', async () => {
      const { RestartCount, State } = await shop.app.inspect();
      return RestartCount === 1 && State.Running;
    });
    blog.read();
    await told('blog');
    await blog.paused();
    await blog.app.stop({ t: 1 });
    await until('the agent knows', () => !agent.varvel('status').stdout.includes('PAUSED'));
    await blog.app.start();
    assert.equal(await execInContainer(blog.app, 'true'), 0, 'its next run is not paused');
  } finally {
    for (const { app } of [shop, blog]) await app.remove({ force: true });
  }
});
