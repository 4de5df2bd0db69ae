import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionBackoff } from '../../../../src/apps/runtimes/connection-backoff.ts';

test('waits grow to 2 s, a random half left out; a connection that ends at once is one more failure', () => {
  let nowMs = 0;
  let random = 0;
  const backoff = new ConnectionBackoff(
    () => nowMs,
    () => random,
  );
  const waits = [1, 2, 3, 4, 5].map(() => {
    backoff.connected();
    nowMs += 9_999;
    return backoff.nextMs();
  });
  assert.deepEqual(waits, [250, 500, 1000, 2000, 2000]);
  random = 0.999;
  const least = backoff.nextMs();
  assert.ok(least > 1000 && least < 1002, String(least));
  random = 0;
  backoff.connected();
  nowMs += 10_000;
  assert.deepEqual([backoff.nextMs(), backoff.nextMs()], [250, 500], 'one that held begins anew');
});
