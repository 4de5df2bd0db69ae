// One container through its restarts, a new name, and restarts of the agent: every run of it is its own, and told once.
import assert from 'node:assert/strict';
import { readFileSync, readlinkSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, restartContainer, runContainer } from '../support/e2e-docker.ts';

const READ = 'read -r line < /etc/shadow';
const SCRIPT = `cd /tmp; ${READ}; exec sleep 600`;
const FIELDS = [
  'container.full_id',
  'container.name',
  'app.name',
  'proc.pid',
  'proc.vpid',
  'proc.name',
  'proc.cmdline',
  'proc.exepath',
  'proc.cwd',
  'proc.is_from_outside',
  'user.name',
];
const RULES = `
- rule: Shadow read
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name = /etc/shadow
  output: read by ${FIELDS.map((field) => `%${field}`).join(' ')}
  priority: NOTICE
`;

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

/** Its shell has done what it does, and is the program that does nothing now. */
async function isThrough(app: Docker.Container): Promise<void> {
  const { State } = await app.inspect();
  await until('it sleeps', () => readFileSync(`/proc/${State.Pid}/comm`, 'utf8') === 'sleep\n');
}

/** What the line of the container's first process has to say, while that runs. */
async function expected(app: Docker.Container, name: string): Promise<Record<string, unknown>> {
  const { Id, State } = await app.inspect();
  return {
    'container.full_id': Id,
    'container.name': name,
    'app.name': 'shop',
    'proc.pid': State.Pid,
    'proc.vpid': 1,
    'proc.name': 'sh',
    'proc.cmdline': `sh -c ${SCRIPT}`,
    'proc.exepath': readlinkSync(`/proc/${State.Pid}/exe`),
    'proc.cwd': '/tmp/',
    'proc.is_from_outside': true,
    'user.name': 'root',
  };
}

test('restarted, renamed, and the agent restarted in between', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
  });
  const app = await runContainer(engine, SCRIPT, {
    name: 'first',
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop' },
  });
  let told = 0;
  /** The lines since the last time. */
  const lines = async (): Promise<DetectionLine['output_fields'][]> => {
    await settled(agent);
    // Not what the agent says of itself, such as that nobody watched before its start.
    const all = agent.detections().filter(({ source }) => source !== 'varvel');
    const fresh = all.slice(told);
    told = all.length;
    return fresh.map(({ output_fields: found }) =>
      Object.fromEntries(Object.entries(found).filter(([field]) => field !== 'evt.time')),
    );
  };
  const pids = new Set<unknown>();
  const cgroups = new Set<number>();
  /** The container has started since: one line, of its first process. */
  const assertStarted = async (name: string): Promise<void> => {
    await isThrough(app);
    const fields = await lines();
    assert.deepEqual(fields, [await expected(app, name)]);
    pids.add(fields[0]?.['proc.pid']);
    const status = (await agent.snapshot()).apps.containers.find(
      ({ fullId, gone }) => fullId === app.id && !gone,
    );
    cgroups.add(status!.cgroupId);
  };
  /** Its present run is known, though its start was not seen: what it does now has its name. */
  const assertKnown = async (name: string): Promise<void> => {
    assert.equal(await execInContainer(app, READ), 0);
    const names = (await lines()).map((found) => [
      found['container.full_id'],
      found['container.name'],
      found['app.name'],
      found['proc.cmdline'],
    ]);
    assert.deepEqual(names, [[app.id, name, 'shop', `sh -c ${READ}`]]);
  };
  const nameIs = (name: string): Promise<unknown> =>
    until(`it is ${name}`, async () => (await agent.containerStatus(app.id))?.name === name);

  try {
    await nameIs('first');
    await assertStarted('first');
    await restartContainer(app);
    await assertStarted('first');
    await app.rename({ name: 'second' });
    await nameIs('second');
    await assertKnown('second');
    await restartContainer(app);
    await assertStarted('second');

    assert.equal((await agent.end('SIGTERM')).code, 0);
    await restartContainer(app);
    await app.rename({ name: 'third' });
    await agent.run();
    await nameIs('third');
    assert.deepEqual(await lines(), [], 'nobody was there to see it start');
    await assertKnown('third');
    await restartContainer(app);
    await assertStarted('third');

    assert.equal((await agent.end('SIGKILL')).signal, 'SIGKILL');
    await Promise.all([agent.run(), restartContainer(app)]);
    await nameIs('third');
    await isThrough(app);
    const seen = await lines();
    const fields = await expected(app, 'third');
    assert.deepEqual(seen, seen.length === 0 ? [] : [fields], 'at most once, and as its own');
    await assertKnown('third');
    await restartContainer(app);
    await assertStarted('third');
    assert.deepEqual(
      [pids.size, cgroups.size],
      [5, 5],
      'each run has a process and a cgroup of its own',
    );
  } finally {
    await app.remove({ force: true });
  }
});

test('what happens while the agent starts is told as well: each match is a line, numbered from one', async (t) => {
  const app = await runContainer(engine, `while :; do ${READ}; done`, {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop' },
  });
  try {
    await using agent = await E2eAgent.start({
      dockerd: engine,
      noDefaultRules: true,
      rules: { 'own.yaml': RULES },
      config: ['limits: {enabled: false}'],
    });
    await until('it is told', () => agent.detections().length > 0);
    await app.kill();
    const { engine: counted, waiting } = await settled(agent);
    assert.equal(waiting.detections.dropped, 0);
    const lines = agent.detections('Shadow read');
    t.diagnostic(`${lines.length} lines`);
    const dropped = (await agent.snapshot()).delivery.streams['file']?.dropped ?? 0;
    assert.equal(lines.length + dropped, counted.detections['Shadow read']);
    assert.equal(lines[0]?.seq, 1);
  } finally {
    await app.remove({ force: true });
  }
});
