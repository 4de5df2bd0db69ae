// What the operator wants done about detections: with a real process that ends, or does not.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import {
  CUT_OFF,
  KILLED,
  NO_ROUTE,
  READ,
  RULES,
  nextLine,
  outcomeOf,
  runApp,
} from './responses-fixture.ts';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

test('the operator’s entries: enforced in one space, monitored elsewhere, taken back by a reload', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      'responses: [{match: {tag: secrets}, do: kill}, {match: {rule: Shadow*, priority: error, space: production}, do: kill, mode: enforce}]',
    ],
  });
  const [shop, blog] = [
    await runApp(engine, 'shop', 'production'),
    await runApp(engine, 'blog', 'staging'),
  ];
  try {
    // Only a kill ends it as long as nobody says otherwise.
    assert.equal(await execInContainer(shop, READ.replace('SECONDS', '600')), KILLED);
    const killed = await nextLine(engine, shop, 0);
    assert.match(killed.output, / Error shadow read \| process killed, after this had happened$/);
    assert.equal(outcomeOf(killed), 'done');
    assert.equal((await shop.inspect()).State.Running, true);

    assert.equal(await execInContainer(blog, READ.replace('SECONDS', '1')), 0);
    const monitored = await nextLine(engine, blog, 0);
    assert.match(monitored.output, / \| process would have been killed \(.* monitor mode\)$/);
    assert.equal(outcomeOf(monitored), 'monitored');

    const metrics = await agent.metrics();
    for (const outcome of ['done', 'monitored'])
      assert.ok(
        metrics.includes(`varvel_responses_total{response="kill",outcome="${outcome}"} 1\n`),
        metrics,
      );
    assert.match(
      agent.varvel('status').stdout,
      /^responses: kill done 1 times, kill monitored 1 times$/m,
    );

    const taken = readFileSync(agent.configFile, 'utf8').replaceAll(', mode: enforce', '');
    writeFileSync(agent.configFile, taken);
    await agent.reload();
    assert.equal(await execInContainer(shop, READ.replace('SECONDS', '1')), 0);
    assert.equal(outcomeOf(await nextLine(engine, shop, 1)), 'monitored');
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('a container is cut off from the network, and gets it back by a reload, or when the agent is gone', async () => {
  const agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      'responses: [{match: {tag: secrets}, do: isolate, last_instance: true, mode: enforce}]',
    ],
  });
  const [shop, blog] = [
    await runApp(engine, 'shop', 'production'),
    await runApp(engine, 'blog', 'production'),
  ];
  const read = (): Promise<number> => execInContainer(shop, 'read -r a < /etc/shadow; true');
  try {
    assert.equal(await execInContainer(shop, NO_ROUTE), 0, 'it has no network anyway');
    assert.equal(await read(), 0);
    const line = await nextLine(engine, shop, 0);
    assert.match(line.output, / \| container cut off from the network, after this had happened$/);
    assert.deepEqual(
      ['varvel.response', 'varvel.response.outcome'].map((field) => line.output_fields[field]),
      ['isolate', 'done'],
    );
    assert.equal(await execInContainer(shop, CUT_OFF), 0);
    assert.equal(await execInContainer(blog, NO_ROUTE), 0, 'its neighbour is not');
    assert.match(
      agent.varvel('status').stdout,
      /^CUT OFF FROM THE NETWORK: container [\da-f]{12} of shop since .*, by "Shadow read"$/m,
    );
    assert.match(await agent.metrics(), /^varvel_isolated_containers 1$/m);
    assert.match(await agent.metrics(), /^varvel_isolated_attempts_total\{what="connects"\} 1$/m);

    const taken = readFileSync(agent.configFile, 'utf8').replaceAll(', mode: enforce', '');
    writeFileSync(agent.configFile, taken);
    await agent.reload();
    assert.equal(await execInContainer(shop, NO_ROUTE), 0);
    assert.doesNotMatch(agent.varvel('status').stdout, /CUT OFF/);
    assert.equal(await read(), 0);
    assert.match(
      (await nextLine(engine, shop, 1)).output,
      / would have been cut off .* monitor mode\)$/,
    );

    writeFileSync(
      agent.configFile,
      taken.replace('last_instance: true', 'last_instance: true, mode: enforce'),
    );
    await agent.reload();
    assert.equal(await read(), 0);
    await nextLine(engine, shop, 2);
    assert.equal(await execInContainer(shop, CUT_OFF), 0);
    agent.kill('SIGKILL');
    await until(
      'the kernel has given it back',
      async () => (await execInContainer(shop, NO_ROUTE)) === 0,
    );
  } finally {
    await agent[Symbol.asyncDispose]();
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('of two instances one is cut off, and the other stays with its network: it is the last one that is up', async () => {
  const agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['responses: [{match: {tag: secrets}, do: isolate, mode: enforce}]'],
  });
  const [one, two] = [
    await runApp(engine, 'shop', 'production'),
    await runApp(engine, 'shop', 'production'),
  ];
  const reads = async (app: Docker.Container, before: number): Promise<DetectionLine> => {
    assert.equal(await execInContainer(app, 'read -r a < /etc/shadow; true'), 0);
    return nextLine(engine, app, before);
  };
  try {
    await until('both are known', async () => {
      const { containers } = (await agent.snapshot()).apps;
      return (
        containers.filter(({ app, state }) => app === 'shop' && state === 'included').length === 2
      );
    });
    assert.equal(outcomeOf(await reads(one, 0)), 'done');
    assert.equal(await execInContainer(one, CUT_OFF), 0);
    const line = await reads(two, 0);
    assert.equal(outcomeOf(line), 'limited');
    assert.match(
      line.output,
      / \| container not cut off from the network, it is the last instance of the app that is up on this host \(last_instance: true in the entry does it all the same\)$/,
    );
    assert.equal(await execInContainer(two, NO_ROUTE), 0);
    // The first is gone: a third one takes its place, and now the second can be cut off.
    await one.remove({ force: true });
    const three = await runApp(engine, 'shop', 'production');
    try {
      await until('the third is known', async () => {
        const { containers } = (await agent.snapshot()).apps;
        return containers.some(
          ({ cgroupPath, state }) => cgroupPath.includes(three.id) && state === 'included',
        );
      });
      assert.equal(outcomeOf(await reads(two, 1)), 'done');
      assert.equal(await execInContainer(two, CUT_OFF), 0);
    } finally {
      await three.remove({ force: true });
    }
  } finally {
    await agent[Symbol.asyncDispose]();
    for (const app of [one, two]) await app.remove({ force: true }).catch(() => undefined);
  }
});

/** Pids of its processes, as the host has them; none between two runs. */
async function pidsOf(app: Docker.Container): Promise<readonly string[]> {
  try {
    const { Processes } = (await app.top()) as { Processes: readonly (readonly string[])[] };
    return Processes.map(([, pid]) => pid!);
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 409) return [];
    throw error;
  }
}

test('a container is restarted: its line is in the log, the platform starts it anew, and its neighbour stays up', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      'responses: [{match: {tag: secrets}, do: restart, last_instance: true, mode: enforce}]',
    ],
  });
  const blog = await runApp(engine, 'blog', 'production');
  // Of the host's pid namespace: no first process takes the others with it.
  const shop = await runContainer(engine, 'sleep 600 & sleep 601 & exec sleep 602', {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop' },
    hostConfig: { PidMode: 'host', RestartPolicy: { Name: 'always' } },
  });
  try {
    const before = await until('all of it runs', async () => {
      const pids = await pidsOf(shop);
      return pids.length === 3 && pids;
    });
    // Docker forgets an exec with the run of its container, so its end may not be told.
    void execInContainer(shop, READ.replace('SECONDS', '600')).catch(() => undefined);
    const line = await nextLine(engine, shop, 0);
    assert.match(line.output, / \| container ended for a restart, after this had happened$/);
    assert.equal(outcomeOf(line), 'done');
    await until('it runs anew', async () => {
      const { RestartCount, State } = await shop.inspect();
      return RestartCount === 1 && State.Running && (await pidsOf(shop)).length === 3;
    });
    const now = await pidsOf(shop);
    assert.equal(now.length, 3);
    assert.deepEqual(
      now.filter((pid) => before.includes(pid)),
      [],
      'none of the first run is left',
    );
    const { State } = await blog.inspect();
    assert.equal(State.Running, true);
    assert.match(agent.varvel('status').stdout, /^responses: restart done 1 times$/m);
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});
