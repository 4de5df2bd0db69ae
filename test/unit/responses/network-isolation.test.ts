import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { addressesOf } from '../../../src/host/network-addresses.ts';
import type { CgroupHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { MAX_ISOLATED, NetworkIsolation } from '../../../src/responses/network-isolation.ts';
import type { ResponseTarget } from '../../../src/responses/response.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { containersIn, hierarchyAt } from './cgroups-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-cut-off-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Any address of this process that is not loopback. */
const OWN = addressesOf(process.pid)[0] ?? '';

let worlds = 0;
function world(kind: CgroupHierarchy['kind'] = 'v2') {
  const name = `${++worlds}`;
  const v2 = hierarchyAt(join(folder, `${name}-v2`));
  const hierarchy = kind === 'v2' ? v2 : hierarchyAt(join(folder, `${name}-v1`), kind);
  const { add, cgroups, known } = containersIn(hierarchy, v2);
  const cutOff = new Map<number, string>();
  const allowed: (readonly [cgroup: number, own: boolean])[] = [];
  /** The first asks for the counts of the test. */
  let asked = 0;
  const problems: { test?: Error | undefined; isolate?: Error; addresses?: Error; path?: string } =
    {};
  const isolation = new NetworkIsolation({
    cgroups,
    logger: SILENT_LOGGER,
    backend: {
      hierarchy: () => v2,
      open: () => ({
        isolate: (id, directory, addresses = []) => {
          if (addresses.length > 0) {
            if (problems.addresses !== undefined) throw problems.addresses;
            allowed.push([id, addresses.includes(OWN)]);
          }
          const isRefused = problems.path === undefined || directory.endsWith(problems.path);
          if (
            problems.isolate !== undefined &&
            isRefused &&
            !directory.includes('varvel-isolation')
          )
            throw problems.isolate;
          cutOff.set(id, directory);
        },
        lift: (id) => void cutOff.delete(id),
        counts: () => ({ packets: ++asked * 2, connects: asked }),
        close: () => {
          cutOff.clear();
        },
      }),
      test: () => {
        if (problems.test !== undefined) throw problems.test;
      },
    },
  });
  return { add, allowed, cgroups: known, cutOff, hierarchy, isolation, problems, v2 };
}

const target = (cgroupId: number, app = 'shop'): ResponseTarget => ({
  process: makeProcess({ pid: 4_000_000 }),
  container: containerOf({ id: `c${cgroupId}` }, { name: app }),
  cgroupId,
  denied: undefined,
  rule: { name: 'Reverse shell', tags: [], priority: 'Critical', enabled: true },
});

test('all cgroups of the container are cut off, and only its own', () => {
  const { add, cutOff, isolation, v2 } = world();
  const first = add('a', '/good/a');
  const second = add('a', '/bad/a');
  const other = add('b', '/good/b');
  assert.equal(isolation.isIsolated(target(first)), false);
  isolation.isolate(target(first));
  assert.deepEqual(
    [...cutOff],
    [
      [first, join(v2.mountPoint, '/good/a')],
      [second, join(v2.mountPoint, '/bad/a')],
    ],
  );
  assert.deepEqual(
    [first, second, other].map((id) => isolation.isIsolated(target(id))),
    [true, true, false],
  );
  const { containers, packetsDropped, connectsRefused, unavailable } = isolation.status();
  assert.deepEqual(
    containers.map(({ id, app, rule }) => [id, app, rule]),
    [[`c${first}`, 'shop', 'Reverse shell']],
  );
  assert.deepEqual([packetsDropped, connectsRefused, unavailable], [2, 1, undefined]);
  isolation.close();
  assert.deepEqual([cutOff.size, isolation.status().containers.length], [0, 0]);
});

test('a cgroup that comes later is cut off too; another run of the same container begins with its network', () => {
  const { add, cgroups, cutOff, isolation } = world();
  const first = add('a', '/good/a');
  isolation.isolate(target(first));
  const second = add('a', '/bad/a');
  isolation.follow();
  assert.deepEqual([...cutOff.keys()], [first, second]);
  cgroups.set('a', cgroups.get('a')!.slice(1));
  isolation.follow();
  assert.equal(isolation.isIsolated(target(second)), true, 'one of the two is left');
  cgroups.delete('a');
  const next = add('a', '/good/a-again');
  isolation.follow();
  assert.deepEqual([cutOff.size, isolation.isIsolated(target(next))], [0, false]);
});

test('its own addresses come from its processes, once there are some, and again when a cgroup went with them', (t) => {
  if (OWN === '') {
    t.skip('this host has no address but loopback');
    return;
  }
  const { add, allowed, cgroups, isolation, v2 } = world();
  const first = add('a', '/good/a');
  isolation.isolate(target(first));
  assert.deepEqual(allowed, [], 'nobody is in it');
  const parent = join(v2.mountPoint, '/good/a/cgroup.procs');
  // The agent itself may not be in it: its parent has the same network.
  writeFileSync(parent, `${process.ppid}\n`);
  isolation.follow();
  isolation.follow();
  assert.deepEqual(allowed, [[first, true]]);
  const second = add('a', '/bad/a');
  writeFileSync(join(v2.mountPoint, '/bad/a/cgroup.procs'), `${process.ppid}\n`);
  isolation.follow();
  cgroups.set('a', cgroups.get('a')!.slice(1));
  isolation.follow();
  assert.deepEqual(allowed, [
    [first, true],
    [second, true],
  ]);
});

test('a container is cut off also if its own addresses cannot be allowed', () => {
  const { add, cutOff, isolation, problems, v2 } = world();
  const id = add('a', '/a');
  writeFileSync(join(v2.mountPoint, '/a/cgroup.procs'), `${process.ppid}\n`);
  problems.addresses = Object.assign(new Error('full'), { code: 'E2BIG' });
  isolation.isolate(target(id));
  isolation.follow();
  assert.deepEqual([[...cutOff.keys()], isolation.isIsolated(target(id))], [[id], true]);
});

test('cgroups that come and go leave nothing behind', () => {
  const { add, cgroups, cutOff, isolation } = world();
  const first = add('a', '/good/a');
  isolation.isolate(target(first));
  for (let n = 0; n < 3; n++) {
    add('a', `/good/a-check-${n}`);
    isolation.follow();
    assert.equal(cutOff.size, 2);
    cgroups.set('a', cgroups.get('a')!.slice(0, 1));
    isolation.follow();
    assert.deepEqual([...cutOff.keys()], [first]);
  }
});

test('a late detection of a run that has ended does not hit the next one', () => {
  const { add, cgroups, cutOff, isolation } = world();
  const before = add('a', '/run1');
  cgroups.delete('a');
  add('a', '/run2');
  const ended = target(before);
  assert.throws(() => isolation.isolate(ended), { code: 'ESRCH' });
  assert.deepEqual([cutOff.size, isolation.isIsolated(ended)], [0, false]);
});

test('another run of a container is cut off by its own detection, before the last one is forgotten', () => {
  const { add, cgroups, cutOff, isolation } = world();
  isolation.isolate(target(add('a', '/run1')));
  cgroups.delete('a');
  const next = add('a', '/run2');
  assert.equal(isolation.isIsolated(target(next)), false);
  isolation.isolate(target(next));
  isolation.follow();
  assert.deepEqual([...cutOff.keys()], [next]);
});

test('a cgroup that cannot be cut off does not keep the others from it', () => {
  const { add, cutOff, isolation, problems } = world();
  const first = add('a', '/good/a');
  add('a', '/bad/a');
  const third = add('a', '/good/a-envoy');
  Object.assign(problems, {
    isolate: Object.assign(new Error('no'), { code: 'EPERM' }),
    path: '/bad/a',
  });
  isolation.isolate(target(first));
  assert.deepEqual([...cutOff.keys()], [first, third]);
});

test('a container that another run has taken the path of is gone, whatever the registry says still', () => {
  const { add, cutOff, isolation, v2 } = world();
  const before = add('a', '/a');
  renameSync(join(v2.mountPoint, 'a'), join(v2.mountPoint, 'old'));
  mkdirSync(join(v2.mountPoint, 'a'));
  assert.throws(() => isolation.isolate(target(before)), { code: 'ESRCH' });
  assert.equal(cutOff.size, 0);
});

test('a reload gives the network back to those for which nobody asks any more', () => {
  const { add, cutOff, isolation } = world();
  const [shop, blog] = [add('a', '/a'), add('b', '/b')];
  isolation.isolate(target(shop));
  isolation.isolate(target(blog, 'blog'));
  isolation.review((rule, app) => rule.name === 'Reverse shell' && app?.name === 'blog');
  assert.deepEqual([...cutOff.keys()], [blog]);
  assert.equal(isolation.isIsolated(target(shop)), false);
});

test('where its test fails nothing is cut off, and the reason is told; a reload tries again', () => {
  const { add, cutOff, isolation, problems } = world();
  const id = add('a', '/a');
  problems.test = Object.assign(new Error('cannot test'), { detail: 'a packet went through' });
  assert.throws(() => isolation.isolate(target(id)), { code: 'ENOTSUP' });
  assert.equal(isolation.status().unavailable, 'cannot test (a packet went through)');
  problems.test = Object.assign(new Error('cannot load'), { code: 'EPERM' });
  isolation.review(() => true);
  assert.match(isolation.prepare() ?? '', /^cannot load: it needs root or CAP_NET_ADMIN \(/);
  problems.test = undefined;
  assert.throws(() => isolation.isolate(target(id)), { code: 'ENOTSUP' }, 'not before a reload');
  assert.equal(cutOff.size, 0);
  isolation.review(() => true);
  isolation.isolate(target(id));
  assert.equal(cutOff.size, 1);
});

test('nothing is left half done where the kernel refuses', () => {
  const { add, cutOff, isolation, problems } = world();
  const id = add('a', '/a');
  problems.isolate = Object.assign(new Error('no'), { code: 'EPERM' });
  assert.throws(() => isolation.isolate(target(id)), { code: 'EPERM' });
  assert.deepEqual([cutOff.size, isolation.status().containers.length], [0, 0]);
});

test('a container that is gone, and one whose cgroup goes meanwhile', () => {
  const { add, isolation, problems } = world();
  assert.throws(() => isolation.isolate(target(1)), { code: 'ESRCH' });
  const id = add('a', '/a');
  problems.isolate = Object.assign(new Error('gone'), { code: 'ENOENT' });
  assert.throws(() => isolation.isolate(target(id)), { code: 'ESRCH' });
});

test('at most 256 at a time', () => {
  const { add, isolation } = world();
  for (let n = 0; n < MAX_ISOLATED; n++) isolation.isolate(target(add(`${n}`, `/${n}`)));
  const one = add('more', '/more');
  assert.throws(() => isolation.isolate(target(one)), { code: 'ENOSPC' });
});

test('beside v1, only a container whose processes are in a cgroup v2 of the same path', () => {
  const { add, cutOff, hierarchy, isolation } = world('v1-pids');
  const id = add('a', '/docker/a');
  const procs = join(hierarchy.mountPoint, '/docker/a/cgroup.procs');
  // This process is in another one.
  writeFileSync(procs, `${process.pid}\n`);
  assert.throws(() => isolation.isolate(target(id)), {
    code: 'ENOTSUP',
    message: 'its processes have no cgroup v2 of their own on this host',
  });
  assert.equal(cutOff.size, 0);
  writeFileSync(procs, '');
  const here = { ...target(id), process: makeProcess({ pid: process.pid }) };
  assert.throws(() => isolation.isolate(here), { code: 'ENOTSUP' }, 'nor is the detected one');
  isolation.isolate(target(id));
  assert.equal(cutOff.size, 1, 'it has none, so none is elsewhere');
});
