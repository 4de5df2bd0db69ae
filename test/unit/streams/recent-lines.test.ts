import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentLines } from '../../../src/streams/recent-lines.ts';
import { deliveryOf } from './delivery-fixture.ts';

test('a line is made once for several streams, and again when too much came after it', () => {
  const lines = new RecentLines();
  let made = 0;
  const make = (): string => `${++made}`.padEnd(100_000, 'x');
  const first = deliveryOf();
  const line = lines.get(first, make);
  assert.equal(lines.get(first, make), line);
  assert.equal(made, 1);
  const others = Array.from({ length: 10 }, () => deliveryOf());
  for (const other of others) lines.get(other, make);
  // The last ten have room, the first one no more.
  for (const other of others) lines.get(other, make);
  assert.equal(made, 11);
  assert.notEqual(lines.get(first, make), line);
  assert.equal(made, 12);
});
