// An app that locks itself down by its policy: with real processes in real containers, and the rules as shipped.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';
import { KILLED, outcomeOf } from './responses-fixture.ts';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const UNEXPECTED = 'Program that the app does not expect';
const LISTED = 'variables: {expected_executables: [/bin/busybox]}\n';
/** Runs programs, connects to a host again and again, as its name may not be known at first, and writes a file. */
const STARTS =
  'ls / | wc -l; ip address add 198.51.100.7/32 dev lo; ip link set lo up; mkdir -p /srv/site; echo 1 > /srv/site/a.php; ' +
  '(while :; do nc -l -p 4000 </dev/null; done) & while sleep 1; do echo x | nc -w 1 198.51.100.7 4000; done';
/** It says so if it runs. */
const DROPPED =
  'mkdir -p /tmp/new; cp /bin/busybox /tmp/new/busybox; /tmp/new/busybox touch /tmp/ran';

const runApp = (name: string, policy: string): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': name, 'varvel.policy': policy },
  });

test('an app that enforces which programs it runs is denied all others; varvel lift takes it back', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    config: ['policies: {responses: [deny]}'],
  });
  const [shop, blog] = [
    await runApp('shop', `${LISTED}enforce: [expected_executables]\n`),
    await runApp('blog', LISTED),
  ];
  const denying = (containers: number): Promise<unknown> =>
    until(`${containers} are denied`, async () => {
      const { verdicts } = (await agent.snapshot()).kernel;
      return verdicts.denying.containers === containers && verdicts.containers === 2;
    });
  const hasRun = async (app: Docker.Container): Promise<boolean> =>
    (await execInContainer(app, 'rm /tmp/ran 2>/dev/null')) === 0;
  const unexpected = async (app: Docker.Container) =>
    (await agentLines(engine, app)).filter(({ rule }) => rule === UNEXPECTED);
  try {
    await denying(1);
    const { program, connection } = (await agent.snapshot()).kernel.denialTest ?? {};
    assert.deepEqual([program, connection], ['denied', 'denied'], 'tried at the start');
    const news = (await agentLines(engine, shop)).find(({ rule }) => rule === 'Varvel: policy');
    assert.match(news?.output ?? '', /is in force: .*, 1 that deny$/);
    assert.equal(await execInContainer(shop, 'ls / | wc -l'), 0, 'what it lists runs');
    assert.equal(await execInContainer(shop, DROPPED), KILLED);
    assert.equal(await hasRun(shop), false);
    const [line] = await until('it is told', async () => {
      const found = await unexpected(shop);
      return found.length > 0 && found;
    });
    assert.match(line?.output ?? '', / exe=\/tmp\/new\/busybox /);
    assert.deepEqual(
      ['', '.outcome', '.guarantee'].map((key) => line?.output_fields[`varvel.response${key}`]),
      ['deny', 'prevented', 'before the effect'],
    );
    assert.equal(await execInContainer(blog, DROPPED), 0);
    assert.equal(await hasRun(blog), true);
    assert.deepEqual(await unexpected(blog), []);
    assert.match(
      agent.varvel('status').stdout,
      new RegExp(`^denied before .*"${UNEXPECTED}"$`, 'm'),
    );

    assert.equal(agent.varvel('lift', '--app', 'shop').code, 0);
    await denying(0);
    assert.equal(await execInContainer(shop, DROPPED), 0);
    assert.equal(await hasRun(shop), true);
    const told = await until('it is told', async () => {
      const found = await unexpected(shop);
      return found.length > 1 && found;
    });
    assert.equal(outcomeOf(told[1]!), 'monitored');
    assert.equal((await shop.inspect()).State.Running, true);
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('from what an app did to what it may do: suggest, one file, one restart', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    hosts: ['198.51.100.7 api.shop.test'],
    config: ['policies: {responses: [deny]}'],
  });
  const run = (labels: Record<string, string>): Promise<Docker.Container> =>
    runContainer(engine, STARTS, {
      labels: { 'varvel.enable': 'true', 'varvel.app': 'shop', ...labels },
      hostConfig: { CapAdd: ['NET_ADMIN'] },
    });
  const before = await run({ 'varvel.policy': 'variables: {outbound_hosts: [api.shop.test]}' });
  let text = '';
  try {
    text = await until('it is known what it ran', () => {
      const { code, stdout } = agent.varvel('suggest', 'shop');
      return code === 0 && stdout.includes('api.shop.test') && stdout;
    });
  } finally {
    await before.remove({ force: true });
  }
  assert.match(text, /^# Suggested by varvel from what app "shop" did on .* in 1 container since /);
  assert.match(text, /^ {4}- \/bin\/busybox # \d+$/m);
  assert.match(text, /^ {4}- "api\.shop\.test" # \d+, port 4000, at 198\.51\.100\.7$/m);
  assert.match(
    text,
    /^ {2}# - \/srv\/site # \d+$|^# - \/srv\/site, as detections were about it: /m,
  );
  assert.match(text, /^# enforce: \[expected_executables, outbound_hosts\]$/m);
  const unknown = agent.varvel('suggest', 'shp');
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /^No app "shp" is known here\. Did you mean "shop"\?/);

  const shop = await run({ 'varvel.policy': text.replace('# enforce:', 'enforce:') });
  try {
    await until('the kernel denies', async () => {
      const { containers } = (await agent.snapshot()).kernel.verdicts.denying;
      return containers === 1;
    });
    assert.equal(await execInContainer(shop, 'ls / >/dev/null'), 0);
    assert.equal(await execInContainer(shop, DROPPED), KILLED);
    assert.equal((await shop.inspect()).State.Running, true);
  } finally {
    await shop.remove({ force: true });
  }
});
