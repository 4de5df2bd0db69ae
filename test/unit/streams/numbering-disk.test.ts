import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentState } from '../../../src/agent/state.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { lacks } from '../../support/needs.ts';
import { forgetState, give, openState } from './numbering-fixture.ts';

let home: string;
let folder: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'varvel-state-'));
  folder = join(home, 'state');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const open = (): Promise<AgentState> => openState(folder);
const forget = (state: AgentState): void => forgetState(state, folder);

const parts = (state: AgentState): string[] => state.troubles.list().map(({ part }) => part);

test('a full disk: numbers that are kept go on there, as the room for them was taken before', async (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk();
  folder = join(disk.path, 'state');
  const before = await open();
  assert.equal(give(before.numbering, 'a'), 1);
  disk.fill();
  // Killed: nothing is closed.
  forget(before);
  const state = await open();
  assert.deepEqual([give(state.numbering, 'a'), parts(state)], [2, []]);
  state.close();
});

test('a full disk without any state: numbers begin above all, are never given twice, and are kept as soon as there is room', async (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk();
  disk.fill();
  folder = join(disk.path, 'state');
  const given = new Set<number>();
  const giveNew = (state: AgentState): number => {
    const seq = give(state.numbering, 'a');
    assert.ok(!given.has(seq), `${seq} was given before`);
    given.add(seq);
    return seq;
  };
  for (let agent = 0; agent < 2; agent++) {
    // No agent starts in the same ms as the one before.
    await delay(2);
    const unkept = await open();
    const seq = giveNew(unkept);
    assert.ok(seq > 1e15, 'above all that were given');
    assert.deepEqual(unkept.numbering.takeGap('a')?.gap, {
      from: 1,
      to: seq - 1,
      why: 'forgotten',
    });
    assert.ok(parts(unkept).includes('the numbers of lines (seq)'));
    forget(unkept);
  }
  await delay(2);
  const state = await open();
  const first = giveNew(state);
  disk.free();
  await state.retry();
  assert.deepEqual([parts(state), state.succession !== undefined], [[], true]);
  assert.equal(giveNew(state), first + 1);
  forget(state);
  const next = await open();
  assert.equal(giveNew(next), first + 2);
  assert.equal(next.numbering.takeGap('a')?.gap.from, 1, 'it was never told');
  next.close();
});

test('the disk takes a number no more while the agent runs: that one is not given, and the next agent gives none again', async (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk();
  folder = join(disk.path, 'state');
  const state = await open();
  assert.deepEqual([give(state.numbering, 'a'), give(state.numbering, 'a')], [1, 2]);
  // No room where the file was.
  truncateSync(join(folder, 'numbers'), 0);
  disk.fill();
  const seq = give(state.numbering, 'a');
  assert.ok(seq > 1e15);
  assert.deepEqual(parts(state), ['the numbers of lines (seq)']);
  await state.retry();
  assert.deepEqual(parts(state), ['the numbers of lines (seq)'], 'there is no room yet');
  disk.free();
  await state.retry();
  assert.deepEqual(parts(state), []);
  forget(state);
  const next = await open();
  assert.equal(give(next.numbering, 'a'), seq + 1);
  next.close();
});

test('a read-only disk: the agent opens its state, which nothing of is kept, and goes on when it can be written to', async (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk();
  folder = join(disk.path, 'state');
  const before = await open();
  give(before.numbering, 'a');
  before.close();
  await disk.remount('ro');
  const state = await open();
  assert.deepEqual(parts(state).length, 3, parts(state).join());
  const seq = give(state.numbering, 'a');
  assert.ok(seq > 1e15);
  await state.retry();
  assert.deepEqual(parts(state).length, 3, parts(state).join());
  await disk.remount('rw');
  await state.retry();
  assert.deepEqual([parts(state), give(state.numbering, 'a')], [[], seq + 1]);
  state.close();
});

test('an agent that could not claim the folder writes nothing there once another one has it', async (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk();
  folder = join(disk.path, 'state');
  const before = await open();
  give(before.numbering, 'a');
  before.close();
  await disk.remount('ro');
  const state = await open();
  await disk.remount('rw');
  const [, start = ''] = readFileSync('/proc/1/stat', 'latin1').split(') ');
  symlinkSync(`1 ${start.split(' ')[19] ?? ''} secret`, join(folder, 'owner'));
  const numbers = readFileSync(join(folder, 'numbers'));
  await state.retry();
  assert.equal(parts(state).length, 3);
  give(state.numbering, 'a');
  assert.deepEqual(readFileSync(join(folder, 'numbers')), numbers);
  rmSync(join(folder, 'owner'));
  await state.retry();
  assert.deepEqual(parts(state), []);
  state.close();
});

test('a state folder that cannot be made on a read-only disk: the agent goes on without, and makes it later', async (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk();
  folder = join(disk.path, 'state');
  await disk.remount('ro');
  const state = await open();
  assert.equal(parts(state).length, 3);
  assert.ok(give(state.numbering, 'a') > 1e15);
  await disk.remount('rw');
  await state.retry();
  assert.deepEqual(parts(state), []);
  state.close();
});
