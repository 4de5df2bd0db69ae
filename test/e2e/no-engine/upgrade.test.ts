// One agent takes another's place while an app trips a rule all the time: what is missing, and what comes twice.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { E2eAgent, until, type DetectionLine } from '../../support/e2e-agent.ts';
import { HttpService } from '../../support/http-receiver.ts';

const { mountPoint } = detectHierarchy();
const PARENT = `varvel-upgrade-${process.pid}`;
const CGROUP = join(mountPoint, PARENT, 'app');
const EVERY_MS = 10;

let folder = '';
let app: ChildProcess;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-upgrade-'));
  mkdirSync(CGROUP, { recursive: true });
});
after(async () => {
  app.kill('SIGKILL');
  if (app.exitCode === null && app.signalCode === null) await once(app, 'exit');
  await until('the cgroup is empty', () => spawnSync('rmdir', [CGROUP]).status === 0);
  spawnSync('rmdir', [join(mountPoint, PARENT)]);
  rmSync(folder, { recursive: true, force: true });
});

/** Makes the files n-1, n-2, … one every 10 ms, whatever the timers do, and says how far it is. */
const APP = `
const { closeSync, openSync, renameSync, writeFileSync } = require('node:fs');
const started = Date.now();
let made = 0;
setInterval(() => {
  while (made * ${EVERY_MS} < Date.now() - started) closeSync(openSync(process.argv[2] + '/n-' + ++made, 'w'));
  writeFileSync(process.argv[2] + '/made.new', String(made));
  renameSync(process.argv[2] + '/made.new', process.argv[2] + '/made');
}, ${EVERY_MS});
`;

const rules = (): string => `
- rule: Numbered file
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name startswith ${folder}/n-
  output: made %fd.name
  priority: NOTICE
`;

const startAgent = (streams: readonly string[] = []): Promise<E2eAgent> =>
  E2eAgent.start({
    noDefaultRules: true,
    rules: { 'own.yaml': rules() },
    cgroupApps: `[{pattern: "/${PARENT}/*", app: shop, log_file: ${folder}/app.log}]`,
    config: ['mode: always', 'limits: {enabled: false}', 'coverage: {interval: 5s}'],
    streams,
  });

function startApp(): void {
  writeFileSync(join(folder, 'app.js'), APP);
  writeFileSync(join(folder, 'made'), '0');
  const enter = `echo 0 > ${CGROUP}/cgroup.procs; exec ${process.execPath} ${folder}/app.js ${folder}`;
  app = spawn('sh', ['-c', enter], { stdio: 'ignore' });
}

const made = (): number => Number(readFileSync(join(folder, 'made'), 'utf8') || 0);

/** The numbers of the files in these lines, as they come. */
const filesOf = (lines: readonly DetectionLine[]): number[] =>
  lines.flatMap(({ output }) => {
    const found = /n-(\d+)$/.exec(output)?.[1];
    return found === undefined ? [] : [Number(found)];
  });

/** What stands behind the last newline may be half written. */
const appLines = (): DetectionLine[] =>
  readFileSync(join(folder, 'app.log'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as DetectionLine);

interface Count {
  readonly told: number;
  readonly missing: number;
  readonly twice: number;
}

/** Of all files from the first one that is told on. */
function count(files: readonly number[]): Count {
  const seen = new Set(files);
  const [first, last] = [Math.min(...files), Math.max(...files)];
  let missing = 0;
  for (let file = first; file <= last; file++) if (!seen.has(file)) missing++;
  return { told: seen.size, missing, twice: files.length - seen.size };
}

test('an upgrade: nothing is missing, nothing comes twice, numbers go on', async (t) => {
  const http = await HttpService.start();
  await using agent = await startAgent([
    `http: {url: "http://127.0.0.1:${http.port}/", batch: true}`,
  ]);
  startApp();
  try {
    await until('lines come', () => agent.detections('Numbered file').length > 100);
    await until('it is watched', () => appLines().some(({ rule }) => rule === 'Varvel: coverage'));
    for (let upgrade = 1; upgrade <= 3; upgrade++) {
      const from = made();
      const oldPid = agent.pid;
      const old = await agent.replace();
      await until('the old one has ended', () => old.exitCode !== null);
      assert.equal(old.exitCode, 0);
      assert.notEqual(agent.pid, oldPid);
      t.diagnostic(
        `upgrade ${upgrade}: took the time of ${made() - from} files (${EVERY_MS} ms each)`,
      );
      await delay(1000);
    }
    const until_ = made();
    await until('all is told', () => Math.max(...filesOf(agent.detections())) >= until_);
    await until('the receiver has it', () =>
      http.requests.some(({ body }) =>
        filesOf(JSON.parse(body) as DetectionLine[]).includes(until_),
      ),
    );
    const received = http.requests.flatMap(({ body }) => JSON.parse(body) as DetectionLine[]);
    const counts: Record<string, Count> = {
      'the operator’s file': count(filesOf(agent.detections())),
      'the app’s log': count(filesOf(appLines())),
      HTTP: count(filesOf(received)),
    };
    for (const [log, found] of Object.entries(counts)) {
      t.diagnostic(`${log}: ${JSON.stringify(found)}`);
      assert.deepEqual([found.missing, found.twice], [0, 0], log);
      assert.ok(found.told > 300);
    }
    const numbers = appLines().flatMap(({ seq }) => (seq === 0 ? [] : [seq]));
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
      'one after the other, across the agents',
    );
    const said = appLines().filter(({ rule }) => rule.startsWith('Varvel:'));
    assert.deepEqual([...new Set(said.map(({ rule }) => rule))], ['Varvel: coverage']);
    const whens = said.map(({ output_fields: fields }) => fields['coverage.when']);
    assert.ok(whens.includes('replaced') && !whens.includes('agent stop'), whens.join());
    assert.match(
      said.find(({ output_fields: fields }) => fields['coverage.when'] === 'replaced')!.output,
      /is watched by the next agent from now on, and was by varvel /,
    );
    // For comparison, what an upgrade would cost as a restart.
    const last = Math.max(...filesOf(agent.detections()));
    await agent.end();
    await agent.run();
    await until('it watches', () => Math.max(...filesOf(agent.detections())) > last + 50);
    const restart = count(filesOf(agent.detections()).filter((file) => file >= last));
    t.diagnostic(
      `a restart instead: ${restart.missing} files were not told, of ${EVERY_MS} ms each`,
    );
    assert.equal(restart.twice, 0);
  } finally {
    await http.stop();
  }
});

test('a successor that cannot start, or is stopped before it is ready: the old one goes on unharmed', async () => {
  await using agent = await startAgent();
  const { pid } = agent;
  if ((app as ChildProcess | undefined) === undefined) startApp();
  await until('lines come', () => agent.detections('Numbered file').length > 20);
  const bad = (...settings: readonly string[]) =>
    agent.varvel('agent', '--replace', ...settings.flatMap((setting) => ['-s', setting]));
  const broken = join(folder, 'broken.yaml');
  writeFileSync(
    broken,
    '- rule: r\n  desc: d\n  condition: nosuch = x\n  output: o\n  priority: notice\n',
  );
  for (const [outcome, sentence] of [
    [bad('mode=sometimes'), /mode/],
    [bad(`rules_files=["${broken}"]`), /broken\.yaml:3/],
    [bad('streams.http.url=https://127.0.0.1:1/', 'streams.http.ca=/nosuch.pem'), /nosuch\.pem/],
    [agent.varvel('agent'), /Another agent may be running.*varvel agent --replace/],
  ] as const) {
    assert.equal(outcome.code, 1, outcome.stderr);
    assert.match(outcome.stderr, sentence);
  }
  await until('one had come so far', () => agent.log().includes('this one goes on'));
  // Stopped as soon as the old one knows of it, which is before it has loaded its probe.
  const next = spawn(
    process.execPath,
    ['dist/main.js', 'agent', '--replace', '--config', agent.configFile],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  const logged = agent.log().length;
  next.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until('it is known', () => agent.log().slice(logged).includes('another agent is starting'));
  next.kill('SIGTERM');
  // What it said may come after its end.
  await once(next, 'close');
  assert.equal(next.exitCode, 0, said);
  assert.match(said, /the agent that runs goes on/);
  await until('the old one says so', () =>
    agent.log().slice(logged).includes('has given up: this one goes on'),
  );
  assert.deepEqual([agent.running, agent.pid], [true, pid]);
  const from = made();
  await until('it watches', () => Math.max(...filesOf(agent.detections())) > from);
  const found = count(filesOf(agent.detections()));
  assert.deepEqual([found.missing, found.twice], [0, 0]);
});

test('SIGUSR2: the agent starts its successor with its own arguments, and one that cannot start changes nothing', async (t) => {
  await using agent = await startAgent();
  if ((app as ChildProcess | undefined) === undefined) startApp();
  await until('lines come', () => agent.detections('Numbered file').length > 20);
  const { pid } = agent;
  const good = readFileSync(agent.configFile, 'utf8');
  writeFileSync(agent.configFile, `${good}nonsense: 1\n`);
  agent.kill('SIGUSR2');
  await agent.logged(/the new agent has not started: this one goes on/);
  assert.match(agent.log(), /nonsense/);
  writeFileSync(agent.configFile, good);
  agent.kill('SIGUSR2');
  let next = pid;
  try {
    await until('another one answers', async () => {
      // In between, nobody may answer.
      next = await agent.snapshot().then(
        (snapshot) => snapshot.pid,
        () => pid,
      );
      return next !== pid;
    });
    await until('the old one has ended', () => !agent.running);
    assert.equal((await agent.end()).code, 0);
    const argv = readFileSync(`/proc/${next}/cmdline`, 'utf8').split('\0');
    assert.ok(argv.includes('--replace') && argv.includes(agent.configFile), argv.join(' '));
    const from = made();
    await until('it watches', () => Math.max(...filesOf(agent.detections())) > from);
    const found = count(filesOf(agent.detections()));
    t.diagnostic(JSON.stringify(found));
    const told = new Set(filesOf(agent.detections()));
    const missing = Array.from({ length: made() }, (_, n) => n + 1).filter(
      (file) => file > Math.min(...told) && file < Math.max(...told) && !told.has(file),
    );
    assert.deepEqual([missing, found.twice], [[], 0], agent.log().slice(-5000));
  } finally {
    if (next !== pid) process.kill(next, 'SIGTERM');
    await until('it has ended', () => next === pid || !existsSync(`/proc/${next}`));
  }
});

test('SIGTERM to either while the place is taken, and an old one that is killed: somebody watches, and all is told', async (t) => {
  await using agent = await startAgent();
  if ((app as ChildProcess | undefined) === undefined) startApp();
  await until('lines come', () => agent.detections('Numbered file').length > 20);
  const oldLog = agent.log();
  const replacing = agent.replace();
  // `log` is of both: the old one says that it stops once the new one is ready.
  await until('the old one stops', () =>
    agent.log().slice(oldLog.length).includes('stopping: what has been read'),
  );
  agent.kill('SIGTERM');
  const outcome = await Promise.race([
    replacing.then(
      () => 'answered',
      () => 'ended',
    ),
    delay(60_000, 'neither', { ref: false }),
  ]);
  assert.ok(outcome === 'answered' || outcome === 'ended', outcome);
  // Only waits: a second SIGTERM would end it at once.
  assert.equal((await agent.end('SIGCONT')).code, 0, 'it took over, and then stopped in order');
  const found = count(filesOf(agent.detections()));
  t.diagnostic(`SIGTERM to the new one: ${JSON.stringify(found)}`);
  assert.deepEqual([found.missing, found.twice], [0, 0]);

  await agent.run();
  const fresh = agent.detections().length;
  await until('lines come', () => agent.detections().length > fresh + 20);
  const old = agent.pid;
  const before = agent.log().length;
  const second = agent.replace();
  await until('the old one knows', () =>
    agent.log().slice(before).includes('another agent is starting'),
  );
  process.kill(old, 'SIGKILL');
  await second;
  const from = made();
  await until('the new one watches', () => Math.max(...filesOf(agent.detections())) > from);
});
