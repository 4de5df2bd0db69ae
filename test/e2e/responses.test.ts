// What the operator wants done about detections: with a real process that ends, or does not.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';

const RULES = `
- rule: Shadow read
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.name = /etc/shadow
  output: shadow read
  priority: ERROR
  tags: [secrets]
`;
/** It waits by itself for what never comes: a sleep would be a process that outlives the shell. */
const READ =
  'rm -f /tmp/never; mkfifo /tmp/never; exec 3<>/tmp/never; read -r a < /etc/shadow; read -r -t SECONDS a <&3; true';
/** SIGKILL, as a shell says it. */
const KILLED = 137;

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const runApp = (name: string, space: string): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': name, 'varvel.space': space },
  });

/** The line that comes next in the app's log, after so many of them. */
async function nextLine(app: Docker.Container, before: number): Promise<DetectionLine> {
  const lines = await until('the read is told', async () => {
    const found = (await agentLines(engine, app)).filter(({ rule }) => rule === 'Shadow read');
    return found.length > before && found;
  });
  return lines[before]!;
}

const outcomeOf = ({ output_fields: fields }: DetectionLine): unknown =>
  fields['varvel.response.outcome'];

test('the operator’s entries: enforced in one space, monitored elsewhere, taken back by a reload', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      'responses: [{match: {tag: secrets}, do: kill}, {match: {rule: Shadow*, priority: error, space: production}, do: kill, mode: enforce}]',
    ],
  });
  const [shop, blog] = [await runApp('shop', 'production'), await runApp('blog', 'staging')];
  try {
    // Only a kill ends it as long as nobody says otherwise.
    assert.equal(await execInContainer(shop, READ.replace('SECONDS', '600')), KILLED);
    const killed = await nextLine(shop, 0);
    assert.match(killed.output, / Error shadow read \| process killed, after this had happened$/);
    assert.equal(outcomeOf(killed), 'done');
    assert.equal((await shop.inspect()).State.Running, true);

    assert.equal(await execInContainer(blog, READ.replace('SECONDS', '1')), 0);
    const monitored = await nextLine(blog, 0);
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

    const { ok } = (await agent.snapshot()).rules.reloads;
    const taken = readFileSync(agent.configFile, 'utf8').replaceAll(', mode: enforce', '');
    writeFileSync(agent.configFile, taken);
    agent.kill('SIGHUP');
    await until('it is reloaded', async () => (await agent.snapshot()).rules.reloads.ok > ok);
    assert.equal(await execInContainer(shop, READ.replace('SECONDS', '1')), 0);
    assert.equal(outcomeOf(await nextLine(shop, 1)), 'monitored');
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

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
  const [shop, blog] = [await runApp('shop', 'production'), await runApp('blog', 'production')];
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
    assert.match(
      status,
      /^denied before their first instruction, in 1 containers: .*"New program run"$/m,
    );
    assert.match(status, /^responses: deny prevented 1 times$/m);
    assert.match(
      await agent.metrics(),
      /^varvel_responses_total\{response="deny",outcome="prevented"\} 1$/m,
    );

    const { ok } = (await agent.snapshot()).rules.reloads;
    const taken = readFileSync(agent.configFile, 'utf8').replaceAll(', mode: enforce', '');
    writeFileSync(agent.configFile, taken);
    agent.kill('SIGHUP');
    await until('it is reloaded', async () => (await agent.snapshot()).rules.reloads.ok > ok);
    assert.equal(await denying(), 0);
    assert.equal(await execInContainer(shop, DROPPED), 0);
    assert.equal(await hasRun(shop), true);
    assert.match((await lineOf(shop, 1)).output, / would have been denied .* monitor mode\)$/);
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
  const shop = await runApp('shop', 'production');
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
      / process killed, after this had happened: it was not denied before$/,
    );
    assert.equal(line?.output_fields['varvel.response.guarantee'], 'after the effect');
    assert.deepEqual((await agent.snapshot()).kernel.verdicts.denying, {
      containers: 0,
      rules: [],
      afterEffect: ['New program run'],
      givenUp: [],
      inVain: 0,
    });
    assert.match(
      agent.varvel('status').stdout,
      /^NOT DENIED, but killed after the effect: programs of "New program run"/m,
    );
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
    assert.match(agent.varvel('status').stdout, /^NOT DENIED ANY MORE: programs of shop, since /m);
    assert.match(await agent.metrics(), /^varvel_denial_ended_total 1$/m);
    assert.equal(await denying(), 0);
  } finally {
    await shop.remove({ force: true });
  }
});

const isNew = ({ rule }: DetectionLine): boolean => rule === 'New program run';

/** What busybox says of a connect to an address that nobody has: the exit code is 0 if it says this. */
const SAYS = (words: string): string => `nc 192.0.2.1 9 2>&1 </dev/null | grep -q '${words}'`;
const CUT_OFF = SAYS('Operation not permitted');
const NO_ROUTE = SAYS('Network is unreachable');

test('a container is cut off from the network, and gets it back by a reload, or when the agent is gone', async () => {
  const agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['responses: [{match: {tag: secrets}, do: isolate, mode: enforce}]'],
  });
  const [shop, blog] = [await runApp('shop', 'production'), await runApp('blog', 'production')];
  const read = (): Promise<number> => execInContainer(shop, 'read -r a < /etc/shadow; true');
  try {
    assert.equal(await execInContainer(shop, NO_ROUTE), 0, 'it has no network anyway');
    assert.equal(await read(), 0);
    const line = await nextLine(shop, 0);
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

    const { ok } = (await agent.snapshot()).rules.reloads;
    const taken = readFileSync(agent.configFile, 'utf8').replaceAll(', mode: enforce', '');
    writeFileSync(agent.configFile, taken);
    agent.kill('SIGHUP');
    await until('it is reloaded', async () => (await agent.snapshot()).rules.reloads.ok > ok);
    assert.equal(await execInContainer(shop, NO_ROUTE), 0);
    assert.doesNotMatch(agent.varvel('status').stdout, /CUT OFF/);
    assert.equal(await read(), 0);
    assert.match((await nextLine(shop, 1)).output, / would have been cut off .* monitor mode\)$/);

    writeFileSync(agent.configFile, taken.replace('do: isolate', 'do: isolate, mode: enforce'));
    agent.kill('SIGHUP');
    await until('it is reloaded', async () => (await agent.snapshot()).rules.reloads.ok > ok + 1);
    assert.equal(await read(), 0);
    await nextLine(shop, 2);
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
    config: ['responses: [{match: {tag: secrets}, do: restart, mode: enforce}]'],
  });
  const blog = await runApp('blog', 'production');
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
    const line = await nextLine(shop, 0);
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
