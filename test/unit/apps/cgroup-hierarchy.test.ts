import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  detectHierarchy,
  parseProcCgroup,
  type HierarchySources,
} from '../../../src/apps/cgroup-hierarchy.ts';
import { UserError } from '../../../src/shared/user-error.ts';

const V2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';
const UNIFIED = '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw';
const PIDS = '39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids';
const CPU = '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct';
const NO_V1 = '#subsys_name\thierarchy\tnum_cgroups\tenabled\npids\t0\t80\t1\n';
const WITH_V1 = '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\npids\t8\t80\t1\n';

function host(
  mounts: string[],
  cgroups: string,
  ids: Record<string, number> = {},
): HierarchySources {
  return { mountinfo: mounts.join('\n'), cgroups, inode: (path) => ids[path] ?? 1 };
}

test('pure v2', () => {
  assert.deepEqual(detectHierarchy('auto', host([V2], NO_V1)), {
    kind: 'v2',
    mountPoint: '/sys/fs/cgroup',
    hierarchyId: 0,
  });
});

test('hybrid and v1: pids decides', () => {
  const expected = { kind: 'v1-pids', mountPoint: '/sys/fs/cgroup/pids', hierarchyId: 8 };
  assert.deepEqual(detectHierarchy('auto', host([CPU, PIDS, UNIFIED], WITH_V1)), expected);
  assert.deepEqual(detectHierarchy('auto', host([CPU, PIDS], WITH_V1)), expected);
});

test('the operator’s word goes before the detection', () => {
  const hybrid = host([CPU, PIDS, UNIFIED], WITH_V1);
  assert.equal(detectHierarchy('v2', hybrid).mountPoint, '/sys/fs/cgroup/unified');
  assert.equal(detectHierarchy('v1', hybrid).kind, 'v1-pids');
  assert.throws(() => detectHierarchy('v1', host([V2], NO_V1)), /"pids" hierarchy is not mounted/);
  assert.throws(() => detectHierarchy('v2', host([PIDS], WITH_V1)), /cgroup v2 hierarchy is not/);
});

test('a part of the hierarchy is not taken for the whole', () => {
  const outside = '50 30 0:26 / /mnt/a\\040b rw - cgroup2 cgroup2 rw';
  const sources = host([V2, outside], NO_V1, { '/sys/fs/cgroup': 4711 });
  assert.equal(detectHierarchy('auto', sources).mountPoint, '/mnt/a b');
  assert.throws(
    () => detectHierarchy('auto', host([V2], NO_V1, { '/sys/fs/cgroup': 4711 })),
    (error: unknown) => error instanceof UserError && /Only a part of/.test(error.message),
  );
  assert.throws(() => detectHierarchy('auto', host([], '')), /No cgroup hierarchy is mounted/);
});

test('/proc/PID/cgroup', () => {
  const text = '9:name=systemd:/s\n8:pids:/docker/a:b\n2:cpu,cpuacct:/\n0::/u\n';
  assert.equal(parseProcCgroup(text, 'v1-pids'), '/docker/a:b');
  assert.equal(parseProcCgroup(text, 'v2'), '/u');
  assert.equal(parseProcCgroup('8:pids:/docker/x (deleted)\n', 'v1-pids'), '/docker/x');
  assert.equal(parseProcCgroup('0::/../../other\n', 'v2'), undefined);
  assert.equal(parseProcCgroup('', 'v2'), undefined);
});

test('a process outside of our cgroup namespace is found from where that has its root', () => {
  const root = '/kubepods/burstable/pod1/a';
  const path = (relative: string) => parseProcCgroup(`0::${relative}\n`, 'v2', () => root);
  assert.equal(path('/../../pod2/b'), '/kubepods/burstable/pod2/b');
  assert.equal(path('/../../../../init.scope'), '/init.scope');
  assert.equal(path('/../b (deleted)'), '/kubepods/burstable/pod1/b');
  assert.equal(parseProcCgroup('0::/../b\n', 'v2'), undefined);
});
