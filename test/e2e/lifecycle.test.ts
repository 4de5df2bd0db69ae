import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { bpfHolders } from '../support/bpf-holders.ts';
import { E2eAgent, settled, until } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import { heldBpfIds, leftBpfIds } from '../support/kernel-bpf-ids.ts';

const RULE = 'Sensitive file read';
const ENABLED = { 'varvel.enable': 'true' };
/** For tests in which there is no engine for a while: events wait for it, however long its start takes. */
const NAMES_COME_LATE = ['hold_time: 60s'];

let engine: TestDockerd;

before(async () => {
  engine = await startDockerd({ own: true });
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const remove = (container: Docker.Container): Promise<unknown> =>
  container.remove({ force: true }).catch(() => undefined);

const seen = (agent: E2eAgent, container: Docker.Container): Promise<unknown> =>
  until('the container is known', async () => {
    const status = await agent.containerStatus(container.id);
    return status?.state === 'included' && status.name !== undefined;
  });

/** None where the folder has gone meanwhile: it is somebody else's cgroup. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Cgroups that this agent's self-test made, in any hierarchy. */
function ownCgroups(pid: number): string[] {
  const roots = [
    '/sys/fs/cgroup',
    ...readdirSync('/sys/fs/cgroup').map((name) => join('/sys/fs/cgroup', name)),
  ];
  return roots
    .filter((root) => statSync(root, { throwIfNoEntry: false })?.isDirectory() === true)
    .flatMap((root) => namesIn(root).map((name) => join(root, name)))
    .filter((path) => path.includes('varvel') && path.endsWith(String(pid)));
}

test('SIGTERM and kill -9: nothing stays attached, and no cgroup is left', async (t) => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await using agent = await E2eAgent.start({ dockerd: engine });
    const app = await runContainer(engine, 'sleep 600', { labels: ENABLED });
    try {
      await seen(agent, app);
      const { pid } = agent;
      const held = bpfHolders().get(pid) ?? 0;
      assert.ok(held > 10, `a running agent holds its probe: ${held} descriptors`);
      const objects = heldBpfIds(pid);
      for (const kind of ['link', 'prog', 'map'] as const) {
        const of = objects.filter((one) => one.kind === kind);
        assert.ok(of.length > 5, `${of.length} of the kind ${kind}`);
      }
      const { code, signal: by, ms } = await agent.end(signal);
      assert.deepEqual([code, by], signal === 'SIGTERM' ? [0, null] : [null, 'SIGKILL']);
      assert.equal(bpfHolders().get(pid), undefined);
      assert.deepEqual(await leftBpfIds(objects), []);
      assert.deepEqual(ownCgroups(pid), []);
      t.diagnostic(
        `${signal}: ended after ${ms.toFixed(0)} ms; ${held} BPF descriptors before, none after`,
      );
    } finally {
      await remove(app);
    }
  }
});

test('on SIGTERM everything that has happened is delivered first', async (t) => {
  const COUNT = 50;
  await using agent = await E2eAgent.start({ dockerd: engine });
  const app = await runContainer(
    engine,
    `until [ -e /tmp/go ]; do sleep 0.05; done; i=0; while [ $i -lt ${COUNT} ]; do read -r line < /etc/shadow; i=$((i+1)); done; touch /tmp/done; exec sleep 600`,
    { labels: ENABLED },
  );
  try {
    await seen(agent, app);
    const { State } = await app.inspect();
    const root = `/proc/${State.Pid}/root/tmp`;
    writeFileSync(`${root}/go`, '');
    // Busy, so that nothing is asked of the agent meanwhile, and it is told as soon as the last one has happened.
    for (
      const end = Date.now() + 60_000;
      statSync(`${root}/done`, { throwIfNoEntry: false }) === undefined;
    ) {
      assert.ok(Date.now() < end, 'the app has done it');
    }
    const { code, ms } = await agent.end('SIGTERM');
    assert.equal(code, 0);
    const lines = agent.detections(RULE);
    assert.equal(lines.length, COUNT);
    assert.deepEqual(
      lines.map(({ seq }) => seq),
      Array.from({ length: COUNT }, (_, index) => index + 1),
    );
    t.diagnostic(`${COUNT} detections, then SIGTERM: ended in order after ${ms.toFixed(0)} ms`);
  } finally {
    await remove(app);
  }
});

test('a second SIGTERM ends it at once', async () => {
  // Something to wait for: a container that nobody can name, since the engine does not answer.
  await using agent = await E2eAgent.start({ dockerd: engine, config: NAMES_COME_LATE });
  const { mountPoint } = detectHierarchy();
  const dockerd = Number(readFileSync(join(engine.execRoot, '..', 'docker.pid'), 'utf8'));
  const cgroup = join(mountPoint, 'docker', 'ab'.repeat(32));
  process.kill(dockerd, 'SIGSTOP');
  mkdirSync(cgroup, { recursive: true });
  try {
    await until('hooks are attached', async () =>
      (await agent.snapshot()).hooks.includes('sys_openat'),
    );
    const script = `echo $$ > ${cgroup}/cgroup.procs && cat /etc/shadow > /dev/null; echo $$ > ${mountPoint}/cgroup.procs`;
    assert.equal(spawnSync('sh', ['-c', script]).status, 0);
    await until('an event waits', async () => (await agent.snapshot()).waiting.events.held > 0);
    agent.kill('SIGTERM');
    // Two signals that come before it looks at either are one.
    await agent.logged(/stopping: what has been read is delivered first/);
    assert.ok(agent.running, 'it waits for the container’s name');
    const { code } = await agent.end('SIGTERM');
    assert.equal(code, 1);
    assert.doesNotMatch(agent.log(), /"msg":"stopped"/, 'it waited for nothing more');
  } finally {
    process.kill(dockerd, 'SIGCONT');
    rmdirSync(cgroup);
  }
  assert.equal(bpfHolders().get(agent.pid), undefined);
});

const rules = (file: string): string => `
- rule: File opened
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name = ${file}
  output: opened %fd.name in %container.name
  priority: NOTICE
`;

test('SIGHUP: a changed rule file takes effect, a bad one changes nothing and says why, a rotated file is reopened', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': rules('/etc/group') },
  });
  const file = join(agent.folder, 'own.yaml');
  const app = await runContainer(engine, 'sleep 600', { labels: ENABLED });
  const count = async (path: string): Promise<number> => {
    const before = agent.operatorLines().length;
    assert.equal(await execInContainer(app, `cat ${path} > /dev/null`), 0);
    await settled(agent);
    return agent.operatorLines().length - before;
  };
  const reload = async (text: string, said: string): Promise<void> => {
    const at = agent.log().length;
    writeFileSync(file, text);
    agent.kill('SIGHUP');
    await until(said, () => agent.log().slice(at).includes(said));
  };
  try {
    await seen(agent, app);
    assert.deepEqual([await count('/etc/group'), await count('/etc/hostname')], [1, 0]);
    await reload(rules('/etc/hostname'), 'rules reloaded');
    assert.deepEqual([await count('/etc/group'), await count('/etc/hostname')], [0, 1]);

    await reload(rules('/etc/group').replace('fd.name', 'fd.nmae'), 'the rules were not reloaded');
    await agent.logged(/own\.yaml:4:\d+.*fd\.nmae/);
    assert.deepEqual([await count('/etc/group'), await count('/etc/hostname')], [0, 1]);
    await reload(rules('/etc/group'), 'rules reloaded');
    assert.deepEqual([await count('/etc/group'), await count('/etc/hostname')], [1, 0]);

    const rotated = `${agent.operatorFile}.1`;
    renameSync(agent.operatorFile, rotated);
    agent.kill('SIGHUP');
    assert.equal(await execInContainer(app, 'cat /etc/group > /dev/null'), 0);
    await until('the new file has the line', () => agent.operatorLines().length === 1);
  } finally {
    await remove(app);
  }
});

test('the engine is stopped and started: the agent goes on, and finds new containers', async (t) => {
  await using agent = await E2eAgent.start({ dockerd: engine, config: NAMES_COME_LATE });
  const first = await runContainer(engine, 'sleep 600', { labels: ENABLED, name: 'first' });
  await seen(agent, first);
  assert.equal(await execInContainer(first, 'cat /etc/shadow > /dev/null'), 0);
  await engine.stopDaemon();
  await until('the agent notices', async () =>
    (await agent.snapshot()).apps.runtimes.some(({ connected }) => !connected),
  );
  assert.match(
    agent.varvel('status').stdout,
    /docker: NOT CONNECTED\. .*(start Docker|does not answer|ended)/,
  );
  await engine.startDaemon();
  // At once, before the agent is back: what this one does waits for its name.
  const started = performance.now();
  const second = await runContainer(engine, ['cat', '/etc/shadow'], {
    labels: { ...ENABLED, 'varvel.app': 'second' },
    name: 'second',
  });
  try {
    const line = await until('its detection', () =>
      agent.detections(RULE).find(({ app }) => app?.['name'] === 'second'),
    );
    t.diagnostic(
      `a container right after the engine's start: its line came after ${(performance.now() - started).toFixed(0)} ms`,
    );
    assert.deepEqual(line.app, { name: 'second' });
    await settled(agent);
    assert.equal(agent.detections(RULE).length, 2);
    await until('it is connected again', async () =>
      (await agent.snapshot()).apps.runtimes.every(({ connected }) => connected),
    );
    assert.ok(agent.running);
  } finally {
    await remove(first);
    await remove(second);
  }
});

test('an agent that is there before the engine', async () => {
  const home = mkdtempSync(join(tmpdir(), 'varvel-early-'));
  try {
    // A path that leads to the engine's socket as soon as it exists.
    const socketPath = join(home, 'docker.sock');
    await using agent = await E2eAgent.start({
      dockerd: { socketPath, execRoot: engine.execRoot },
      config: NAMES_COME_LATE,
    });
    assert.match(agent.varvel('status').stdout, /There is no Docker socket at .*start Docker/);
    const early = await runContainer(engine, 'cat /etc/shadow > /dev/null; sleep 600', {
      labels: { ...ENABLED, 'varvel.app': 'early' },
    });
    try {
      await until('its event waits', async () => (await agent.snapshot()).waiting.events.held > 0);
      symlinkSync(engine.socketPath, socketPath);
      await until('its detection', () => agent.detections(RULE).length === 1);
      const line = agent.detections(RULE)[0]!;
      assert.deepEqual(line.app, { name: 'early' });
      assert.equal(line.output_fields['container.id'], early.id.slice(0, 12));
    } finally {
      await remove(early);
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
