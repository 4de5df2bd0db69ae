import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesOf, MAX_LINE_BYTES } from '../../../src/reading/lines.ts';
import { readLogLine } from '../../../src/reading/read-log-line.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';

const JSON_LINE = formatLine(
  deliveryOf({ container: containerOf({}, { instance: '0' }) }, { id: '01J', seq: 7 }),
  { format: 'json' },
);
const SD = String.raw`[tags@47450 a="x\]y" b="q\"]\\ z" source_type="VARVEL"]`;

const cases: readonly (readonly [what: string, line: string, origin: string, label?: string])[] = [
  ['cf logs', `   2026-01-31T08:15:04.12+0000 [VARVEL/0] ERR ${JSON_LINE}`, 'varvel', 'VARVEL/0'],
  [
    'an app that prints it, in cf logs',
    `   2026-01-31T08:15:04.12+0100 [APP/PROC/WEB/0] OUT ${JSON_LINE}`,
    ...(['other', 'APP/PROC/WEB/0'] as const),
  ],
  [
    'an app that prints a whole line of cf logs',
    `2026-01-31T08:15:04.12+0000 [APP/TASK/x/0] OUT 2026-01-31T08:15:04.12+0000 [VARVEL/0] ERR ${JSON_LINE}`,
    ...(['other', 'APP/TASK/x/0'] as const),
  ],
  [
    'a drain',
    `<11>1 2026-01-31T08:15:04Z o.s.a guid [VARVEL/0] - ${SD} ${JSON_LINE}`,
    ...(['varvel', 'VARVEL/0'] as const),
  ],
  [
    'a drain with octet counts',
    `733 <14>1 2026-01-31T08:15:04Z o.s.a guid [VARVEL/1] - - ${JSON_LINE}`,
    ...(['varvel', 'VARVEL/1'] as const),
  ],
  [
    'an app in a drain',
    `<14>1 2026-01-31T08:15:04Z o.s.a guid [APP/PROC/WEB/0] - ${SD} ${JSON_LINE}`,
    ...(['other', 'APP/PROC/WEB/0'] as const),
  ],
  ['docker logs', JSON_LINE, 'unknown'],
  ['docker logs -t', `2026-01-31T08:15:04.123456789Z ${JSON_LINE}`, 'unknown'],
  ['docker compose logs', `shop-1  | ${JSON_LINE}`, 'unknown', 'shop-1'],
  [
    'kubectl logs --prefix --timestamps',
    `[pod/shop-0/application] 2026-01-31T08:15:04.123456789Z ${JSON_LINE}`,
    ...(['unknown', 'shop-0/application'] as const),
  ],
];

for (const [what, line, origin, label] of cases) {
  test(`${what}: who wrote it, and the detection`, () => {
    const read = readLogLine(line);
    assert.equal(read.origin, origin);
    assert.equal(read.label, label);
    if (what.includes('whole line')) {
      assert.equal(read.detection, undefined);
      return;
    }
    assert.equal(read.text, JSON_LINE);
    assert.equal(read.detection?.rule, 'Shell in an app container');
    assert.deepEqual(
      [read.detection.seq, read.detection.id, read.detection.app],
      [7, '01J', { name: 'shop', instance: '0' }],
    );
  });
}

test('another source type, when the operator has set one', () => {
  const line = `2026-01-31T08:15:04.12+0000 [SEC/0] ERR ${JSON_LINE}`;
  assert.equal(readLogLine(line).origin, 'other');
  assert.equal(readLogLine(line, 'sec').origin, 'varvel');
});

test('what is no detection is a text, whatever it looks like', () => {
  const good = JSON.parse(JSON_LINE) as Record<string, unknown>;
  const bad: unknown[] = [
    ...[{}, { ...good, priority: 'Worst' }, { ...good, seq: -1 }, { ...good, seq: '1' }],
    ...[
      { ...good, time: 'yesterday' },
      { ...good, rule: 5 },
      { ...good, id: null },
    ],
  ];
  for (const value of bad) {
    const text = JSON.stringify(value);
    const read = readLogLine(text);
    assert.deepEqual([read.text, read.detection], [text, undefined]);
  }
  for (const text of ['', '{', '{}}', '[]', 'null', '{"a":1}{"b":2}'])
    assert.equal(readLogLine(text).detection, undefined);
  const odd = readLogLine(
    JSON.stringify({ ...good, tags: [1, 'T1059'], app: [], output_fields: 3 }),
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
