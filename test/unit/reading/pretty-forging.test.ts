// What an app prints is shown as what an app may have printed, and steers nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Pretty } from '../../../src/reading/pretty.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { deliveryOf } from '../streams/delivery-fixture.ts';
import { cf, container, json, pretty, TIME_NS } from './pretty-fixture.ts';

test('what an app prints is never taken for the agent’s, where the log names the source', () => {
  const text = pretty([cf(json(1), 'APP/PROC/WEB/0')], { only: true });
  assert.match(text, /^ {2}\| APP\/PROC\/WEB\/0 not Varvel’s: \{/);
  assert.match(text, /^0 detections\.$/m);
  assert.match(
    text,
    /^1 line looked like a detection and came from elsewhere than the agent \(source type VARVEL\)/m,
  );
});

const DOUBT = '-- the app may have printed what follows: this log does not say who wrote a line --';

test('where the log does not name it, it is said before the first detection, and at the end', () => {
  for (const from of ['docker', 'kubectl', undefined] as const) {
    const lines = pretty(['hello', json(1), json(2)], { from }).split('\n');
    assert.deepEqual(lines.slice(0, 2), ['  | hello', DOUBT]);
    assert.equal(lines.filter((line) => line === DOUBT).length, 1);
    assert.match(lines.at(-3) ?? '', /This log does not say who wrote a line.*the source\.$/);
  }
  assert.doesNotMatch(pretty([cf(json(1))]), /does not say|may have printed/);
});

test('a log that has the platform’s frame proves nothing by that: --from does, and is named', () => {
  const drain = (text: string): string =>
    `<11>1 2026-01-31T08:15:04Z o.s.a guid [VARVEL/0] - - ${text}`;
  for (const [line, system] of [
    [cf(json(1)), 'cf'],
    [drain(json(1)), 'syslog'],
  ] as const) {
    const unknown = pretty([line], { from: undefined });
    assert.ok(unknown.startsWith(`${DOUBT}\n`));
    assert.match(
      unknown,
      new RegExp(`an app can print that too.*say so: --from ${system}\\.$`, 'm'),
    );
    assert.doesNotMatch(pretty([line], { from: system }), /may have printed/);
    const other = system === 'cf' ? 'syslog' : 'cf';
    assert.match(pretty([line], { from: other }), /^ {2}\| .*\n0 detections\.$/m);
    assert.match(pretty([line], { from: 'docker' }), /^ {2}\| .*\n0 detections\.$/m);
  }
});

test('what nobody but an app would print ends nothing', () => {
  const deep = `${'['.repeat(4000)}${']'.repeat(4000)}`;
  const lines = [
    '<14>1 +275760-09-13T00:00.999Z h a [VARVEL] - - 10:00:00.000000000: Warning [rule=x id=a seq=3] x',
    json(1).replace('2026-01-31', '9999-99-99'),
    json(2, { rule: 'a\u009b\u202eb' }).replace(
      '"output_fields":{',
      `"output_fields":{"deep":${deep},"list":["x"],`,
    ),
  ];
  for (const asJson of [false, true])
    for (const from of [undefined, 'docker'] as const) {
      const text = pretty(lines, { from, json: asJson });
      assert.doesNotMatch(text, /[\u009b\u202e]/);
      assert.match(text, /^[12] detections?/m);
    }
  const [, found] = /^(\{.*\})$/m.exec(pretty(lines, { from: 'docker', json: true })) ?? [];
  const { fields } = JSON.parse(found ?? '{}') as { fields?: Record<string, unknown> };
  assert.deepEqual([fields?.['list'], fields?.['deep']], [['x'], undefined]);
});

test('lines of an unknown day, or of one that anybody told, are not left out as older', () => {
  const text = (seq: number): string =>
    formatLine(deliveryOf({ container, timeNs: TIME_NS }, { id: `t${seq}`, seq }), {
      format: 'text',
    });
  const sinceMs = Date.UTC(2026, 0, 31, 8);
  assert.match(pretty([text(1)], { from: 'docker', sinceMs }), /^1 detection\.$/m);
  const forged = json(9).replace('2026-01-31', '1999-01-31');
  assert.match(
    pretty([forged, text(1)], { from: 'docker', sinceMs }),
    /^1 detection, 1 older left out/m,
  );
  // The log system tells the day: nothing is uncertain.
  const later = Date.UTC(2026, 0, 31, 9);
  assert.match(pretty([cf(text(1))], { sinceMs: later }), /^0 detections, 1 older left out\.$/m);
  const undated = pretty([text(1)], { from: 'docker', json: true });
  assert.equal('time' in (JSON.parse(undated.split('\n')[0] ?? '') as object), false);
  // A day that is told later counts from then on.
  const days = pretty([text(1), json(2), text(3)], { from: 'docker' }).match(/^-- .*UTC --$/gm);
  assert.deepEqual(days, ['-- no day is told, times in UTC --', '-- 2026-01-31, times in UTC --']);
});

/** Our own colours are the only escape sequences, and a newline is where we end a line. */
const OWN = new RegExp(String.raw`\x1b\[(?:0|1|2|31|33|36|1;31)m`, 'g');

test('no text of an app steers the terminal or begins in the first column', () => {
  const nasty = fc.string({
    unit: fc.oneof(
      fc.constantFrom('\x1b', '\r', '\n', '\t', '\u202e', '\x9b', '{', '}', '"', '08:15:04.123'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    maxLength: 60,
  });
  fc.assert(
    fc.property(nasty, nasty, fc.boolean(), (said, output, asApp) => {
      const raw = asApp ? said.replaceAll('\n', ' ') : cf(json(1, { output, rule: said }));
      const it = new Pretty({
        columns: 80,
        colour: true,
        minimum: 'Debug',
        only: false,
        sourceType: 'VARVEL',
        from: asApp ? undefined : 'cf',
      });
      const shown = it.line(raw);
      const plain = shown.replaceAll(OWN, '');
      assert.doesNotMatch(plain.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      const lines = plain.split('\n').slice(0, -1);
      if (asApp) assert.ok(lines.length === 1 && lines[0]?.startsWith('  | '), plain);
      else
        assert.ok(
          lines.slice(2).every((line) => line.startsWith(' '.repeat(14))),
          plain,
        );
    }),
  );
});
