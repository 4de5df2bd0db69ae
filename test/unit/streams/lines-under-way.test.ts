import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinesUnderWay, Numbered, type Instance } from '../../../src/streams/numbering/numbered.ts';

const lineOf = (seq: number): Numbered =>
  new Numbered({} as Instance, { seq, from: seq }, () => undefined);

test('the first line is the first that is not settled, in whatever order lines settle', () => {
  const under = new LinesUnderWay();
  const first = (): number | undefined => under.first?.seq;
  assert.equal(first(), undefined);
  // More than are kept when they are settled.
  const lines = Array.from({ length: 5000 }, (_, index) => lineOf(index + 1));
  for (const line of lines) under.add(line);
  const settle = (seq: number): void => {
    lines[seq - 1]?.complete();
    under.removeSettled();
  };
  settle(2);
  assert.equal(first(), 1);
  settle(1);
  assert.equal(first(), 3);
  for (let seq = 4; seq <= 4000; seq++) settle(seq);
  assert.equal(first(), 3);
  settle(3);
  assert.equal(first(), 4001);
  const gap = lineOf(0);
  under.addFirst(gap);
  assert.equal(first(), 0);
  gap.complete();
  under.removeSettled();
  assert.equal(first(), 4001);
  for (let seq = 4001; seq <= 5000; seq++) settle(seq);
  assert.equal(first(), undefined);
  under.add(lineOf(5001));
  assert.equal(first(), 5001);
});
