// The agent in a pod, with the rights, mounts, configuration and probe that manifests/kubernetes gives it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ConfigMap, Container } from 'kubernetes-types/core/v1.d.ts';
import type { DaemonSet } from 'kubernetes-types/apps/v1.d.ts';
import { parse, parseAllDocuments } from 'yaml';
import { TestContainerd, type TestContainer, type TestPod } from '../support/containerd.ts';
import { until } from '../support/e2e-agent.ts';

const ROOT = join(import.meta.dirname, '../..');
const RULE = 'Mark read';
const RULES = `
- rule: ${RULE}
  desc: A file of the test was read.
  condition: evt.type in (open, openat) and evt.is_open_read = true and fd.name = /etc/hostname
  output: mark (user=%user.name command=%proc.cmdline)
  priority: WARNING
`;
/** A program and a connection that are denied, and stay so for a while without an agent. */
const DENIED = ['Marked program', 'Marked connection'];
const DENIAL = `
- rule: Marked program
  desc: The test's.
  condition: evt.type in (execve, execveat) and proc.name = factor
  output: program
  priority: CRITICAL
- rule: Marked connection
  desc: The test's.
  condition: evt.type = connect and fd.sip = 203.0.113.9
  output: connection
  priority: CRITICAL
`;
/** The API's number of a profile: the runtime's own. */
const RUNTIME_DEFAULT = 0;

let containerd: TestContainerd;
let folder: string;
let spec: Container;
let data: Readonly<Record<string, string>>;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-pod-'));
  const objects = parseAllDocuments(
    readFileSync(join(ROOT, 'manifests/kubernetes/varvel.yaml'), 'utf8'),
  ).map((document) => document.toJS() as { kind: string });
  spec = (objects.find(({ kind }) => kind === 'DaemonSet') as DaemonSet).spec!.template.spec!
    .containers[0]!;
  data = (objects.find(({ kind }) => kind === 'ConfigMap') as ConfigMap).data!;
  for (const name of ['config', 'run', 'state', 'tracing', 'bpf', 'metrics'])
    mkdirSync(join(folder, name));
  for (const [name, text] of Object.entries(data))
    writeFileSync(join(folder, 'config', name), text);
  writeFileSync(join(folder, 'config', 'local_rules.yaml'), RULES);
  for (const [type, name] of [
    ['tracefs', 'tracing'],
    ['bpf', 'bpf'],
  ] as const) {
    const { status } = spawnSync('mount', ['-t', type, type, join(folder, name)]);
    assert.equal(status, 0, type);
  }
  containerd = await TestContainerd.start();
});

after(async () => {
  await containerd[Symbol.asyncDispose]();
  for (const name of ['tracing', 'bpf']) spawnSync('umount', [join(folder, name)]);
  rmSync(folder, { recursive: true });
});

/** Where on the host what the manifest mounts is in this test. */
const sources = (): Readonly<Record<string, string>> => ({
  config: join(folder, 'config'),
  run: join(folder, 'run'),
  state: join(folder, 'state'),
  containerd: containerd.stateDir,
  cgroup: '/sys/fs/cgroup',
  tracing: join(folder, 'tracing'),
  bpf: join(folder, 'bpf'),
  metrics: join(folder, 'metrics'),
});

type Mounts = readonly { host_path: string; container_path: string; readonly: boolean }[];

/** What the image has. */
const inImage = (): Mounts =>
  [
    ['/usr/lib', '/lib'],
    ['/usr/lib64', '/lib64'],
    [process.execPath, '/opt/varvel/node/bin/node'],
    [ROOT, '/opt/varvel/varvel'],
  ].map(([host_path = '', container_path = '']) => ({ host_path, container_path, readonly: true }));

const mountsOf = ({ volumeMounts }: Container): Mounts =>
  volumeMounts!.map(({ name, mountPath, readOnly = false }) => ({
    host_path: sources()[name] ?? assert.fail(name),
    container_path: mountPath,
    readonly: readOnly,
  }));

/** The manifest's container; in place of its image the host's libraries, this Node and this repository. */
async function runAgent(pod: TestPod, without?: string, given = spec): Promise<TestContainer> {
  const { capabilities, readOnlyRootFilesystem, allowPrivilegeEscalation } = given.securityContext!;
  return await containerd.runContainer(pod, {
    name: `varvel-without-${without ?? 'nothing'}`,
    command: ['/opt/varvel/node/bin/node', '/opt/varvel/varvel/dist/main.js', ...given.args!],
    env: {
      ...Object.fromEntries(given.env!.map(({ name, value = '' }) => [name, value])),
      VARVEL_HOSTNAME: 'node-1',
    },
    mounts: [...inImage(), ...mountsOf(given)],
    security: {
      capabilities: {
        add_capabilities: capabilities!.add!.filter((name) => name !== without),
        drop_capabilities: capabilities!.drop!,
      },
      readonly_rootfs: readOnlyRootFilesystem,
      no_new_privs: allowPrivilegeEscalation === false,
      seccomp: { profile_type: RUNTIME_DEFAULT },
    },
  });
}

const log = ({ logFile }: TestContainer): string => readFileSync(logFile, 'utf8');

async function isRunning(container: TestContainer): Promise<boolean> {
  const { status } = await containerd.client.ask('ContainerStatus', { container_id: container.id });
  return (status as { state: number }).state === 1;
}

/** Waits until it watches, or has ended; whether it watches. */
async function watches(agent: TestContainer): Promise<boolean> {
  const probe = spec.startupProbe!.exec!.command!;
  await until(
    'it watches, or has ended',
    async () => {
      if (!(await isRunning(agent))) return true;
      return (await containerd.exec(agent, probe).catch(() => 1)) === 0;
    },
    60_000,
  );
  return await isRunning(agent);
}

/** What an agent without one of its capabilities comes to: its own log, the app's log, the users that it names. */
async function attempt(without?: string) {
  const pod = await containerd.runPod({ name: 'varvel', namespace: 'varvel', hostPid: true });
  const appPod = await containerd.runPod({ labels: { 'varvel.enable': 'true' } });
  try {
    // As the user "app", as Korifi's apps are nobody's root; it runs before the agent does, which has to find it by itself.
    const app = await containerd.runContainer(appPod, {
      name: 'app',
      command: ['sleep', '100000'],
      security: { run_as_user: { value: 1000 } },
    });
    const agent = await runAgent(pod, without);
    if (!(await watches(agent))) return { agent: log(agent), app: '', users: [] };
    assert.equal(await containerd.exec(app, ['cat', '/etc/hostname']), 0);
    const users = (): string[] =>
      [...log(agent).matchAll(/"output":"[^"]*mark \(user=(\S+) /g)].map(([, user = '']) => user);
    await until('the operator’s copies', () => users().length > 0, 30_000);
    // Without the way into the app's log nothing comes, and the wait for it is over some time.
    const comes = without !== 'SYS_PTRACE';
    const found = until(
      'the app’s log gets it',
      () => log(app).includes(RULE),
      comes ? 60_000 : 3_000,
    );
    await (comes ? found : found.catch(() => undefined));
    return { agent: log(agent), app: log(app), users: users() };
  } finally {
    await containerd.removePod(pod);
    await containerd.removePod(appPod);
  }
}

test('with what the manifest gives it, the agent watches, and its lines are in both logs', async () => {
  const { agent, app, users } = await attempt();
  assert.deepEqual(users, ['app']);
  assert.equal(app.match(/"rule":"Mark read"/g)?.length, 1);
  assert.match(agent, /"hostname":"node-1"/);
});

test('what its capabilities are needed for is what the README says', async () => {
  for (const name of ['BPF', 'PERFMON'])
    assert.match((await attempt(name)).agent, /Cannot load the probe into the kernel: EPERM/, name);
  const noTrace = await attempt('SYS_PTRACE');
  assert.equal(noTrace.users.length, 1);
  assert.doesNotMatch(noTrace.app, /Mark read/, 'the way into the app’s log');
  // Not for this: for what containers keep from others, which these pods do not.
  assert.match((await attempt('DAC_READ_SEARCH')).app, /Mark read/);
});

test('with the rights of manifests/kubernetes/enforce it denies, kills what others run, and denies on without it, until it is uninstalled', async () => {
  const patch = parse(
    readFileSync(join(ROOT, 'manifests/kubernetes/enforce/rights.yaml'), 'utf8'),
  ) as DaemonSet;
  const [more] = patch.spec!.template.spec!.containers;
  const given: Container = {
    ...spec,
    securityContext: { ...spec.securityContext, ...more!.securityContext },
    volumeMounts: [...spec.volumeMounts!, ...more!.volumeMounts!],
  };
  const config = join(folder, 'config');
  writeFileSync(join(config, 'local_rules.yaml'), `${RULES}${DENIAL}`);
  writeFileSync(
    join(config, 'varvel.yaml'),
    `${data['varvel.yaml']!}probe: {deny_without_agent: 1h}
responses:
${DENIED.map((rule) => `  - {match: {rule: ${rule}}, do: deny, mode: enforce}`).join('\n')}
  - {match: {rule: ${RULE}}, do: kill, mode: enforce}
`,
  );
  const pod = await containerd.runPod({ name: 'varvel', namespace: 'varvel', hostPid: true });
  const pods = [pod];
  const appPod = await containerd.runPod({ labels: { 'varvel.enable': 'true' } });
  try {
    const agent = await runAgent(pod, undefined, given);
    assert.ok(await watches(agent), log(agent));
    const app = await containerd.runContainer(appPod, {
      name: 'app',
      command: ['sh', '-c', 'sleep 100000'],
      security: { run_as_user: { value: 1000 } },
    });
    const does = (script: string): Promise<number> => containerd.exec(app, ['sh', '-c', script]);
    // Not as the last command: the shell would become it, and the first program of a session is not denied.
    const factor = '/bin/factor 6 > /dev/null; exit $?';
    const connect = 'nc -w 1 203.0.113.9 80 2>&1 | grep -q "not permitted"';
    await until(
      'both are denied',
      async () => (await does(factor)) === 137 && (await does(connect)) === 0,
      60_000,
    );
    assert.equal(await does('/bin/factor 6; exit 5'), 5, 'only the program has ended');
    // Of another user: by a signal. The shell that reads goes on for as long as that takes.
    assert.equal(await does('read -r _ < /etc/hostname; sleep 20'), 137);
    await until(
      'its lines are there',
      () => DENIED.every((rule) => log(app).includes(rule)),
      30_000,
    );
    const pins = join(folder, 'bpf/varvel');
    await until('it has names', () => existsSync(pins) && readdirSync(pins).length > 0, 30_000);
    await containerd.removePod(pod);
    assert.equal(await does(factor), 137, 'without an agent');
    assert.equal(await does(connect), 0, 'without an agent');
    // What README.md says under "Uninstall": the next agent ends that, and leaves nothing itself.
    const text = readFileSync(join(config, 'varvel.yaml'), 'utf8');
    writeFileSync(
      join(config, 'varvel.yaml'),
      text.replace('without_agent: 1h', 'without_agent: 0s'),
    );
    writeFileSync(join(config, 'lift'), '');
    const last = await containerd.runPod({ name: 'varvel', namespace: 'varvel', hostPid: true });
    pods.push(last);
    const next = await runAgent(last, undefined, given);
    assert.ok(await watches(next), log(next));
    await until('nothing has a name', () => readdirSync(pins).length === 0, 90_000);
    assert.equal(await does(factor), 0, 'it enforces nothing');
    await containerd.removePod(last);
    assert.deepEqual(readdirSync(pins), []);
    assert.equal(await does(factor), 0, 'without an agent');
    assert.notEqual(await does(connect), 0, 'without an agent');
  } finally {
    for (const one of pods) await containerd.removePod(one);
    rmSync(join(config, 'lift'), { force: true });
    await containerd.removePod(appPod);
    rmSync(join(folder, 'bpf/varvel'), { recursive: true, force: true });
  }
});

test('with manifests/kubernetes/metrics a container without rights answers /metrics, and the agent nothing else there', async () => {
  const { spec: changed } = parse(
    readFileSync(join(ROOT, 'manifests/kubernetes/metrics/proxy.yaml'), 'utf8'),
  ) as DaemonSet;
  const [more, proxy] = changed!.template.spec!.containers;
  const given: Container = {
    ...spec,
    env: [...spec.env!, ...more!.env!],
    volumeMounts: [...spec.volumeMounts!, ...more!.volumeMounts!],
  };
  writeFileSync(join(folder, 'config/varvel.yaml'), data['varvel.yaml']!);
  const pod = await containerd.runPod({ name: 'varvel', namespace: 'varvel', hostPid: true });
  try {
    const { runAsUser, runAsGroup, readOnlyRootFilesystem } = proxy!.securityContext!;
    // The tests' pods are in the host's network: on its loopback, at a port of their own.
    const args = proxy!.args!.map((arg) => arg.replace(/^\*:\d+$/, '127.0.0.1:0'));
    const exposed = await containerd.runContainer(pod, {
      name: 'metrics',
      command: ['/opt/varvel/node/bin/node', '/opt/varvel/varvel/dist/main.js', ...args],
      mounts: [...inImage(), ...mountsOf(proxy!)],
      security: {
        run_as_user: { value: runAsUser },
        run_as_group: { value: runAsGroup },
        capabilities: { drop_capabilities: proxy!.securityContext!.capabilities!.drop! },
        readonly_rootfs: readOnlyRootFilesystem,
        no_new_privs: true,
        seccomp: { profile_type: RUNTIME_DEFAULT },
      },
    });
    const ask = async (path: string, method = 'GET'): Promise<readonly [number, string]> => {
      const answer = await fetch(`http://127.0.0.1:${port()}${path}`, { method });
      return [answer.status, await answer.text()];
    };
    const port = (): string => /on port (\d+)/.exec(log(exposed))?.[1] ?? '';
    await until('it listens', () => port() !== '', 30_000);
    assert.equal((await ask('/metrics'))[0], 503, 'before there is an agent');
    const agent = await runAgent(pod, undefined, given);
    assert.ok(await watches(agent), log(agent));
    await until('the agent answers', async () => (await ask('/metrics'))[0] === 200, 30_000);
    assert.match((await ask('/metrics'))[1], /^varvel_build_info\{/m);
    for (const [path, method] of [
      ['/status', 'GET'],
      ['/lift', 'POST'],
      ['/suggest', 'GET'],
    ] as const)
      assert.equal((await ask(path, method))[0], 404, path);
    // What is in that container cannot do more than what is on the network: the other socket is not there, and this one refuses.
    const inside = (script: string): Promise<number> =>
      containerd.exec(exposed, ['/opt/varvel/node/bin/node', '-e', script]);
    const lift = (socketPath: string): string =>
      `require('http').request({socketPath: '${socketPath}', path: '/lift', method: 'POST'}, (r) => process.exit(r.statusCode === 200 ? 0 : 4))
        .on('error', () => process.exit(5)).end()`;
    assert.equal(await inside(lift('/run/varvel-metrics/metrics.sock')), 4);
    assert.equal(await inside(lift('/run/varvel/metrics.sock')), 5);
    assert.equal(await inside('process.exit(process.getuid() === 65534 ? 0 : 1)'), 0);
  } finally {
    await containerd.removePod(pod);
  }
});
