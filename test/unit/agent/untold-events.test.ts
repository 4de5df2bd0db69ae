// Events between the move of a runtime's process into a container and the kernel's report of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UntoldEvents } from '../../../src/agent/untold-events.ts';
import { ProcFs } from '../../../src/context/proc-fs.ts';
import { ProcessTree } from '../../../src/context/process-tree.ts';
import type { CgroupChange } from '../../../src/events/cgroup-record.ts';
import type { KernelEvent } from '../../../src/events/event.ts';
import {
  attachChange,
  execEvent,
  exitEvent,
  kernelEvent,
  type Actor,
} from '../context/kernel-events.ts';

const T = 1_000_000_000_000n;
const at = (ms: number): bigint => T + BigInt(ms) * 1_000_000n;
const PARENT: Actor = { pid: 60, start: at(-10), comm: 'runc:[0:PARENT]', ppid: 50 };
const APP: Actor = { pid: 70, start: at(-5), comm: 'app', ppid: 50 };

/** As the pipeline does it. */
function world() {
  const tree = new ProcessTree({ reader: new ProcFs('/nonexistent') });
  const seen: string[] = [];
  const untold = new UntoldEvents((event, process) => {
    const { name } = process.image;
    seen.push(`${event.type} of ${name} at ${event.bootNs - T}${process.setup ? ', set-up' : ''}`);
  });
  const see = (event: KernelEvent): boolean => {
    const process = tree.onEvent(event);
    if (untold.takes(event, process)) return false;
    seen.push(`now: ${event.type} of ${process.image.name}`);
    return true;
  };
  const move = (change: CgroupChange): void => {
    tree.onCgroupChange(change);
    untold.onMove();
  };
  return { see, move, seen, untold };
}

test('the runtime’s process acted before its move was reported: that was set-up', () => {
  const { see, move, seen } = world();
  assert.equal(see(kernelEvent(PARENT, at(1))), false);
  assert.equal(see(kernelEvent(PARENT, at(2))), false);
  assert.deepEqual(seen, []);
  move(attachChange(PARENT.pid, at(3)));
  const [first, second] = seen.splice(0);
  assert.match(first!, /^\w+ of runc:\[0:PARENT\] at 1000000, set-up$/);
  assert.match(second!, / at 2000000, set-up$/);
  assert.equal(see(kernelEvent(PARENT, at(4))), true, 'nothing waits any more');
});

test('nothing is told of it for a second: its events are evaluated, in turn, and later ones at once', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { see, seen } = world();
  for (const ms of [1, 2]) assert.equal(see(kernelEvent(APP, at(ms))), false);
  t.mock.timers.tick(999);
  assert.equal(seen.length, 0);
  t.mock.timers.tick(1);
  assert.deepEqual(
    seen.splice(0).map((one) => one.replace(/^\w+ /, '')),
    ['of app at 1000000', 'of app at 2000000'],
  );
  assert.equal(see(kernelEvent(APP, at(3))), true);
});

test('it runs a program, or ends: what it did before comes first, as what it was then', () => {
  for (const [last, is] of [
    [execEvent({ ...APP, comm: 'sh' }, at(2), { argv: ['sh'] }), 'now: execve of sh'],
    [exitEvent(APP, at(2)), 'now: procexit of app'],
  ] as const) {
    const { see, seen } = world();
    assert.equal(see(kernelEvent(APP, at(1))), false);
    assert.equal(see(last), true);
    assert.match(seen[0]!, /^\w+ of app at 1000000$/);
    assert.deepEqual(seen.slice(1), [is]);
  }
});

test('at most a thousand events wait; at the end all are evaluated', () => {
  const { see, seen, untold } = world();
  for (let n = 0; n < 1000; n++) assert.equal(see(kernelEvent(APP, at(n))), false);
  assert.equal(see(kernelEvent(PARENT, at(1000))), true, 'there is no room');
  assert.equal(seen.length, 1);
  untold.finish();
  assert.equal(seen.length, 1001);
});
