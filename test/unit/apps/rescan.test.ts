import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compilePattern, DOCKER_PATTERNS } from '../../../src/apps/patterns.ts';
import { MAX_WALK_DEPTH, rescanCgroups } from '../../../src/apps/rescan.ts';

// Directories are all that the walk looks at, so any file system is a hierarchy to it.
const mountPoint = mkdtempSync('/tmp/varvel-rescan-');
const hierarchy = { kind: 'v2', mountPoint, hierarchyId: 0 } as const;
after(() => rmSync(mountPoint, { recursive: true }));

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);

function make(path: string): number {
  mkdirSync(join(mountPoint, path), { recursive: true });
  return statSync(join(mountPoint, path)).ino;
}

test('finds containers and what is nested in them, by the outermost match', async () => {
  const a = make(`/docker/${A}`);
  const inner = make(`/docker/${A}/docker`);
  const named = make(`/docker/${A}/docker/${B}`);
  const scope = make(`/system.slice/docker-${B}.scope`);
  make('/docker/buildkit/x');
  make(`/elsewhere/docker/${B}`);
  const demo = make('/demo/web');
  writeFileSync(join(mountPoint, 'demo/cgroup.procs'), '');
  symlinkSync('/', join(mountPoint, 'demo/link'));
  const patterns = [compilePattern('/demo/*'), ...DOCKER_PATTERNS];
  const { found, truncated } = await rescanCgroups(hierarchy, patterns);
  assert.equal(truncated, false);
  assert.deepEqual(
    found.map(({ path, cgroupId, rootCgroupId }) => [path, cgroupId, rootCgroupId]).sort(),
    [
      ['/demo/web', demo, demo],
      [`/docker/${A}`, a, a],
      [`/docker/${A}/docker`, inner, a],
      [`/docker/${A}/docker/${B}`, named, a],
      [`/system.slice/docker-${B}.scope`, scope, scope],
    ],
  );
  const order = found.map(({ path }) => path);
  assert.ok(order.indexOf(`/docker/${A}`) < order.indexOf(`/docker/${A}/docker`));
});

test('walks below a container that no pattern matches', async () => {
  const root = make('/custom/c1');
  const nested = make('/custom/c1/x');
  const { found } = await rescanCgroups(hierarchy, [], new Map([['/custom/c1', root]]));
  assert.deepEqual(found, [{ cgroupId: nested, path: '/custom/c1/x', rootCgroupId: root }]);
});

test('bounded in depth, and says so; a hierarchy that is not there is empty', async () => {
  make(`/docker/${A}/${'d/'.repeat(MAX_WALK_DEPTH + 5)}`);
  const { found, truncated } = await rescanCgroups(hierarchy, DOCKER_PATTERNS);
  assert.equal(truncated, true);
  assert.ok(found.length < MAX_WALK_DEPTH + 5);
  const none = await rescanCgroups({ ...hierarchy, mountPoint: '/nonexistent' }, DOCKER_PATTERNS);
  assert.deepEqual(none, { found: [], truncated: false });
});
