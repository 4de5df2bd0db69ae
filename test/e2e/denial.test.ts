// Programs that are denied, and what takes that back: with real processes in real containers.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';
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

const DENIES = `
- rule: New program run
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.is_exe_upper_layer = true
  output: new program %proc.exepath
  priority: ERROR
`;
/** A program that the container has got since it was made. */
const DROP = 'mkdir -p /tmp/new; cp /bin/busybox /tmp/new/busybox; /tmp/new/busybox';
/** It says so if it runs. */
const DROPPED = `${DROP} touch /tmp/ran`;

test('a program that a rule denies does not run; elsewhere, and in monitor mode, it does', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': DENIES },
    config: ['responses: [{match: {rule: New*, app: shop}, do: deny, mode: enforce}]'],
  });
  const [shop, blog] = [
    await runApp(engine, 'shop', 'production'),
    await runApp(engine, 'blog', 'production'),
  ];
  const lineOf = (app: Docker.Container, nth: number): Promise<DetectionLine> =>
    until('it is told', async () => (await agentLines(engine, app)).filter(isNew)[nth]);
  const hasRun = async (app: Docker.Container): Promise<boolean> =>
    (await execInContainer(app, 'rm /tmp/ran 2>/dev/null')) === 0;
  const denying = async (): Promise<number> =>
    (await agent.snapshot()).kernel.verdicts.denying.containers;
  try {
    await until('the kernel denies', async () => (await denying()) === 1);
    assert.equal(await execInContainer(shop, DROPPED), KILLED);
    assert.equal(await hasRun(shop), false);
    const line = await lineOf(shop, 0);
    assert.match(
      line.output,
      / new program \/tmp\/new\/busybox \| program ended before its first instruction$/,
    );
    assert.deepEqual(
      ['varvel.response', 'varvel.response.outcome', 'varvel.response.guarantee'].map(
        (field) => line.output_fields[field],
      ),
      ['deny', 'prevented', 'before the effect'],
    );
    assert.equal(await execInContainer(blog, DROPPED), 0);
    assert.equal(await hasRun(blog), true);
    assert.equal((await lineOf(blog, 0)).output_fields['varvel.response'], undefined);
    const status = agent.varvel('status').stdout;
    assert.match(status, /^denied before the effect, in 1 containers: .*"New program run"$/m);
    assert.match(status, /^responses: deny prevented 1 times$/m);
    assert.match(
      await agent.metrics(),
      /^varvel_responses_total\{response="deny",outcome="prevented"\} 1$/m,
    );

    const taken = readFileSync(agent.configFile, 'utf8').replaceAll(', mode: enforce', '');
    writeFileSync(agent.configFile, taken);
    await agent.reload();
    assert.equal(await denying(), 0);
    assert.equal(await execInContainer(shop, DROPPED), 0);
    assert.equal(await hasRun(shop), true);
    assert.match(
      (await lineOf(shop, 1)).output,
      / monitor mode: deny would have blocked this, or killed the process$/,
    );
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

const DENIES_MORE = `${DENIES}
- rule: Newly named
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.exepath = /tmp/named
  output: program %proc.exepath
  priority: ERROR
`;

test('what a rule denies is denied all the while that rules are loaded again, or another is lifted', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': DENIES_MORE, 'other.yaml': RULES },
    config: ['responses: [{match: {rule: New*}, do: deny, mode: enforce, fall_back: false}]'],
  });
  const app = await runApp(engine, 'shop', 'production');
  const { denying } = (await agent.snapshot()).kernel.verdicts;
  assert.equal(denying.inVain, 0);
  const settled = () =>
    until('the kernel denies by the rules in force', async () => {
      const { verdicts } = (await agent.snapshot()).kernel;
      return verdicts.denying.containers === 1 && verdicts.tables > 0;
    });
  try {
    await settled();
    const tries = execInContainer(
      app,
      `${DROP} true; n=0; while ! test -e /tmp/stop; do /tmp/new/busybox touch /tmp/ran; n=$((n+1)); echo $n > /tmp/tries; done 2>/dev/null`,
    );
    const triedMore = async (): Promise<void> => {
      assert.equal(await execInContainer(app, 'echo > /tmp/tries'), 0);
      await until('it is tried again', async () => {
        return (await execInContainer(app, 'test "$(cat /tmp/tries)" -gt 0')) === 0;
      });
    };
    const other = join(dirname(agent.configFile), 'other.yaml');
    for (let n = 0; n < 4; n++) {
      // Other rules change, too, and a reload can come before the tables of the one before.
      writeFileSync(other, n % 2 === 0 ? RULES.replaceAll('/etc/', '/opt/') : RULES);
      await agent.reload();
      await triedMore();
      if (n % 2 === 1) await settled();
    }
    for (let n = 0; n < 4; n++) {
      assert.equal(agent.varvel('lift', '--rule', 'Newly named', '--for', '1s').code, 0);
      const lifted = await until('that it is lifted', async () => {
        const { rules } = (await agent.snapshot()).kernel.verdicts.denying;
        return rules.length === 1 && rules;
      });
      assert.deepEqual(lifted, ['New program run']);
      await triedMore();
      await until('that it is denied again', async () => {
        return (await agent.snapshot()).kernel.verdicts.denying.rules.length === 2;
      });
    }
    assert.equal(await execInContainer(app, 'touch /tmp/stop'), 0);
    assert.equal(await tries, 0);
    assert.equal(await execInContainer(app, 'test -e /tmp/ran'), 1, 'it has never run');
    assert.equal((await agent.snapshot()).kernel.verdicts.denying.inVain, 0);
  } finally {
    await app.remove({ force: true });
  }
});

const AGED = `
- rule: New program run by an old app
  desc: A test's own. It lets start scripts be.
  condition: >
    evt.type in (execve, execveat) and evt.rawres = 0 and app.name = shop and proc.exepath startswith /tmp/new/
    and not (container.duration < 2000000000 or proc.ppid.duration < 2000000000) and proc.is_from_outside != true
  output: new program %proc.exepath
  priority: ERROR
`;

test('a rule that names an app and lets start scripts be denies what the app starts later', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': AGED },
    config: ['responses: [{match: {rule: New*}, do: deny, mode: enforce, fall_back: false}]'],
  });
  const runs = (name: string): Promise<Docker.Container> =>
    runContainer(
      engine,
      `${DROP} true; while :; do /tmp/new/busybox touch /tmp/ran; sleep 1; done`,
      {
        labels: { 'varvel.enable': 'true', 'varvel.app': name },
      },
    );
  const [shop, blog] = [await runs('shop'), await runs('blog')];
  try {
    await until('it is prevented', async () =>
      (await agentLines(engine, shop)).some(
        (line) => outcomeOf(line) === 'prevented' && line.output.includes('/tmp/new/busybox'),
      ),
    );
    // From now on it never runs.
    assert.equal(await execInContainer(shop, 'rm -f /tmp/ran; sleep 5; test -e /tmp/ran'), 1);
    assert.equal(await execInContainer(blog, 'rm -f /tmp/ran; sleep 5; test -e /tmp/ran'), 0);
    const { inVain } = (await agent.snapshot()).kernel.verdicts.denying;
    assert.equal(inVain, 0);
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('varvel lift takes all of it back at once: what was denied runs, and who was cut off has a network', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': DENIES + RULES },
    config: [
      'responses: [{match: {rule: New*}, do: deny, mode: enforce}, {match: {tag: secrets}, do: isolate, last_instance: true, mode: enforce}]',
    ],
  });
  const [shop, blog] = [
    await runApp(engine, 'shop', 'production'),
    await runApp(engine, 'blog', 'production'),
  ];
  const denying = async (containers: number): Promise<unknown> =>
    until(`${containers} are denied`, async () => {
      const { verdicts } = (await agent.snapshot()).kernel;
      return verdicts.denying.containers === containers;
    });
  const read = (app: Docker.Container): Promise<number> =>
    execInContainer(app, 'read -r a < /etc/shadow; true');
  try {
    await denying(2);
    for (const app of [shop, blog]) assert.equal(await read(app), 0);
    for (const app of [shop, blog]) await nextLine(engine, app, 0);
    for (const app of [shop, blog]) assert.equal(await execInContainer(app, CUT_OFF), 0);

    const lifted = agent.varvel('lift', '--app', 'shop', '--for', '10m');
    assert.equal(lifted.code, 0, lifted.stderr);
    assert.match(
      lifted.stdout,
      /^LIFTED: no response to all rules is enforced in app shop, for 10 more minutes\n/,
    );
    assert.equal(await execInContainer(shop, NO_ROUTE), 0);
    assert.equal(await execInContainer(shop, DROPPED), 0);
    assert.equal(await execInContainer(blog, CUT_OFF), 0, 'another app');
    await denying(1);
    assert.equal(await execInContainer(blog, DROPPED), KILLED);
    const news = await until('it is told', async () => {
      const found = (await agentLines(engine, shop)).filter(isNew);
      return found.length > 0 && found;
    });
    assert.deepEqual(news.map(outcomeOf), ['monitored']);
    assert.match(agent.varvel('status').stdout, /^LIFTED: .* in app shop, for 10 more minutes$/m);
    assert.match(await agent.metrics(), /^varvel_lifts 1$/m);

    // It goes on over a reload.
    await agent.reload();
    await denying(1);
    assert.equal(await execInContainer(shop, DROPPED), 0);

    const ended = agent.varvel('lift', '--end');
    assert.deepEqual(
      [ended.code, ended.stdout],
      [0, 'Ended 1 lift: responses are enforced again.\n'],
    );
    await denying(2);
    assert.equal(await execInContainer(shop, DROPPED), KILLED);
    const again = agent.varvel('lift', '--end');
    assert.deepEqual([again.code, again.stdout], [1, 'There is no such lift.\n']);

    // A file does it as well, without a command.
    const file = join(dirname(agent.configFile), 'lift');
    writeFileSync(file, '');
    await denying(0);
    assert.equal(await execInContainer(blog, DROPPED), 0);
    assert.match(agent.varvel('status').stdout, /^LIFTED: .* as long as the file "lift"/m);
    rmSync(file);
    await denying(2);
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('what the kernel is not certain of is killed after the effect, and without an agent nothing is denied', async () => {
  // Users are not known to the kernel.
  const unsure = DENIES.replace('= true', '= true and not user.uid = 77');
  const agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': unsure },
    config: ['responses: [{match: {rule: New*}, do: deny, mode: enforce}]'],
  });
  const shop = await runApp(engine, 'shop', 'production');
  try {
    await until('it is judged', async () => {
      const { containers } = (await agent.snapshot()).kernel.verdicts;
      return containers === 1;
    });
    const waits = `${DROP} sh -c '${READ.replace('SECONDS', '600')}'`;
    assert.equal(await execInContainer(shop, waits), KILLED);
    const [line] = await until('it is told', async () => {
      const found = (await agentLines(engine, shop)).filter(isNew);
      return found.length > 0 && found;
    });
    assert.match(
      line?.output ?? '',
      / process killed after the event \(it could not be denied before\)$/,
    );
    assert.equal(line?.output_fields['varvel.response.guarantee'], 'after the effect');
    assert.deepEqual((await agent.snapshot()).kernel.verdicts.denying, {
      containers: 0,
      rules: [],
      afterEffect: ['New program run'],
      givenUp: [],
      inVain: 0,
      tooYoung: 0,
    });
    assert.match(
      agent.varvel('status').stdout,
      /^NOT DENIED, but killed after the effect \(or only reported, by "guarantee"\): what matches "New program run"/m,
    );

    // By a guarantee that the kernel cannot give, it is only reported.
    const entry = readFileSync(agent.configFile, 'utf8');
    writeFileSync(
      agent.configFile,
      entry.replace('mode: enforce', 'mode: enforce, guarantee: before the effect'),
    );
    await agent.reload();
    assert.equal(await execInContainer(shop, DROPPED), 0);
    const lines = await until('it is reported', async () => {
      const found = (await agentLines(engine, shop)).filter(isNew);
      return found.length > 1 && found;
    });
    assert.deepEqual(lines.slice(1).map(outcomeOf), ['reported']);
    assert.match(lines[1]!.output, / not denied, only reported \(guarantee: before the effect\)$/);
  } finally {
    await agent[Symbol.asyncDispose]();
    assert.equal(await execInContainer(shop, DROPPED), 0);
    await shop.remove({ force: true });
  }
});

test('an app whose first process is denied what it becomes is not denied it for ever', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': DENIES },
    config: ['responses: [{match: {rule: New*}, do: deny, mode: enforce}]'],
  });
  const waits = 'until [ -e /tmp/go ]; do sleep 0.1; done';
  const shop = await runContainer(
    engine,
    `mkdir -p /tmp/new; cp /bin/busybox /tmp/new/busybox; ${waits}; exec /tmp/new/busybox sleep 600`,
    {
      labels: { 'varvel.enable': 'true', 'varvel.app': 'shop' },
      hostConfig: { RestartPolicy: { Name: 'always' } },
    },
  );
  const denying = async (): Promise<number> =>
    (await agent.snapshot()).kernel.verdicts.denying.containers;
  try {
    await until('the kernel denies', async () => (await denying()) === 1);
    assert.equal(await execInContainer(shop, 'touch /tmp/go'), 0);
    const ended = await until('its log says so', async () => {
      const lines = await agentLines(engine, shop);
      return lines.find(({ rule }) => rule === 'Varvel: denial ended');
    });
    assert.match(ended.output, /the container .* ended within 30 s of its first denial$/);
    await until('it runs the program', async () => {
      const found = (await agentLines(engine, shop)).filter(isNew);
      return found.some((line) => outcomeOf(line) === 'monitored');
    });
    const { State } = await shop.inspect();
    assert.equal(State.Running, true);
    assert.match(agent.varvel('status').stdout, /^DENIAL IS OFF for app shop: /m);
    assert.match(await agent.metrics(), /^varvel_denial_ended_total 1$/m);
    assert.equal(await denying(), 0);
  } finally {
    await shop.remove({ force: true });
  }
});

const isNew = ({ rule }: DetectionLine): boolean => rule === 'New program run';
