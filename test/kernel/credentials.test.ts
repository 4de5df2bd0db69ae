import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { bootTimeNs } from 'ebpf-loader-napi';
import { assertHeader, readFacts } from '../support/kernel-facts.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';

const CLONE_NEWUSER = 0x10000000;
const CLONE_NEWPID = 0x20000000;
const CLONE_NEWNS = 0x20000;
const OVERFLOW_ID = 65534;
const OPEN: readonly Step[] = ['openat', -100, '/etc/hostname', 0, 0];

/** Lines of /proc/PID/uid_map: inside, outside, count. */
type IdMap = readonly (readonly [inside: number, outside: number, count: number])[];

/** Every id on a line of its own, outside ids running against inside ids; 340 lines fit into one write of a page. */
function reversed(lines: number): IdMap {
  return Array.from({ length: lines }, (_, i) => [i, 1000 + 3 * (lines - i), 1] as const);
}

const MAPS: Readonly<Record<string, IdMap>> = {
  'one line': [[0, 100_000, 65_536]],
  'three lines': [
    [5, 300_000, 10],
    [0, 100_000, 5],
    [15, 200_000, 1000],
  ],
  'five lines, the most that the kernel keeps in place': reversed(5),
  'six lines, the fewest that it sorts': reversed(6),
  '340 lines, the most there can be': reversed(340),
};

describe('credentials', () => {
  let probe: KernelProbe;
  before(() => {
    probe = new KernelProbe();
  });
  after(() => probe.close());

  for (const [name, map] of Object.entries(MAPS)) {
    test(`a user namespace whose map has ${name}`, async () => {
      const cgroup = probe.mkdir('userns');
      // The last id is the end of a map: off by one shows there.
      const [last = 0, , count = 0] = map.at(-1) ?? [];
      const end = last + count - 1;
      const from = bootTimeNs();
      const running = probe.spawn(cgroup, [
        ...['unshare', CLONE_NEWUSER, 'ids', ...OPEN, 'pause'],
        ...['resgid', 3, end, 1, 'resuid', 2, end, 0, 'ids', ...OPEN, 'pause'],
      ]);
      await running.paused();
      const unmapped = readFacts(running.pid);
      const text = map.map((line) => line.join(' ')).join('\n');
      writeFileSync(`/proc/${running.pid}/uid_map`, `${text}\n`);
      writeFileSync(`/proc/${running.pid}/gid_map`, `${text}\n`);
      running.resume();
      await running.paused();
      await probe.settle();
      const facts = readFacts(running.pid);
      const [before, after] = probe.eventsOf(running.pid, 'openat');
      const to = bootTimeNs();
      const cgroupId = cgroup.id;

      const inside0 = running.result('ids', 0) as Required<ReturnType<typeof running.result>>;
      assert.equal(inside0.uid, OVERFLOW_ID);
      assertHeader(before!, {
        facts: unmapped,
        cgroupId,
        result: before!.result,
        from,
        to,
        inside: inside0,
      });

      const inside = running.result('ids', 1) as Required<ReturnType<typeof running.result>>;
      assert.deepEqual([inside.uid, inside.euid, inside.gid, inside.egid], [2, end, 3, end]);
      assertHeader(after!, { facts, cgroupId, result: after!.result, from, to, inside });
      const outside = (id: number): number => {
        const line = map.find(([first, , size]) => id >= first && id < first + size)!;
        return line[1] + id - line[0];
      };
      const { hostUid, hostEuid, hostGid, hostEgid, userNamespace } = after!.credentials;
      assert.deepEqual(
        [hostUid, hostEuid, hostGid, hostEgid],
        [outside(2), outside(end), outside(3), outside(end)],
      );
      assert.notEqual(userNamespace, readFacts(process.pid).userNamespace);
      running.resume();
      await running.ended();
    });
  }

  test('ids that a map leaves out are the overflow id', async () => {
    const cgroup = probe.mkdir('partial');
    // Enters a namespace that maps no more than 0 and 1 with a group from outside the map.
    const from = bootTimeNs();
    const running = probe.spawn(cgroup, [
      ...['resgid', 55, 66, 55, 'unshare', CLONE_NEWUSER, 'pause', 'ids', ...OPEN, 'pause'],
    ]);
    await running.paused();
    writeFileSync(`/proc/${running.pid}/uid_map`, '1 0 1\n');
    writeFileSync(`/proc/${running.pid}/gid_map`, '9 66 1\n');
    running.resume();
    await running.paused();
    await probe.settle();
    const inside = running.result('ids') as Required<ReturnType<typeof running.result>>;
    assert.deepEqual([inside.uid, inside.gid, inside.egid], [1, OVERFLOW_ID, 9]);
    const event = probe.theEvent(running.pid, 'openat');
    const facts = readFacts(running.pid);
    assertHeader(event, {
      facts,
      cgroupId: cgroup.id,
      result: event.result,
      from,
      to: bootTimeNs(),
      inside,
    });
    running.resume();
    await running.ended();
  });

  test('capability sets: dropped, and inheritable', async () => {
    const cgroup = probe.mkdir('caps');
    const from = bootTimeNs();
    const running = probe.spawn(cgroup, ['caps', '401', '3ffff', '401', ...OPEN, 'pause']);
    await running.paused();
    await probe.settle();
    const facts = readFacts(running.pid);
    assert.deepEqual(
      [facts.capEffective, facts.capPermitted, facts.capInheritable],
      [0x401n, 0x3ffffn, 0x401n],
    );
    const event = probe.theEvent(running.pid, 'openat');
    assertHeader(event, {
      facts,
      cgroupId: cgroup.id,
      result: event.result,
      from,
      to: bootTimeNs(),
    });
    running.resume();
    await running.ended();
  });

  test('nested pid namespaces and a mount namespace', async () => {
    const cgroup = probe.mkdir('namespaces');
    const from = bootTimeNs();
    const running = probe.spawn(cgroup, [
      ...['unshare', CLONE_NEWPID | CLONE_NEWNS, 'fork', '[', 'unshare', CLONE_NEWPID, 'fork', '['],
      ...['thread', '[', ...OPEN, 'pause', ']', ']', ']'],
    ]);
    const inner = await running.paused();
    await probe.settle();
    const event = probe.events.find((one) => one.open !== undefined && one.cgroupId === cgroup.id)!;
    const facts = readFacts(event.pid, event.tid);
    assert.deepEqual([inner.pid, inner.tid], [1, 2]);
    assert.deepEqual([facts.vpid, facts.vtid], [1, 2]);
    assertHeader(event, {
      facts,
      cgroupId: cgroup.id,
      result: event.result,
      from,
      to: bootTimeNs(),
    });
    running.resume();
    await running.ended();
  });
});
