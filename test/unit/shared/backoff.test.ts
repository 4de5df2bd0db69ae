import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff, waitAfter } from '../../../src/shared/backoff.ts';

const WAITS = { firstMs: 100, maxMs: 1000 };

test('a wait doubles with each failure, up to its bound', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5000].map((failures) => waitAfter(failures, WAITS)),
    [100, 200, 400, 800, 1000, 1000],
  );
});

test('up to half of each wait is left out at random, and a success begins anew', () => {
  let random = 0;
  const backoff = new Backoff(WAITS, () => random);
  assert.deepEqual([backoff.nextMs(), backoff.nextMs()], [100, 200]);
  random = 0.5;
  assert.deepEqual([backoff.nextMs(), backoff.nextMs(), backoff.nextMs()], [300, 600, 750]);
  random = 1;
  backoff.reset();
  assert.deepEqual([backoff.nextMs(), backoff.nextMs()], [50, 100]);
});
