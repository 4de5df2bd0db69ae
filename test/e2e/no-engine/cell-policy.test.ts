// Policies of apps on a cell as it really is: the droplet comes after the container, the app after Envoy, ssh and health checks.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startCell, type Cell } from '../../support/cell.ts';
import { E2eAgent, pooled, until } from '../../support/e2e-agent.ts';
import { propertiesOf } from '../../support/garden-server.ts';

/** Instances in each round; VARVEL_TEST_INSTANCES sets more. */
const INSTANCES = Number(process.env['VARVEL_TEST_INSTANCES'] ?? 12);
const STAGED = '/home/vcap/deps/0/varvel/policy.json';
const RUNS = 'sleep 1000000';
/** Nobody else opens it: runc itself reads /etc/passwd and /etc/group in containers. */
const MARK = '/home/vcap/app/mark.txt';
const MARKS = `read -r a < ${MARK}`;
/** What an intruder does to the policy, or the app itself. */
const EDIT = `read -r other < /home/vcap/app/other.json; printf '%s' "$other" > ${STAGED}`;
const stagedPolicy = (rule: string): string =>
  JSON.stringify({
    format: 1,
    policy: `custom_rules:\n  - {rule: ${rule}, desc: d, priority: WARNING, condition: 'evt.type in (open, openat) and fd.name = ${MARK}', output: read}\n`,
  });

let garden: Cell;
let agent: E2eAgent;
let made = 0;
/** Handles are this run's own: a real Garden keeps its containers when a test is killed. */
const RUN = `0000-4000-8000-${process.pid.toString(16).padStart(12, '0')}`;

before(async () => {
  garden = await startCell();
  agent = await E2eAgent.start({
    garden: { socketPath: garden.socketPath, cgroupParents: [garden.root] },
    config: ['cgroup_hierarchy: v1'],
    noDefaultRules: true,
    rules: {
      'own.yaml':
        '- {rule: Never, desc: d, condition: evt.type = execve and proc.name = never, output: x, priority: NOTICE}\n',
    },
  });
});

after(async () => {
  await agent[Symbol.asyncDispose]();
  await garden[Symbol.asyncDispose]();
});

/** An instance of an app that asks by its policy alone, in the order in which Diego's executor makes one. */
async function instance(app: string): Promise<string> {
  const handle = `${(made++).toString(16).padStart(8, '0')}-${RUN}`;
  await garden.create(handle, propertiesOf({ guid: `guid-${handle}` }));
  await garden.unpack(handle, {
    '/home/vcap/app/other.json': stagedPolicy('Another'),
    [MARK]: 'marked\n',
    [STAGED]: stagedPolicy('Own rule'),
    '/home/vcap/staging_info.yml': '{}',
  });
  await garden.sidecar(handle, 'envoy', `read -r a < /etc/passwd; ${RUNS}`);
  void garden.exec(handle, RUNS);
  await garden.sidecar(handle, 'startup-healthcheck-0', 'true; sleep 1', { beside: true });
  void garden.exec(handle, app);
  await garden.sidecar(handle, 'liveness-healthcheck-0', RUNS, { beside: true });
  return handle;
}

/** What the operator's file says of each container's policy, as trust by handle. */
function trusts(): Map<string, string> {
  const found = new Map<string, string>();
  for (const { output, app } of agent.detections('Varvel: policy')) {
    const trust = /\(varvel\.yml, (\w+)\)/.exec(output)?.[1] ?? output;
    found.set(String(app?.['guid']).replace(/^guid-/, ''), trust);
  }
  return found;
}

async function trustOf(handles: readonly string[]): Promise<string[]> {
  await until(
    () => `each has an answer: ${JSON.stringify(handles.map((one) => trusts().get(one)))}`,
    () => handles.every((handle) => trusts().has(handle)),
    60_000,
  );
  return handles.map((handle) => trusts().get(handle)!);
}

const all = (count: number, what: string): string[] => Array.from({ length: count }, () => what);

async function instances(count: number, app: string): Promise<string[]> {
  const handles: string[] = [];
  await pooled(
    Array.from({ length: count }, () => async () => void handles.push(await instance(app))),
    4,
    (job) => job(),
  );
  return handles;
}

describe('policies on a cell, beside Envoy, health checks and ssh', () => {
  test('each instance’s policy is read and verified, and its own rule watches it', async (t) => {
    const handles = await instances(INSTANCES, RUNS);
    const found = await trustOf(handles);
    for (const { output } of agent.detections('Varvel: policy'))
      if (output.includes(', unverified)')) t.diagnostic(output);
    assert.deepEqual(found, all(INSTANCES, 'verified'));
    const [first = ''] = handles;
    assert.equal(await garden.exec(first, MARKS).ended, 0);
    await until('its own rule is told', () => agent.detections('Own rule').length > 0);
    assert.ok(agent.detections('Own rule').every((line) => line.app?.['guid'] === `guid-${first}`));
    await pooled(handles, 4, (handle) => garden.destroy(handle));
  });

  test('an app that edits its policy as the first thing it does is never verified', async () => {
    const handles = await instances(INSTANCES, `${EDIT}; ${RUNS}`);
    const found = await trustOf(handles);
    await pooled(handles, 4, async (handle) => {
      assert.equal(await garden.exec(handle, MARKS).ended, 0);
    });
    await until(
      () => `all tell: ${agent.detections('Own rule').length + agent.detections('Another').length}`,
      () =>
        handles.every((handle) =>
          ['Own rule', 'Another'].some((rule) =>
            agent.detections(rule).some((line) => line.app?.['guid'] === `guid-${handle}`),
          ),
        ),
    );
    // Read before the edit, it is what was staged; read after it, it is not verified.
    handles.forEach((handle, at) => {
      const edited = agent
        .detections('Another')
        .some((line) => line.app?.['guid'] === `guid-${handle}`);
      if (edited) assert.equal(found[at], 'unverified', handle);
    });
    await pooled(handles, 4, (handle) => garden.destroy(handle));
  });

  test('verified stays verified when the agent is stopped, killed and replaced, whatever an intruder writes', async () => {
    const handles = await instances(2, RUNS);
    assert.deepEqual(await trustOf(handles), all(2, 'verified'));
    for (const handle of handles) {
      assert.equal(await garden.exec(handle, EDIT).ended, 0);
    }
    const again: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['stopped', () => agent.end().then(() => agent.run())],
      ['killed', () => agent.end('SIGKILL').then(() => agent.run())],
      ['replaced', () => agent.replace()],
      ...(garden.restart === undefined ? [] : [['garden restarted', garden.restart] as const]),
    ];
    for (const [what, action] of again) {
      const seen = agent.detections('Varvel: policy').length;
      await action();
      if (what !== 'garden restarted') {
        await until(
          `both are told again once the agent was ${what}`,
          () => agent.detections('Varvel: policy').length >= seen + 2,
        );
      }
      for (const { output } of agent.detections('Varvel: policy').slice(seen)) {
        assert.match(output, /\(varvel\.yml, verified\)/, what);
        assert.match(output, /is another now than when the app started, which changes nothing/);
      }
      for (const handle of handles) {
        const before = agent.detections('Own rule').length;
        assert.equal(await garden.exec(handle, MARKS).ended, 0);
        await until(
          `its own rule holds once the agent was ${what}`,
          () => agent.detections('Own rule').length > before,
        );
      }
      assert.deepEqual(agent.detections('Another'), []);
    }
    await pooled(handles, 4, (handle) => garden.destroy(handle));
  });

  test('a sidecar beside the container’s cgroup is the app’s at once, by name; Garden is not asked for it', async () => {
    const { server } = garden;
    const [handle = ''] = await instances(1, RUNS);
    await trustOf([handle]);
    if (server !== undefined) server.questions.length = 0;
    const script = `${MARKS}; ${RUNS}`;
    await garden.sidecar(handle, 'liveness-healthcheck-1', script, { beside: true });
    const [line] = await until('what it did is told', () => {
      const found = agent
        .detections('Own rule')
        .filter(({ app }) => app?.['guid'] === `guid-${handle}`);
      return found.length > 0 && found;
    });
    assert.equal(line?.app?.['sidecar'], 'liveness-healthcheck-1');
    const asked = server?.questions.filter((question) => question !== '/containers').flat() ?? [];
    assert.deepEqual(
      asked.filter((one) => one.includes('healthcheck')),
      [],
    );
    const { apps } = await agent.snapshot();
    const rows = apps.containers.filter(({ cgroupPath }) => cgroupPath.includes(handle));
    assert.ok(rows.length >= 2);
    assert.deepEqual(
      rows.map(({ fullId, state }) => [fullId, state]),
      rows.map(() => [handle, 'included']),
    );
    await garden.destroy(handle);
  });

  test('a sidecar inside the container’s cgroup, as Envoy, is named: what it starts, and from before the agent’s start', async () => {
    const [handle = ''] = await instances(1, RUNS);
    await trustOf([handle]);
    const sidecars = (): (string | undefined)[] =>
      agent
        .detections('Own rule')
        .filter(({ app }) => app?.['guid'] === `guid-${handle}`)
        .map(({ app }) => app?.['sidecar']);
    await garden.sidecar(handle, 'proxy', `while :; do sh -c '${MARKS}'; sleep 1; done`);
    await until('what it starts is told', () => sidecars().length > 0);
    await agent.replace();
    const before = sidecars().length;
    await until('it is told by the next agent', () => sidecars().length > before + 1);
    assert.deepEqual([...new Set(sidecars())], ['proxy']);
    assert.equal(await garden.exec(handle, MARKS).ended, 0);
    await until('what the app does is told as its own', () => sidecars().includes(undefined));
    await garden.destroy(handle);
  });

  test('a task is watched as its app asks, staging is not', async () => {
    const app = { guid: 'guid-tasks' };
    const made = [
      [`web-${RUN}`, propertiesOf({ ...app, tags: { varvel: 'on' } })],
      [`task-${RUN}`, propertiesOf({ ...app, workload: 'task', sourceName: 'APP/TASK/migrate' })],
      [`staging-${RUN}`, propertiesOf({ ...app, workload: 'staging', sourceName: 'STG' })],
      [`alone-${RUN}`, propertiesOf({ guid: 'guid-alone', workload: 'task' })],
    ] as const;
    for (const [handle, properties] of made) {
      await garden.create(handle, properties);
      void garden.exec(handle, RUNS);
    }
    const rows = await until('each is decided', async () => {
      const found = await Promise.all(made.map(([handle]) => agent.containerStatus(handle)));
      return found.every((one) => one !== undefined && one.state !== 'pending') && found;
    });
    assert.deepEqual(
      rows.map((row) => [row?.fullId, row?.state]),
      [
        [`web-${RUN}`, 'included'],
        [`task-${RUN}`, 'included'],
        [`staging-${RUN}`, 'excluded'],
        [`alone-${RUN}`, 'excluded'],
      ],
    );
    assert.match(rows[1]?.reason ?? '', /It is a task, and its app’s label/);
    assert.match(rows[2]?.reason ?? '', /An app is staged in it/);
    assert.match(rows[3]?.reason ?? '', /It is a task without a policy,/);
    for (const [handle] of made) await garden.destroy(handle);
  });
});
