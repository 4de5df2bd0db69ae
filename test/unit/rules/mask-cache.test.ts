import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MaskCache } from '../../../src/rules/compile/mask-cache.ts';

function usedHeap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  setFlagsFromString('--no-expose-gc');
  return process.memoryUsage().heapUsed;
}

const NO_SEARCH = (): undefined => undefined;

/** A text of its own: not a view of another one. */
const textOf = (index: number, length: number): string =>
  Buffer.from(`${index}`.padEnd(length, '€')).toString();

test('long values that recur cost a cache no more than its bound', () => {
  const cache = new MaskCache(
    [{ of: (value) => value === 'x', ofFound: () => true }],
    2,
    NO_SEARCH,
  );
  const before = usedHeap();
  for (let index = 0; index < 20_000; index++) {
    // Seen often enough that remembering pays.
    for (let sighting = 0; sighting < 4; sighting++) cache.maskOf(textOf(index, 500));
  }
  const used = (usedHeap() - before) / 2 ** 20;
  assert.ok(used < 3, `${used} MiB`);
  assert.equal(cache.maskOf('x')[0], 1);
});

test('what recurs is remembered, whatever else is asked meanwhile', () => {
  let computed = 0;
  const cache = new MaskCache(
    [{ of: () => (computed++, false), ofFound: () => true }],
    2,
    NO_SEARCH,
  );
  for (let round = 0; round < 50; round++) {
    for (let index = 0; index < 100; index++) cache.maskOf(`/usr/lib/${index}`);
    for (let index = 0; index < 20; index++) cache.maskOf(textOf(round * 20 + index, 500));
  }
  assert.equal(computed, 100);
});
