import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldQueue } from '../../../src/evaluation/held-events.ts';

function queue(maxPerKey = 4, maxTotal = 8) {
  const expired: [number, string][] = [];
  const held = new HeldQueue<string>({
    maxPerKey,
    maxTotal,
    onExpired: (item, key) => expired.push([key, item]),
  });
  return { held, expired };
}

test('releases in order, once', () => {
  const { held } = queue();
  for (const item of ['a', 'b', 'c']) assert.equal(held.hold(1, item, 100), true);
  const got: string[] = [];
  assert.equal(
    held.release(1, (item) => got.push(item)),
    3,
  );
  assert.deepEqual(got, ['a', 'b', 'c']);
  assert.equal(
    held.release(1, () => assert.fail('released twice')),
    0,
  );
  assert.equal(held.counters().held, 0);
});

test('drops the newest beyond each bound, counted to its key', () => {
  const { held } = queue(2, 3);
  assert.equal(held.hold(1, 'a', 9), true);
  assert.equal(held.hold(1, 'b', 9), true);
  assert.equal(held.hold(1, 'c', 9), false);
  assert.equal(held.hold(2, 'd', 9), true);
  assert.equal(held.hold(3, 'e', 9), false, 'the total is full');
  assert.equal(held.droppedOf(1), 1);
  assert.equal(held.droppedOf(3), 1);
  assert.equal(held.droppedOf(2), 0);
  assert.equal(held.counters().dropped, 2);
  const got: string[] = [];
  held.release(1, (item) => got.push(item));
  assert.deepEqual(got, ['a', 'b'], 'the oldest are kept');
});

test('discarding is not losing', () => {
  const { held } = queue();
  held.hold(1, 'a', 9);
  assert.equal(held.discard(1), 1);
  assert.equal(held.discard(1), 0);
  const counters = held.counters();
  assert.deepEqual([counters.held, counters.dropped, counters.discarded], [0, 0, 1]);
});

test('expires by deadline, oldest first, never before it', () => {
  const { held, expired } = queue();
  held.hold(1, 'a', 10);
  held.hold(2, 'b', 5);
  held.hold(1, 'c', 20);
  held.expire(4);
  assert.deepEqual(expired, []);
  held.expire(10);
  assert.deepEqual(expired.sort(), [
    [1, 'a'],
    [2, 'b'],
  ]);
  assert.equal(held.has(2), false);
  held.expire(20);
  assert.deepEqual(expired.slice(-1), [[1, 'c']]);
  assert.equal(held.counters().held, 0);
});

test('a later item never overtakes an earlier one of its key', () => {
  const { held, expired } = queue();
  held.hold(1, 'a', 50);
  held.hold(1, 'b', 10);
  held.expire(10);
  assert.deepEqual(expired, []);
  held.expire(50);
  assert.deepEqual(expired, [
    [1, 'a'],
    [1, 'b'],
  ]);
});

test('what is held anew while being released waits for its own turn', () => {
  const { held } = queue();
  held.hold(1, 'a', 10);
  held.release(1, () => held.hold(1, 'again', 99));
  assert.equal(held.counters().held, 1);
  const got: string[] = [];
  held.release(1, (item) => got.push(item));
  assert.deepEqual(got, ['again']);
});

test('drain hands over everything', () => {
  const { held, expired } = queue();
  held.hold(1, 'a', 1e12);
  held.hold(2, 'b', 1e12);
  held.drain();
  assert.equal(expired.length, 2);
  assert.equal(held.counters().held, 0);
});

test('drops beyond the bytes of a key and of all, and gives them back in each way an item leaves', () => {
  const held = new HeldQueue<number>({
    maxPerKey: 100,
    maxTotal: 100,
    maxBytesPerKey: 10,
    maxBytesTotal: 15,
    bytesOf: (item) => item,
    onExpired: () => undefined,
  });
  assert.equal(held.hold(1, 6, 100), true);
  assert.equal(held.hold(1, 5, 100), false);
  assert.equal(held.hold(1, 4, 200), true);
  assert.equal(held.hold(2, 6, 100), false, 'all together');
  assert.equal(held.hold(2, 5, 100), true);
  assert.deepEqual([held.droppedOf(1), held.droppedOf(2)], [1, 1]);
  assert.equal(held.counters().heldBytes, 15);
  held.expire(100);
  assert.equal(held.counters().heldBytes, 4);
  held.discard(1);
  assert.equal(held.counters().heldBytes, 0);
  assert.equal(held.hold(1, 10, 100), true);
  held.release(1, () => undefined);
  assert.equal(held.counters().heldBytes, 0);
});
