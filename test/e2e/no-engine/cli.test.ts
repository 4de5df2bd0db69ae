import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';

// The command line as a user meets it, above all when something is missing: each time a sentence that says what to do.

const MAIN = join(import.meta.dirname, '../../../dist/main.js');
const { mountPoint } = detectHierarchy('auto');
const PARENT = `varvel-cli-${process.pid}`;
const CGROUP = join(mountPoint, PARENT, 'app');
let folder = '';

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The base configuration's lines have numbers that errors name. */
const stateDir = (): object => ({ VARVEL_STATE_DIR: join(folder, 'state') });

function run(file: string, args: readonly string[], options: object = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...stateDir() };
    execFile(file, args, { timeout: 60_000, env, ...options }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
      resolve({ code, stdout, stderr });
    });
  });
}

const varvel = (args: readonly string[], options: object = {}): Promise<Outcome> =>
  run(process.execPath, [MAIN, ...args], options);

/** In mounts of its own, after `prepare`. */
const varvelAfter = (prepare: string, args: readonly string[]): Promise<Outcome> =>
  run('unshare', [
    '--mount',
    '/bin/sh',
    '-c',
    `set -e; ${prepare}; exec "$@"`,
    'sh',
    process.execPath,
    MAIN,
    ...args,
  ]);

function configFile(lines: readonly string[]): string {
  const path = join(mkdtempSync(join(folder, 'config-')), 'varvel.yaml');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

const BASE = (): string[] => [
  `run_dir: ${mkdtempSync(join(folder, 'run-'))}`,
  'mode: always',
  'runtimes:',
  '  docker: {enabled: false}',
  `  cgroup: {apps: [{pattern: "/${PARENT}/*"}]}`,
];

/** One sentence or more, no stack trace. */
function assertSentence(outcome: Outcome, pattern: RegExp): void {
  assert.equal(outcome.code, 1, outcome.stderr);
  assert.match(outcome.stderr, pattern);
  assert.doesNotMatch(outcome.stderr, /\n\s+at |unexpected error/);
}

interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  stderr: string;
  stdout: string;
}

const started: ChildProcess[] = [];

async function startAgent(config: string, prefix: readonly string[] = []): Promise<Running> {
  const [command, ...args] = [...prefix, process.execPath, MAIN, 'agent', '-c', config];
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Lines that come by themselves.
    env: { ...process.env, ...stateDir(), VARVEL_COVERAGE_ENABLED: 'false' },
  });
  started.push(child);
  const running: Running = { process: child, ended: once(child, 'exit'), stderr: '', stdout: '' };
  child.stderr.on('data', (chunk: Buffer) => (running.stderr += chunk.toString('utf8')));
  child.stdout.on('data', (chunk: Buffer) => (running.stdout += chunk.toString('utf8')));
  await until(
    () => running.stderr.includes('"msg":"watching"'),
    () => running.stderr,
  );
  return running;
}

async function stop(running: Running): Promise<void> {
  running.process.kill('SIGTERM');
  const [code] = (await running.ended) as [number | null];
  assert.equal(code, 0, running.stderr);
}

async function until(
  condition: () => boolean | Promise<boolean>,
  explain: () => string,
): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `waited 30 s in vain: ${explain()}`);
    await delay(50);
  }
}

/** A process of the app that reads a sensitive file: one detection. */
async function attack(): Promise<void> {
  mkdirSync(CGROUP, { recursive: true });
  const script = `echo 0 > ${CGROUP}/cgroup.procs; exec cat /etc/shadow`;
  assert.equal((await run('/bin/sh', ['-c', script])).code, 0);
}

function removeCgroup(directory: string): void {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory)) {
    const path = join(directory, entry);
    if (statSync(path).isDirectory()) removeCgroup(path);
  }
  rmdirSync(directory);
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-cli-'));
});

after(() => {
  // a test that failed half-way has not stopped its agent
  for (const child of started) child.kill('SIGKILL');
  removeCgroup(join(mountPoint, PARENT));
  rmSync(folder, { recursive: true, force: true });
});

test('the demo: three attacks, three detections among the app’s own lines; then all are denied; nothing left', async () => {
  const { code, stdout, stderr } = await varvel(['demo']);
  assert.equal(code, 0, stdout + stderr);
  const lines = stdout.split('\n');
  const all = lines.filter((line) => line.includes('[app=shop '));
  const detections = all.slice(0, 3);
  const denied = all
    .slice(3)
    .map((line) => /program ended before|connection refused/.exec(line)?.[0]);
  for (const what of ['program ended before', 'connection refused'])
    assert.ok(denied.includes(what), stdout);
  assert.match(stdout, /^3 of 3 attacks are in .*\. Then 3 of 3 were prevented\.$/m);
  assert.deepEqual(
    detections.map((line) => / rule="([^"]+)"/.exec(line)?.[1]),
    [
      'Download or hidden text run by a shell',
      'Sensitive file read',
      'Cloud metadata service contacted',
    ],
  );
  assert.deepEqual(
    detections.map((line) => / seq=(\d+) incident=[a-z]\w{7} lineage="[^"]+"\]/.exec(line)?.[1]),
    ['1', '2', '3'],
  );
  assert.ok(lines.some((line) => line.includes('GET /cart 200')));
  assert.doesNotMatch(detections.join('\n'), /<NA>/);
  assert.doesNotMatch(stdout, /\u001b/, 'no colour where there is no terminal');
  assert.deepEqual(
    readdirSync(mountPoint).filter((name) => name.startsWith('varvel-demo')),
    [],
  );
});

test('without privilege', async () => {
  // a copy that an ordinary user may read
  const outcome = await varvel(['agent', '-s', `run_dir=${folder}/nobody`], {
    uid: 65534,
    gid: 65534,
  });
  assertSentence(outcome, /root|CAP_BPF/);
  assertSentence(await varvel(['demo'], { uid: 65534, gid: 65534 }), /run it as root/);
});

test('without BTF', async () => {
  const outcome = await varvelAfter('mount -t tmpfs none /sys/kernel/btf', [
    'agent',
    '-c',
    configFile(BASE()),
  ]);
  assertSentence(outcome, /no BTF \(\/sys\/kernel\/btf\/vmlinux\)/);
});

test('without a Docker socket it says so, goes on, and says so in status', async () => {
  const lines = BASE();
  lines[3] = `  docker: {enabled: true, socket: ${folder}/nosuch.sock}`;
  const config = configFile(lines);
  const agent = await startAgent(config);
  await until(
    () => agent.stderr.includes(`${folder}/nosuch.sock`),
    () => agent.stderr,
  );
  const status = await varvel(['status', '-c', config]);
  assert.equal(status.code, 1, status.stderr);
  assert.match(status.stdout, /runtime docker: NOT CONNECTED\./);
  await stop(agent);
});

test('rule files: missing, a folder without any, broken', async () => {
  const with_ = (path: string): string => configFile([...BASE(), `rules_files: [${path}]`]);
  assertSentence2(await varvel(['agent', '-c', with_(`${folder}/nosuch.yaml`)]), /nosuch\.yaml/);
  mkdirSync(join(folder, 'empty'));
  assertSentence(await varvel(['agent', '-c', with_(`${folder}/empty`)]), /no \*\.yaml file/);
  const broken = join(folder, 'broken.yaml');
  writeFileSync(
    broken,
    '- rule: r\n  desc: d\n  priority: notice\n  output: o\n  condition: proc.nam = x\n',
  );
  assertSentence(await varvel(['agent', '-c', with_(broken)]), /broken\.yaml:5:14/);
});

/** Exit code 2 is "cannot be read", as in `varvel check`. */
function assertSentence2(outcome: Outcome, pattern: RegExp): void {
  assertSentence({ ...outcome, code: outcome.code === 2 ? 1 : outcome.code }, pattern);
}

test('a wrong key names the file, the line and the nearest right one', async () => {
  const config = configFile([...BASE(), 'minimum_priorty: notice']);
  assertSentence(
    await varvel(['agent', '-c', config]),
    /varvel\.yaml:6:1: .*minimum_priorty.*minimum_priority/,
  );
});

test('a second agent in the same run_dir or state_dir is refused; the first one is not disturbed', async () => {
  const config = configFile([...BASE(), 'streams: {stdout: {enabled: true}}']);
  const agent = await startAgent(config);
  const second = (...settings: readonly string[]): Promise<Outcome> =>
    varvel(['agent', '-c', config, ...settings.flatMap((setting) => ['-s', setting])]);
  const elsewhere = mkdtempSync(join(folder, 'second-'));
  const taken = new RegExp(`is taken, the process ${agent.process.pid} uses it. Stop that one`);
  assertSentence(await second(`state_dir=${elsewhere}/state`), /Another agent answers/);
  assertSentence(await second(), taken);
  assertSentence(await second(`run_dir=${elsewhere}`), taken);
  await attack();
  await until(
    () => agent.stdout.includes('Sensitive file read'),
    () => agent.stderr,
  );
  await stop(agent);
});

test('a full disk: a sentence, nothing torn, and the agent and its other streams go on', async () => {
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const config = configFile([
    ...BASE(),
    `streams: {stdout: {enabled: true}, file: {path: ${disk}/detections.log}}`,
  ]);
  const fill = `mount -t tmpfs -o size=16k none ${disk}; touch ${disk}/detections.log; dd if=/dev/zero of=${disk}/fill bs=4k 2>/dev/null || true`;
  const agent = await startAgent(config, [
    'unshare',
    '--mount',
    '/bin/sh',
    '-c',
    `${fill}; exec "$@"`,
    'sh',
  ]);
  await attack();
  await until(
    () =>
      agent.stdout.includes('Sensitive file read') && /No space|ENOSPC|full/i.test(agent.stderr),
    () => agent.stderr,
  );
  let streams: Readonly<Record<string, { delivered: number; failed: number }>> = {};
  // It is tried again for five seconds.
  await until(
    async () => {
      const { stdout } = await varvel(['status', '-c', config, '--json']);
      ({ streams } = (JSON.parse(stdout) as { delivery: { streams: typeof streams } }).delivery);
      // The app is also told how long nobody watched it.
      return (
        streams['stdout']!.delivered > 0 && streams['file']?.failed === streams['stdout']?.delivered
      );
    },
    () => `the lines are not given up: ${JSON.stringify(streams)}, ${agent.stderr}`,
  );
  assert.equal(streams['file']?.delivered, 0);
  assert.equal(agent.stdout.split('"rule":"Sensitive file read"').length, 2);
  await stop(agent);
});
