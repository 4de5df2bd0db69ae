import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RecentMessages } from '../../../src/streams/syslog/recent-messages.ts';

test('what is older than a minute is gone with the next one', () => {
  const recent = new RecentMessages();
  recent.add('a', 0);
  recent.add('b', 30_000);
  recent.add('c', 60_000);
  assert.deepEqual(recent.messages(), ['a', 'b', 'c']);
  recent.add('d', 60_001);
  assert.deepEqual(recent.messages(), ['b', 'c', 'd']);
  recent.forgetBefore(60_000);
  assert.deepEqual(recent.messages(), ['c', 'd']);
  recent.forgetBefore(Number.POSITIVE_INFINITY);
  assert.deepEqual(recent.messages(), []);
});

test('8 MiB at most, the oldest goes first', () => {
  const recent = new RecentMessages();
  const mebibyte = '€'.repeat(349_525) + 'x';
  for (let index = 0; index < 9; index++) recent.add(mebibyte, index);
  assert.equal(recent.messages().length, 8);
  recent.add('small', 10);
  assert.equal(recent.messages().length, 8);
  assert.equal(recent.messages().at(-1), 'small');
  recent.add('y'.repeat(9 * 1024 * 1024), 11);
  assert.deepEqual(recent.messages(), []);
  recent.add('next', 12);
  assert.deepEqual(recent.messages(), ['next']);
});
