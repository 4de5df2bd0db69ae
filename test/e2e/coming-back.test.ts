// How an agent comes back after it was killed: what each app is told, with a full or read-only disk, with damaged state.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { startDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import type { E2eAgentOptions } from '../support/e2e-config.ts';
import { logLines, restartContainer, runContainer } from '../support/e2e-docker.ts';
import { HttpService } from '../support/http-receiver.ts';
import { NumberedFiles } from '../support/numbered-files.ts';
import { SmallDisk } from '../support/small-disk.ts';

const STATE = 'Varvel: state not kept';
/** The sign of life is written every second; on a busy machine a timer is late. */
const TOLERANCE_MS = 1000 + 3000;

const startAgent = (
  apps: readonly NumberedFiles[],
  more: Partial<E2eAgentOptions> = {},
): Promise<E2eAgent> =>
  E2eAgent.start({
    noDefaultRules: true,
    rules: { 'own.yaml': apps.map(({ rules }) => rules).join('\n') },
    cgroupApps: `[${apps.map(({ cgroupApp }) => cgroupApp).join(', ')}]`,
    config: ['mode: always', 'limits: {enabled: false}'],
    ...more,
  });

const watched = (app: NumberedFiles, lines = 50): Promise<unknown> => {
  const from = app.told().length;
  return until('lines come', () => app.told().length > from + lines);
};

interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
  readonly why: unknown;
}

const intervalsOf = (lines: readonly DetectionLine[]): Interval[] =>
  lines
    .filter(({ rule }) => rule === 'Varvel: not watched')
    .map(({ output, output_fields: fields }) => {
      const [, from = '', to = ''] = /from (\S+) to (\S+): /.exec(output) ?? [];
      return { fromMs: Date.parse(from), toMs: Date.parse(to), why: fields['unwatched.why'] };
    });

/** Numbers of lines: none twice, and none missing in silence. */
function assertNumbers(lines: readonly DetectionLine[]): void {
  const seqs = lines.filter(({ seq }) => seq > 0).map(({ seq }) => seq);
  assert.equal(new Set(seqs).size, seqs.length, 'no number comes twice');
  const gaps = lines
    .filter(({ rule }) => rule === 'Varvel: numbers uncertain')
    .map(({ output_fields: fields }) => [Number(fields['gap.from']), Number(fields['gap.to'])]);
  const known = new Set(seqs);
  for (const seq of seqs) {
    const isExplained =
      seq === 1 ||
      known.has(seq - 1) ||
      gaps.some(([from, to]) => from! <= seq - 1 && seq - 1 <= to!);
    assert.ok(
      isExplained,
      `the number before ${seq} is missing in silence; told: ${lines
        .filter((line) => line.seq === 0)
        .map(({ output }) => output)
        .join('; ')}`,
    );
  }
}

test('kill -9 again and again: each app is told when nobody watched it, and that is when its actions were not seen', async (t) => {
  await using one = new NumberedFiles('killed-one');
  await using two = new NumberedFiles('killed-two');
  const apps = [one, two];
  await using agent = await startAgent(apps);
  const ends: { readonly killedMs: number; readonly backMs: number }[] = [];
  for (let kill = 1; kill <= 3; kill++) {
    await Promise.all(apps.map((app) => watched(app, 200)));
    const killedMs = Date.now();
    await agent.end('SIGKILL');
    await delay(700);
    await agent.run();
    ends.push({ killedMs, backMs: Date.now() });
  }
  await Promise.all(apps.map((app) => watched(app, 200)));
  for (const app of apps) {
    const lines = app.lines();
    const intervals = intervalsOf(lines);
    assert.deepEqual(
      intervals.map(({ why }) => why),
      ['killed', 'killed', 'killed'],
    );
    const told = new Set(app.told());
    const [first, last] = [Math.min(...told), Math.max(...told)];
    const unseen = [...app.made()].filter(
      ([file]) => file > first && file < last && !told.has(file),
    );
    const uncovered = unseen.filter(
      ([, ms]) => !intervals.some(({ fromMs, toMs }) => fromMs - 1 <= ms && ms <= toMs + 1),
    );
    t.diagnostic(
      `${unseen.length} of ${last - first + 1} files were not seen; ${uncovered.length} of them are in no interval`,
    );
    for (const [index, { fromMs, toMs }] of intervals.entries()) {
      const { killedMs, backMs } = ends[index]!;
      const seenAfter = [...app.made()].filter(([file, ms]) => told.has(file) && ms > killedMs);
      const firstSeenMs = Math.min(...seenAfter.map(([, ms]) => ms));
      t.diagnostic(
        `told ${toMs - fromMs} ms; begins ${killedMs - fromMs} ms before the kill, ends ${firstSeenMs - toMs} ms before the first file that was seen after it`,
      );
      assert.ok(fromMs > killedMs - TOLERANCE_MS && fromMs <= killedMs, 'it begins with the kill');
      assert.ok(toMs > killedMs && toMs <= backMs, 'it ends before the agent answers');
    }
    // Lines that were on their way at the kill are told by their numbers.
    const onTheirWay = lines
      .filter(({ rule }) => rule === 'Varvel: numbers uncertain')
      .reduce(
        (sum, { output_fields: f }) => sum + Number(f['gap.to']) - Number(f['gap.from']) + 1,
        0,
      );
    assert.ok(unseen.length > 100 && uncovered.length <= onTheirWay, String(uncovered.length));
    assertNumbers(lines);
  }
  const { continuity } = await agent.snapshot();
  assert.equal(continuity.unwatched.containers, 2);
  assert.match(await agent.metrics(), /^varvel_unwatched_containers 2$/m);
  assert.match(
    agent.varvel('status').stdout,
    /not watched before this agent’s start: 2 containers/,
  );
});

test('stopped and started: told from the stop on; replaced: nothing is told', async () => {
  await using app = new NumberedFiles('stopped');
  await using agent = await startAgent([app]);
  await watched(app);
  await agent.end('SIGTERM');
  const stoppedMs = Date.now();
  await delay(500);
  await agent.run();
  await watched(app);
  const [interval, ...more] = intervalsOf(app.lines());
  assert.deepEqual([interval?.why, more], ['stopped', []]);
  assert.ok(interval!.fromMs <= stoppedMs && interval!.toMs >= stoppedMs + 500);
  await agent.replace();
  await watched(app);
  await delay(2000);
  assert.equal(intervalsOf(app.lines()).length, 1);
});

test('containers of an engine: one that started while nobody watched is told from its start, one that ran again from the kill', async () => {
  await using engine = await startDockerd();
  await engine.importBusybox();
  await using agent = await E2eAgent.start({ dockerd: engine, config: ['mode: always'] });
  const run = (name: string) => runContainer(engine, 'exec sleep 600', { name });
  const again = await run('again');
  await until('it is known', async () => (await agent.containerStatus(again.id))?.name);
  const killedMs = Date.now();
  await agent.end('SIGKILL');
  await restartContainer(again);
  const younger = await run('younger');
  const startedMs = Date.parse((await younger.inspect()).State.StartedAt);
  await agent.run();
  try {
    const told = async (app: Docker.Container): Promise<Interval> =>
      await until('its own log tells it', async () => {
        const lines = (await logLines(engine, app)).filter((line) => line.startsWith('{'));
        const [interval, ...more] = intervalsOf(
          lines.map((line) => JSON.parse(line) as DetectionLine),
        );
        assert.deepEqual(more, []);
        return interval;
      });
    const [ofAgain, ofYounger] = [await told(again), await told(younger)];
    assert.ok(ofAgain.fromMs > killedMs - TOLERANCE_MS && ofAgain.fromMs <= killedMs);
    // The engine's clock has ns, Date has ms.
    assert.ok(Math.abs(ofYounger.fromMs - startedMs) <= 1, `${ofYounger.fromMs - startedMs} ms`);
    // A container that starts while the agent watches is told nothing.
    const later = await run('later');
    await until('it is watched', async () => (await agent.containerStatus(later.id))?.name);
    await delay(2000);
    assert.equal(agent.detections('Varvel: not watched').length, 2);
    await later.remove({ force: true });
  } finally {
    for (const app of [again, younger]) await app.remove({ force: true });
  }
});

test('the state disk is full when a killed agent comes back: it starts, goes on with its numbers, and says what it cannot keep', async (t) => {
  using disk = new SmallDisk();
  const http = await HttpService.start();
  await using app = new NumberedFiles('full-disk');
  await using agent = await startAgent([app], {
    stateDir: join(disk.path, 'state'),
    streams: [`http: {url: "http://127.0.0.1:${http.port}/", batch: true}`],
  });
  try {
    http.answer = (_, response) => response.writeHead(503).end();
    await watched(app);
    await agent.end('SIGKILL');
    disk.fill();
    await agent.run();
    await watched(app);
    await until('lines for the receiver wait in memory', async () => {
      const { http: counters } = (await agent.snapshot()).streams;
      return counters !== undefined && 'spool' in counters && counters.spool.inMemory > 0;
    });
    const { continuity } = await agent.snapshot();
    assert.deepEqual(
      continuity.troubles.map(({ part }) => part),
      ["lines that wait for the http stream's receiver"],
    );
    assert.match(agent.varvel('status').stdout, /NOT KEPT ON DISK since .*the disk is full/);
    assert.match(await agent.metrics(), /^varvel_state_not_kept\{part="lines that wait/m);
    await until('operators are told', () => agent.detections(STATE).length === 1);
    assert.equal(app.lines().filter(({ rule }) => rule === STATE).length, 0);
    const last = Math.max(...app.told());
    http.answer = (_, response) => response.end();
    await until('the receiver gets them', () =>
      http.requests.some(({ body }) => filesIn(body).includes(last)),
    );
    disk.free();
    await until('it keeps them again', async () => {
      return (await agent.snapshot()).continuity.troubles.length === 0;
    });
    assert.match(agent.log(), /Kept on disk again: lines that wait/);
    await until('operators are told', () => agent.detections(STATE).length === 2);
    await agent.end('SIGKILL');
    await agent.run();
    await watched(app);
    assertNumbers(app.lines());
    t.diagnostic(`${app.told().length} lines, the last with the number ${app.lines().at(-1)?.seq}`);
  } finally {
    await http.stop();
  }
});

test('no state at all on a full or read-only disk: it watches, and keeps state when it can; no number comes twice', async () => {
  using disk = new SmallDisk();
  await using app = new NumberedFiles('no-state');
  disk.fill();
  await using agent = await startAgent([app], { stateDir: join(disk.path, 'state') });
  await watched(app);
  const parts = async (): Promise<string[]> =>
    (await agent.snapshot()).continuity.troubles.map(({ part }) => part);
  assert.ok((await parts()).includes('the numbers of lines (seq)'));
  await agent.end('SIGKILL');
  await agent.run();
  await watched(app);
  assertNumbers(app.lines());
  disk.free();
  await until('it keeps all', async () => (await parts()).length === 0);
  await agent.end('SIGKILL');
  await agent.run();
  await watched(app);
  assertNumbers(app.lines());
  await agent.end('SIGKILL');
  await disk.remount('ro');
  await agent.run();
  await watched(app);
  assert.ok((await parts()).length > 0);
  await agent.end('SIGKILL');
  await disk.remount('rw');
  await agent.run();
  await watched(app);
  assert.deepEqual(await parts(), []);
  assertNumbers(app.lines());
});

test('damaged state is set aside: the agent starts, and numbers are never given twice in silence', async () => {
  await using app = new NumberedFiles('damaged');
  const http = await HttpService.start();
  await using agent = await startAgent([app], {
    streams: [`http: {url: "http://127.0.0.1:${http.port}/", batch: true}`],
  });
  const state = join(agent.folder, 'state');
  const numbers = join(state, 'numbers');
  const elsewhere = join(agent.folder, 'elsewhere');
  writeFileSync(elsewhere, 'not an agent’s');
  mkdirSync(join(agent.folder, 'folder'));
  const damages: Readonly<Record<string, () => void>> = {
    'an oversized file': () => writeFileSync(numbers, Buffer.alloc(700_000, 1)),
    'a folder': () => mkdirSync(join(numbers, 'x'), { recursive: true }),
    'a link': () => symlinkSync(elsewhere, numbers),
    'an empty file': () => writeFileSync(numbers, ''),
    'a file of something else': () => writeFileSync(numbers, Buffer.alloc(640_064, 7)),
    'other parts': () => {
      for (const name of ['policies', 'spool/http']) {
        rmSync(join(state, name), { recursive: true, force: true });
        symlinkSync(join(agent.folder, 'folder'), join(state, name));
      }
      for (const name of ['alive', 'succession.sock', 'owner']) {
        rmSync(join(state, name), { recursive: true, force: true });
        mkdirSync(join(state, name, 'x'), { recursive: true });
      }
    },
  };
  try {
    for (const [what, damage] of Object.entries(damages)) {
      await watched(app);
      await agent.end('SIGKILL');
      if (what !== 'other parts') rmSync(numbers, { recursive: true, force: true });
      damage();
      await agent.run();
      await watched(app, 100);
      const lines = app.lines();
      assertNumbers(lines);
      if (what !== 'other parts')
        assert.match(
          agent.log(),
          /The file \\?"numbers\\?" in the state folder is damaged, or was changed by something other/,
          what,
        );
    }
    assert.match(agent.log(), /policies was moved to .*policies\.damaged/);
    assert.match(
      agent.log(),
      /The file \\?"alive\\?" in the state folder is damaged, or was changed/,
    );
    assert.deepEqual((await agent.snapshot()).continuity.troubles, []);
  } finally {
    await http.stop();
  }
});

test('too few open files: a sentence before anything is opened', async () => {
  await using app = new NumberedFiles('few-files');
  await using agent = await startAgent([app]);
  await watched(app);
  for (const limit of [64, 256]) {
    for (const command of ['agent', 'doctor']) {
      const argv = ['dist/main.js', command, '--config', agent.configFile];
      const { status, stdout, stderr } = spawnSync(
        'prlimit',
        [`--nofile=${limit}`, process.execPath, ...argv],
        { encoding: 'utf8', timeout: 120_000 },
      );
      assert.equal(status, 1, stderr);
      const said = `${stdout}${stderr}`.replace(/\s+/g, ' ');
      assert.match(said, new RegExp(`open ${limit} files here \\(ulimit -n\\): too few`));
      assert.match(said, /LimitNOFILE=1024/);
    }
  }
  assert.ok(agent.running, 'the one that runs goes on');
});

test('a rule file that is emptied while the agent runs changes nothing, and the status says so', async () => {
  await using app = new NumberedFiles('no-rules');
  await using agent = await startAgent([app]);
  await watched(app);
  writeFileSync(join(agent.folder, 'own.yaml'), '');
  await until('the reload fails', async () => (await agent.snapshot()).rules.reloads.failed > 0);
  await watched(app);
  assert.match(agent.varvel('status').stdout, /RULES NOT RELOADED[^]*own\.yaml contain no rule/);
  await agent.end('SIGTERM');
  const { code, stderr } = agent.varvel('agent');
  assert.equal(code, 1);
  assert.match(
    stderr,
    /own\.yaml contain no rule: the agent would watch nothing.*rules_allow_none: true/,
  );
});

test('clients of succession.sock that say nothing keep no successor out', async () => {
  await using app = new NumberedFiles('silent');
  await using agent = await startAgent([app]);
  await watched(app);
  const silent = Array.from({ length: 20 }, () =>
    connect(join(agent.folder, 'state', 'succession.sock')).on('error', () => undefined),
  );
  try {
    const old = await agent.replace();
    await until('the old one has ended', () => old.exitCode === 0);
    await watched(app);
    assert.deepEqual(intervalsOf(app.lines()), []);
  } finally {
    for (const socket of silent) socket.destroy();
  }
});

/** The numbers of the files in a batch of lines. */
const filesIn = (body: string): number[] =>
  (JSON.parse(body) as DetectionLine[]).flatMap(({ output }) =>
    Number(/n-(\d+)$/.exec(output)?.[1] ?? 0),
  );
