import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ProcFs } from '../../../src/context/proc-fs.ts';
import { ProcessTree } from '../../../src/context/process-tree.ts';
import { FixtureProc } from './fixture-proc.ts';
import { callEvent, cloneEvent, execEvent, setpgidEvent, type Actor } from './kernel-events.ts';

const T = 1_000_000_000_000n;
const at = (ms: number): bigint => T + BigInt(ms) * 1_000_000n;

/** A shell in a pid namespace, its children by their numbers inside, and what is known of a process's groups. */
function shellWith(reader: ProcFs, ...vpids: number[]) {
  const tree = new ProcessTree({ reader });
  const shell: Actor = { pid: 100, start: at(0), comm: 'sh', vpid: 1 };
  tree.onEvent(execEvent(shell, at(1), { argv: ['sh'] }));
  const children = vpids.map((vpid): Actor => {
    const child = { pid: 100 + vpid, start: at(vpid), comm: 'sh', vpid };
    tree.onEvent(cloneEvent(shell, at(vpid), child));
    return child;
  });
  const groupsOf = ({ pid }: Actor): (number | undefined)[] => {
    const { pgid, vpgid, sid, vsid } = tree.find(pid) ?? {};
    return [pgid, vpgid, sid, vsid];
  };
  return { tree, shell, children, groupsOf };
}

test('a session of its own, with the numbers inside and on the host', () => {
  const { tree, children, groupsOf } = shellWith(new ProcFs('/nonexistent'), 5);
  const [child] = children as [Actor];
  tree.onEvent({ ...callEvent(child, at(10), 'setsid'), result: -1 });
  assert.deepEqual(groupsOf(child), [11, 12, 13, 14], 'one that failed changes nothing');
  tree.onEvent(callEvent(child, at(11), 'setsid'));
  assert.deepEqual(groupsOf(child), [105, 5, 105, 5]);
});

test('a pipeline: its first process leads, by its own call or its parent’s, and the others follow', () => {
  const { tree, shell, children, groupsOf } = shellWith(new ProcFs('/nonexistent'), 5, 6, 7);
  const [first, second, third] = children as [Actor, Actor, Actor];
  tree.onEvent(setpgidEvent(shell, at(10), 5, 0));
  tree.onEvent(setpgidEvent(first, at(11), 0, 5));
  tree.onEvent(setpgidEvent(second, at(12), 0, 5));
  tree.onEvent(setpgidEvent(shell, at(13), 7, 5));
  for (const one of [first, second, third]) assert.deepEqual(groupsOf(one), [105, 5, 13, 14]);
  assert.deepEqual(groupsOf(shell), [11, 12, 13, 14]);
  tree.onEvent(setpgidEvent(third, at(14), 7, 12));
  assert.deepEqual(groupsOf(third), [11, 12, 13, 14], 'back to the shell’s');
  tree.onEvent(setpgidEvent(shell, at(15), 99, 5)); // a child that is not known
});

test('a group that nobody known is in is read from /proc', () => {
  using fixture = new FixtureProc();
  const { tree, children, groupsOf } = shellWith(new ProcFs(fixture.root), 5);
  const [child] = children as [Actor];
  const startTicks = Number(child.start / 10_000_000n);
  const status = 'Name:\tsh\nNSpid:\t105\t5\nNSpgid:\t140\t40\nNSsid:\t13\t14\n';
  fixture.put({ pid: 105, comm: 'sh', startTicks, status });
  tree.onEvent(setpgidEvent(child, at(10), 0, 40));
  // The fixture's own /proc/PID/stat has one number for all.
  assert.deepEqual(groupsOf(child), [105, 40, 105, 14]);
});
