import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProcFs } from '../../../src/context/proc-fs.ts';
import { ProcessTree, type ProcessTreeOptions } from '../../../src/context/process-tree.ts';
import type { CgroupChange } from '../../../src/events/cgroup-record.ts';
import { cloneEvent, kernelEvent, type Actor } from './kernel-events.ts';

const T = 1_000_000_000_000n;
const at = (ms: number): bigint => T + BigInt(ms) * 1_000_000n;
const ROOT = 7;
const NESTED = '/garden/h/h-envoy';

const newTree = (options: Partial<ProcessTreeOptions> = {}): ProcessTree =>
  new ProcessTree({ reader: new ProcFs('/nonexistent'), ...options });
const move = (actor: Actor, ms: number, path = NESTED): CgroupChange => ({
  kind: 'attach',
  rootCgroupId: ROOT,
  cgroupId: path === NESTED ? 8 : ROOT,
  path,
  state: 'included',
  bootNs: at(ms),
  pid: actor.pid,
  startBootNs: actor.start,
});
const RUNC: Actor = { pid: 60, start: at(0), comm: 'runc:[0:PARENT]' };
const ENVOY: Actor = { pid: 61, start: at(3), comm: 'envoy' };

test('a process that was moved into a cgroup of its container is in there, and so is what it starts', () => {
  const tree = newTree();
  tree.onCgroupChange(move(RUNC, 1));
  assert.equal(tree.onEvent(kernelEvent(RUNC, at(2))).nestedCgroup, NESTED);
  tree.onEvent(cloneEvent(RUNC, at(3), ENVOY));
  assert.equal(tree.onEvent(kernelEvent(ENVOY, at(4))).nestedCgroup, NESTED);
  // Whose fork was lost.
  const child = { pid: 62, start: at(5), ppid: ENVOY.pid, parentStart: ENVOY.start };
  assert.equal(tree.onEvent(kernelEvent(child, at(6))).nestedCgroup, NESTED);
});

test('the last move counts, also of a process that is known, and none of the pid’s holder before', () => {
  const tree = newTree();
  tree.onCgroupChange(move(RUNC, 1));
  tree.onCgroupChange(move(RUNC, 2, '/garden/h'));
  assert.equal(tree.onEvent(kernelEvent(RUNC, at(3))).nestedCgroup, undefined);
  tree.onCgroupChange(move(RUNC, 4));
  assert.equal(tree.find(RUNC.pid)?.nestedCgroup, NESTED);
  tree.onCgroupChange(move(RUNC, 5, '/garden/h'));
  assert.equal(tree.find(RUNC.pid)?.nestedCgroup, undefined);

  tree.onCgroupChange(move(ENVOY, 6));
  const next = { ...ENVOY, start: at(7) };
  assert.equal(tree.onEvent(kernelEvent(next, at(8))).nestedCgroup, undefined);
});

test('one that was known from outside, as an ancestor, is in there from its first event on', () => {
  const tree = newTree();
  tree.onEvent(cloneEvent(RUNC, at(1), ENVOY, { parentInScope: false }));
  assert.equal(tree.find(RUNC.pid)?.inScope, false);
  tree.onCgroupChange(move(RUNC, 2));
  assert.equal(tree.onEvent(kernelEvent(RUNC, at(3))).nestedCgroup, NESTED);
});

test('one that was born into it, or is older than the agent, is asked for in /proc, at most so often between two ticks', () => {
  const asked: number[] = [];
  const tree = newTree({ nestedCgroupOf: (pid) => (asked.push(pid), NESTED) });
  const outside: Actor = { pid: 50, start: at(-9), comm: 'runc' };
  tree.onEvent(cloneEvent(outside, at(1), RUNC, { parentInScope: false }));
  assert.equal(tree.find(RUNC.pid)?.nestedCgroup, NESTED);
  assert.equal(tree.find(outside.pid)?.nestedCgroup, undefined);
  const older = { pid: 70, start: at(-8) };
  assert.equal(tree.onEvent(kernelEvent(older, at(2))).nestedCgroup, NESTED);
  assert.deepEqual(asked, [60, 70]);
  for (let pid = 1000; pid < 3000; pid++) tree.onEvent(kernelEvent({ pid, start: at(-7) }, at(3)));
  assert.ok(asked.length <= 500, String(asked.length));
});
