import { existsSync, lstatSync, mkdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { call, callFd, suiteOf, testAllAsserted, text } from '../support/kernel-calls.ts';

const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_EMPTY_PATH = 0x1000;
const O_DIRECTORY = 0o200000;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const RENAME_WHITEOUT = 4;
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const ENOENT = -2;
const EBADF = -9;
const EFAULT = -14;
const EEXIST = -17;
const ENOTDIR = -20;
const EINVAL = -22;
const ENOTEMPTY = -39;

/** The descriptor of the directory, `@` from then on. */
const openDir = (path: string) => callFd('openat', AT_FDCWD, text(path), O_DIRECTORY, 0);

describe('calls of files', () => {
  const suite = suiteOf('files');

  test('links', async () => {
    const { dir } = suite;
    const at = (name: string): string => join(dir, name);
    writeFileSync(at('file'), '');
    mkdirSync(at('links'));
    const run = await suite.run(
      call('chdir', text(dir)),
      openDir(at('links')),
      call('symlink', text('../a target\n'), text('links/one')),
      call('symlink', text(''), text(at('two'))),
      call('symlinkat', text('/etc/shadow'), '@', text('three')),
      call('symlinkat', text('x'), AT_FDCWD, text('links/../file')),
      call('link', text('file'), text(at('links/four'))),
      call('link', text('none'), text('five')),
      call('linkat', AT_FDCWD, text('file'), '@', text('six'), AT_SYMLINK_FOLLOW),
      call('linkat', '@', text('none'), AT_FDCWD, text('seven'), AT_EMPTY_PATH),
    );
    const fd = run.result('openat').ret;
    run.check('symlink', { res: 0, target: '../a target\n', linkpath: at('links/one') });
    assert.equal(readlinkSync(at('links/one')), '../a target\n');
    run.check('symlink', { res: ENOENT, target: '', linkpath: at('two') });
    run.check('symlinkat', {
      res: 0,
      target: '/etc/shadow',
      linkdirfd: fd,
      linkpath: at('links/three'),
    });
    assert.equal(readlinkSync(at('links/three')), '/etc/shadow');
    run.check('symlinkat', {
      res: EEXIST,
      target: 'x',
      linkdirfd: 'AT_FDCWD',
      linkpath: at('file'),
    });
    run.check('link', { res: 0, oldpath: at('file'), newpath: at('links/four') });
    run.check('link', { res: ENOENT, oldpath: at('none'), newpath: at('five') });
    run.check('linkat', {
      res: 0,
      olddir: 'AT_FDCWD',
      oldpath: at('file'),
      newdir: fd,
      newpath: at('links/six'),
      flags: 'AT_SYMLINK_FOLLOW',
    });
    assert.equal(statSync(at('links/six')).nlink, 3);
    run.check('linkat', {
      res: ENOENT,
      olddir: fd,
      oldpath: at('links/none'),
      newdir: 'AT_FDCWD',
      newpath: at('seven'),
      flags: 'AT_EMPTY_PATH',
    });
    run.end();
  });

  test('what goes', async () => {
    const { dir } = suite;
    const at = (name: string): string => join(dir, name);
    for (const name of ['gone', 'gone/sub', 'full', 'full/sub', 'bare']) mkdirSync(at(name));
    for (const name of ['gone/file', 'away']) writeFileSync(at(name), '');
    const run = await suite.run(
      call('chdir', text(dir)),
      openDir(at('gone')),
      call('unlink', text('gone/./sub/../file')),
      call('unlink', text('/no/such/file')),
      call('unlinkat', '@', text('sub'), AT_REMOVEDIR),
      call('unlinkat', AT_FDCWD, text('away'), 0),
      call('unlinkat', '@', text('away'), 0x40000000),
      call('rmdir', text('bare')),
      call('rmdir', text(at('full'))),
    );
    const fd = run.result('openat').ret;
    run.check('unlink', { res: 0, path: at('gone/file') });
    run.check('unlink', { res: ENOENT, path: '/no/such/file' });
    run.check('unlinkat', { res: 0, dirfd: fd, name: at('gone/sub'), flags: 'AT_REMOVEDIR' });
    run.check('unlinkat', { res: 0, dirfd: 'AT_FDCWD', name: at('away'), flags: '' });
    run.check('unlinkat', { res: EINVAL, dirfd: fd, name: at('gone/away'), flags: '' });
    run.check('rmdir', { res: 0, path: at('bare') });
    run.check('rmdir', { res: ENOTEMPTY, path: at('full') });
    for (const name of ['gone/file', 'gone/sub', 'away', 'bare']) assert.ok(!existsSync(at(name)));
    run.end();
  });

  test('what is renamed', async () => {
    const { dir } = suite;
    const at = (name: string): string => join(dir, name);
    mkdirSync(at('to'));
    for (const name of ['a', 'b', 'c', 'd', 'to/e']) writeFileSync(at(name), '');
    const run = await suite.run(
      call('chdir', text(dir)),
      openDir(at('to')),
      call('rename', text('a'), text(at('to/a'))),
      call('rename', text('a'), text('to/a')),
      call('renameat', AT_FDCWD, text('b'), '@', text('b')),
      call('renameat', '@', text('none'), 99, text('b')),
      call('renameat2', '@', text('e'), AT_FDCWD, text('c'), RENAME_EXCHANGE),
      call(
        'renameat2',
        AT_FDCWD,
        text('d'),
        '@',
        text('b'),
        RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT,
      ),
    );
    const fd = run.result('openat').ret;
    run.check('rename', { res: 0, oldpath: at('a'), newpath: at('to/a') });
    run.check('rename', { res: ENOENT, oldpath: at('a'), newpath: at('to/a') });
    run.check('renameat', {
      res: 0,
      olddirfd: 'AT_FDCWD',
      oldpath: at('b'),
      newdirfd: fd,
      newpath: at('to/b'),
    });
    // No such descriptor, so no directory: what was passed is all that is known.
    run.check('renameat', {
      res: EBADF,
      olddirfd: fd,
      oldpath: at('to/none'),
      newdirfd: 99,
      newpath: 'b',
    });
    run.check('renameat2', {
      res: 0,
      olddirfd: fd,
      oldpath: at('to/e'),
      newdirfd: 'AT_FDCWD',
      newpath: at('c'),
      flags: 'RENAME_EXCHANGE',
    });
    run.check('renameat2', {
      res: EINVAL,
      olddirfd: 'AT_FDCWD',
      oldpath: at('d'),
      newdirfd: fd,
      newpath: at('to/b'),
      flags: 'RENAME_NOREPLACE|RENAME_EXCHANGE|RENAME_WHITEOUT',
    });
    assert.ok(existsSync(at('to/a')) && existsSync(at('to/b')) && existsSync(at('d')));
    run.end();
  });

  test('what is made', async () => {
    const { dir } = suite;
    const at = (name: string): string => join(dir, name);
    mkdirSync(at('new'));
    writeFileSync(at('no-directory'), '');
    const device = 0x103; // as mknod(2) takes it: 1, 3
    const run = await suite.run(
      call('umask', 0),
      call('chdir', text(dir)),
      openDir(at('new')),
      call('mkdir', text('made'), 0o1750),
      call('mkdir', text('made'), 0o777),
      call('mkdirat', '@', text('made'), 0o711),
      call('mkdirat', AT_FDCWD, text('no-directory/x'), 0o700),
      call('mknod', text('fifo'), S_IFIFO | 0o640, 0),
      // The kernel does not see the highest bit; nor must it hide from rules what was made.
      call('mknod', text('other'), 0x10000 | S_IFIFO | 0o600, 0),
      call('mknod', 1, S_IFCHR | 0o600, device),
      call('mknodat', '@', text('null'), S_IFCHR | 0o666, device),
      call('mknodat', AT_FDCWD, text('/no/such/null'), S_IFCHR, 0),
    );
    const fd = run.result('openat').ret;
    run.check('mkdir', { res: 0, path: at('made'), mode: 0o1750 });
    assert.equal(statSync(at('made')).mode & 0o7777, 0o1750);
    run.check('mkdir', { res: EEXIST, path: at('made'), mode: 0o777 });
    run.check('mkdirat', { res: 0, dirfd: fd, path: at('new/made'), mode: 0o711 });
    assert.equal(statSync(at('new/made')).mode & 0o7777, 0o711);
    run.check('mkdirat', {
      res: ENOTDIR,
      dirfd: 'AT_FDCWD',
      path: at('no-directory/x'),
      mode: 0o700,
    });
    run.check('mknod', { res: 0, path: at('fifo'), mode: S_IFIFO | 0o640, dev: 0 });
    assert.equal(lstatSync(at('fifo')).mode, S_IFIFO | 0o640);
    run.check('mknod', { res: 0, path: at('other'), mode: S_IFIFO | 0o600, dev: 0 });
    assert.equal(lstatSync(at('other')).mode, S_IFIFO | 0o600);
    run.check('mknod', { res: EFAULT, path: undefined, mode: S_IFCHR | 0o600, dev: device });
    run.check('mknodat', {
      res: 0,
      dirfd: fd,
      path: at('new/null'),
      mode: S_IFCHR | 0o666,
      dev: device,
    });
    assert.equal(lstatSync(at('new/null')).rdev, device);
    run.check('mknodat', {
      res: ENOENT,
      dirfd: 'AT_FDCWD',
      path: '/no/such/null',
      mode: S_IFCHR,
      dev: 0,
    });
    run.end();
  });

  testAllAsserted(suite);
});
