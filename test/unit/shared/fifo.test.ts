import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fifo } from '../../../src/shared/fifo.ts';

test('it is first in, first out, whatever is pushed, shifted and taken out', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('push' as const), count: fc.integer({ min: 1, max: 600 }) }),
    fc.record({ do: fc.constant('shift' as const), count: fc.integer({ min: 1, max: 600 }) }),
    fc.record({ do: fc.constant('take' as const), count: fc.integer({ min: 2, max: 9 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const fifo = new Fifo<number>();
      let expected: number[] = [];
      let next = 0;
      for (const { do: what, count } of steps) {
        if (what === 'push') {
          for (let n = 0; n < count; n++) {
            expected.push(next);
            fifo.push(next++);
          }
        } else if (what === 'shift') {
          for (let n = 0; n < count; n++) assert.equal(fifo.shift(), expected.shift());
        } else {
          const fits = (item: number): boolean => item % count === 0;
          assert.deepEqual(fifo.takeWhere(fits), expected.filter(fits));
          expected = expected.filter((item) => !fits(item));
        }
        assert.deepEqual(
          [fifo.length, fifo.first, fifo.last],
          [expected.length, expected[0], expected.at(-1)],
        );
      }
    }),
  );
});
