import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce, inTurns, noteEventsTurn, type Steps } from '../../../src/shared/turns.ts';

/** Steps of at least half a millisecond; `turns` has how many of them each turn had. */
function* work(steps: number, turns: number[]): Steps<string> {
  for (let step = 0; step < steps; step++) {
    const endMs = performance.now() + 0.5;
    while (performance.now() < endMs);
    turns.push((turns.pop() ?? 0) + 1);
    yield;
  }
  return 'done';
}

/** Runs it, and says how many steps each turn of the event loop had; `events` is called in each. */
async function turnsOf(steps: number, events: () => void): Promise<readonly number[]> {
  const turns = [0];
  const next = (): void => {
    events();
    turns.push(0);
    immediate = setImmediate(next);
  };
  let immediate = setImmediate(next);
  assert.equal(await inTurns(work(steps, turns)), 'done');
  clearImmediate(immediate);
  return turns;
}

test('work goes on for 5 ms at most before others have their turn', async () => {
  const turns = await turnsOf(50, () => noteEventsTurn(4));
  assert.ok(Math.max(...turns) <= 10, String(turns));
  assert.equal(
    turns.reduce((sum, steps) => sum + steps, 0),
    50,
  );
});

test('while events take long, it goes on for 1 ms at most', async () => {
  const turns = await turnsOf(30, () => noteEventsTurn(5));
  // Not each of them: on a busy machine it may be long ago that events took long.
  const middle = [...turns].sort((one, other) => one - other)[turns.length >> 1];
  assert.ok(middle !== undefined && middle <= 2, String(turns));
});

test('work that nobody wants any more ends', async () => {
  let asked = 0;
  const result = await inTurns(work(1000, [0]), () => ++asked < 3);
  assert.equal(result, undefined);
});

test('work can be done in one go', () => {
  const turns = [0];
  assert.equal(atOnce(work(3, turns)), 'done');
  assert.deepEqual(turns, [3]);
});
