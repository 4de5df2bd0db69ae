import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { LoaderError, LoaderScopeEntry } from 'ebpf-loader-napi';
import { LIMITS } from '../../src/events/table.gen.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe, type TestCgroup } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';

const O_RDWR = 2;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;

function counters(entry: LoaderScopeEntry): object {
  const { emitted, dropped, prefiltered } = entry;
  return { emitted, dropped, prefiltered };
}

for (const kind of ['v2', 'v1-pids'] as const) {
  describe(`the scope on ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let probe: KernelProbe;
    before(() => {
      probe = new KernelProbe({ hierarchy: kind });
    });
    after(() => probe.close());

    /** Everything that a container could do to be seen. */
    const LIFE: readonly Step[] = [
      ...['openat', -100, '/etc/hostname', 0, 0, 'connect4', 2, '127.0.0.1', 9],
      ...['fork', '[', 'execve', '/bin/true', 'true', ';', ']', 'execve', '/no/such', 'x', ';'],
    ];

    // First: every entry there ever was is still in the map.
    test('the total is the sum over the cgroups, and each has what was delivered of it', async () => {
      const cgroups = ['one', 'two', 'three'].map((name) => probe.mkdir(name));
      await Promise.all(
        cgroups.map((cgroup, i) =>
          probe.run(cgroup, ['loop', 100 * (i + 1), 0, '/etc/hostname', ...LIFE]),
        ),
      );
      await probe.settle();
      const entries = probe.probe.scopeEntries();
      const stats = probe.probe.stats();
      const sum = (key: 'emitted' | 'dropped'): number =>
        entries.reduce((total, entry) => total + entry[key], 0);
      assert.deepEqual([sum('emitted'), sum('dropped')], [stats.emitted, 0]);
      assert.deepEqual(
        new Map(entries.map((entry) => [entry.cgroupId, entry.emitted])),
        probe.deliveredBy,
      );
      cgroups.forEach((cgroup, i) => assert.ok(probe.entry(cgroup).emitted >= 100 * (i + 1)));
    });

    test('pending and included are watched; an excluded one is not, and its counters stand still', async () => {
      const cgroup = probe.mkdir('states');
      const pending = await probe.run(cgroup, LIFE);
      const seen = (pid: number): string[] => probe.eventsOf(pid).map((event) => event.type);
      const expected = ['openat', 'openat', 'connect', 'fork', 'execve', 'procexit'];
      // The first open is of the cgroup's own file, still outside: not there.
      assert.deepEqual(seen(pending.pid), expected.slice(1));
      probe.probe.scopeSet(cgroup.id, 'included', cgroup.level);
      const included = await probe.run(cgroup, LIFE);
      assert.deepEqual(seen(included.pid), expected.slice(1));

      probe.probe.scopeSet(cgroup.id, 'excluded', cgroup.level);
      const before = {
        entry: probe.entry(cgroup),
        stats: probe.probe.stats().emitted,
        delivered: probe.delivered,
      };
      const excluded = await probe.run(cgroup, LIFE);
      assert.deepEqual(seen(excluded.pid), []);
      assert.deepEqual(probe.entry(cgroup), before.entry);
      assert.deepEqual(
        [probe.probe.stats().emitted, probe.delivered],
        [before.stats, before.delivered],
      );
    });

    test('scopeSet keeps the counters and changes the state', async () => {
      const cgroup = probe.mkdir('kept');
      await probe.run(cgroup, LIFE);
      const before = probe.entry(cgroup);
      assert.ok(before.emitted >= 8);
      probe.probe.scopeSet(cgroup.id, 'included', cgroup.level);
      assert.deepEqual(probe.entry(cgroup), { ...before, state: 'included' });
    });

    test('out of scope: host processes, and a cgroup that was deleted from the map', async () => {
      const cgroup = probe.mkdir('deleted');
      probe.probe.scopeDelete(cgroup.id);
      probe.probe.scopeDelete(cgroup.id);
      await probe.settle();
      const before = probe.delivered;
      const inside = await probe.run(cgroup, LIFE);
      const host = await probe.run(undefined, LIFE);
      assert.deepEqual([probe.eventsOf(inside.pid), probe.eventsOf(host.pid)], [[], []]);
      assert.equal(probe.delivered, before);
      // Put back by hand, as a rescan does.
      probe.probe.scopeSet(cgroup.id, 'included', cgroup.level);
      const again = await probe.run(cgroup, LIFE);
      assert.notDeepEqual(probe.eventsOf(again.pid), []);
    });
  });
}

describe('the open mask', () => {
  let probe: KernelProbe;
  let cgroup: TestCgroup;
  before(() => {
    probe = new KernelProbe({ attach: ['cgroup_mkdir', 'sys_open', 'sys_openat'] });
    cgroup = probe.mkdir('mask');
  });
  after(() => probe.close());

  const OPENS: readonly [name: string, steps: readonly Step[]][] = [
    ['read', ['open', '/etc/hostname', 0, 0]],
    ['write', ['open', '/dev/null', 1, 0]],
    ['both', ['open', '/dev/null', O_RDWR, 0]],
    ['creates', ['open', '/dev/null', O_CREAT, 0]],
    ['truncates', ['open', '/dev/null', O_TRUNC, 0]],
    ['failed', ['open', '/no/such/file', 1, 0]],
  ];

  for (const [mask, passing] of [
    [{ read: false, write: false, failed: false }, []],
    [{ read: true, write: false, failed: false }, ['read', 'both', 'creates', 'truncates']],
    [{ read: false, write: true, failed: false }, ['write', 'both', 'creates', 'truncates']],
    [{ read: false, write: false, failed: true }, ['failed']],
    [{ read: true, write: true, failed: true }, OPENS.map(([name]) => name)],
  ] as const) {
    test(`${JSON.stringify(mask)}: what passes is emitted, the rest is counted`, async () => {
      probe.probe.setMasks({
        opens: mask,
        messages: { newPeer: false, other: false },
        dups: { network: false, other: false },
        sockets: { ordinary: false, local: false, other: false },
        env: true,
      });
      const before = probe.entry(cgroup);
      const running = await probe.run(
        cgroup,
        OPENS.flatMap(([, steps]) => steps),
      );
      const after = probe.entry(cgroup);
      const emitted = probe
        .eventsOf(running.pid, 'open')
        .map((event) => [event.open?.rawPath, event.open?.flags]);
      const wanted = OPENS.filter(([name]) => (passing as readonly string[]).includes(name));
      assert.deepEqual(
        emitted,
        wanted.map(([, [, path, flags]]) => [path, flags]),
      );
      assert.deepEqual(counters(after), {
        emitted: before.emitted + wanted.length,
        dropped: 0,
        prefiltered: before.prefiltered + OPENS.length - wanted.length,
      });
    });
  }

  test('no mask, no opens', async () => {
    const fresh = new KernelProbe({ attach: ['cgroup_mkdir', 'sys_open'], masks: false });
    try {
      const scoped = fresh.mkdir('unset');
      const running = await fresh.run(scoped, ['open', '/etc/hostname', 0, 0]);
      assert.deepEqual(fresh.eventsOf(running.pid), []);
      assert.equal(fresh.entry(scoped).prefiltered, 1);
    } finally {
      await fresh.close();
    }
  });
});

describe('a full scope map', () => {
  let probe: KernelProbe;
  before(() => {
    probe = new KernelProbe({ attach: ['cgroup_mkdir', 'cgroup_attach_task', 'sys_openat'] });
  });
  after(() => probe.close());

  test('scopeSet says ENOSPC, a new container is counted and not watched, a freed place is used', async () => {
    const { probe: loader } = probe;
    const fake = (index: number): number => 2 ** 40 + index;
    const room = LIMITS.SCOPE_MAX - loader.scopeEntries().length;
    for (let i = 0; i < room; i++) loader.scopeSet(fake(i), 'excluded', 2);
    assert.equal(loader.scopeEntries().length, LIMITS.SCOPE_MAX);
    assert.equal(
      new Set(loader.scopeEntries().map((entry) => entry.cgroupId)).size,
      LIMITS.SCOPE_MAX,
    );
    assert.throws(
      () => loader.scopeSet(fake(room), 'excluded', 2),
      (error: LoaderError) =>
        error.code === 'ENOSPC' && error.errno === 28 && error.operation === 'change the scope',
    );
    loader.scopeSet(fake(0), 'included', 2); // what is there can be changed
    assert.equal(loader.scopeGet(fake(0))?.state, 'included');

    assert.equal(loader.stats().scopeFull, 0);
    const unwatched = probe.mkdir('unwatched');
    assert.equal(loader.stats().scopeFull, 1);
    const running = await probe.run(unwatched, ['openat', -100, '/etc/hostname', 0, 0]);
    assert.deepEqual([probe.eventsOf(running.pid), probe.changes], [[], []]);

    loader.scopeDelete(fake(0));
    const watched = probe.mkdir('watched');
    assert.equal(loader.stats().scopeFull, 1);
    const seen = await probe.run(watched, ['openat', -100, '/etc/hostname', 0, 0]);
    assert.equal(probe.eventsOf(seen.pid).length, 1);
  });
});
