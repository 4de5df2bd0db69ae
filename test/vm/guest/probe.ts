import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Probe } from 'ebpf-loader-napi';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { DOCKER_PATTERNS } from '../../../src/apps/patterns.ts';
import { rescanCgroups } from '../../../src/apps/rescan.ts';
import { runProbeSelfTest } from '../../../src/cli/doctor/self-test.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { openIsolation } from '../../../src/responses/network-isolation.ts';
import { INSTRUCTIONS_MAX, verifiedInstructions } from '../../support/verified-instructions.ts';

const OWN_PROGRAM = /^sys_(open(at2?)?|creat|execve(at)?)$/;

const hierarchy = detectHierarchy();
const loaderHierarchy = { kind: hierarchy.kind, id: hierarchy.hierarchyId };

test('the hierarchy that decides is found', () => {
  const layout = /guest\.cgroups=(\S+)/.exec(readFileSync('/proc/cmdline', 'utf8'))?.[1];
  const expected = layout === 'v2' ? ['v2', '/sys/fs/cgroup'] : ['v1-pids', '/sys/fs/cgroup/pids'];
  assert.deepEqual([hierarchy.kind, hierarchy.mountPoint], expected, layout);
});

test('every program loads and attaches, far from the verifier’s limit', (t) => {
  const started = performance.now();
  const probe = new Probe({ hierarchy: loaderHierarchy, patterns: DOCKER_PATTERNS });
  try {
    const loadMs = performance.now() - started;
    const programs = probe.programs();
    for (const name of programs) probe.attach(name);
    assert.deepEqual(probe.attached().sort(), [...programs].sort());
    const counts = verifiedInstructions();
    // One program for all calls but opens and execs; of the others each has its own.
    const own = programs.filter((name) => !name.startsWith('sys_') || OWN_PROGRAM.test(name));
    assert.ok(counts.length > own.length, `${counts.length} of ${own.length + 1}`);
    const largest = Math.max(...counts);
    assert.ok(largest < INSTRUCTIONS_MAX, `${largest} instructions`);
    t.diagnostic(
      `Linux ${release()}, ${hierarchy.kind}: ${programs.length} programs load in ${loadMs.toFixed(0)} ms; ` +
        `the largest took the verifier ${largest} instructions, all ${counts.reduce((a, b) => a + b)}`,
    );
  } finally {
    probe.close();
  }
});

test('the self-test sees what its child does', async () => {
  const { config } = loadConfig({ env: {} });
  const { unseen, hooks } = await runProbeSelfTest(config);
  assert.deepEqual(unseen, []);
  assert.ok(hooks.includes('sys_openat') && hooks.includes('io_uring'), hooks.join(' '));
});

test('a cgroup can be cut off from the network where there is cgroup v2, which its own test proves', () => {
  if (/guest\.cgroups=v1/.test(readFileSync('/proc/cmdline', 'utf8'))) {
    assert.throws(() => openIsolation(), /cgroup v2 is not mounted on this host/);
    return;
  }
  const { isolation, hierarchy: v2, tested } = openIsolation();
  isolation.close();
  assert.equal(v2.kind, 'v2');
  assert.equal(tested.connects, 1);
});

describe('the cgroups of Docker’s drivers', () => {
  const A = randomBytes(32).toString('hex');
  const B = randomBytes(32).toString('hex');
  const made: string[] = [];
  const probe = new Probe({ hierarchy: loaderHierarchy, patterns: DOCKER_PATTERNS });
  probe.attach('cgroup_mkdir');
  after(() => {
    probe.close();
    for (const dir of made.reverse()) rmdirSync(dir);
  });

  /** Makes the cgroup and those above it, as a runtime does; its id. */
  function make(path: string): number {
    const parts = path.split('/').slice(1);
    for (let count = 1; count <= parts.length; count++) {
      const dir = join(hierarchy.mountPoint, ...parts.slice(0, count));
      if (statSync(dir, { throwIfNoEntry: false }) !== undefined) continue;
      mkdirSync(dir);
      made.push(dir);
    }
    return statSync(join(hierarchy.mountPoint, path)).ino;
  }

  // [path, the path of the container that it is or is part of]
  const CGROUPS = [
    [`/system.slice/docker-${A}.scope`, `/system.slice/docker-${A}.scope`],
    // What a container with its cgroup tree writable can make, to be taken for another one.
    [`/system.slice/docker-${A}.scope/docker/${B}`, `/system.slice/docker-${A}.scope`],
    [
      `/system.slice/docker-${A}.scope/system.slice/docker-${B}.scope`,
      `/system.slice/docker-${A}.scope`,
    ],
    [`/docker/${B}`, `/docker/${B}`],
    [`/docker/${B}/docker/${A}`, `/docker/${B}`],
    [`/system.slice/docker.service`, undefined],
    [`/system.slice/docker-${A}.mount`, undefined],
    [`/system.slice/docker-${A.slice(1)}.scope`, undefined],
    [`/system.slice/docker-${A.toUpperCase()}A.scope`, undefined],
    [`/system.slice/docker.service/docker-${A}.scope`, undefined],
    [`/user.slice/docker-${A}.scope`, undefined],
  ] as const;

  test('at mkdir the kernel takes the outermost that is a container’s', () => {
    for (const [path, root] of CGROUPS) {
      const id = make(path);
      // What is inside a container has no entry: it is the container's.
      assert.equal(probe.scopeGet(id)?.state, root === path ? 'pending' : undefined, path);
    }
  });

  test('the rescan comes to the same answer', async () => {
    const { found } = await rescanCgroups(hierarchy, DOCKER_PATTERNS);
    const byPath = new Map(found.map(({ path, cgroupId }) => [path, cgroupId]));
    for (const [path, root] of CGROUPS) {
      const expected = root === path ? statSync(join(hierarchy.mountPoint, path)).ino : undefined;
      assert.equal(byPath.get(path), expected, path);
    }
    assert.deepEqual(
      probe
        .scopeEntries()
        .map(({ cgroupId }) => cgroupId)
        .sort(),
      found.map(({ cgroupId }) => cgroupId).sort(),
    );
  });
});
