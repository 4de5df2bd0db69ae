import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lane } from '../../../src/streams/lane.ts';

test('what waits leaves in order and knows its size, also when much of it has left and some is taken out', () => {
  const lane = new Lane<{
    readonly bytes: number;
    readonly isUrgent: boolean;
    readonly at: number;
  }>('a');
  const expected: number[] = [];
  let next = 0;
  for (let round = 0; round < 20; round++) {
    for (let n = 0; n < 500; n++, next++) {
      lane.push({ at: next, bytes: 2, isUrgent: next % 2 === 0 });
      expected.push(next);
    }
    for (let n = 0; n < 350; n++) assert.equal(lane.shift()?.at, expected.shift());
    if (round % 5 === 4) {
      const taken = lane.takeWhere(({ at }) => at % 3 === 0).map(({ at }) => at);
      assert.deepEqual(
        taken,
        expected.filter((at) => at % 3 === 0),
      );
      expected.splice(0, Infinity, ...expected.filter((at) => at % 3 !== 0));
    }
    assert.deepEqual([lane.length, lane.bytes], [expected.length, 2 * expected.length]);
    assert.equal(lane.urgentBytes, 2 * expected.filter((at) => at % 2 === 0).length);
  }
  while (expected.length > 0) assert.equal(lane.shift()?.at, expected.shift());
  assert.deepEqual([lane.shift(), lane.length, lane.bytes, lane.urgentBytes], [undefined, 0, 0, 0]);
});
