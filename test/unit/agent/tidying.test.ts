import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tidying } from '../../../src/agent/tidying.ts';

const MIB = 1 << 20;

function tidying(after: number) {
  const collected: number[] = [];
  const state = { residentMib: 0 };
  const own = new Tidying(
    () => {
      collected.push(state.residentMib);
      state.residentMib = after;
    },
    () => state.residentMib * MIB,
  );
  const ticks = (count: number, cpuPercent: number, residentMib: number): void => {
    for (let tick = 0; tick < count; tick++) {
      state.residentMib = residentMib;
      own.onTick({ cpuPercent, memoryBytes: residentMib * MIB });
    }
  };
  return { collected, ticks };
}

test('what a storm left is collected when it is over', () => {
  const { collected, ticks } = tidying(100);
  ticks(60, 5, 110);
  assert.deepEqual(collected, [110], 'what the start left');
  ticks(60, 90, 300);
  assert.deepEqual(collected, [110], 'not while it is busy');
  ticks(7, 5, 300);
  assert.deepEqual(collected, [110], 'not in a short pause');
  ticks(1, 5, 300);
  assert.deepEqual(collected, [110, 300]);
  ticks(60, 5, 100);
  assert.deepEqual(collected, [110, 300], 'nothing is left to collect');
});

test('what is in use stays, and is not collected again and again', () => {
  const { collected, ticks } = tidying(100);
  ticks(20, 5, 110);
  ticks(20, 90, 300);
  ticks(600, 5, 300);
  assert.deepEqual(collected, [110, 300, 300, 300]);
  ticks(1, 90, 300);
  ticks(60, 5, 300);
  assert.equal(collected.length, 7, 'after the next storm it is tried again');
});
