import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Apps } from '../../src/apps/apps.ts';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import { UserError } from '../../src/shared/user-error.ts';
import { MemoryScopeMap } from '../support/memory-scope-map.ts';

test('apps that are cgroups: found at start, dropped when gone, what is inside them is theirs', async () => {
  const parent = `/varvel-test-${process.pid}`;
  const { mountPoint } = detectHierarchy();
  const made: string[] = [];
  const make = (path: string): number => {
    mkdirSync(join(mountPoint, path));
    made.unshift(path);
    return statSync(join(mountPoint, path)).ino;
  };
  make(parent);
  const web = make(`${parent}/web`);
  make(`${parent}/web/worker`);
  const map = new MemoryScopeMap();
  const apps = new Apps(
    {
      rescanMs: 0,
      cgroups: [{ pattern: `${parent}/*`, space: 'dev', logFile: '/var/log/apps/{handle}.log' }],
    },
    { scopeMap: map, logger: SILENT_LOGGER },
  );
  try {
    await apps.start();
    const resolution = apps.resolve(web);
    assert.equal(resolution.state, 'included');
    assert.equal(resolution.container.app?.name, 'web');
    assert.equal(resolution.container.app.space, 'dev');
    assert.equal(resolution.container.logFile, '/var/log/apps/web.log');
    assert.deepEqual(
      map.entries().map(({ cgroupId, state }) => [cgroupId, state]),
      [[web, 'included']],
    );
    const { pid } = spawnSync('true');
    assert.equal(apps.isInScope(process.pid), false);
    assert.equal(apps.isInScope(pid), undefined, 'it has ended');
    const child = spawn('sh', [
      '-c',
      `echo $$ > ${mountPoint}${parent}/web/worker/cgroup.procs && echo in && exec cat`,
    ]);
    await once(child.stdout, 'data');
    assert.equal(apps.isInScope(child.pid!), true, 'it is in a cgroup inside the app’s');
    // Of such an app nobody says which one is its first.
    assert.deepEqual(apps.processesIn(web), [child.pid]);
    assert.deepEqual(apps.processesIn(web + 1_000_000), []);
    child.stdin.end();
    await once(child, 'close');
    assert.deepEqual(apps.processesIn(web), []);
    const bad = make(`${parent}/bad name`);
    map.count(web, { emitted: 7, dropped: 1, prefiltered: 2 });
    await apps.rescan();
    const { containers, runtimes, counters } = apps.snapshot();
    assert.equal(containers.length, 2);
    const status = containers.find(({ cgroupId }) => cgroupId === web)!;
    assert.deepEqual([status.emitted, status.dropped, status.prefiltered], [7, 1, 2]);
    assert.deepEqual([status.state, status.unwatched, status.gone], ['included', false, false]);
    assert.match(status.reason, /pattern in the configuration/);
    const refused = containers.find(({ cgroupId }) => cgroupId === bad)!;
    assert.equal(refused.state, 'excluded');
    assert.match(refused.reason, /must not be part of a log file/);
    assert.equal(map.get(bad)?.state, 'excluded');
    assert.deepEqual([runtimes[0]?.connected, counters.pending], [true, 0]);

    rmdirSync(join(mountPoint, made.splice(made.indexOf(`${parent}/web/worker`), 1)[0]!));
    rmdirSync(join(mountPoint, made.splice(made.indexOf(`${parent}/web`), 1)[0]!));
    await apps.rescan();
    assert.equal(map.get(web), undefined);
    assert.equal(apps.resolve(web).state, 'included', 'identity is remembered');
    assert.equal(apps.snapshot().containers.find(({ cgroupId }) => cgroupId === web)?.gone, true);
  } finally {
    await apps.stop();
    for (const path of made) rmdirSync(join(mountPoint, path));
  }
});

test('more patterns than the probe takes are a sentence', () => {
  const cgroups = Array.from({ length: 17 }, (_, index) => ({ pattern: `/parent-${index}/*` }));
  assert.throws(
    () => new Apps({ cgroups }, { scopeMap: new MemoryScopeMap(), logger: SILENT_LOGGER }),
    (error: unknown) => error instanceof UserError && /17 cgroup patterns/.test(error.message),
  );
});
