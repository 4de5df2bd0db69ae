import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { raw } from '../support/kernel-process.ts';
import {
  call,
  callFd,
  pathOf,
  suiteOf,
  testAllAsserted,
  text,
  type CallResult,
} from '../support/kernel-calls.ts';

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const O_RDONLY = 0;
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const O_DIRECTORY = 0o200000;
const ENOENT = -2;
const EBADF = -9;
const EINVAL = -22;
const ENOSYS = -38;

/** The kernel's file of the event against stat and readlink on the descriptor. */
function checkFile(event: WireEvent, described: CallResult): void {
  const { file } = event.call!;
  assert.equal(file?.path, pathOf(described));
  assert.equal(file.ino, described.ino);
  assert.equal((file.devMajor << 8) | file.devMinor, described.dev);
  assert.equal(event.call?.fileMode, described.mode);
}

describe('calls of modes and owners', () => {
  const suite = suiteOf('modes');

  test('modes', async (t) => {
    const { dir } = suite;
    const at = (name: string): string => join(dir, name);
    mkdirSync(at('d'));
    for (const name of ['a', 'b', 'd/c', 'd/e']) writeFileSync(at(name), '');
    const run = await suite.run(
      call('chdir', text(dir)),
      callFd('openat', AT_FDCWD, text('d'), O_DIRECTORY, 0),
      callFd('openat', AT_FDCWD, text('b'), O_RDWR, 0),
      call('chmod', text('a'), 0o6711),
      call('chmod', text('none'), 0o777),
      call('fchmod', '@', 0o4755),
      ['describe', '@'],
      call('fchmod', 99, 0o1),
      call('fchmodat', '@1', text('c'), 0o600),
      call('fchmodat', AT_FDCWD, text('none'), 0),
      call('fchmodat2', '@1', text('e'), 0o2750, AT_SYMLINK_NOFOLLOW),
      call('fchmodat2', '@1', text('none'), 0o1, 0),
    );
    const [d, b] = [run.result('openat').ret, run.result('openat').ret];
    run.check('chmod', { res: 0, filename: at('a'), mode: 0o6711 });
    assert.equal(statSync(at('a')).mode & 0o7777, 0o6711);
    run.check('chmod', { res: ENOENT, filename: at('none'), mode: 0o777 });
    checkFile(
      run.check('fchmod', { res: 0, fd: b, mode: 0o4755 }),
      run.results.find(({ step }) => step === 'describe')!,
    );
    assert.equal(statSync(at('b')).mode & 0o7777, 0o4755);
    const none = run.check('fchmod', { res: EBADF, fd: 99, mode: 0o1 });
    assert.equal(none.call?.file, undefined);
    run.check('fchmodat', { res: 0, dirfd: d, filename: at('d/c'), mode: 0o600 });
    run.check('fchmodat', { res: ENOENT, dirfd: 'AT_FDCWD', filename: at('none'), mode: 0 });
    const missing = suite.whyMissing('fchmodat2');
    if (missing === undefined) {
      run.check('fchmodat2', { res: 0, dirfd: d, filename: at('d/e'), mode: 0o2750 });
      assert.equal(statSync(at('d/e')).mode & 0o7777, 0o2750);
      run.check('fchmodat2', { res: ENOENT, dirfd: d, filename: at('d/none'), mode: 0o1 });
    } else {
      assert.equal(run.result('fchmodat2').ret, ENOSYS);
      t.diagnostic(`fchmodat2 not tested: ${missing}`);
    }
    run.end();
  });

  test('owners', async () => {
    const { dir } = suite;
    const at = (name: string): string => join(dir, name);
    mkdirSync(at('o'));
    for (const name of ['o/a', 'o/b', 'o/c']) writeFileSync(at(name), '');
    symlinkSync('a', at('o/link'));
    const keep = 0xffffffff; // -1
    const run = await suite.run(
      call('chdir', text(at('o'))),
      callFd('openat', AT_FDCWD, text('.'), O_DIRECTORY, 0),
      callFd('openat', AT_FDCWD, text('b'), O_RDONLY, 0),
      call('chown', text('link'), 1001, 1002),
      call('chown', text('/no/such'), 0, 0),
      call('lchown', text('link'), 1003, 1004),
      call('lchown', text('none'), 1, 2),
      call('fchown', '@', 1005, keep),
      ['describe', '@'],
      call('fchown', -1, 1, 2),
      call('fchownat', '@1', text('c'), 1006, 1007, AT_SYMLINK_NOFOLLOW),
      call('fchownat', '@', text(''), 1008, keep, AT_EMPTY_PATH),
      call('fchownat', AT_FDCWD, text('c'), 1, 2, 0x40000000),
    );
    const [o, b] = [run.result('openat').ret, run.result('openat').ret];
    const owner = (name: string): number[] => [lstatSync(at(name)).uid, lstatSync(at(name)).gid];
    run.check('chown', { res: 0, path: at('o/link'), uid: 1001, gid: 1002 });
    assert.deepEqual(owner('o/a'), [1001, 1002]);
    run.check('chown', { res: ENOENT, path: '/no/such', uid: 0, gid: 0 });
    run.check('lchown', { res: 0, path: at('o/link'), uid: 1003, gid: 1004 });
    assert.deepEqual(owner('o/link'), [1003, 1004]);
    run.check('lchown', { res: ENOENT, path: at('o/none'), uid: 1, gid: 2 });
    checkFile(
      run.check('fchown', { res: 0, fd: b, uid: 1005, gid: keep }),
      run.results.find(({ step }) => step === 'describe')!,
    );
    run.check('fchown', { res: EBADF, fd: -1, uid: 1, gid: 2 });
    run.check('fchownat', {
      res: 0,
      dirfd: o,
      pathname: at('o/c'),
      uid: 1006,
      gid: 1007,
      flags: 'AT_SYMLINK_NOFOLLOW',
    });
    assert.deepEqual(owner('o/c'), [1006, 1007]);
    run.check('fchownat', {
      res: 0,
      dirfd: b,
      pathname: at('o/b'),
      uid: 1008,
      gid: keep,
      flags: 'AT_EMPTY_PATH',
    });
    assert.deepEqual(owner('o/b'), [1008, 0]);
    run.check('fchownat', {
      res: EINVAL,
      dirfd: 'AT_FDCWD',
      pathname: at('o/c'),
      uid: 1,
      gid: 2,
      flags: '',
    });
    run.end();
  });

  test('open_by_handle_at', async () => {
    const file = join(suite.dir, 'by handle');
    writeFileSync(file, '');
    const run = await suite.run(
      callFd('openat', AT_FDCWD, text(suite.dir), O_DIRECTORY, 0),
      ['handle', raw(file)],
      callFd('open_by_handle_at', '@', 'handle', O_RDWR | O_CLOEXEC),
      callFd('open_by_handle_at', 99, 'handle', O_RDONLY),
    );
    const mount = run.result('openat').ret;
    const opened = run.check('open_by_handle_at', (result) => ({
      fd: result.ret,
      mountfd: mount,
      flags: 'O_RDWR|O_CLOEXEC',
      path: file,
      dev: statSync(file).dev,
      ino: statSync(file).ino,
    }));
    checkFile(
      opened,
      run.results.find(({ name }) => name === 'open_by_handle_at')!,
    );
    assert.ok(opened.result >= 0);
    run.check('open_by_handle_at', {
      fd: EBADF,
      mountfd: 99,
      flags: 'O_RDONLY',
      path: undefined,
      dev: undefined,
      ino: undefined,
    });
    run.end();
  });

  testAllAsserted(suite);
});
