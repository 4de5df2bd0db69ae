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

test('finds containers, by the outermost match, and nothing that is inside them', async () => {
  const a = make(`/docker/${A}`);
  make(`/docker/${A}/docker/${B}`);
  const scope = make(`/system.slice/docker-${B}.scope`);
  make('/docker/buildkit/x');
  make(`/elsewhere/docker/${B}`);
  const demo = make('/demo/web');
  writeFileSync(join(mountPoint, 'demo/cgroup.procs'), '');
  symlinkSync('/', join(mountPoint, 'demo/link'));
  const patterns = [compilePattern('/demo/*'), ...DOCKER_PATTERNS];
  const { found, truncated } = await rescanCgroups(hierarchy, patterns);
  assert.equal(truncated, false);
  assert.deepEqual(found.map(({ path, cgroupId }) => [path, cgroupId]).sort(), [
    ['/demo/web', demo],
    [`/docker/${A}`, a],
    [`/system.slice/docker-${B}.scope`, scope],
  ]);
});

test('bounded in depth, and says so; a hierarchy that is not there is empty', async () => {
  make(`/deep/${'d/'.repeat(MAX_WALK_DEPTH + 5)}`);
  const { truncated } = await rescanCgroups(hierarchy, [compilePattern('/deep/**/x-*')]);
  assert.equal(truncated, true);
  make(`/docker/${A}/${'d/'.repeat(MAX_WALK_DEPTH + 5)}`);
  const docker = await rescanCgroups(hierarchy, DOCKER_PATTERNS);
  assert.equal(docker.truncated, false, 'how deep a container nests is nothing to the walk');
  const none = await rescanCgroups({ ...hierarchy, mountPoint: '/nonexistent' }, DOCKER_PATTERNS);
  assert.deepEqual(none, { found: [], truncated: false });
});
