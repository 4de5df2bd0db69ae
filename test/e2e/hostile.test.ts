import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { buildApp, E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import { escapeHidden } from '../../src/streams/escape.ts';
import { dockerLogs, execInContainer, logLines, runContainer } from '../support/e2e-docker.ts';

const RULE = 'Sensitive file read';
const ENABLED = { 'varvel.enable': 'true' };

/** A newline, a forged line, a forged field, terminal codes, quotes, bidi, invalid UTF-8. */
const NASTY =
  String.raw`a\n{"rule":"forged","app":{"name":"victim"}}\n[FALCO/0] 00:00:00: Emergency [app=victim] gone\r` +
  String.raw`\033[2J\033]0;title\007"'\\ \342\200\256drowssap\377\376\303(\200 app=victim]end`;

const RULES = `
- rule: Data file opened
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name startswith /data/
  output: opened %fd.name as %fd.nameraw by %proc.cmdline (%proc.exeline)
  priority: WARNING
`;

let engine: TestDockerd;
let folder: string;
let appMount: string;

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
  folder = mkdtempSync(join(tmpdir(), 'varvel-hostile-'));
  appMount = buildApp(folder);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const remove = (container: Docker.Container): Promise<unknown> => container.remove({ force: true });

/** Its log, once the engine has written so many lines of it. */
const linesInLog = (app: Docker.Container, count: number): Promise<string[]> =>
  until(`${count} lines in its log`, async () => {
    const found = await logLines(engine, app);
    return found.length >= count && found;
  });

/** Only what a terminal shows as it is, on one line: no control, no bidi, valid UTF-8. */
function assertPlain(line: string): void {
  assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
}

for (const format of ['json', 'text'] as const) {
  test(`${format}: a file name made to forge lines gives one well-formed line, in both logs`, async () => {
    await using agent = await E2eAgent.start({
      dockerd: engine,
      rules: { 'own.yaml': RULES },
      fileFormat: format,
      streams: [`container: {format: ${format}}`],
    });
    const app = await runContainer(
      engine,
      `mkdir /data; echo up; f="/data/$(printf '${NASTY.replaceAll("'", String.raw`'\''`)}')"; mkdir -p "\${f%/*}"; : > "$f"; echo down; exec sleep 600`,
      { labels: { ...ENABLED, 'varvel.app': 'shop' } },
    );
    try {
      await until('the app is through', async () => (await logLines(engine, app)).includes('down'));
      await settled(agent);
      const lines = agent.operatorLines();
      assert.equal(lines.length, 1);
      const line = lines[0]!;
      assertPlain(line);

      const inLog = await linesInLog(app, 3);
      const raw = await dockerLogs(engine, app);
      assert.ok(raw.equals(Buffer.from(raw.toString('utf8'))), 'the log is valid UTF-8');
      assert.deepEqual(
        inLog.filter((text) => text !== line),
        ['up', 'down'],
        'nothing but the app’s own lines and this one, whole',
      );
      assert.equal(inLog.length, 3);

      if (format === 'json') {
        const parsed = JSON.parse(line) as DetectionLine;
        assert.equal(parsed.rule, 'Data file opened');
        assert.deepEqual(parsed.app, { name: 'shop' });
        const name = String(parsed.output_fields['fd.name']);
        assert.ok(name.startsWith('/data/a\n{"rule":"forged"'), name);
        assert.ok(name.includes('[FALCO/0]') && name.endsWith('app=victim]end'), name);
        // Bytes that are no text are told apart in the output alone.
        const said = parsed.output.replaceAll(/\\x[89a-f][0-9a-f]/g, '\ufffd');
        assert.ok(said.includes(escapeHidden(name)), said);
      } else {
        assert.match(
          line,
          /^\d\d:\d\d:\d\d\.\d{9}: Warning \[app=shop rule="Data file opened" container=[0-9a-f]{12} id=\w+ seq=1 incident=\w{8} lineage="\w+\(\d+\)(?:<\w+\(\d+\))*<start"\] opened \/data\/a/,
        );
        assert.ok(line.includes('[FALCO/0]') && line.includes('app=victim'), line);
      }
    } finally {
      await remove(app);
    }
  });
}

/** On a busy host 20,000 opens in a row can be more than are seen, which the agent then says. */
const exceptLosses = (lines: readonly string[]): string[] =>
  lines.filter((line) => (JSON.parse(line) as DetectionLine).rule !== 'Varvel: events lost');

test('an argument of 32 KiB, and many of them: one whole line each, cut and marked', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const long = 'x'.repeat(32 * 1024);
  const app = await runContainer(
    engine,
    [
      'sh',
      '-c',
      'cat /etc/shadow /dev/null "$1" 2>/dev/null >/dev/null; cat /etc/shadow $(seq 20000) >/dev/null 2>&1; exec sleep 600',
      'sh',
      long,
    ],
    { labels: ENABLED },
  );
  try {
    await until('both detections', () => agent.detections(RULE).length === 2);
    await settled(agent);
    const lines = exceptLosses(agent.operatorLines());
    assert.equal(lines.length, 2, lines.map((line) => line.slice(0, 300)).join('\n'));
    const ofRule = async (): Promise<string[]> => exceptLosses(await linesInLog(app, 2));
    await until('both are in the log', async () => (await ofRule()).length >= 2);
    const inLog = await ofRule();
    assert.equal(inLog.length, 2);
    for (const [text, limit] of [
      ...lines.map((line) => [line, 8192] as const),
      ...inLog.map((line) => [line, 4094] as const),
    ]) {
      assert.ok(Buffer.byteLength(text) <= limit, `${Buffer.byteLength(text)} bytes`);
      const line = JSON.parse(text) as DetectionLine;
      assert.equal(line.truncated, true);
      assert.equal(line.output_fields['container.id'], app.id.slice(0, 12));
      assert.equal(line.output_fields['fd.name'], '/etc/shadow');
      assert.match(String(line.output_fields['proc.cmdline']), /^(cat|exe) \/etc\/shadow .*…$/);
    }
  } finally {
    await remove(app);
  }
});

test('a forged process name and command line hide nothing and name nobody else', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const app = await runContainer(engine, 'sleep 600', {
    labels: { ...ENABLED, 'varvel.app': 'shop' },
    hostConfig: { Binds: [appMount] },
  });
  try {
    await until('it is known', async () => (await agent.containerStatus(app.id))?.name);
    // The names of the runtime's own set-up and of its shim, and a name that is more than a name.
    const names = ['runc:[2:INIT]', 'containerd-shim', 'runc', String.raw`$(printf 'x\n[app=v]')`];
    for (const name of names) {
      assert.equal(await execInContainer(app, `/app title "${name}" /etc/shadow`), 0, name);
    }
    // A shell that takes the name before it reads, without an exec in between.
    const own = `printf 'runc:[2:INIT]' > /proc/self/comm; read -r line < /etc/shadow`;
    assert.equal(await execInContainer(app, own), 0);
    await settled(agent);
    const lines = agent.detections(RULE);
    assert.equal(lines.length, names.length + 1);
    for (const text of agent.operatorLines()) assertPlain(text);
    for (const line of lines) {
      assert.deepEqual(line.app, { name: 'shop' });
      assert.equal(line.output_fields['container.id'], app.id.slice(0, 12));
    }
    for (const line of lines.slice(0, names.length)) {
      assert.equal(line.output_fields['proc.exepath'], '/app', 'the file that the kernel runs');
      assert.match(String(line.output_fields['proc.cmdline']), / title [^]* \/etc\/shadow$/);
    }
    assert.equal(lines.at(-1)?.output_fields['proc.exepath'], '/bin/busybox');
  } finally {
    await remove(app);
  }
});

test('a storm of 1000 processes at once, ten times: the agent stays up, bounded, and sees every one', async (t) => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    rules: { 'own.yaml': RULES },
    config: [
      'limits: {enabled: false}',
      // They hold all of it: how much of two cores a thousand processes leave the agent is for the scheduler to say.
      'probe: {exec_ring_bytes: 16MiB, bulk_ring_bytes: 16MiB}',
    ],
  });
  const app = await runContainer(engine, 'mkdir /data; echo x > /data/file; exec sleep 600', {
    labels: ENABLED,
    hostConfig: { Binds: [appMount] },
  });
  try {
    await until('it is known', async () => (await agent.containerStatus(app.id))?.name);
    await settled(agent);
    // Only these: that lines were dropped becomes a line of its own, sooner or later.
    const lines = (): number => agent.detections('Data file opened').length;
    const first = lines();
    const before = agent.rssMib();
    const started = performance.now();
    for (let round = 0; round < 10; round++) {
      assert.equal(await execInContainer(app, '/app storm 1000 /data/file'), 0);
    }
    const wallMs = performance.now() - started;
    const snapshot = await settled(agent, 30_000);
    const rss = agent.rssMib();
    const status = await agent.containerStatus(app.id);
    const found = lines() - first;
    const file = snapshot.delivery.streams['file'];
    t.diagnostic(
      `10,000 processes in ${(wallMs / 1000).toFixed(1)} s: ${found} lines in the operator's file, ${file?.dropped} dropped ` +
        `and counted; records lost: ${snapshot.kernel.dropped}; RSS ${before.toFixed(0)} MiB before, ${rss.toFixed(0)} MiB after`,
    );
    assert.equal(snapshot.kernel.dropped, 0);
    assert.equal(status?.dropped, 0);
    // Every process was seen; what the operator's file could not take is counted, not lost from sight.
    assert.equal(snapshot.engine.detections['Data file opened'], 10_000 + first);
    assert.equal(found + (file?.dropped ?? 0) + (file?.failed ?? 0), 10_000);
    const inMetrics = /^varvel_stream_deliveries_total\{stream="file",result="dropped"\} (\d+)$/m;
    assert.equal(
      Number(inMetrics.exec(await agent.metrics())?.[1]),
      file?.dropped,
      'what never came to the stream is in its metrics',
    );
    assert.ok(rss < 512, `${rss} MiB`);
    assert.ok(agent.running);
  } finally {
    await remove(app);
  }
});

test('a detection that comes 3000 times is written 50 times, and counted exactly in a line, in both logs', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    rules: { 'own.yaml': RULES },
    config: ['limits: {per_minute: 1, summary_interval: 1s}'],
  });
  const app = await runContainer(engine, 'mkdir /data; echo x > /data/file; exec sleep 600', {
    labels: ENABLED,
    hostConfig: { Binds: [appMount] },
  });
  try {
    await until('it is known', async () => (await agent.containerStatus(app.id))?.name);
    for (let round = 0; round < 3; round++) {
      assert.equal(await execInContainer(app, '/app storm 1000 /data/file'), 0);
    }
    const told = (lines: readonly DetectionLine[]): number =>
      lines.reduce((sum, { output_fields: f }) => sum + Number(f['suppressed.count'] ?? 0), 0);
    const written = (lines: readonly DetectionLine[]): DetectionLine[] =>
      lines.filter(({ rule }) => rule === 'Data file opened');
    // All has been seen: what is counted below changes no more.
    await settled(agent);
    // The shell that made the file opened it as well.
    const total = async (): Promise<number> =>
      (await agent.snapshot()).engine.detections['Data file opened'] ?? 0;
    const all = await until('each is accounted for', async () => {
      const lines = agent.detections();
      return written(lines).length + told(lines) === (await total()) ? lines : undefined;
    });
    assert.ok((await total()) >= 3000);
    const lines = written(all);
    assert.ok(lines.length >= 50 && lines.length <= 52, `${lines.length} lines`);
    assert.deepEqual(
      lines.map(({ seq }) => seq),
      lines.map((_, nth) => nth + 1),
      'what is counted takes no number',
    );
    const own = await until('the same in its own log', async () => {
      const found = (await logLines(engine, app)).flatMap((text) =>
        text.startsWith('{') ? [JSON.parse(text) as DetectionLine] : [],
      );
      return told(found) === told(all) ? found : undefined;
    });
    assert.equal(
      written(own).length,
      lines.length,
      `in its own log; the stream says ${JSON.stringify((await agent.snapshot()).streams)}`,
    );
    const summary = own.find(({ rule }) => rule === 'Varvel: detections suppressed');
    assert.equal(summary?.priority, 'Notice');
    assert.equal(summary.app?.['name'], lines[0]?.app?.['name']);
    assert.match(
      summary.output,
      /: Notice \d+ more detections of "Data file opened" \(\w+\) from /,
    );
  } finally {
    await remove(app);
  }
});
