import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findGardenRoots } from '../../../src/apps/garden-roots.ts';
import { gardenPatterns, matchPath } from '../../../src/apps/patterns.ts';
import { UserError } from '../../../src/shared/user-error.ts';

const ID = '0123456789abcdef'.repeat(4);

function rootsAmong(...paths: string[]): readonly string[] {
  const mountPoint = mkdtempSync(join(tmpdir(), 'varvel-cgroups-'));
  try {
    for (const path of paths) mkdirSync(join(mountPoint, path), { recursive: true });
    return findGardenRoots({ kind: 'v1-pids', mountPoint, hierarchyId: 1 });
  } finally {
    rmSync(mountPoint, { recursive: true });
  }
}

test('Garden’s root is found below the service that it was started in', () => {
  assert.deepEqual(rootsAmong('/garden/h'), [], 'known without looking');
  assert.deepEqual(rootsAmong('/system.slice/runit.service/garden/h', '/a'), [
    '/system.slice/runit.service/garden',
  ]);
  assert.deepEqual(rootsAmong(), []);
});

test('what others may have named is not taken for it', () => {
  assert.deepEqual(
    rootsAmong(
      `/docker/${ID}/garden/h`,
      `/system.slice/docker-${ID}.scope/garden/h`,
      `/kubepods/burstable/${ID}/garden`,
      '/user.slice/user-1000.slice/garden/h',
      `/machine.slice/libpod-${ID}.scope/garden`,
      '/garden/h/garden/victim',
      '/system.slice/x.service/a/b/garden',
    ),
    [],
  );
  // Too long for the probe, or not to be told from a pattern: the agent has to start nevertheless.
  assert.deepEqual(rootsAmong(`/${'x'.repeat(60)}/garden`, '/a*b/garden'), []);
});

test('its patterns are those of /garden, elsewhere', () => {
  const patterns = gardenPatterns('/system.slice/runit.service/garden');
  for (const shape of ['', 'good/', 'bad/']) {
    const rootPath = `/system.slice/runit.service/garden/${shape}h`;
    const found = matchPath(patterns, `${rootPath}/init/garden/victim`);
    assert.deepEqual([found?.handle, found?.rootPath], ['h', rootPath]);
  }
  assert.equal(matchPath(patterns, '/garden/h'), undefined);
  for (const wrong of [
    'garden',
    '/',
    '',
    '/garden/',
    '//garden',
    '/a/../garden',
    '/*/garden',
    '/.',
  ])
    assert.throws(() => gardenPatterns(wrong), UserError, wrong);
});
