import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bootTimeNs, type LoaderScopePattern } from 'ebpf-loader-napi';
import { matchPath } from '../../src/apps/patterns.ts';
import { assertOutside } from '../support/kernel-facts.ts';
import { findHierarchy, missingHierarchy } from '../support/kernel-cgroups.ts';
import { childrenOf, KernelProbe } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';

const HEX = '0123456789abcdef'.repeat(4);

for (const kind of ['v2', 'v1-pids'] as const) {
  describe(`cgroup records on ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let probe: KernelProbe;
    before(() => {
      probe = new KernelProbe({ hierarchy: kind });
    });
    after(() => probe.close());

    test('mkdir and rmdir: every field, one record each', async () => {
      const from = bootTimeNs();
      const cgroup = probe.mkdir('born');
      rmdirSync(cgroup.dir);
      await probe.settle();
      const [born, gone, ...more] = probe.changes.filter((one) => one.cgroupId === cgroup.id);
      assert.deepEqual(more, []);
      const common = {
        cgroupId: cgroup.id,
        rootCgroupId: cgroup.id,
        path: cgroup.path,
        state: 'pending',
        pid: 0,
      };
      assert.deepEqual(born, { ...common, kind: 'mkdir', bootNs: born?.bootNs });
      assert.deepEqual(gone, { ...common, kind: 'rmdir', bootNs: gone?.bootNs });
      assert.ok(born.bootNs >= from && gone.bootNs > born.bootNs && gone.bootNs <= bootTimeNs());
      // The entry stays until user space has seen its counters.
      assert.deepEqual(probe.entry(cgroup), {
        cgroupId: cgroup.id,
        state: 'pending',
        emitted: 2,
        prefiltered: 0,
        dropped: 0,
        droppedExec: 0,
        droppedShare: 0,
        droppedLate: 0,
        firstDropBootNs: 0,
        lastDropBootNs: 0,
        lateNs: 0,
      });
      probe.probe.scopeDelete(cgroup.id);
      assert.equal(probe.probe.scopeGet(cgroup.id), undefined);
    });

    const otherKind = kind === 'v2' ? 'v1-pids' : 'v2';
    const skip = missingHierarchy(otherKind);
    test('a cgroup of another hierarchy with the same path is nothing', { skip }, async () => {
      const other = findHierarchy(otherKind);
      const top = join(other.mount, probe.top);
      mkdirSync(join(top, 'elsewhere'), { recursive: true });
      const count = probe.probe.scopeEntries().length;
      rmdirSync(join(top, 'elsewhere'));
      rmdirSync(top);
      await probe.settle();
      assert.deepEqual(
        probe.changes.filter((one) => one.path.endsWith('elsewhere')),
        [],
      );
      assert.equal(probe.probe.scopeEntries().length, count);
    });

    test('a cgroup inside a container is the container, whatever it is named, and is not reported', async () => {
      const outer = probe.mkdir('outer');
      const inner = probe.mkdir(`outer/${probe.top}/deeper`);
      probe.probe.scopeSet(outer.id, 'included', outer.level);
      const running = await probe.run(inner, ['openat', -100, '/etc/hostname', 0, 0]);
      assert.equal(probe.openOf(running.pid, '/etc/hostname').cgroupId, outer.id);
      assert.equal(probe.probe.scopeGet(inner.id), undefined);
      const reported = probe.changes.filter(({ path }) => path.startsWith(`${outer.path}/`));
      assert.deepEqual(
        reported.map(({ kind, cgroupId, rootCgroupId, state, pid }) => ({
          kind,
          cgroupId,
          rootCgroupId,
          state,
          pid,
        })),
        [
          {
            kind: 'attach',
            cgroupId: inner.id,
            rootCgroupId: outer.id,
            state: 'included',
            pid: running.pid,
          },
        ],
      );
      probe.probe.scopeSet(outer.id, 'excluded', outer.level);
      const unseen = await probe.run(inner, ['openat', -100, '/etc/hostname', 0, 0]);
      assert.deepEqual(probe.eventsOf(unseen.pid), []);
    });

    test('entering by a move: the process, the cgroup it enters, and its events from then on', async () => {
      const first = probe.mkdir('first');
      const second = probe.mkdir('second');
      const opens = (path: string): (string | number)[] => ['openat', -100, path, 0, 0];
      const from = bootTimeNs();
      const running = await probe.run(undefined, [
        ...[
          ...opens('/etc/passwd'),
          'enter',
          first.dir,
          ...opens('/etc/group'),
          'enter',
          second.dir,
        ],
        ...[...opens('/etc/hosts'), 'enter', probe.topDir, ...opens('/etc/fstab')],
      ]);
      const attached = probe.changes.filter(
        (one) => one.kind === 'attach' && one.pid === running.pid,
      );
      assert.deepEqual(
        attached.map(({ bootNs, ...rest }) => [bootNs > from, { ...rest, ancestors: undefined }]),
        [first, second].map((cgroup) => [
          true,
          {
            kind: 'attach',
            cgroupId: cgroup.id,
            rootCgroupId: cgroup.id,
            path: cgroup.path,
            state: 'pending',
            pid: running.pid,
            startBootNs: probe.eventsOf(running.pid)[0]?.startBootNs,
            ancestors: undefined,
          },
        ]),
      );
      for (const { ancestors } of attached) assertOutside(ancestors ?? [], process.pid);
      const seen = probe
        .eventsOf(running.pid)
        .map((event) => [event.open?.rawPath, event.cgroupId]);
      assert.deepEqual(
        seen.filter(([path]) => !String(path).endsWith('cgroup.procs')),
        [
          ['/etc/group', first.id],
          ['/etc/hosts', second.id],
        ],
      );
    });
  });
}

describe('scope patterns', () => {
  const patterns = (top: string): LoaderScopePattern[] => [
    { prefix: `/${top}/docker/`, leafPrefix: '', handle: 'hex64', leafSuffix: '', deep: false },
    {
      prefix: `/${top}/system.slice/`,
      leafPrefix: 'docker-',
      handle: 'hex64',
      leafSuffix: '.scope',
      deep: false,
    },
    {
      prefix: `/${top}/kube/`,
      leafPrefix: 'cri-',
      handle: 'any',
      leafSuffix: '.scope',
      deep: true,
    },
    {
      prefix: `/${top}/garden/`,
      leafPrefix: 'good',
      handle: 'none',
      leafSuffix: '',
      deep: false,
      negative: true,
    },
    { prefix: `/${top}/garden/`, leafPrefix: '', handle: 'any', leafSuffix: '', deep: false },
    { prefix: `/${top}/exact/`, leafPrefix: 'app', handle: 'none', leafSuffix: '.x', deep: false },
  ];
  let probe: KernelProbe;
  before(() => {
    probe = new KernelProbe({ patterns });
  });
  after(() => probe.close());

  /** Makes the cgroup; is it the root of a container then? */
  function isContainer(name: string): boolean {
    const cgroup = probe.mkdir(name);
    return probe.probe.scopeGet(cgroup.id) !== undefined;
  }

  const containers = [
    `docker/${HEX}`,
    `system.slice/docker-${HEX}.scope`,
    'kube/cri-x.scope',
    'kube/burstable/pod1/cri-abc.scope',
    'garden/0123-handle',
    'garden/goo',
    'garden/goods',
    'exact/app.x',
    `kube/cri-${'n'.repeat(240)}.scope`,
  ];
  const others = [
    'docker',
    `docker/${HEX.slice(1)}`,
    `docker/${HEX}0`,
    `docker/${HEX.slice(1)}A`,
    `docker/${HEX.slice(1)}g`,
    `docker/docker-${HEX}.scope`,
    `dockerx/${HEX}`,
    `docker/deeper/${HEX}`,
    `system.slice/docker-${HEX}.scopes`,
    `system.slice/docker-${HEX}`,
    `system.slice/podman-${HEX}.scope`,
    `system.slice/docker-${HEX.slice(1)}.scope`,
    'kube/cri-.scope',
    'kube/cri-x',
    'kube/cr',
    'kube/x/cri-.scop',
    'garden/good',
    'garden/good/inside',
    'exact/app.y',
    'exact/appx.x',
    'exact/app',
    'exact/.x',
  ];

  test('each kind matches what it says', () => {
    for (const name of containers) assert.equal(isContainer(name), true, name);
  });

  test('names that nearly match do not', () => {
    for (const name of others) assert.equal(isContainer(name), false, name);
  });

  test('the kernel and the rescan agree on every name', () => {
    for (const name of [...containers, ...others]) {
      const path = `/${probe.top}/${name}`;
      const match = matchPath(patterns(probe.top), path);
      const cgroup = probe.mkdir(name);
      const isContainer = probe.probe.scopeGet(cgroup.id) !== undefined;
      assert.equal(isContainer, match?.rootPath === path, name);
    }
  });

  test('the outermost match decides', async () => {
    const outer = probe.mkdir(`docker/${'a'.repeat(64)}`);
    const inner = probe.mkdir(`docker/${'a'.repeat(64)}/docker/${'b'.repeat(64)}`);
    assert.equal(probe.probe.scopeGet(inner.id), undefined);
    const running = await probe.run(inner, ['openat', -100, '/etc/hostname', 0, 0]);
    assert.equal(probe.openOf(running.pid, '/etc/hostname').cgroupId, outer.id);
  });

  test('containers at several levels: each process is its own container’s', async () => {
    const open: Step[] = ['openat', -100, '/etc/hostname', 0, 0];
    const deep = probe.mkdir('kube/burstable/pod2/cri-deep.scope');
    const flat = probe.mkdir(`docker/${'c'.repeat(64)}`);
    for (const container of [deep, flat]) {
      for (const cgroup of [
        container,
        probe.cgroupAt(probe.mkdir(`${container.path.slice(probe.top.length + 2)}/x/y`).dir),
      ]) {
        const running = await probe.run(cgroup, open);
        assert.equal(
          probe.openOf(running.pid, '/etc/hostname').cgroupId,
          container.id,
          cgroup.path,
        );
      }
    }
    const outside = await probe.run(probe.mkdir('kube/burstable/pod2/pause/x/y'), open);
    assert.deepEqual(probe.eventsOf(outside.pid), []);
  });

  test('a path past 511 bytes is not matched; below a container it is its container’s, and named as far as fits', async () => {
    const long = ['x', 'y', 'z'].map((letter) => letter.repeat(200)).join('/');
    assert.equal(isContainer(`kube/${long}/cri-deep.scope`), false);
    const root = probe.mkdir('kube/cri-long.scope');
    const nested = probe.mkdir(`kube/cri-long.scope/${long}`);
    await probe.run(nested, ['openat', -100, '/etc/hostname', 0, 0]);
    const change = probe.changes.find((one) => one.cgroupId === nested.id);
    assert.equal(change?.rootCgroupId, root.id);
    assert.equal(change.path, nested.path.slice(0, 511));
  });

  test('sixteen patterns, the last of them too', async () => {
    const many = new KernelProbe({
      attach: ['cgroup_mkdir'],
      patterns: (top) =>
        Array.from({ length: 16 }, (_, i) => ({ ...childrenOf(top), leafPrefix: `p${i}-` })),
    });
    try {
      assert.notEqual(many.probe.scopeGet(many.mkdir('p15-x').id), undefined);
      assert.equal(many.probe.scopeGet(many.mkdir('p16-x').id), undefined);
      await delay(0);
    } finally {
      await many.close();
    }
  });
});
