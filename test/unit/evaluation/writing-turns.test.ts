import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WRITING_TURN_MS, WritingTurns } from '../../../src/evaluation/writing-turns.ts';

/** A clock that only writing moves on, and turns that the test gives. */
function world() {
  let nowMs = 0;
  const turns: (() => void)[] = [];
  const written: string[] = [];
  const writing = new WritingTurns({
    schedule: (turn) => void turns.push(turn),
    nowMs: () => nowMs,
  });
  const write = (name: string, costMs: number) => (): void => {
    written.push(name);
    nowMs += costMs;
  };
  const add = (container: number, name: string, costMs = 1, bytes = 100): void =>
    writing.add(container, write(name, costMs), () => ({ bytes, run: write(name, costMs) }));
  const turn = (): void => {
    assert.equal(turns.length, 1, 'one turn is asked for');
    turns.shift()?.();
  };
  return { writing, written, turns, add, turn };
}

const names = (container: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, n) => `${container}${from + n}`);

test('a container that is alone is written for at once, for one turn; then the rest waits', () => {
  const { writing, written, turns, add, turn } = world();
  for (let n = 0; n < 25; n++) add(1, `a${n}`);
  assert.deepEqual(written, names('a', 0, WRITING_TURN_MS));
  assert.equal(writing.waiting, 15);
  turn();
  assert.deepEqual(written, names('a', 0, 20));
  turn();
  assert.deepEqual(written, names('a', 0, 25));
  assert.deepEqual([writing.waiting, turns.length], [0, 0]);
});

test('the first of another container is written at once, whatever waits', () => {
  const { written, add } = world();
  for (let n = 0; n < 100; n++) add(1, `a${n}`);
  const before = written.length;
  add(2, 'b0');
  assert.deepEqual(written.slice(before), ['b0']);
});

test('what comes while some waits does not overtake it', () => {
  const { written, add, turn } = world();
  for (let n = 0; n < 12; n++) add(1, `a${n}`);
  turn();
  assert.deepEqual(written, names('a', 0, 12));
  for (let n = 12; n < 30; n++) add(1, `a${n}`);
  turn();
  add(1, 'a30');
  turn();
  assert.deepEqual(written, names('a', 0, 31));
});

test('in a turn each container has one written after the other', () => {
  const { written, add, turn } = world();
  for (let n = 0; n < 30; n++) add(1, `a${n}`);
  for (let n = 0; n < 8; n++) add(2, `b${n}`, 6);
  const before = written.length;
  turn();
  const [first, second] = written.slice(before);
  assert.deepEqual([first?.[0], second?.[0]].sort(), ['a', 'b']);
});

test('where there is no room, the oldest of the container is written, and the newest waits', () => {
  const { writing, written, add } = world();
  for (let n = 0; n < 10 + 1024; n++) add(1, `a${n}`);
  assert.equal(writing.waiting, 1024);
  add(1, `a${10 + 1024}`);
  assert.equal(writing.waiting, 1024);
  assert.deepEqual(written, names('a', 0, 11));
  writing.drain();
  assert.deepEqual(written, names('a', 0, 10 + 1024 + 1));
});

test('what waits is bounded by its bytes', () => {
  const { writing, written, add } = world();
  for (let n = 0; n < 14; n++) add(1, `a${n}`, 1, 1 << 20);
  assert.equal(writing.waiting, 4);
  add(1, 'a14', 1, 3 << 20);
  assert.deepEqual([writing.waiting, written], [2, names('a', 0, 13)]);
  add(1, 'a15', 1, 5 << 20);
  assert.deepEqual([writing.waiting, written], [0, names('a', 0, 16)], 'larger than all room');
});

test('at the end all that waits is written, and a turn that was asked for finds nothing', () => {
  const { writing, written, turns, add, turn } = world();
  for (let n = 0; n < 15; n++) add(1, `a${n}`);
  writing.drain();
  assert.deepEqual([writing.waiting, written], [0, names('a', 0, 15)]);
  turn();
  assert.deepEqual([written.length, turns.length], [15, 0]);
});

test('a queue that is never empty keeps nothing of what was written', () => {
  const { writing, written, add } = world();
  for (let n = 0; n < 10 + 1024; n++) add(1, `a${n}`);
  for (let n = 10 + 1024; n < 20_000; n++) add(1, `a${n}`);
  assert.equal(writing.waiting, 1024);
  writing.drain();
  assert.deepEqual(written, names('a', 0, 20_000));
});
