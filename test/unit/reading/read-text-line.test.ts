import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readTextLine } from '../../../src/reading/read-text-line.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';

test('what the agent wrote as text is read back, whatever names are in it', () => {
  const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(names, names, fc.boolean(), (app, output, colour) => {
      const container = containerOf({}, { name: app });
      const delivery = deliveryOf({ rule: 'Varvel drill', output, container });
      const read = readTextLine(formatLine(delivery, { format: 'text', colour }));
      assert.equal(read?.rule, 'Varvel drill');
      assert.equal(read.priority, 'Warning');
    }),
  );
});

test('no name of an app passes for the rule', () => {
  const container = containerOf({}, { name: 'a rule="Varvel drill" ] b', instance: 'rule=x' });
  const delivery = deliveryOf({ rule: 'Shell', output: '[rule=other] x', container });
  const read = readTextLine(formatLine(delivery, { format: 'text' }));
  assert.deepEqual(
    [read?.priority, read?.rule, read?.output],
    ['Warning', 'Shell', '[rule=other] x'],
  );
});

test('other lines are none, and take no time', () => {
  const start = '08:15:04.123000000: Warning [';
  for (const text of [
    '',
    'GET / 200',
    start,
    `${start}app=x] no rule`,
    `${start}rule="x`,
    `${start}${'a='.repeat(30_000)}`,
    `${start}${'a=b '.repeat(15_000)}`,
    `${start}${'a="\\'.repeat(10_000)}`,
  ])
    assert.equal(readTextLine(text), undefined, text.slice(0, 40));
});
