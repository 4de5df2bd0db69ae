import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Pretty } from '../../../src/reading/pretty.ts';
import type { LogSystem } from '../../../src/reading/read-log-line.ts';
import { IncidentCollector } from '../../../src/reading/report/collector.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { coverageNotice, lostNotice } from '../../../src/streams/notices.ts';
import { runCommand, runCommandOn } from '../../support/run-command.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';
import { cf, container, json, pretty, TIME_NS } from './pretty-fixture.ts';

test('detections in columns, the app’s lines behind a bar, and what is missing', () => {
  const text = pretty([
    cf('Listening on 8080', 'APP/PROC/WEB/0'),
    cf(json(1)),
    cf(
      json(4, { priority: 'Critical', output: 'Shell of a server | command=sh -c id '.repeat(4) }),
    ),
    cf(json(4, { priority: 'Critical' })),
    cf(
      json(0, { source: 'varvel', rule: 'Varvel: coverage', priority: 'Informational', tags: [] }),
    ),
  ]);
  assert.equal(
    text,
    `  | APP/PROC/WEB/0 Listening on 8080
-- 2026-01-31, times in UTC --
08:15:04.123  WARNING   shop/0 #1  Shell in an app container  T1059
              A shell was started (command=sh)
-- numbers 2 to 3 of shop/0 not in this log so far --
08:15:04.123  CRITICAL  shop/0 #4  Shell in an app container  T1059
              Shell of a server | command=sh -c id Shell of a server |
              command=sh -c id Shell of a server | command=sh -c id Shell of a
              server | command=sh -c id
08:15:04.123  INFO      shop/0  Varvel: coverage
              A shell was started (command=sh)
  2 × Critical      Shell in an app container
2 detections, 1 notice of the agent, 1 that came again (same id) left out, 2 lines missing by their numbers.
What to do: varvel explain -r "Shell in an app container"
`,
  );
});

test('a drill is called one, in its line and at the end', () => {
  const rule = 'Varvel drill';
  const text = pretty([cf(json(1, { rule, tags: ['drill'] })), cf(json(2))]);
  assert.match(
    text,
    /^08:15:04.123  WARNING   shop\/0 #1  Varvel drill  DRILL, nothing is wrong$/m,
  );
  assert.match(text, /^2 detections, 1 of them a drill\.$/m);
});

test('the least priority and the app’s lines can be left out; numbers go on meanwhile', () => {
  const lines = [cf('app', 'APP/PROC/WEB/0'), cf(json(1)), cf(json(2, { priority: 'Error' }))];
  const text = pretty(lines, { minimum: 'Error', only: true });
  assert.doesNotMatch(text, /WARNING|\||not in this log/);
  assert.match(text, /ERROR +shop\/0 #2/);
  assert.match(text, /^1 detection, 1 below Error left out\.$/m);
});

test('a new agent counts from one again: no gap; another instance has numbers of its own', () => {
  const other = containerOf({}, { instance: '1' });
  const text = pretty(
    [json(5), json(1, {}, 'new-1'), json(2, {}, 'new-2'), json(9, { container: other }, 'other')],
    { from: 'docker' },
  );
  assert.doesNotMatch(text, /not in this log/);
});

const FRAMES: readonly [LogSystem | undefined, (text: string) => string][] = [
  ['cf', cf],
  ['syslog', (text) => `<11>1 2026-01-31T08:15:04Z o.s.a guid [VARVEL/0] - - ${text}`],
  ['docker', (text) => text],
  ['kubectl', (text) => `[pod/shop-1/web] 2026-01-31T08:15:04.2Z ${text}`],
  [undefined, (text) => text],
];

test('pretty and report read the same detections, in each format and from each log system', () => {
  const detection = { container, timeNs: TIME_NS };
  const notice = coverageNotice(
    { when: 'running', version: '1', rules: 1, events: 1, lost: 0, suppressed: 0, lastLine: 3 },
    container,
    TIME_NS,
  );
  for (const format of ['json', 'text'] as const) {
    for (const [from, frame] of FRAMES) {
      const lines = [
        frame(formatLine(deliveryOf(detection, { id: 'a', seq: 1 }), { format })),
        frame(formatLine(deliveryOf(notice, { id: 'b', seq: 0 }), { format })),
      ];
      const text = pretty(lines, { from });
      const what = `${format} from ${from}`;
      assert.match(
        text,
        /^08:15:04\.123 {2}WARNING {3}shop\/0 #1 {2}Shell in an app container/m,
        what,
      );
      assert.match(text, /^-- numbers 2 to 3 of shop\/0 not in this log --$/m, what);
      assert.match(text, /^1 detection, 1 notice of the agent, 2 lines missing/m, what);
      const collector = new IncidentCollector({
        sinceMs: undefined,
        untilMs: undefined,
        app: undefined,
        id: undefined,
        from,
        sourceType: 'VARVEL',
        knownRules: new Set<string>(),
      });
      for (const line of lines) collector.line(line);
      assert.deepEqual(
        collector.end()?.groups.map(({ rule, count }) => [rule, count]),
        [['Shell in an app container', 1]],
        what,
      );
    }
  }
});

test('of a text line alone no day is known; what started a process is told', () => {
  const lineage = {
    processes: [
      { pid: 31, start: 5, name: 'cat' },
      { pid: 30, start: 4, name: 'a\x1b[2J' },
    ],
    above: 'more',
    origin: 'exec',
  } as const;
  for (const format of ['json', 'text'] as const) {
    const line = formatLine(deliveryOf({ container, timeNs: TIME_NS, lineage }), { format });
    const text = pretty([line], { from: 'docker' });
    const day = format === 'json' ? '2026-01-31' : 'no day is told';
    assert.ok(text.includes(`-- ${day}, times in UTC --\n`), text);
    assert.match(text, /^ {14}started by: cat \(31\) ← .*\(30\) ← … ← \[exec from outside\]$/m);
    assert.ok(!text.includes('\x1b'));
  }
});

test('Falco’s lines are read as well', () => {
  const falco = JSON.stringify({
    time: '2026-01-31T08:15:04.123456789Z',
    rule: 'Terminal shell',
    priority: 'Notice',
    source: 'syscall',
    hostname: 'h',
    output: '08:15:04.123456789: Notice sh',
    tags: [],
    output_fields: {},
  });
  const text = pretty([falco, falco], { from: 'docker' });
  assert.equal(
    text.match(/^08:15:04\.123 {2}NOTICE {4}\(no app\) {2}Terminal shell$/gm)?.length,
    2,
  );
  assert.match(text, /^ {2}2 × Notice {8}Terminal shell$/m);
});

test('other apps, what is older, and the app’s lines can be left out', () => {
  const blog = containerOf({}, { name: 'blog' });
  const lines = [
    cf('early', 'APP/PROC/WEB/0').replace('08:15', '08:14'),
    cf(json(1, { timeNs: TIME_NS - 60_000_000_000n })),
    cf(json(2, { container: blog }, 'b-2')),
    cf(json(2)),
    cf('late', 'APP/PROC/WEB/0'),
  ];
  const text = pretty(lines, { app: 'shop', sinceMs: Date.UTC(2026, 0, 31, 8, 15) });
  assert.doesNotMatch(text, /early|#1|blog/);
  assert.match(text, /#2[\s\S]*late/);
  assert.match(text, /^1 detection, 1 older left out, 1 of other apps left out\.$/m);
});

test('JSON: one object a detection, with who wrote it', () => {
  const it = new Pretty({
    columns: 80,
    colour: false,
    minimum: 'Notice',
    only: false,
    sourceType: 'VARVEL',
    from: 'cf',
    json: true,
  });
  const text = formatLine(deliveryOf({ container, timeNs: TIME_NS }, { id: 't', seq: 9 }), {
    format: 'text',
  });
  const out = [
    cf('hello', 'APP/PROC/WEB/0'),
    cf(json(1)),
    cf(json(2, { priority: 'Debug' })),
    cf(json(3), 'APP/PROC/WEB/0'),
    cf(text),
  ].map((line) => it.line(line));
  const objects = out
    .join('')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    objects.map(({ time, id, seq, notice, written_by: by, format }) => [
      time,
      id,
      seq,
      notice,
      by,
      format,
    ]),
    [
      ['2026-01-31T08:15:04.123Z', 'id-1', 1, false, 'varvel', 'json'],
      ['2026-01-31T08:15:04.123Z', 't', 9, false, 'varvel', 'text'],
    ],
  );
});

const coverage = (lastLine: number, id: string): string => {
  const told = { version: '1', rules: 7, events: 9, lost: 0, suppressed: 0, lastLine };
  const line = coverageNotice({ ...told, when: 'running' }, container, TIME_NS);
  return cf(json(0, line, id));
};

test('lines that the agent wrote behind the last one here are missing, and told at the end', () => {
  const holes = (lines: readonly string[]): string[] => pretty(lines).match(/^-- num.*$/gm) ?? [];
  assert.deepEqual(holes([coverage(0, 'a'), cf(json(1)), cf(json(2)), coverage(5, 'b')]), [
    '-- numbers 3 to 5 of shop/0 not in this log --',
  ]);
  assert.match(
    pretty([coverage(0, 'a'), coverage(1, 'b')]),
    /, 1 line missing by their numbers\.$/m,
  );
  // A log that begins later: what was given before is not missing in it.
  assert.deepEqual(holes([coverage(5, 'a'), coverage(5, 'b')]), []);
  assert.deepEqual(holes([coverage(5, 'a'), cf(json(6)), coverage(6, 'b')]), []);
  assert.deepEqual(holes([coverage(5, 'a'), cf(json(7))]), [
    '-- number 6 of shop/0 not in this log so far --',
  ]);
  // One that comes late is not missing in the end, nor the one that overtook it.
  const late = [coverage(4, 'a'), cf(json(5)), cf(json(7)), cf(json(6)), cf(json(8))];
  assert.deepEqual(holes(late), ['-- number 6 of shop/0 not in this log so far --']);
  assert.doesNotMatch(pretty(late), /missing/);
  // Critical lines and what the agent says of itself overtake others.
  assert.deepEqual(holes([coverage(0, 'a'), coverage(2, 'b'), cf(json(1)), cf(json(2))]), []);
});

test('of the lines that are missing, it counts those that the agent says it could not write', () => {
  const lost = { container, count: 3, firstNs: TIME_NS, lastNs: TIME_NS };
  const numbers = [
    { from: 2, to: 3 },
    { from: 7, to: 7 },
  ];
  const notice = lostNotice('container', { ...lost, numbers });
  const given = coverageNotice(
    { when: 'running', version: '1', rules: 1, events: 1, lost: 0, suppressed: 0, lastLine: 9 },
    container,
    TIME_NS,
  );
  // Before the first line here, in the middle, and behind the last.
  const first = pretty([cf(json(0, notice, 'n')), cf(json(1)), cf(json(5))]);
  assert.match(first, /3 lines missing by their numbers, 2 of them among the numbers/);
  const last = pretty([cf(json(6)), cf(json(0, given, 'c')), cf(json(0, notice, 'n'))]);
  assert.match(last, /numbers 7 to 9 of shop\/0 not in this log/);
  assert.match(last, /3 lines missing by their numbers, 1 of them among the numbers/);
  const none = pretty([cf(json(9)), cf(json(0, notice, 'n')), cf(json(11))]);
  assert.match(none, /1 line missing by their numbers\./);
});

test('varvel pretty: standard input, files, and bad input', async () => {
  const run = await runCommandOn(
    [`${cf(json(1))}\n${cf(json(3)).slice(0, 40)}`, cf(json(3)).slice(40)],
    'pretty',
    '--from',
    'cf',
  );
  assert.equal(run.code, 0);
  assert.match(run.out, /#1 [\s\S]*number 2 of shop\/0[\s\S]*#3 /);
  assert.match(run.err, /^2 detections, 1 line missing/m);
  const folder = mkdtempSync(join(tmpdir(), 'varvel-pretty-'));
  try {
    const file = join(folder, 'incident.log');
    writeFileSync(file, `${json(1)}\nhello\n`);
    assert.match((await runCommand('pretty', '-o', file)).out, /WARNING/);
    assert.doesNotMatch((await runCommand('pretty', '-o', file)).out, /hello/);
    const missing = await runCommand('pretty', join(folder, 'none'));
    assert.equal(missing.code, 2);
    assert.match(
      missing.err,
      /none: Cannot read the log: there is no such file; check the path\.$/m,
    );
    assert.match((await runCommand('pretty', folder)).err, /it is a directory; name a file/);
    const wrong = await runCommand('pretty', '-p', 'eror');
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /--priority must be one of emergency, .*"eror"\. Did you mean error\?/);
    const coloured = await runCommand('pretty', '--color', 'always', file);
    assert.match(coloured.out, /\x1b\[33mWARNING/);
    assert.doesNotMatch((await runCommand('pretty', '--color', 'never', file)).out, /\x1b/);
    const colour = await runCommand('pretty', '--color', 'red', file);
    assert.match(colour.err, /--color must be auto, always or never; it is "red"/);
    const since = await runCommand('pretty', '--since', 'noon', file);
    assert.equal(since.code, 2);
    assert.match(since.err, /--since is a time such as/);
    assert.match((await runCommand('pretty', '--json', file)).out, /^\{"time":.*\}\n$/);
    const nowhere = await runCommand('pretty', '--from', 'docker logs');
    assert.equal(nowhere.code, 2);
    assert.match(
      nowhere.err,
      /--from must be cf, syslog, docker or kubectl, the system that wrote the log; it is "docker logs"/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('at the end, what to do about the most severe rule: never a name that a shell would take apart', () => {
  const end = (...detections: Partial<Detection>[]): string =>
    pretty(detections.map((one, at) => cf(json(at + 1, one))))
      .split('\n')
      .at(-2) ?? '';
  const severe = { rule: 'Miner run', priority: 'Critical' } as const;
  const first = { rule: 'Raw device opened', priority: 'Critical' } as const;
  assert.equal(end({}, severe, first), 'What to do: varvel explain -r "Miner run"');
  assert.match(
    end({ source: 'varvel', rule: 'Varvel: coverage' }),
    /^0 detections, 1 notice of the agent\.$/,
  );
  for (const rule of ['x"; id; "', 'x`id`', '$(id)', 'a\\', '-r', "it's!", 'a\u202eb'])
    assert.match(end({ rule }), /^1 detection\.$/, rule);
});

test('what has one cause stands together at the end; what has none said, as before', () => {
  const other = containerOf({}, { name: 'cart' });
  const of = (seq: number, rule: string, more: Partial<Detection> = {}): string =>
    cf(json(seq, { rule, tags: [], ...more }));
  const text = pretty(
    [
      of(1, 'Shell started', { incident: 'k3x9abcd' }),
      of(2, 'Put on a connection', { incident: 'k3x9abcd', priority: 'Critical' }),
      of(3, 'Put on a connection', { incident: 'k3x9abcd', priority: 'Critical' }),
      of(4, 'Shell started', { incident: 'm3x9abcd' }),
      of(1, 'Shell started', { incident: 'k3x9abcd', container: other }),
      of(5, 'Shell started'),
    ].map((line, n) => line.replace(/"id":"[^"]*"/, `"id":"${n}"`)),
  );
  assert.match(text, /^08:15:04\.123  WARNING   shop\/0 #1  Shell started  incident k3x9abcd$/m);
  assert.ok(
    text.includes(`
Incident k3x9abcd in shop/0:
  2 × Critical      Put on a connection
  1 × Warning       Shell started
Incident m3x9abcd in shop/0:
  1 × Warning       Shell started
Incident k3x9abcd in cart:
  1 × Warning       Shell started
Without an incident:
  1 × Warning       Shell started
6 detections.
`),
    text,
  );
});

test('incidents of any names and any number are shown in part, and the rest is counted', () => {
  const lines = Array.from({ length: 30 }, (_, n) =>
    cf(json(n + 1, { incident: `\x1b[2J${n}\u202e` })),
  );
  const text = pretty(lines);
  assert.match(text, /^Incident \\x1b\[2J0\\u202e in shop\/0:$/m);
  assert.match(text, /^and 10 more incidents$/m);
  assert.doesNotMatch(text, /[\x1b\u202e]/);
});
