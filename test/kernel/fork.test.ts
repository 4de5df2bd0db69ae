import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { bootTimeNs } from 'ebpf-loader-napi';
import { CLONE } from '../../src/events/table.gen.ts';
import { assertHeader, assertOutside, readFacts, readStat } from '../support/kernel-facts.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe } from '../support/kernel-probe.ts';

// include/uapi/linux/sched.h
const CLONE_NEWUTS = 0x04000000;
const CLONE_NEWIPC = 0x08000000;
const CLONE_NEWPID = 0x20000000;
const CLONE_INTO_CGROUP = 0x200000000n;
const SIGCHLD = 17n;

describe('fork, vfork, clone, clone3', () => {
  let probe: KernelProbe;
  before(() => {
    probe = new KernelProbe();
  });
  after(() => probe.close());

  for (const kind of ['v2', 'v1-pids'] as const) {
    test(`every field, on ${kind}`, { skip: missingHierarchy(kind) }, async () => {
      const own = new KernelProbe({ hierarchy: kind });
      try {
        const cgroup = own.mkdir('plain');
        const from = bootTimeNs();
        const running = own.spawn(cgroup, [
          'comm',
          'parent',
          'clone',
          CLONE_NEWUTS | CLONE_NEWIPC,
          '[',
          'pause',
          ']',
        ]);
        const child = await running.paused();
        await own.settle();
        const event = own.theEvent(running.pid, 'clone');
        const childFacts = readFacts(child.pid);
        assert.equal(childFacts.ppid, running.pid);
        assertHeader(event, {
          facts: readFacts(running.pid),
          cgroupId: cgroup.id,
          result: child.pid,
          from,
          to: bootTimeNs(),
        });
        const { childStartBootNs, ...rest } = event.clone!;
        assert.deepEqual(rest, {
          flags: BigInt(CLONE_NEWUTS | CLONE_NEWIPC) | SIGCHLD,
          childPid: child.pid,
          childTid: child.pid,
          childVpid: child.pid,
          childVtid: child.pid,
          parentInScope: true,
        });
        assert.equal(childStartBootNs / 10_000_000n, childFacts.startTicks);
        assert.equal(event.records.number(event.at + CLONE.flags), 0);
        assert.deepEqual(
          ['res', 'tid', 'pid', 'ptid', 'flags', 'uid', 'gid', 'vtid', 'vpid'].map((name) =>
            event.param(name),
          ),
          [
            child.pid,
            running.pid,
            running.pid,
            process.pid,
            'CLONE_NEWIPC|CLONE_NEWUTS',
            0,
            0,
            running.pid,
            running.pid,
          ],
        );
        running.resume();
        await running.ended();
      } finally {
        await own.close();
      }
    });
  }

  test('each call by its name and flags, and the child that it made', async () => {
    const running = await probe.run(probe.mkdir('calls'), [
      ...[
        'fork',
        '[',
        'exit',
        3,
        ']',
        'vfork',
        '[',
        'exit',
        4,
        ']',
        'clone',
        0,
        '[',
        ']',
        'clone3',
        0,
        '-',
        '[',
        ']',
      ],
    ]);
    for (const [step, flags] of [
      ['fork', 0n],
      ['clone', SIGCHLD],
      ['clone3', 0n],
    ] as const) {
      const event = probe.theEvent(running.pid, step);
      const result = running.result(step).ret;
      assert.deepEqual(
        [event.result, event.clone?.childPid, event.clone?.flags],
        [result, result, flags],
        step,
      );
      assert.equal(
        probe.theEvent(result, 'procexit').startBootNs,
        event.clone?.childStartBootNs,
        step,
      );
    }
    // glibc's vfork() is vfork or clone(CLONE_VFORK|CLONE_VM): the kernel is told which.
    const vfork =
      probe.eventsOf(running.pid, 'vfork')[0] ?? probe.eventsOf(running.pid, 'clone')[0];
    assert.equal(vfork?.result, running.result('vfork').ret);
  });

  test('new threads are not reported', async () => {
    const running = probe.spawn(probe.mkdir('threads'), ['thread', '[', 'pause', ']']);
    await running.paused();
    running.resume();
    await running.ended();
    await probe.settle();
    assert.deepEqual(
      probe.eventsOf(running.pid).map((event) => event.type),
      ['procexit'],
    );
  });

  test('pid namespaces: the result is the parent’s number for the child', async () => {
    const cgroup = probe.mkdir('pidns');
    const running = probe.spawn(cgroup, [
      'unshare',
      CLONE_NEWPID,
      'fork',
      '[',
      'fork',
      '[',
      'pause',
      ']',
      'pause',
      ']',
    ]);
    await running.paused();
    await probe.settle();
    const init = probe.theEvent(running.pid, 'fork');
    const { childPid } = init.clone!;
    assert.equal(readStat(childPid).ppid, running.pid);
    assert.deepEqual([init.result, init.clone?.childVpid, init.vpid], [childPid, 1, running.pid]);
    const inner = probe.theEvent(childPid, 'fork');
    const facts = readFacts(inner.clone!.childPid);
    assert.deepEqual(
      [inner.vpid, inner.result, inner.clone?.childVpid, inner.clone?.childVtid],
      [1, 2, facts.vpid, facts.vtid],
    );
    assert.deepEqual([facts.vpid, facts.ppid], [2, childPid]);
    running.resume();
    await running.paused();
    running.resume();
    await running.ended();
  });

  test('born into the scope: CLONE_INTO_CGROUP by a parent outside', async () => {
    const cgroup = probe.mkdir('into');
    const from = bootTimeNs();
    const running = probe.spawn(undefined, [
      'clone3',
      0,
      cgroup.dir,
      '[',
      'openat',
      -100,
      '/etc/hostname',
      0,
      0,
      'pause',
      ']',
    ]);
    const child = await running.paused();
    await probe.settle();
    const event = probe.theEvent(running.pid, 'clone3');
    assertHeader(event, {
      facts: readFacts(running.pid),
      cgroupId: cgroup.id,
      result: child.pid,
      from,
      to: bootTimeNs(),
    });
    assert.deepEqual(
      [event.clone?.parentInScope, event.clone?.flags, event.clone?.childPid],
      [false, CLONE_INTO_CGROUP, child.pid],
    );
    assertOutside(event.clone?.ancestors ?? [], running.pid);
    assert.equal(probe.openOf(child.pid, '/etc/hostname').cgroupId, cgroup.id);
    assert.deepEqual(
      probe.eventsOf(running.pid).map((one) => one.type),
      ['clone3'],
    );
    running.resume();
    await running.ended();
  });

  test('out of the scope by birth: nothing', async () => {
    const outside = probe.mkdir('leave');
    const before = probe.delivered;
    const running = await probe.run(outside, [
      'clone3',
      0,
      probe.topDir,
      '[',
      'openat',
      -100,
      '/etc/hostname',
      0,
      0,
      ']',
    ]);
    const child = running.result('clone3').ret;
    assert.deepEqual(probe.eventsOf(running.pid, 'clone3'), []);
    assert.deepEqual(probe.eventsOf(child), []);
    assert.ok(probe.delivered > before);
  });
});
