// Connections that are refused: with real processes in real containers.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';
import { CUT_OFF, NO_ROUTE, outcomeOf } from './responses-fixture.ts';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const HOSTS = 'Connection to a host that the app does not expect';
const ELSEWHERE = `
- rule: Elsewhere
  desc: A test's own.
  condition: evt.type = connect and fd.snet = "192.0.2.0/24"
  output: connection=%fd.name result=%evt.res
  priority: ERROR
`;

const runApp = (name: string, labels: Record<string, string> = {}): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': name, ...labels },
  });
const untilBothJudged = (agent: E2eAgent, denying: number): Promise<unknown> =>
  until(`in ${denying} containers it is refused`, async () => {
    const { verdicts } = (await agent.snapshot()).kernel;
    return verdicts.denying.containers === denying && verdicts.containers === 2;
  });
const linesOf = async (app: Docker.Container, name: string) =>
  (await agentLines(engine, app)).filter(({ rule }) => rule === name);
const aLine = (app: Docker.Container, name: string) =>
  until('it is told', async () => (await linesOf(app, name))[0]);

test('an app that enforces where it connects to has other connections refused; varvel lift takes it back', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    config: ['policies: {responses: [deny]}'],
  });
  const policy = 'variables: {outbound_hosts: [10.0.0.0/8]}\n';
  const [shop, blog] = [
    await runApp('shop', { 'varvel.policy': `${policy}enforce: [outbound_hosts]\n` }),
    await runApp('blog', { 'varvel.policy': policy }),
  ];
  try {
    await untilBothJudged(agent, 1);
    const { program, connection } = (await agent.snapshot()).kernel.denialTest ?? {};
    assert.deepEqual([program, connection], ['denied', 'denied']);
    assert.equal(await execInContainer(shop, CUT_OFF), 0);
    assert.equal(await execInContainer(shop, CUT_OFF.replaceAll('192.0.2.1', '2001:db8::1')), 0);
    const line = await aLine(shop, HOSTS);
    assert.match(
      line.output,
      / connection=\S*->192\.0\.2\.1:9 proto=tcp result=EPERM command=\S+ 192\.0\.2\.1 9 .* \| connection refused before it was made \(EPERM\)$/,
    );
    assert.deepEqual(
      ['', '.outcome', '.guarantee'].map((key) => line.output_fields[`varvel.response${key}`]),
      ['deny', 'prevented', 'before the effect'],
    );
    // What its list has, and its own name server on loopback.
    assert.equal(await execInContainer(shop, NO_ROUTE.replaceAll('192.0.2.1', '10.1.2.3')), 0);
    assert.equal(await execInContainer(blog, NO_ROUTE), 0);
    assert.deepEqual(await linesOf(blog, HOSTS), [], 'no route is no connection');
    assert.equal((await shop.inspect()).State.Running, true);
    assert.match(
      agent.varvel('status').stdout,
      new RegExp(`^denied before the effect, in 1 containers: .*"${HOSTS}"$`, 'm'),
    );

    assert.equal(agent.varvel('lift', '--app', 'shop').code, 0);
    await untilBothJudged(agent, 0);
    assert.equal(await execInContainer(shop, NO_ROUTE), 0);
    assert.equal(agent.varvel('lift', '--end').code, 0);
    await untilBothJudged(agent, 1);
    assert.equal(await execInContainer(shop, CUT_OFF), 0);
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('the operator has connections refused, first in monitor mode; a reload begins and ends it', async () => {
  const entry = (mode: string): string =>
    `responses: [{match: {rule: Elsewhere, app: shop}, do: deny, mode: ${mode}}]`;
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': ELSEWHERE },
    config: [entry('monitor')],
  });
  const [shop, blog] = [await runApp('shop'), await runApp('blog')];
  try {
    await untilBothJudged(agent, 0);
    assert.equal(await execInContainer(shop, NO_ROUTE), 0);
    const reload = async (from: string, to: string, denying: number): Promise<void> => {
      const text = readFileSync(agent.configFile, 'utf8').replace(entry(from), entry(to));
      writeFileSync(agent.configFile, text);
      await agent.reload();
      await untilBothJudged(agent, denying);
    };
    await reload('monitor', 'enforce', 1);
    assert.equal(await execInContainer(shop, CUT_OFF), 0);
    assert.equal(await execInContainer(shop, CUT_OFF.replaceAll('192.0.2.1', '192.0.2.7')), 0);
    assert.equal(await execInContainer(blog, NO_ROUTE), 0);
    const lines = await until('both are told', async () => {
      const found = await linesOf(shop, 'Elsewhere');
      return found.length === 2 && found;
    });
    assert.deepEqual(lines.map(outcomeOf), ['prevented', 'prevented']);
    assert.match(lines[0]!.output, /result=EPERM \| connection refused before it was made/);
    await reload('enforce', 'monitor', 0);
    assert.equal(await execInContainer(shop, NO_ROUTE), 0);
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});
