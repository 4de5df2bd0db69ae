import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Losses } from '../../../src/streams/losses.ts';
import { lostNotice, MAX_LOST_RANGES } from '../../../src/streams/notices.ts';
import { formatRanges, inBoth, parseRanges, sizeOf } from '../../../src/streams/number-range.ts';
import { containerOf } from './delivery-fixture.ts';

const container = containerOf();

/** The notice of these lines, lost in this order. */
function noticeOf(...numbers: (number | undefined)[]) {
  const losses = new Losses();
  for (const [index, seq] of numbers.entries()) losses.note(container, BigInt(index), seq);
  const [lost] = losses.take();
  assert.ok(lost !== undefined);
  return lostNotice('container', lost);
}

describe('which lines are lost', () => {
  test('the notice names their numbers, whatever their order', () => {
    const { output, outputFields } = noticeOf(3, 4, 9, 5, 8);
    assert.equal(outputFields['lost.numbers'], '3-5, 8-9');
    assert.match(output, /Their numbers \(seq\) are 3-5, 8-9$/);
    assert.match(noticeOf(7).output, /Its number \(seq\) is 7$/);
  });

  test('it says so where it does not know one of them', () => {
    const { output, outputFields } = noticeOf(3, undefined, 5);
    assert.equal(outputFields['lost.numbers'], null);
    assert.match(output, /^3 lines are .*Their numbers \(seq\) are missing too$/);
  });

  test('of more ranges than a line has room for, none is left out', () => {
    const numbers = Array.from({ length: 1000 }, (_, index) => index * index + 1);
    const { output, outputFields } = noticeOf(...numbers);
    const ranges = parseRanges(outputFields['lost.numbers'], MAX_LOST_RANGES);
    assert.ok(ranges !== undefined);
    assert.equal(ranges.length, MAX_LOST_RANGES);
    for (const seq of numbers) assert.equal(sizeOf(inBoth(ranges, [{ from: seq, to: seq }])), 1);
    assert.match(output, /^1000 lines are .*Their numbers \(seq\) are among 1-/);
    // The largest holes stay.
    assert.equal(ranges.at(-1)?.from, 999 * 999 + 1);
  });

  test('what another wrote is no list of numbers', () => {
    for (const text of [
      '',
      'x',
      '3-',
      '5-3',
      '3, 3',
      '4, 2',
      '1,2',
      '1-99999999999999999',
      7,
      null,
    ])
      assert.equal(parseRanges(text, MAX_LOST_RANGES), undefined, String(text));
    assert.equal(parseRanges('1, 3, 5', 2), undefined);
    assert.equal(formatRanges(parseRanges('1, 3-4', 2) ?? []), '1, 3-4');
  });
});
