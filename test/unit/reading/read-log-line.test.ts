import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { linesOf, MAX_LINE_BYTES } from '../../../src/reading/lines.ts';
import { readLogLine } from '../../../src/reading/read-log-line.ts';
import type { LogSystem, ReadLogLine } from '../../../src/reading/read-log-line.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';

const JSON_LINE = formatLine(
  deliveryOf({ container: containerOf({}, { instance: '0' }) }, { id: '01J', seq: 7 }),
  { format: 'json' },
);
const SD = String.raw`[tags@47450 a="x\]y" b="q\"]\\ z" source_type="VARVEL"]`;

const CF = `   2026-01-31T08:15:04.12+0000 [VARVEL/0] ERR ${JSON_LINE}`;
const DRAIN = `<11>1 2026-01-31T08:15:04Z o.s.a guid [VARVEL/0] - ${SD} ${JSON_LINE}`;
const COUNTED = `733 <14>1 2026-01-31T08:15:04Z o.s.a guid [VARVEL/1] - - ${JSON_LINE}`;
const FORGED_CF = `   2026-01-31T08:15:04.12+0100 [APP/PROC/WEB/0] OUT ${JSON_LINE}`;
const FORGED_DRAIN = `<14>1 2026-01-31T08:15:04Z o.s.a guid [APP/PROC/WEB/0] - ${SD} ${JSON_LINE}`;
const DATED = `2026-01-31T08:15:04.123456789Z ${JSON_LINE}`;
const COMPOSE = `shop-1  | ${JSON_LINE}`;
const POD = `[pod/shop-0/application] ${DATED}`;

type Case = readonly [
  what: string,
  from: LogSystem | undefined,
  line: string,
  origin: ReadLogLine['origin'],
  label?: string,
  looksLike?: 'cf' | 'syslog',
];
const cases: readonly Case[] = [
  ['cf logs', 'cf', CF, 'varvel', 'VARVEL/0'],
  ['cf logs, which nobody said it is', undefined, CF, 'unknown', 'VARVEL/0', 'cf'],
  ['an app that prints it, in cf logs', 'cf', FORGED_CF, 'other', 'APP/PROC/WEB/0'],
  ['an app’s line of cf logs, not said to be', undefined, FORGED_CF, 'other', 'APP/PROC/WEB/0'],
  ['a line without a frame in cf logs', 'cf', JSON_LINE, 'other'],
  ['a drain', 'syslog', DRAIN, 'varvel', 'VARVEL/0'],
  ['a drain, which nobody said it is', undefined, DRAIN, 'unknown', 'VARVEL/0', 'syslog'],
  ['a drain with octet counts', 'syslog', COUNTED, 'varvel', 'VARVEL/1'],
  ['an app in a drain', 'syslog', FORGED_DRAIN, 'other', 'APP/PROC/WEB/0'],
  ['a line without a frame in a drain', 'syslog', JSON_LINE, 'other'],
  ['docker logs', 'docker', JSON_LINE, 'unknown'],
  ['docker logs, which nobody said it is', undefined, JSON_LINE, 'unknown'],
  ['docker logs -t', 'docker', DATED, 'unknown'],
  ['docker compose logs', 'docker', COMPOSE, 'unknown', 'shop-1'],
  ['kubectl logs --prefix --timestamps', 'kubectl', POD, 'unknown', 'shop-0/application'],
];

for (const [what, from, line, origin, label, looksLike] of cases) {
  test(`${what}: who wrote it, and the detection`, () => {
    const read = readLogLine(line, from);
    assert.deepEqual([read.origin, read.label, read.looksLike], [origin, label, looksLike]);
    assert.equal(read.text, JSON_LINE);
    assert.equal(read.detection?.rule, 'Shell in an app container');
    assert.deepEqual(
      [read.detection.seq, read.detection.id, read.detection.app],
      [7, '01J', { name: 'shop', instance: '0' }],
    );
  });
}

test('a frame inside of a line is text, in whatever system’s log', () => {
  const lines = [
    ['cf', `2026-01-31T08:15:04.12+0000 [APP/TASK/x/0] OUT ${CF}`, 'other'],
    ['cf', `2026-01-31T08:15:04.12+0000 [APP/TASK/x/0] OUT ${DRAIN}`, 'other'],
    ['cf', DRAIN, 'other'],
    ['syslog', CF, 'other'],
    ['syslog', `<14>1 2026-01-31T08:15:04Z o.s.a guid [APP/PROC/WEB/0] - - ${CF}`, 'other'],
    ['docker', CF, 'unknown'],
    ['docker', DRAIN, 'unknown'],
    ['kubectl', `[pod/shop-0/application] ${CF}`, 'unknown'],
  ] as const;
  for (const [from, line, origin] of lines) {
    const read = readLogLine(line, from);
    assert.deepEqual([read.origin, read.looksLike, read.detection], [origin, undefined, undefined]);
  }
});

const frame = fc.constantFrom<(text: string) => string>(
  (text) => text,
  (text) => `   2026-01-31T08:15:04.12+0000 [VARVEL/0] ERR ${text}`,
  (text) => `2026-01-31T08:15:04.12+0000 [APP/PROC/WEB/0] OUT ${text}`,
  (text) => `<11>1 2026-01-31T08:15:04Z o.s.a guid [VARVEL/0] - ${SD} ${text}`,
  (text) => `9 <11>1 - - - [varvel/7] - - ${text}`,
  (text) => `shop-1  | ${text}`,
  (text) => `[pod/shop-0/application] 2026-01-31T08:15:04Z ${text}`,
);

test('whatever an app prints, in frames of any kind and depth, no log takes it for the agent’s', () => {
  const printed = fc
    .tuple(fc.array(frame, { maxLength: 4 }), fc.oneof(fc.string(), fc.constant(JSON_LINE)))
    .map(([frames, text]) => frames.reduce((inner, put) => put(inner), text))
    .filter((text) => !text.includes('\n'));
  fc.assert(
    fc.property(printed, (text) => {
      for (const from of [undefined, 'docker', 'kubectl'] as const)
        assert.notEqual(readLogLine(text, from).origin, 'varvel');
      const app = '2026-01-31T08:15:04.12+0000 [APP/PROC/WEB/0] OUT ';
      assert.equal(readLogLine(`${app}${text}`, 'cf').origin, 'other');
      const drain = '<14>1 2026-01-31T08:15:04Z o.s.a guid [APP/PROC/WEB/0] - - ';
      assert.equal(readLogLine(`${drain}${text}`, 'syslog').origin, 'other');
    }),
  );
});

test('another source type, when the operator has set one', () => {
  const line = `2026-01-31T08:15:04.12+0000 [SEC/0] ERR ${JSON_LINE}`;
  assert.equal(readLogLine(line, 'cf').origin, 'other');
  assert.equal(readLogLine(line, 'cf', 'sec').origin, 'varvel');
});

test('what is no detection is a text, whatever it looks like', () => {
  const good = JSON.parse(JSON_LINE) as Record<string, unknown>;
  const bad: unknown[] = [
    {},
    { ...good, priority: 'Worst' },
    { ...good, seq: -1 },
    { ...good, seq: '1' },
    { ...good, time: 'yesterday' },
    { ...good, rule: 5 },
    { ...good, id: null },
  ];
  for (const value of bad) {
    const text = JSON.stringify(value);
    const read = readLogLine(text, undefined);
    assert.deepEqual([read.text, read.detection], [text, undefined]);
  }
  for (const text of ['', '{', '{}}', '[]', 'null', '{"a":1}{"b":2}'])
    assert.equal(readLogLine(text, undefined).detection, undefined);
  const odd = readLogLine(
    JSON.stringify({ ...good, tags: [1, 'T1059'], app: [], output_fields: 3 }),
    undefined,
  );
  assert.deepEqual(
    [odd.detection?.tags, odd.detection?.app, odd.detection?.fields],
    [['T1059'], undefined, {}],
  );
});

async function linesIn(...chunks: (string | Buffer)[]): Promise<string[]> {
  const lines: string[] = [];
  // eslint-disable-next-line @typescript-eslint/require-await
  const source = async function* (): AsyncGenerator<Buffer> {
    for (const chunk of chunks) yield Buffer.from(chunk);
  };
  for await (const line of linesOf(source())) lines.push(line);
  return lines;
}

test('lines of a stream: cut anywhere, with either end, the last without one', async () => {
  assert.deepEqual(await linesIn('a\nb', 'c\r', '\n\n', 'end'), ['a', 'bc', '', 'end']);
  const euro = Buffer.from('€\n');
  assert.deepEqual(await linesIn(euro.subarray(0, 1), euro.subarray(1)), ['€']);
  assert.deepEqual(await linesIn(Buffer.from([0xff, 0x0a])), ['\ufffd']);
  assert.deepEqual(await linesIn(), []);
  const long = 'x'.repeat(MAX_LINE_BYTES + 5);
  assert.deepEqual(await linesIn(long.slice(0, 10), `${long.slice(10)}\nnext\n`), [
    long.slice(0, MAX_LINE_BYTES),
    'next',
  ]);
});
