import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { ContainerEnds } from '../../../src/responses/container-ends.ts';
import type { ResponseTarget } from '../../../src/responses/response.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { containersIn, hierarchyAt } from './cgroups-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-ends-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let worlds = 0;
/** Cgroups with a `cgroup.kill` that keeps what is written to it; timers are the test's. */
function world(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const mountPoint = join(folder, `${++worlds}`);
  const hierarchy = hierarchyAt(mountPoint);
  const { add: addCgroup, cgroups, known } = containersIn(hierarchy);
  const errors: string[] = [];
  const time = { ms: 0 };
  const ends = new ContainerEnds({
    cgroups,
    logger: { ...SILENT_LOGGER, error: (_, message) => void errors.push(message) },
    nowMs: () => time.ms,
    hierarchy: () => hierarchy,
  });
  const add = (key: string, path: string): number => {
    const cgroupId = addCgroup(key, path);
    writeFileSync(join(mountPoint, path, 'cgroup.kill'), '');
    return cgroupId;
  };
  const killed = (path: string): string =>
    readFileSync(join(mountPoint, path, 'cgroup.kill'), 'utf8');
  return { add, cgroups: known, ends, errors, killed, mountPoint, time };
}

const target = (cgroupId: number): ResponseTarget => ({
  process: makeProcess({ pid: 7 }),
  container: containerOf(),
  cgroupId,
  denied: undefined,
  rule: undefined,
});

test('all cgroups of the container are killed, a second later, and of no other', (t) => {
  const { add, ends, killed, time } = world(t);
  const [first, second] = [add('a', '/good/a'), add('a', '/bad/a')];
  const other = add('b', '/good/b');
  ends.end(target(first));
  assert.deepEqual(
    [first, second, other].map((id) => ends.isEnding(target(id))),
    [true, true, false],
  );
  t.mock.timers.tick(999);
  assert.equal(killed('/good/a'), '');
  t.mock.timers.tick(1);
  assert.deepEqual(['/good/a', '/bad/a', '/good/b'].map(killed), ['1', '1', '']);
  time.ms = 10_999;
  assert.equal(ends.isEnding(target(first)), true, 'records of it may come later');
  time.ms = 11_000;
  assert.equal(ends.isEnding(target(first)), false, 'a cgroup that is used again is another run');
});

test('a cgroup that gets the path meanwhile is not killed', (t) => {
  const { add, ends, killed, mountPoint } = world(t);
  const id = add('a', '/a');
  ends.end(target(id));
  renameSync(join(mountPoint, 'a'), join(mountPoint, 'old'));
  mkdirSync(join(mountPoint, 'a'));
  writeFileSync(join(mountPoint, 'a', 'cgroup.kill'), '');
  t.mock.timers.tick(1000);
  assert.deepEqual([killed('/a'), killed('/old')], ['', '1']);
});

test('an end that is taken back does not happen; another one does', (t) => {
  const { add, ends, killed } = world(t);
  const [first, second] = [add('a', '/a'), add('b', '/b')];
  for (const id of [first, second]) ends.end(target(id));
  ends.review(({ cgroupId }) => cgroupId === second);
  assert.deepEqual(
    [first, second].map((id) => ends.isEnding(target(id))),
    [false, true],
  );
  t.mock.timers.tick(1000);
  ends.close();
  assert.deepEqual([killed('/a'), killed('/b')], ['', '1']);
});

test('an agent that stops ends at once what it has promised to end', (t) => {
  const { add, ends, killed } = world(t);
  ends.end(target(add('a', '/a')));
  ends.close();
  assert.equal(killed('/a'), '1');
  t.mock.timers.tick(1000);
  assert.equal(killed('/a'), '1', 'and once');
});

test('an end that fails is an error, and holds nobody from another try', (t) => {
  const { add, ends, errors, mountPoint } = world(t);
  const id = add('a', '/a');
  const kill = join(mountPoint, 'a', 'cgroup.kill');
  rmSync(kill);
  // Writing to it fails with ENOSPC.
  symlinkSync('/dev/full', kill);
  ends.end(target(id));
  assert.equal(ends.isEnding(target(id)), true);
  t.mock.timers.tick(1000);
  assert.deepEqual(errors, [
    'container not ended, although its detection’s line says that it was: end it by hand',
  ]);
  assert.equal(ends.isEnding(target(id)), false);
});

test('a sidecar whose cgroup cannot be had does not keep the container from its end', (t) => {
  const { add, ends, killed, mountPoint } = world(t);
  const id = add('a', '/a');
  add('a', '/a-check');
  rmSync(join(mountPoint, 'a-check', 'cgroup.kill'));
  ends.end(target(id));
  t.mock.timers.tick(1000);
  assert.equal(killed('/a'), '1');
});

test('what is gone, is another cgroup by now, or is of an old kernel', (t) => {
  const { add, cgroups, ends, mountPoint } = world(t);
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  assert.throws(() => ends.end(target(1)), { code: 'ESRCH' });
  const id = add('a', '/a');
  cgroups.set('a', [{ cgroupId: id + 1_000_000, path: '/a', handle: 'a' }]);
  assert.throws(() => ends.end(target(id + 1_000_000)), { code: 'ESRCH' });
  const old = add('old', '/old');
  // The last to be added is the first to go: the inode of what is gone may be given to what is made after it.
  const gone = add('gone', '/gone');
  rmSync(join(mountPoint, 'gone'), { recursive: true });
  assert.throws(() => ends.end(target(gone)), { code: 'ESRCH' });
  rmSync(join(mountPoint, 'old', 'cgroup.kill'));
  assert.throws(() => ends.end(target(old)), { code: 'ENOTSUP' });
  assert.equal(ends.isEnding(target(old)), false);
  assert.equal(open(), before, 'nothing is left open');
});
