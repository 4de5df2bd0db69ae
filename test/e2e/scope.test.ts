import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import type { AgentSnapshot } from '../../src/agent/snapshot.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, settled, until } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';

const RULE = 'Sensitive file read';
const OPT_IN = { 'varvel.enable': 'true' };

let engine: TestDockerd;

before(async () => {
  engine = await startDockerd();
});
after(() => engine[Symbol.asyncDispose]());

/** A container that does nothing by itself from now on, until it is removed. */
async function runIdle(
  name: string,
  labels: Readonly<Record<string, string>>,
  hostConfig: Docker.HostConfig = {},
): Promise<Docker.Container> {
  const script = 'trap exit TERM; while :; do sleep 600 & wait; done';
  const container = await runContainer(engine, script, { name, labels, hostConfig });
  const { State } = await container.inspect();
  await until('its shell waits for its sleep', () => {
    const children = readFileSync(`/proc/${State.Pid}/task/${State.Pid}/children`, 'utf8');
    return children !== '' && readFileSync(`/proc/${children.trim()}/comm`, 'utf8') === 'sleep\n';
  });
  return container;
}

const emittedOf = async (agent: E2eAgent, id: string): Promise<number> =>
  (await agent.containerStatus(id))?.emitted ?? Number.NaN;

async function known(agent: E2eAgent, container: Docker.Container, state: string): Promise<void> {
  await until(`the container is ${state}`, async () => {
    const status = await agent.containerStatus(container.id);
    return status?.state === state && status.name !== undefined;
  });
}

/** Every record is some container's, or the self-test's, and every one has arrived. */
function assertAccounted({ kernel, apps, received }: AgentSnapshot): void {
  const ofContainers = apps.containers.reduce((sum, { emitted }) => sum + emitted, 0);
  assert.equal(
    kernel.emitted,
    kernel.selfTest + ofContainers + apps.counters.forgottenRecords,
    'the total is the sum over the scoped cgroups',
  );
  assert.equal(received, kernel.emitted, 'what the kernel sent has arrived');
}

test('opt-in: the host and a container that did not ask are not watched, and every record is accounted for', async (t) => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const own = await runIdle('own', { ...OPT_IN, 'varvel.app': 'own' });
  const other = await runIdle('other', {});
  const refused = await runIdle('refused', { 'varvel.enable': 'false' });
  try {
    await known(agent, own, 'included');
    await known(agent, other, 'excluded');
    await known(agent, refused, 'excluded');
    await settled(agent);
    const before = {
      own: await emittedOf(agent, own.id),
      other: await emittedOf(agent, other.id),
      refused: await emittedOf(agent, refused.id),
    };
    const start = await agent.snapshot();

    // The same thing everywhere: on the host, in those that did not ask, and in the one that did.
    const script = 'for i in 1 2 3 4 5; do cat /etc/shadow >/dev/null || exit 1; done';
    assert.equal(spawnSync('sh', ['-c', script]).status, 0);
    assert.equal(await execInContainer(other, script), 0);
    assert.equal(await execInContainer(refused, script), 0);
    const quiet = await settled(agent);
    assert.equal(quiet.kernel.emitted, start.kernel.emitted, 'not one record of any of them');
    assert.equal(await emittedOf(agent, other.id), before.other, 'the counter in the kernel');
    assert.equal(await emittedOf(agent, refused.id), before.refused);
    assert.deepEqual(agent.detections(), []);

    assert.equal(await execInContainer(own, script), 0);
    const snapshot = await settled(agent);
    const lines = agent.detections(RULE);
    assert.equal(lines.length, 5);
    for (const line of lines) {
      assert.equal(line.output_fields['container.id'], own.id.slice(0, 12));
      assert.deepEqual(line.app, { name: 'own' });
    }
    assert.equal(
      snapshot.kernel.emitted - start.kernel.emitted,
      (await emittedOf(agent, own.id)) - before.own,
      'all that was sent is of the one that asked',
    );
    assertAccounted(snapshot);
    t.diagnostic(
      `records: ${snapshot.kernel.emitted} in all, ${snapshot.kernel.selfTest} of the self-test, ` +
        snapshot.apps.containers
          .filter(({ name }) => name !== undefined)
          .map(({ name, emitted }) => `${emitted} of ${name}`)
          .join(', '),
    );
    for (const container of [own, other, refused]) await container.remove({ force: true });
    assertAccounted(await settled(agent));
  } finally {
    for (const container of [own, other, refused])
      await container.remove({ force: true }).catch(() => undefined);
  }
});

test('opt-out and always: who is watched, and why, as "varvel status" says it', async () => {
  for (const mode of ['opt-out', 'always'] as const) {
    await using agent = await E2eAgent.start({ dockerd: engine, config: [`mode: ${mode}`] });
    const plain = await runIdle('plain', {});
    const refused = await runIdle('refused', { 'varvel.enable': 'false' });
    try {
      await known(agent, plain, 'included');
      await known(agent, refused, mode === 'always' ? 'included' : 'excluded');
      for (const container of [plain, refused]) {
        assert.equal(await execInContainer(container, 'cat /etc/shadow >/dev/null'), 0);
      }
      const snapshot = await settled(agent);
      const names = agent.detections(RULE).map(({ app }) => app?.['name']);
      assert.deepEqual(names, mode === 'always' ? ['plain', 'refused'] : ['plain']);
      assertAccounted(snapshot);
      const { stdout } = agent.varvel('status');
      const row = stdout.split('\n').find((line) => line.includes(' refused '));
      assert.match(
        row ?? '',
        mode === 'always' ? /The mode is "always"/ : /out .*varvel\.enable is "false"/,
      );
    } finally {
      for (const container of [plain, refused]) await container.remove({ force: true });
    }
  }
});

test('containers that run before the agent are watched too, with their processes', async () => {
  const early = await runIdle('early', { ...OPT_IN, 'varvel.app': 'early' });
  try {
    await using agent = await E2eAgent.start({ dockerd: engine });
    assert.equal(await execInContainer(early, 'cat /etc/shadow >/dev/null'), 0);
    await settled(agent);
    const lines = agent.detections(RULE);
    assert.equal(lines.length, 1);
    assert.deepEqual(lines[0]?.app, { name: 'early' });
  } finally {
    await early.remove({ force: true });
  }
});

test('a cgroup that is nested and named like another container changes nothing', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const victim = await runIdle('victim', { ...OPT_IN, 'varvel.app': 'victim' });
  const bystander = await runIdle('bystander', {});
  // A privileged tenant with the host's cgroups, which is as far as a tenant can get with them.
  const hostile = await runIdle(
    'hostile',
    { ...OPT_IN, 'varvel.app': 'hostile' },
    { Privileged: true, Binds: ['/sys/fs/cgroup:/cg:rw'] },
  );
  const { mountPoint } = (await agent.snapshot()).apps.hierarchy;
  const below = mountPoint.replace('/sys/fs/cgroup', '/cg');
  try {
    for (const container of [victim, hostile]) await known(agent, container, 'included');
    await known(agent, bystander, 'excluded');
    await settled(agent);
    const before = await emittedOf(agent, victim.id);
    for (const name of [victim.id, bystander.id, `docker/${victim.id}`]) {
      const script = [
        `d=${below}/docker/${hostile.id}`,
        `for part in $(echo ${name} | tr / ' '); do d=$d/$part; mkdir -p $d || exit 1; done`,
        // children of a process that has moved are born there
        'sh -c "echo \\$\\$ > $d/cgroup.procs && cat /etc/shadow >/dev/null && cat /etc/shadow >/dev/null"',
      ].join('; ');
      assert.equal(await execInContainer(hostile, script), 0, name);
    }
    const snapshot = await settled(agent);
    const lines = agent.detections(RULE);
    assert.equal(lines.length, 6, 'nesting hides nothing');
    for (const line of lines) {
      assert.equal(line.output_fields['container.id'], hostile.id.slice(0, 12));
      assert.deepEqual(line.app, { name: 'hostile' });
    }
    assert.equal(await emittedOf(agent, victim.id), before, 'nothing is the victim’s');
    assertAccounted(snapshot);

    // In the excluded container, a cgroup named like the victim is excluded as well.
    const nested = join(mountPoint, 'docker', bystander.id, victim.id);
    mkdirSync(nested);
    try {
      const emitted = (await settled(agent)).kernel.emitted;
      const child = spawnSync('sh', [
        '-c',
        `echo $$ > ${nested}/cgroup.procs && cat /etc/shadow >/dev/null && echo $$ > ${mountPoint}/cgroup.procs`,
      ]);
      assert.equal(child.status, 0);
      assert.equal((await settled(agent)).kernel.emitted, emitted);
      assert.equal(agent.detections(RULE).length, 6);
    } finally {
      rmdirSync(nested);
    }
  } finally {
    for (const container of [victim, bystander, hostile]) await container.remove({ force: true });
  }
  const left = join(mountPoint, 'docker', hostile.id);
  await until('its cgroups are gone', () => !existsSync(left));
});
