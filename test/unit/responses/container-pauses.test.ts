import assert from 'node:assert/strict';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContainerPauses, MAX_PAUSED, PAUSE_MS } from '../../../src/responses/container-pauses.ts';
import { PauseMarks } from '../../../src/responses/pause-marks.ts';
import type { ResponseTarget } from '../../../src/responses/response.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { containersIn, hierarchyAt } from './cgroups-fixture.ts';

const folder = temporaryFolder('varvel-pauses-');

let worlds = 0;
/** Cgroups with a `cgroup.freeze` that keeps what is written to it. */
function world() {
  const mountPoint = join(folder, `${++worlds}`);
  const stateDir = join(folder, `${worlds}-state`);
  const { add: addCgroup, cgroups, known } = containersIn(hierarchyAt(mountPoint));
  const said: string[] = [];
  const time = { ms: 0 };
  const say = (_: object, message: string): void => void said.push(message);
  const make = (): ContainerPauses =>
    new ContainerPauses({
      cgroups,
      marks: new PauseMarks(stateDir),
      logger: { ...SILENT_LOGGER, warn: say, error: say },
      nowMs: () => time.ms,
      hierarchy: () => hierarchyAt(mountPoint),
    });
  const fileOf = (path: string): string => join(mountPoint, path, 'cgroup.freeze');
  const add = (key: string, path: string, state = '0'): number => {
    const cgroupId = addCgroup(key, path);
    writeFileSync(fileOf(path), `${state}\n`);
    return cgroupId;
  };
  const isFrozen = (path: string): boolean => readFileSync(fileOf(path), 'utf8') === '1\n';
  const set = (path: string, state: string): void => writeFileSync(fileOf(path), `${state}\n`);
  const marks = (): number => readdirSync(join(stateDir, 'paused')).length;
  return {
    add,
    fileOf,
    isFrozen,
    known,
    make,
    marks,
    mountPoint,
    pauses: make(),
    said,
    set,
    stateDir,
    time,
  };
}

const target = (cgroupId: number, app = 'shop'): ResponseTarget => ({
  process: makeProcess({ pid: 4_000_000 }),
  container: containerOf({ id: `c${cgroupId}` }, { name: app }),
  cgroupId,
  denied: undefined,
  rule: { name: 'Reverse shell', tags: [], priority: 'Critical', enabled: true },
});

test('all cgroups of the container are paused, and of no other; a later one too; all go on at the end', () => {
  const { add, isFrozen, marks, pauses } = world();
  const first = add('a', '/good/a');
  add('a', '/bad/a');
  const other = add('b', '/good/b');
  assert.equal(pauses.isPaused(target(first)), false);
  pauses.pause(target(first));
  assert.deepEqual(['/good/a', '/bad/a', '/good/b'].map(isFrozen), [true, true, false]);
  assert.deepEqual(
    [first, other].map((id) => pauses.isPaused(target(id))),
    [true, false],
  );
  const sidecar = add('a', '/good/a-envoy');
  pauses.follow();
  assert.equal(isFrozen('/good/a-envoy'), true);
  assert.equal(pauses.isPaused(target(sidecar)), true);
  const [{ id, app, rule }] = pauses.status().containers as unknown as [Record<string, unknown>];
  assert.deepEqual([id, app, rule], [`c${first}`, 'shop', 'Reverse shell']);
  assert.equal(marks(), 3);
  pauses.close();
  assert.deepEqual(['/good/a', '/bad/a', '/good/a-envoy'].map(isFrozen), [false, false, false]);
  assert.equal(marks(), 0);
});

test('what somebody else has paused is left so, and what he lets go on is not paused again', () => {
  const { add, isFrozen, pauses, said, set } = world();
  const engine = add('a', '/a', '1');
  pauses.pause(target(engine));
  assert.equal(pauses.isPaused(target(engine)), false);
  assert.deepEqual(said, ['container was paused already, by somebody else: it is left so']);
  pauses.follow();
  pauses.close();
  assert.equal(isFrozen('/a'), true);

  const ours = add('b', '/b');
  pauses.pause(target(ours));
  set('/b', '0');
  pauses.follow();
  pauses.follow();
  assert.equal(isFrozen('/b'), false);
  assert.deepEqual(pauses.status().containers, []);
  assert.equal(said.at(-1), 'container goes on: somebody else has ended its pause');
});

test('it ends with the configuration that asks for it, and after an hour', () => {
  const { add, isFrozen, pauses, said, time } = world();
  for (const key of ['a', 'b']) pauses.pause(target(add(key, `/${key}`), key));
  pauses.review((_, app) => app?.name === 'b');
  assert.deepEqual(['/a', '/b'].map(isFrozen), [false, true]);
  time.ms = PAUSE_MS - 1;
  pauses.follow();
  assert.equal(isFrozen('/b'), true);
  time.ms = PAUSE_MS;
  pauses.follow();
  assert.equal(isFrozen('/b'), false);
  assert.equal(said.at(-1), 'container goes on: it was paused for an hour');
});

test('a container that has ended is forgotten, and another with its path is let be', () => {
  const { add, isFrozen, known, marks, mountPoint, pauses, said } = world();
  const first = add('a', '/a');
  pauses.pause(target(first));
  renameSync(join(mountPoint, 'a'), join(mountPoint, 'old'));
  add('a', '/a');
  known.set('a', known.get('a')!.slice(1));
  pauses.follow();
  assert.equal(isFrozen('/a'), false);
  assert.deepEqual(pauses.status().containers, []);
  assert.equal(marks(), 0);
  assert.deepEqual(said, ['container paused'], 'its end is no news');
  assert.throws(() => pauses.pause(target(first)), { code: 'ESRCH' });
});

test('what a killed agent has left goes on with the next one, which has its own', () => {
  const { add, fileOf, isFrozen, make, marks, mountPoint, pauses, said, stateDir } = world();
  for (const key of ['a', 'gone', 'other', 'fails']) pauses.pause(target(add(key, `/${key}`), key));
  const next = make();
  const own = add('own', '/own');
  next.pause(target(own));
  rmSync(join(mountPoint, 'gone'), { recursive: true });
  // Another cgroup has the path of one that is gone.
  renameSync(join(mountPoint, 'other'), join(mountPoint, 'before'));
  add('new', '/other', '1');
  rmSync(fileOf('/fails'));
  mkdirSync(fileOf('/fails'));
  // Nobody but root can write there: who can has the host.
  symlinkSync('/etc', join(stateDir, 'paused', 'name'));
  next.thawLeft();
  assert.deepEqual(['/a', '/other', '/own'].map(isFrozen), [false, true, true]);
  assert.deepEqual(said.slice(-2), [
    'containers go on that the last agent had paused',
    'a container is still paused: write 0 to the cgroup.freeze of this directory by hand',
  ]);
  assert.equal(marks(), 3, 'its own, the one that failed, and what is no mark');
  next.close();
});

test('what could not be found again after a crash is not paused', () => {
  const { add, isFrozen, pauses, stateDir } = world();
  // As on a disk that fails.
  writeFileSync(stateDir, '');
  assert.throws(() => pauses.pause(target(add('a', '/a'))), { code: 'ENOTDIR' });
  assert.equal(isFrozen('/a'), false);
});

test('a limit of containers, a kernel without it, and a rule of the app’s own', () => {
  const { add, fileOf, pauses, said } = world();
  for (let n = 0; n < MAX_PAUSED; n++) pauses.pause(target(add(`c${n}`, `/c${n}`)));
  assert.throws(() => pauses.pause(target(add('more', '/more'))), { code: 'ENOSPC' });
  pauses.close();
  const old = add('old', '/old');
  rmSync(fileOf('/old'));
  for (let n = 0; n < 2; n++) assert.throws(() => pauses.pause(target(old)), { code: 'ENOTSUP' });
  assert.equal(said.filter((one) => one === 'a container could not be paused').length, 1);
  assert.throws(() => pauses.pause({ ...target(old), rule: undefined }), { code: 'ENOTSUP' });
});
