import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { call, callFd, suiteOf, testAllAsserted, text } from '../support/kernel-calls.ts';
import type { Step } from '../support/kernel-process.ts';

const AT_FDCWD = -100;
const CLONE_NEWNS = 0x20000;
const FSCONFIG_CMD_CREATE = 6;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0x80000;
const AT_RECURSIVE = 0x8000;
const FSOPEN_CLOEXEC = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_SYMLINKS = 0x10;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_REC = 16384;
const MS_PRIVATE = 1 << 18;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const O_DIRECTORY = 0o200000;
const ENOENT = -2;
const EFAULT = -14;
const ENODEV = -19;
const EINVAL = -22;

/** Into a mount namespace of its own, from which nothing comes back. */
const PRIVATE: readonly Step[] = [
  ...call('unshare', CLONE_NEWNS),
  ...call('mount', 'n', text('/'), 'n', MS_REC | MS_PRIVATE, 'n'),
];
const ROOT_PRIVATE = { res: 0, dev: undefined, dir: '/', type: undefined, flags: 'REC|PRIVATE' };

describe('calls of mounts', () => {
  const suite = suiteOf('mounts');

  test('mount and umount2', async () => {
    const { dir } = suite;
    const mnt = join(dir, 'm m');
    mkdirSync(mnt);
    const run = await suite.run(
      PRIVATE,
      call('chdir', text(dir)),
      call(
        'mount',
        text('a\tdev'),
        text('m m'),
        text('tmpfs'),
        MS_NOSUID | MS_NODEV,
        text('size=4k'),
      ),
      call('mkdir', text('m m/inside'), 0o755),
      call('umount2', text('m m/../m m'), MNT_DETACH | UMOUNT_NOFOLLOW),
      call('mkdir', text('m m/outside'), 0o755),
      call('mount', text('none'), text(mnt), text('nosuchfs'), 0, 'n'),
      call('mount', text('none'), 1, text('tmpfs'), 0, 'n'),
      call('umount2', text('m m'), 0),
    );
    run.check('mount', ROOT_PRIVATE);
    run.check('mount', {
      res: 0,
      dev: 'a\tdev',
      dir: mnt,
      type: 'tmpfs',
      flags: 'NOSUID|NODEV',
    });
    run.check('umount2', { res: 0, name: mnt, flags: 'DETACH|NOFOLLOW' });
    assert.deepEqual(readdirSync(mnt), ['outside']);
    run.check('mount', { res: ENODEV, dev: 'none', dir: mnt, type: 'nosuchfs', flags: '' });
    run.check('mount', { res: EFAULT, dev: 'none', dir: undefined, type: 'tmpfs', flags: '' });
    run.check('umount2', { res: EINVAL, name: mnt, flags: '' });
    run.end();
  });

  test('fsopen and move_mount', async () => {
    const { dir } = suite;
    const mnt = join(dir, 'moved');
    mkdirSync(mnt);
    const run = await suite.run(
      PRIVATE,
      callFd('openat', AT_FDCWD, text(dir), O_DIRECTORY, 0),
      callFd('fsopen', text('tmpfs'), FSOPEN_CLOEXEC),
      call('fsconfig', '@', FSCONFIG_CMD_CREATE, 'n', 'n', 0),
      callFd('fsmount', '@', 0, 0),
      call('move_mount', '@', text(''), '@2', text('moved'), MOVE_MOUNT_F_EMPTY_PATH),
      call('mkdir', text(join(mnt, 'inside')), 0o755),
      call('fsopen', text('nosuchfs'), 0),
      call('move_mount', AT_FDCWD, text('/no/such'), '@2', text('x'), MOVE_MOUNT_T_SYMLINKS),
    );
    const [directory, mounted] = [run.result('openat').ret, run.result('fsmount').ret];
    run.check('mount', ROOT_PRIVATE);
    run.check('fsopen', (result) => ({ res: result.ret, type: 'tmpfs', flags: 'FSOPEN_CLOEXEC' }));
    assert.equal(run.result('fsconfig').ret, 0);
    run.check('move_mount', {
      res: 0,
      olddirfd: mounted,
      // the mount's own root, which after the call is there
      oldpath: mnt,
      newdirfd: directory,
      newpath: mnt,
      flags: 'MOVE_MOUNT_F_EMPTY_PATH',
    });
    assert.equal(run.result('mkdir').ret, 0);
    assert.deepEqual(readdirSync(mnt), []);
    run.check('fsopen', { res: ENODEV, type: 'nosuchfs', flags: '' });
    run.check('move_mount', {
      res: ENOENT,
      olddirfd: 'AT_FDCWD',
      oldpath: '/no/such',
      newdirfd: directory,
      newpath: join(dir, 'x'),
      flags: 'MOVE_MOUNT_T_SYMLINKS',
    });
    run.end();
  });

  test('open_tree', async () => {
    const { dir } = suite;
    const run = await suite.run(
      PRIVATE,
      callFd('openat', AT_FDCWD, text(dir), O_DIRECTORY, 0),
      callFd('open_tree', '@', text('.'), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE),
      call('open_tree', AT_FDCWD, text('/no/such'), 0),
    );
    const directory = run.result('openat').ret;
    run.check('mount', ROOT_PRIVATE);
    run.check('open_tree', ({ ret }) => ({
      res: ret,
      dirfd: directory,
      path: dir,
      flags: 'OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC',
    }));
    run.check('open_tree', { res: ENOENT, dirfd: 'AT_FDCWD', path: '/no/such', flags: '' });
    run.end();
  });

  test('pivot_root', async () => {
    const root = join(suite.dir, 'root');
    mkdirSync(root);
    const run = await suite.run(
      PRIVATE,
      call('mount', text('none'), text(root), text('tmpfs'), 0, 'n'),
      call('mkdir', text(join(root, 'old')), 0o755),
      call('pivot_root', text(root), text(join(root, 'old'))),
      call('mkdir', text('/old/tmp'), 0o755),
      call('chdir', text('/')),
      call('pivot_root', text('none'), text('old')),
    );
    for (let nth = 0; nth < 2; nth++) run.take('mount');
    run.check('pivot_root', { res: 0, newpath: root, oldpath: join(root, 'old') });
    assert.deepEqual([run.result('mkdir').ret, run.result('mkdir').ret], [0, -17]);
    run.check('pivot_root', { res: ENOENT, newpath: '/none', oldpath: '/old' });
    run.end();
  });

  test('pivot_root as container runtimes do it, from within', async () => {
    const root = join(suite.dir, 'within');
    mkdirSync(root);
    const run = await suite.run(
      PRIVATE,
      call('mount', text('none'), text(root), text('tmpfs'), 0, 'n'),
      call('chdir', text(root)),
      call('pivot_root', text('.'), text('.')),
      call('umount2', text('.'), MNT_DETACH),
    );
    for (let nth = 0; nth < 2; nth++) run.take('mount');
    // What it was called before the call nothing says any more.
    run.check('pivot_root', { res: 0, newpath: '/', oldpath: '/' });
    run.check('umount2', { res: 0, name: '/', flags: 'DETACH' });
    run.end();
  });

  test('chroot', async () => {
    const { dir } = suite;
    const jail = join(dir, 'jail');
    mkdirSync(join(jail, 'in/deep'), { recursive: true });
    const run = await suite.run(
      call('chdir', text(dir)),
      call('chroot', text('none')),
      call('chroot', text(jail)),
      call('chroot', text('no/such')),
      call('chroot', text('/in')),
    );
    run.check('chroot', { res: ENOENT, path: join(dir, 'none') });
    run.check('chroot', { res: 0, path: jail });
    // The working directory is outside of the root: where it is from the mount namespace's
    run.check('chroot', { res: ENOENT, path: join(dir, 'no/such') });
    run.check('chroot', { res: 0, path: '/in' });
    run.end();
    const relative = await suite.run(
      call('chdir', text(dir)),
      call('chroot', text('jail/../jail')),
      call('chdir', text('jail')),
      call('chroot', text('.')),
    );
    relative.check('chroot', { res: 0, path: jail });
    relative.check('chroot', { res: 0, path: jail });
    relative.end();
  });

  testAllAsserted(suite);
});
