import assert from 'node:assert/strict';
import { nameOnlyImage } from '../../../src/context/process-image.ts';
import { test } from 'node:test';

import { ProcFs } from '../../../src/context/proc-fs.ts';
import { startTicksOf } from '../../../src/context/proc-reader.ts';
import { ProcessTree } from '../../../src/context/process-tree.ts';
import type { ProcessTreeOptions } from '../../../src/context/process-tree.ts';
import { attachChange, cloneEvent, execEvent, exitEvent, kernelEvent } from './kernel-events.ts';
import type { Actor } from './kernel-events.ts';
import { FixtureProc } from './fixture-proc.ts';

const T = 1_000_000_000_000n;
const at = (ms: number): bigint => T + BigInt(ms) * 1_000_000n;
const newTree = (options: Pick<ProcessTreeOptions, 'maxProcesses' | 'onSetup'> = {}): ProcessTree =>
  new ProcessTree({ reader: new ProcFs('/nonexistent'), ...options });
const RUNC = { pid: 50, startBootNs: at(-500), comm: 'runc', inScope: false };
const fromRunc = { ppid: 50, parentStart: at(-500) };
const S0: Actor = { pid: 60, start: at(-10), comm: 'runc:[0:PARENT]', ...fromRunc };
const S1: Actor = { pid: 61, start: at(3), comm: 'runc:[1:CHILD]', ...fromRunc };
const S2: Actor = { pid: 62, start: at(5), comm: 'runc:[2:INIT]', ...fromRunc, vpid: 1 };

/** What runc does: a process is moved in, and makes two siblings of itself, the last of which runs the app. */
function startContainer(tree: ProcessTree): void {
  tree.onCgroupChange(attachChange(60, at(1)));
  assert.equal(tree.onEvent(kernelEvent(S0, at(2))).setup, true);
  tree.onEvent(cloneEvent(S0, at(3), S1, { flags: 0x8000n }));
  assert.equal(tree.onEvent(kernelEvent(S1, at(4))).setup, true);
  tree.onEvent(cloneEvent(S1, at(5), S2, { flags: 0x8000n | 0x20000000n }));
  assert.equal(tree.onEvent(kernelEvent(S2, at(6))).setup, true);
}

test('the runtime’s processes are set-up until the app’s program runs', () => {
  const tree = newTree();
  startContainer(tree);
  const sh = { ...S2, comm: 'sh' };
  const process = tree.onEvent(execEvent(sh, at(7), { argv: ['sh'], ancestors: [RUNC] }));
  assert.equal(process.setup, false);
  assert.equal(process.parent?.image.name, 'runc');
  tree.onEvent(cloneEvent(sh, at(8), { pid: 63, start: at(8) }));
  assert.equal(tree.find(63)!.setup, false);
});

test('when the app’s first program began is known of the process that was set-up until then, unless records were lost', () => {
  const tree = newTree();
  const ticks = startTicksOf(S2.start);
  startContainer(tree);
  assert.equal(tree.programSince(S2.pid, ticks), 'not yet');
  const sh = { ...S2, comm: 'sh' };
  tree.onEvent(execEvent(S2, at(7), { argv: ['sh'], result: -2, ancestors: [RUNC] }));
  assert.equal(tree.programSince(S2.pid, ticks), 'not yet');
  tree.onEvent(execEvent(sh, at(8), { argv: ['sh'], ancestors: [RUNC] }));
  assert.equal(tree.programSince(S2.pid, ticks), at(8));
  assert.equal(tree.programSince(S2.pid, ticks + 1), undefined, 'another process');
  tree.onEvent(execEvent(sh, at(9), { argv: ['node'], ancestors: [RUNC] }));
  assert.equal(tree.programSince(S2.pid, ticks), at(8), 'the first one, whatever it runs then');
  const child = { pid: 63, start: at(10), ppid: S2.pid, parentStart: S2.start };
  tree.onEvent(cloneEvent(sh, at(10), child));
  tree.onEvent(execEvent({ ...child, comm: 'ls' }, at(11), { argv: ['ls'] }));
  assert.equal(tree.programSince(63, startTicksOf(at(10))), undefined);
  tree.recordsLost(at(12), 8);
  assert.equal(tree.programSince(S2.pid, ticks), at(8), 'those of another container');
  tree.recordsLost(at(12), 7);
  assert.equal(tree.programSince(S2.pid, ticks), undefined, 'an exec of before may be among them');
});

test('each of the runtime’s processes is told, with its container; none of the app’s', () => {
  const told: [pid: number, root: number][] = [];
  const tree = newTree({ onSetup: ({ pid }, root) => told.push([pid, root]) });
  startContainer(tree);
  const sh = { ...S2, comm: 'sh' };
  tree.onEvent(execEvent(sh, at(7), { argv: ['sh'], ancestors: [RUNC] }));
  tree.onEvent(cloneEvent(sh, at(8), { pid: 63, start: at(8) }));
  assert.deepEqual(told, [
    [60, 7],
    [61, 7],
    [62, 7],
  ]);
});

test('the runtime outside is looked at while it lives: it may have ended when a rule asks', () => {
  using proc = new FixtureProc();
  const startTicks = Number(at(-500) / 10_000_000n);
  proc.put({ pid: 50, comm: 'runc', startTicks, ppid: 0, exe: '/usr/sbin/runc' });
  const tree = new ProcessTree({ reader: new ProcFs(proc.root) });
  startContainer(tree);
  proc.remove(50);
  const sh = tree.onEvent(execEvent({ ...S2, comm: 'sh' }, at(7), { ancestors: [RUNC] }));
  assert.equal(sh.parent?.image.exePath, '/usr/sbin/runc');
});

test('a failed exec ends nothing: runc tries each directory of PATH', () => {
  const tree = newTree();
  startContainer(tree);
  assert.equal(tree.onEvent(execEvent(S2, at(7), { argv: ['/a'], result: -2 })).setup, true);
});

test('a process known inside never becomes set-up, whatever it moves', () => {
  const tree = newTree();
  startContainer(tree);
  const sh = { ...S2, comm: 'sh' };
  tree.onEvent(execEvent(sh, at(7), { argv: ['sh'], ancestors: [RUNC] }));
  tree.onCgroupChange(attachChange(62, at(8)));
  assert.equal(tree.onEvent(kernelEvent(sh, at(9))).setup, false);
  const child = { pid: 70, start: at(10), comm: 'sh', ...fromRunc };
  tree.onEvent(cloneEvent(sh, at(10), child, { flags: 0x8000n }));
  tree.onCgroupChange(attachChange(70, at(11)));
  assert.equal(tree.onEvent(kernelEvent(child, at(12))).setup, false);
  tree.onEvent(cloneEvent(child, at(13), { pid: 71, start: at(13) }));
  assert.equal(tree.find(71)!.setup, false);
});

test('renaming itself like runc gives a process nothing', () => {
  const tree = newTree();
  const actor = { pid: 9, start: at(0), comm: 'runc:[2:INIT]', ...fromRunc };
  assert.equal(tree.onEvent(kernelEvent(actor, at(1))).setup, false);
});

test('processes of the scan are not set-up', () => {
  const tree = newTree();
  const known = tree.adopt(
    {
      stat: {
        pid: 9,
        comm: 'app',
        state: 'S',
        ppid: 1,
        pgid: 9,
        sid: 9,
        tty: 0,
        threads: 1,
        startTicks: 5,
      },
      vpid: 1,
      vpgid: 1,
      vsid: 1,
      loginUid: -1,
      image: nameOnlyImage('app'),
    },
    true,
    undefined,
  )!;
  tree.onCgroupChange(attachChange(9, at(1)));
  assert.equal(
    tree.onEvent(kernelEvent({ pid: 9, start: 50_000_001n, comm: 'app' }, at(2))),
    known,
  );
  assert.equal(known.setup, false);
  assert.equal(known.startBootNs, 50_000_001n, 'the exact start is learnt from the event');
});

test('a move counts only for the process that was there to be moved', () => {
  const tree = newTree();
  tree.onCgroupChange(attachChange(60, at(1)));
  const later = { pid: 60, start: at(2), comm: 'x', ...fromRunc };
  assert.equal(tree.onEvent(kernelEvent(later, at(3))).setup, false, 'started after the move');
  tree.onCgroupChange(attachChange(61, at(1), { state: 'excluded' }));
  assert.equal(tree.onEvent(kernelEvent({ ...S1, start: at(0) }, at(3))).setup, false);
  tree.onCgroupChange(attachChange(62, at(1)));
  tree.tick(at(70_000));
  assert.equal(
    tree.onEvent(kernelEvent({ ...S2, start: at(0) }, at(70_001))).setup,
    false,
    'stale',
  );
});

test('after lost records nobody older passes as set-up, and who had the mark loses it', () => {
  const tree = newTree();
  startContainer(tree);
  tree.recordsLost(at(10));
  assert.equal(tree.onEvent(kernelEvent(S2, at(11))).setup, false);
  tree.onCgroupChange(attachChange(80, at(12)));
  const old = { pid: 80, start: at(9), comm: 'x', ...fromRunc };
  assert.equal(tree.onEvent(kernelEvent(old, at(13))).setup, false);
  tree.onCgroupChange(attachChange(81, at(14)));
  const fresh = { pid: 81, start: at(13), comm: 'runc', ...fromRunc };
  assert.equal(tree.onEvent(kernelEvent(fresh, at(15))).setup, true);
});

test('a process of before the agent that is moved within its container stays visible, seen before the move or after', () => {
  const tree = newTree();
  tree.recordsLost(at(10));
  const app = { pid: 80, start: at(9), comm: 'app', ...fromRunc };
  assert.equal(tree.onEvent(kernelEvent(app, at(11))).setup, false);
  tree.onCgroupChange(attachChange(80, at(12), { cgroupId: 9 }));
  assert.equal(tree.onEvent(kernelEvent(app, at(13))).setup, false);
  const other = { pid: 81, start: at(9), comm: 'other', ...fromRunc };
  tree.onCgroupChange(attachChange(81, at(14), { cgroupId: 9 }));
  assert.equal(tree.onEvent(kernelEvent(other, at(15))).setup, false);
});

test('what one container loses does not touch the set-up of another', () => {
  const tree = newTree();
  startContainer(tree);
  tree.recordsLost(at(10), 8);
  assert.equal(tree.onEvent(kernelEvent(S2, at(11))).setup, true);
  tree.recordsLost(at(12), 7);
  assert.equal(tree.onEvent(kernelEvent(S2, at(13))).setup, false);
  tree.onCgroupChange(attachChange(80, at(14), { cgroupId: 71, rootCgroupId: 7 }));
  const old = { pid: 80, start: at(11), comm: 'x', ...fromRunc };
  assert.equal(tree.onEvent({ ...kernelEvent(old, at(15)), cgroupId: 7 }).setup, false);
  tree.onCgroupChange(attachChange(81, at(16), { cgroupId: 9 }));
  const elsewhere = { pid: 81, start: at(11), comm: 'runc', ...fromRunc };
  assert.equal(tree.onEvent({ ...kernelEvent(elsewhere, at(17)), cgroupId: 9 }).setup, true);
});

test('when more containers have lost records than can be remembered, all have', () => {
  const tree = newTree();
  startContainer(tree);
  for (let root = 1000; root < 1000 + 16_385; root++) tree.recordsLost(at(10), root);
  assert.equal(tree.onEvent(kernelEvent(S2, at(11))).setup, false);
});

test('a pid whose last holder ended without a record is no reason to miss the set-up', () => {
  const tree = newTree();
  const phantom = { pid: 60, start: at(-900), comm: 'worker', ppid: 40, parentStart: at(-2000) };
  tree.onEvent(execEvent(phantom, at(-899), { argv: ['worker'] }));
  tree.onCgroupChange(attachChange(60, at(1), { startBootNs: S0.start }));
  assert.equal(tree.onEvent(kernelEvent(S0, at(2))).setup, true);
});

test('a process pushed out of a full tree does not come back as set-up', () => {
  const tree = newTree({ maxProcesses: 16 });
  const hidden = { pid: 100, start: at(0), comm: 'evil', ppid: 50, parentStart: at(-500) };
  tree.onEvent(execEvent(hidden, at(0), { argv: ['evil'] }));
  const storm = { pid: 200, start: at(1), comm: 'storm' };
  tree.onEvent(execEvent(storm, at(1), { argv: ['storm'] }));
  for (let i = 1; i < 40; i++)
    tree.onEvent(cloneEvent(storm, at(i + 1), { pid: 200 + i, start: at(i + 1) }));
  assert.equal(tree.find(100), undefined);
  tree.onCgroupChange(attachChange(100, at(50)));
  assert.equal(tree.onEvent(kernelEvent(hidden, at(51))).setup, false);
});

test('a container that fills the tree pushes out its own processes, and no neighbour’s set-up', () => {
  const tree = newTree({ maxProcesses: 32 });
  const idle = { pid: 100, start: at(-20), comm: 'idle', ppid: 50, parentStart: at(-500) };
  tree.onEvent(execEvent(idle, at(-20), { argv: ['idle'] }));
  startContainer(tree);
  const storm = { pid: 200, start: at(7), comm: 'storm' };
  const inStorm = <T extends object>(event: T): T => ({ ...event, cgroupId: 8 });
  tree.onEvent(inStorm(execEvent(storm, at(7), { argv: ['storm'] })));
  for (let i = 1; i < 100; i++) {
    const child = { pid: 200 + i, start: at(i + 7) };
    tree.onEvent(inStorm(cloneEvent(storm, at(i + 7), child)));
  }
  assert.ok(tree.counters().evicted > 50);
  assert.equal(tree.onEvent(kernelEvent(S2, at(120))).setup, true, 'still the runtime');
  assert.equal(tree.find(100)?.image.name, 'idle', 'still known, though seen last');
  // The storm itself has forgotten: nobody older passes as set-up in there.
  tree.onCgroupChange(attachChange(150, at(121), { cgroupId: 81, rootCgroupId: 8 }));
  const hidden = { pid: 150, start: at(-30), comm: 'runc', ...fromRunc };
  assert.equal(tree.onEvent(inStorm(kernelEvent(hidden, at(122)))).setup, false);
});

test('set-up ends with a foreign name and with time', () => {
  const tree = newTree();
  startContainer(tree);
  const renamed = { ...S2, comm: 'nginx' };
  assert.equal(tree.onEvent(kernelEvent(renamed, at(7))).setup, false, 'its exec is yet to come');
  assert.equal(tree.onEvent(kernelEvent(S1, at(60_002))).setup, false);
});

test('born into the cgroup by a parent outside: set-up through the runtime’s own second exec, not further', () => {
  const tree = newTree();
  const outside = { pid: 50, start: at(-500), comm: 'runc' };
  const born = { pid: 60, start: at(1), comm: 'runc', ...fromRunc };
  const parent = tree.onEvent(cloneEvent(outside, at(1), born, { parentInScope: false }));
  assert.equal(parent.inScope, false);
  assert.equal(tree.find(60)!.setup, true);
  assert.equal(tree.find(60)!.parent, parent);
  const again = {
    argv: ['runc', 'init'],
    file: { detached: true, memfd: true },
    ancestors: [RUNC],
  };
  assert.equal(tree.onEvent(execEvent(born, at(2), again)).setup, true);
  assert.equal(tree.onEvent(execEvent(born, at(3), again)).setup, false, 'only once');
});

/** The kernel tells of an exec when the parent can know of it already: it may move the process before that. */
test('a runtime that is moved while it runs itself stays set-up, and may run its sealed copy after that', () => {
  const self = { ...S0, comm: 'exe' };
  const again = { filename: '/proc/self/exe', parentsProgram: true, ancestors: [RUNC] };
  const sealed = { file: { detached: true, memfd: true }, ancestors: [RUNC] };
  const copy = { ...S0, comm: 'memfd:runc_clon' };
  for (const [name, arrive] of [
    ['the move first', (tree) => tree.onCgroupChange(attachChange(60, at(1)))],
    ['its own open first', (tree) => tree.onEvent(kernelEvent(S0, at(1)))],
    ['the exec first', () => undefined],
  ] as [string, (tree: ProcessTree) => void][]) {
    const tree = newTree();
    arrive(tree);
    assert.equal(tree.onEvent(execEvent(self, at(2), again)).setup, true, name);
    tree.onCgroupChange(attachChange(60, at(3)));
    assert.equal(tree.onEvent(kernelEvent(self, at(4))).setup, true, name);
    assert.equal(tree.onEvent(execEvent(copy, at(5), sealed)).setup, true, `${name}: its copy`);
    assert.equal(tree.onEvent(execEvent(copy, at(6), again)).setup, false, `${name}: no further`);
  }
  for (const [name, actor, exec] of [
    ['another program', S0, { ...again, parentsProgram: false }],
    ['by another path', S0, { ...again, filename: '/bin/sh' }],
    ['in a pid namespace', { ...S0, vpid: 1 }, again],
    ['by a parent inside', S0, { ...again, ancestors: [{ ...RUNC, inScope: true }] }],
  ] as [string, Actor, object][]) {
    const tree = newTree();
    tree.onCgroupChange(attachChange(60, at(1)));
    assert.equal(tree.onEvent(execEvent(actor, at(2), exec)).setup, false, name);
  }
});

test('an entrypoint of /proc/self/exe is the app’s program, not the runtime', () => {
  const tree = newTree();
  startContainer(tree);
  const own = { argv: ['/proc/self/exe', 'init'], file: { detached: true }, ancestors: [RUNC] };
  assert.equal(tree.onEvent(execEvent(S2, at(7), own)).setup, false);
  const hostPids = newTree();
  startContainer(hostPids);
  assert.equal(hostPids.onEvent(execEvent({ ...S2, vpid: 62 }, at(7), own)).setup, false);
});

test('a launcher that moves itself in and runs the app', () => {
  const tree = newTree();
  tree.onCgroupChange(attachChange(30, at(1)));
  const launcher = { pid: 30, start: at(0), comm: 'sh', ...fromRunc };
  assert.equal(tree.onEvent(kernelEvent(launcher, at(2))).setup, true);
  const app = tree.onEvent(execEvent({ ...launcher, comm: 'app' }, at(3), { argv: ['app'] }));
  assert.equal(app.setup, false);
  tree.onEvent(exitEvent(launcher, at(4)));
});

/** The kernel puts a process into the cgroup, and says so a moment later: what it does between comes first. */
test('what the runtime does before the record of its move is set-up too', () => {
  const memfd = { path: 'memfd:runc_cloned:/proc/self/exe', memfd: true };
  const self = { ...S0, comm: 'memfd:runc_clon' };
  const run = execEvent(self, at(1), { argv: ['runc', 'init'], file: memfd, ancestors: [RUNC] });
  const early = newTree();
  assert.equal(early.onEvent(run).setup, true, 'its run of itself');
  early.onCgroupChange(attachChange(60, at(2)));
  early.onEvent(cloneEvent(self, at(3), S1, { flags: 0x8000n }));
  assert.equal(early.onEvent(kernelEvent(S1, at(4))).setup, true);

  const slow = newTree();
  assert.equal(slow.onEvent(kernelEvent(S0, at(0))).setup, false, 'nobody knows yet');
  assert.equal(slow.onEvent(run).setup, true, 'its run of itself, after a call');
  slow.onCgroupChange(attachChange(60, at(2)));
  assert.equal(slow.onEvent(kernelEvent(self, at(3))).setup, true);

  const late = newTree();
  const before = late.onEvent(kernelEvent(S0, at(1)));
  late.onCgroupChange(attachChange(60, at(2)));
  assert.equal(before.setup, true, 'from the record on');
  assert.equal(
    late.onEvent(execEvent(self, at(3), { file: memfd, ancestors: [RUNC] })).setup,
    true,
    'it may still run itself once more',
  );
});

test('nobody else gets the mark without a record of a move', () => {
  const memfd = { memfd: true };
  const inside = { ...RUNC, inScope: true };
  const cases: [string, (tree: ProcessTree) => void, Actor, object][] = [
    ['born inside', () => undefined, S0, { file: memfd, ancestors: [inside] }],
    ['runs a file', () => undefined, S0, { ancestors: [RUNC] }],
    ['in a pid namespace', () => undefined, S2, { file: memfd, ancestors: [RUNC] }],
    ['after a loss', (tree) => tree.recordsLost(at(0), 7), S0, { file: memfd, ancestors: [RUNC] }],
  ];
  for (const [name, prepare, actor, exec] of cases) {
    const tree = newTree();
    prepare(tree);
    const process = tree.onEvent(execEvent(actor, at(6), exec));
    assert.equal(process.setup, false, name);
    tree.onCgroupChange(attachChange(actor.pid, at(7)));
    assert.equal(process.setup, false, `${name}: nor by a move after its exec`);
  }
  const lost = newTree();
  const process = lost.onEvent(kernelEvent(S0, at(1)));
  lost.recordsLost(at(2), 7);
  lost.onCgroupChange(attachChange(60, at(3)));
  assert.equal(process.setup, false, 'a loss before the move is told');
  const slow = newTree();
  const waiting = slow.onEvent(kernelEvent(S0, at(1)));
  slow.onCgroupChange(attachChange(60, at(61_000)));
  assert.equal(waiting.setup, false, 'no runtime takes a minute');
});
