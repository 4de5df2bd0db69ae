// Finding the hierarchy on this host. What other hosts mount: test/unit/apps/cgroup-hierarchy.test.ts.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cgroupIdOf, cgroupPathOfPid, detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';

test('this host: the root has id 1 and our own cgroup is found', () => {
  const hierarchy = detectHierarchy();
  assert.equal(cgroupIdOf(hierarchy, '/'), 1);
  assert.equal(cgroupIdOf(hierarchy, '/no-such-cgroup'), undefined);
  const path = cgroupPathOfPid(hierarchy, process.pid);
  assert.ok(path !== undefined && readFileSync('/proc/self/cgroup', 'utf8').includes(`:${path}\n`));
  assert.equal(cgroupPathOfPid(hierarchy, 2 ** 22 + 1), undefined);
});
