import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ContainerRegistry,
  IDENTITY_MEMORY_MS,
  MAX_CGROUPS,
  MAX_WATCHED,
  PENDING_MEMORY_MS,
} from '../../../src/apps/container-registry.ts';
import { DOCKER_PATTERNS, matchPath } from '../../../src/apps/patterns.ts';
import type { ContainerCgroup } from '../../../src/apps/runtimes/runtime.ts';
import { containerFromCreate } from '../../../src/apps/runtimes/docker-container.ts';
import type { CgroupChange } from '../../../src/events/cgroup-record.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { MemoryScopeMap } from '../../support/memory-scope-map.ts';

function hex(n: number): string {
  return n.toString(16).padStart(64, '0');
}

function containerNamed(handle: string, name: string) {
  const attributes = { name, image: 'image' };
  return containerFromCreate({ action: 'create', id: handle, attributes, since: '0', timeMs: 0 });
}

function world(limit?: number) {
  const map = new MemoryScopeMap(limit);
  const time = { nowMs: 0 };
  const lookups: string[] = [];
  const resolved: number[] = [];
  const forgotten: number[] = [];
  const warnings: string[] = [];
  const registry = new ContainerRegistry({
    scopeMap: map,
    logger: { ...SILENT_LOGGER, warn: (_, message) => warnings.push(message) },
    nowMs: () => time.nowMs,
    match: (path) => {
      const match = matchPath(DOCKER_PATTERNS, path);
      return match && { runtime: 'docker', handle: match.handle, rootPath: match.rootPath };
    },
    keyOf: (_, cgroup: ContainerCgroup) => cgroup.handle,
    lookup: (_, cgroup) => lookups.push(cgroup.handle),
  });
  registry.listen({
    onResolved: (id) => resolved.push(id),
    onForgotten: (id) => forgotten.push(id),
  });
  /** What the kernel does at mkdir: enter it in the map, then report. */
  const mkdir = (cgroupId: number, path: string): void => {
    map.set(cgroupId, 'pending');
    report({ kind: 'mkdir', cgroupId, rootCgroupId: cgroupId, path, state: 'pending' });
  };
  const report = (change: Omit<CgroupChange, 'bootNs' | 'pid'>): void => {
    registry.onCgroupChange({ ...change, bootNs: 0n, pid: 0 });
  };
  const rmdir = (cgroupId: number): void => {
    report({ kind: 'rmdir', cgroupId, rootCgroupId: cgroupId, path: '', state: 'pending' });
  };
  const include = (handle: string, name = 'app'): void => {
    const container = containerNamed(handle, name);
    registry.decide('docker', handle, { state: 'included', container, reason: 'test' });
  };
  const exclude = (handle: string): void => {
    registry.decide('docker', handle, { state: 'excluded', container: undefined, reason: 'no' });
  };
  return {
    map,
    time,
    lookups,
    resolved,
    forgotten,
    warnings,
    registry,
    mkdir,
    rmdir,
    report,
    include,
    exclude,
  };
}

function nameOf({ registry }: ReturnType<typeof world>, cgroupId: number): string {
  const resolution = registry.resolve(cgroupId);
  return resolution.state === 'included' ? resolution.container.name : resolution.state;
}

test('unknown, pending, included; and the kernel’s map follows', () => {
  const w = world();
  assert.equal(w.registry.resolve(10).state, 'unknown');
  w.time.nowMs = 5;
  w.mkdir(10, `/docker/${hex(1)}`);
  assert.deepEqual(w.registry.resolve(10), { state: 'pending', sinceMs: 5 });
  assert.deepEqual(w.lookups, [hex(1)]);
  w.include(hex(1), 'web');
  assert.equal(nameOf(w, 10), 'web');
  assert.equal(w.map.get(10)?.state, 'included');
  assert.deepEqual(w.resolved, [10]);
  w.include(hex(1), 'renamed');
  assert.equal(nameOf(w, 10), 'renamed');
  assert.deepEqual(w.resolved, [10], 'a new name is no new decision');
});

test('described before its cgroup exists: resolved at once, without a look-up', () => {
  const w = world();
  w.include(hex(1));
  w.mkdir(10, `/docker/${hex(1)}`);
  assert.equal(nameOf(w, 10), 'app');
  assert.equal(w.map.get(10)?.state, 'included');
  assert.deepEqual(w.lookups, []);
  assert.deepEqual(w.resolved, [10]);
});

test('excluded stays in the map, with its reason', () => {
  const w = world();
  w.mkdir(10, `/docker/${hex(1)}`);
  w.exclude(hex(1));
  assert.deepEqual(w.registry.resolve(10), { state: 'excluded', reason: 'no' });
  assert.equal(w.map.get(10)?.state, 'excluded');
});

test('a container whose mkdir was not told is found by an attach to a cgroup inside it', () => {
  const w = world();
  w.include(hex(1));
  w.report({
    kind: 'attach',
    cgroupId: 11,
    rootCgroupId: 10,
    path: `/docker/${hex(1)}/docker/${hex(2)}`,
    state: 'pending',
  });
  assert.equal(nameOf(w, 10), 'app');
  assert.equal(w.registry.entries()[0]?.path, `/docker/${hex(1)}`);
  assert.equal(w.registry.entries()[0]?.cgroupId, 10);
});

test('a container is new when the kernel has reported the making of its own cgroup, found before or not', () => {
  const { map, registry, mkdir, report } = world();
  mkdir(10, `/docker/${hex(1)}`);
  map.set(20, 'pending');
  registry.found(20, `/docker/${hex(2)}`);
  const inside = { cgroupId: 21, rootCgroupId: 20, path: `/docker/${hex(2)}/inner` } as const;
  report({ kind: 'mkdir', ...inside, state: 'pending' });
  const areNew = (): unknown => registry.entries().map(({ cgroupId, isNew }) => [cgroupId, isNew]);
  assert.deepEqual(areNew(), [
    [10, true],
    [20, false],
  ]);
  report({ kind: 'mkdir', ...inside, cgroupId: 20, state: 'pending' });
  assert.deepEqual(areNew(), [
    [10, true],
    [20, true],
  ]);
});

test('several cgroups of one container', () => {
  const w = world();
  w.mkdir(10, `/docker/${hex(1)}`);
  w.mkdir(20, `/system.slice/docker-${hex(1)}.scope`);
  w.include(hex(1));
  assert.deepEqual([nameOf(w, 10), nameOf(w, 20)], ['app', 'app']);
  assert.deepEqual(w.resolved, [10, 20]);
});

test('identity outlives the cgroup by 60 s; counters are kept', () => {
  const w = world();
  w.mkdir(10, `/docker/${hex(1)}`);
  w.include(hex(1));
  w.map.count(10, { emitted: 7, dropped: 1, prefiltered: 9 });
  w.rmdir(10);
  assert.equal(w.map.entries().length, 0);
  assert.equal(nameOf(w, 10), 'app');
  const [entry] = w.registry.entries();
  assert.deepEqual([entry?.emitted, entry?.dropped, entry?.prefiltered], [7, 1, 9]);
  w.time.nowMs = IDENTITY_MEMORY_MS - 1;
  w.registry.sweep();
  assert.equal(nameOf(w, 10), 'app');
  w.time.nowMs = IDENTITY_MEMORY_MS;
  w.registry.sweep();
  assert.equal(nameOf(w, 10), 'unknown');
  assert.deepEqual(w.registry.entries(), []);
  assert.deepEqual(w.forgotten, [], 'only a pending one is forgotten aloud');
});

test('a removed cgroup can still get its identity, for ten minutes', () => {
  const w = world();
  w.mkdir(10, `/docker/${hex(1)}`);
  w.mkdir(20, `/docker/${hex(2)}`);
  w.rmdir(10);
  w.rmdir(20);
  w.time.nowMs = PENDING_MEMORY_MS - 1;
  w.registry.sweep();
  w.include(hex(1));
  assert.equal(nameOf(w, 10), 'app');
  assert.equal(w.map.get(10), undefined, 'what is gone is not entered again');
  w.time.nowMs = PENDING_MEMORY_MS;
  w.registry.sweep();
  assert.deepEqual(w.forgotten, [20]);
  assert.equal(w.registry.counters().pending, 0);
});

test('a number that is used again is another container', () => {
  const w = world();
  w.mkdir(10, `/docker/${hex(1)}`);
  w.include(hex(1), 'old');
  w.rmdir(10);
  w.mkdir(10, `/docker/${hex(2)}`);
  assert.equal(nameOf(w, 10), 'pending');
  assert.equal(w.map.get(10)?.state, 'pending');
  w.include(hex(2), 'new');
  assert.equal(nameOf(w, 10), 'new');
  // Without the report of its removal.
  w.mkdir(10, `/docker/${hex(3)}`);
  assert.equal(nameOf(w, 10), 'pending');
  w.mkdir(10, `/docker/${hex(4)}`);
  assert.deepEqual(w.forgotten, [10], 'what waited for the third must not go to the fourth');
});

test('the same cgroup made again is looked at anew', () => {
  const w = world();
  w.mkdir(10, `/docker/${hex(1)}`);
  w.rmdir(10);
  w.mkdir(10, `/docker/${hex(1)}`);
  assert.equal(w.registry.entries()[0]?.goneAtMs, undefined);
  assert.equal(w.registry.entries().length, 1);
});

test('the rescan and the kernel may tell the same, in any order', () => {
  const w = world();
  w.registry.found(10, `/docker/${hex(1)}`);
  w.include(hex(1));
  // The kernel's report was in the ring meanwhile, and its entry still pending.
  w.map.set(10, 'pending');
  w.report({
    kind: 'mkdir',
    cgroupId: 10,
    rootCgroupId: 10,
    path: `/docker/${hex(1)}`,
    state: 'pending',
  });
  assert.equal(w.map.get(10)?.state, 'included');
  assert.equal(nameOf(w, 10), 'app');
  assert.deepEqual(w.resolved, [10]);
});

test('a cgroup without a pattern is taken out of the kernel’s map', () => {
  const w = world();
  w.map.set(10, 'pending');
  w.mkdir(10, '/elsewhere/x');
  assert.equal(w.map.get(10), undefined);
  assert.equal(w.registry.counters().unmatched, 1);
});

test('a full scope map is said once and tried again', () => {
  const w = world(1);
  w.registry.found(10, `/docker/${hex(1)}`);
  w.registry.found(20, `/docker/${hex(2)}`);
  assert.equal(w.map.get(20), undefined);
  assert.equal(w.registry.counters().refused, 1);
  assert.equal(w.warnings.length, 1);
  assert.deepEqual(
    w.registry.entries().map(({ cgroupId, unwatched }) => [cgroupId, unwatched]),
    [
      [10, false],
      [20, true],
    ],
  );
  assert.equal(w.registry.unwatched(), 1);
  w.registry.sweep();
  assert.equal(w.registry.counters().refused, 1, 'the same cgroup is counted once');
  w.rmdir(10);
  w.registry.sweep();
  assert.equal(w.map.get(20)?.state, 'pending');
  assert.equal(w.registry.unwatched(), 0);
});

test('bounded: the oldest remembered makes room, a live one never', () => {
  const w = world(MAX_CGROUPS * 2);
  for (let at = 0; at < MAX_CGROUPS; at++) w.registry.found(at + 10, `/docker/${hex(at)}`);
  w.registry.found(1_000_000, `/docker/${hex(1_000_000)}`);
  assert.equal(nameOf(w, 1_000_000), 'unknown');
  assert.equal(w.registry.counters().refused, 1);
  w.rmdir(15);
  w.registry.found(1_000_000, `/docker/${hex(1_000_000)}`);
  assert.equal(nameOf(w, 1_000_000), 'pending');
  assert.equal(nameOf(w, 15), 'unknown');
  assert.equal(w.registry.counters().cgroups, MAX_CGROUPS);
});

test('what finds no room in the kernel’s map is still known, so that it can be told', () => {
  const w = world(MAX_WATCHED);
  for (let at = 0; at < MAX_WATCHED; at++) w.registry.found(at + 10, `/docker/${hex(at)}`);
  w.registry.found(1_000_000, `/docker/${hex(1_000_000)}`);
  w.include(hex(1_000_000), 'late');
  assert.equal(nameOf(w, 1_000_000), 'late');
  assert.equal(w.registry.unwatched(), 1);
});

test('what a container’s processes do inside it touches no entry of the kernel’s map', () => {
  const w = world();
  w.mkdir(10, `/docker/${hex(1)}`);
  w.include(hex(1));
  w.map.accesses = 0;
  for (let at = 0; at < 1000; at++) {
    const path = `/docker/${hex(1)}/${at}`;
    w.report({ kind: 'attach', cgroupId: 100 + at, rootCgroupId: 10, path, state: 'included' });
  }
  assert.equal(w.map.accesses, 0);
  assert.equal(w.registry.counters().cgroups, 1);
});

test('a container that comes and goes costs as much beside a thousand others as alone', () => {
  const cost = (others: number): number => {
    const w = world();
    for (let at = 0; at < others; at++) {
      w.mkdir(at + 10, `/docker/${hex(at)}`);
      w.exclude(hex(at));
    }
    w.map.accesses = 0;
    w.mkdir(1_000_000, `/docker/${hex(1_000_000)}`);
    w.include(hex(1_000_000));
    assert.equal(w.registry.anyInScope(), true);
    w.rmdir(1_000_000);
    assert.equal(w.registry.anyInScope(), false);
    return w.map.accesses;
  };
  assert.equal(cost(1000), cost(0));
});
