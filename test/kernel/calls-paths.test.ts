import assert from 'node:assert/strict';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { RECORD_FLAGS, CALL } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import {
  call,
  callFd,
  suiteOf,
  text,
  type CallResult,
  type CallRun,
} from '../support/kernel-calls.ts';
import { PRIVATE_MOUNTS } from '../support/kernel-file-facts.ts';

const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const O_PATH = 0o10000000;
const ENOENT = -2;
const EROFS = -30;
const EBADF = -9;
const EFAULT = -14;
const EEXIST = -17;
const ENOTDIR = -20;
const ENAMETOOLONG = -36;
const PATH_MAX = 4096;

const flagsOf = ({ records, at }: WireEvent): number => records.number(at + CALL.flags);

/** How a path that was passed is shown. */
describe('paths of calls', () => {
  const suite = suiteOf('files');

  /** What an unlink of nothing gives where the root is read-only, and where it is not. */
  const atRoot = ({ ret }: CallResult): number => (ret === EROFS ? EROFS : ENOENT);

  /** The next unlink: what was passed, and where that is. */
  function checkUnlink(
    run: CallRun,
    res: number | typeof atRoot,
    passed: string,
    path: string,
  ): WireEvent {
    const event = run.check('unlink', (result) => ({
      res: typeof res === 'number' ? res : res(result),
      path,
    }));
    assert.equal(event.call?.text(1), passed);
    return event;
  }

  test('as passed, and from where it is relative to', async () => {
    const { dir } = suite;
    mkdirSync(join(dir, 'a/b'), { recursive: true });
    symlinkSync('a', join(dir, 'link'));
    writeFileSync(join(dir, 'plain'), '');
    const run = await suite.run(
      call('chdir', text(join(dir, 'link/b'))),
      call('unlink', text('x')),
      call('unlink', text('../x')),
      call('unlink', text('./.././../../varvel-none//y/')),
      call('unlink', text('/../..//etc/./no-such')),
      call('unlink', text(`${'../'.repeat(30)}no-such`)),
      callFd('openat', AT_FDCWD, text(join(dir, 'a')), O_PATH, 0),
      callFd('openat', AT_FDCWD, text(join(dir, 'plain')), O_PATH, 0),
      call('unlinkat', '@1', text('x'), 0),
      call('unlinkat', '@1', text('../x'), 0),
      call('unlinkat', '@1', text('/no-such'), 0),
      call('unlinkat', '@', text('x'), 0), // a file as directory
      call('unlinkat', 77, text('x'), 0),
      call('unlinkat', -1, text('x'), 0),
    );
    checkUnlink(run, ENOENT, 'x', join(dir, 'a/b/x'));
    checkUnlink(run, ENOENT, '../x', join(dir, 'a/x'));
    checkUnlink(run, ENOENT, './.././../../varvel-none//y/', join(dir, '../varvel-none/y'));
    checkUnlink(run, atRoot, '/../..//etc/./no-such', '/etc/no-such');
    checkUnlink(run, atRoot, `${'../'.repeat(30)}no-such`, '/no-such');
    const [a, plain] = [run.result('openat').ret, run.result('openat').ret];
    const failed = (dirfd: number, res: number | typeof atRoot, name: string): void => {
      run.check('unlinkat', (result) => ({
        res: typeof res === 'number' ? res : res(result),
        dirfd,
        name,
        flags: '',
      }));
    };
    failed(a, ENOENT, join(dir, 'a/x'));
    failed(a, ENOENT, join(dir, 'x'));
    failed(a, atRoot, '/no-such');
    failed(plain, ENOTDIR, join(dir, 'plain/x'));
    failed(77, EBADF, 'x');
    failed(-1, EBADF, 'x');
    run.end();
  });

  test('across mounts, in another root, and in a directory that is gone', async () => {
    const { dir } = suite;
    mkdirSync(join(dir, 'mnt'));
    mkdirSync(join(dir, 'jail/in'), { recursive: true });
    mkdirSync(join(dir, 'lost'));
    const run = await suite.run(
      PRIVATE_MOUNTS,
      ['mount', 'none', join(dir, 'mnt'), 'tmpfs', 0, '-', 'mkdir', join(dir, 'mnt/sub')],
      ['cd', join(dir, 'mnt/sub')],
      call('unlink', text('x')),
      call('unlink', text('../../x')),
      ['cd', join(dir, 'lost')],
      call('rmdir', text(join(dir, 'lost'))),
      call('unlink', text('x')),
      ['cd', join(dir, 'jail/in'), 'chroot', join(dir, 'jail')],
      call('unlink', text('x')),
      call('unlink', text('/in/x')),
    );
    run.result('rmdir');
    checkUnlink(run, ENOENT, 'x', join(dir, 'mnt/sub/x'));
    checkUnlink(run, ENOENT, '../../x', join(dir, 'x'));
    checkUnlink(run, ENOENT, 'x', join(dir, 'lost/x'));
    checkUnlink(run, ENOENT, 'x', '/in/x');
    checkUnlink(run, ENOENT, '/in/x', '/in/x');
  });

  test('names that are no text', async () => {
    const { dir } = suite;
    const hostile = Buffer.from('\nline\x1b[31m\xff\xfe\t', 'latin1');
    const shown = '\nline\u001b[31m\udcff\udcfe\t';
    const run = await suite.run(
      call('mkdir', text(Buffer.concat([Buffer.from(`${dir}/`), hostile])), 0o755),
      ['cd', dir],
      call('chdir', text(hostile)),
      call('unlink', text(hostile)),
      call('unlink', text('é-\u{1f600}')),
    );
    run.check('mkdir', { res: 0, path: join(dir, shown), mode: 0o755 });
    const event = checkUnlink(run, ENOENT, shown, join(dir, shown, shown));
    assert.equal(flagsOf(event), 0);
    checkUnlink(run, ENOENT, 'é-\u{1f600}', join(dir, shown, 'é-\u{1f600}'));
    run.end();
  });

  test('what cannot be read, what is not there, and what is too long', async () => {
    const { dir } = suite;
    const longest = '/'.repeat(PATH_MAX - 2) + 'x';
    const long = `/${'./'.repeat(PATH_MAX)}`;
    const run = await suite.run(
      ['cd', dir],
      call('unlink', 1),
      call('unlink', 'n'),
      call('unlink', '0xffff888000000000'),
      call('unlink', text('')),
      call('unlink', text(longest)),
      call('unlink', text(`${longest}x`)),
      call('unlink', text(long)),
      call('rename', 1, text('x')),
      call('rename', text('x'), 1),
    );
    const seen = (res: number | typeof atRoot, path: string | undefined, flags: number): void => {
      const event = run.check('unlink', (result) => ({
        res: typeof res === 'number' ? res : res(result),
        path,
      }));
      assert.equal(flagsOf(event), flags);
    };
    seen(EFAULT, undefined, RECORD_FLAGS.RAW_UNREADABLE);
    seen(EFAULT, undefined, RECORD_FLAGS.RAW_UNREADABLE);
    seen(EFAULT, undefined, RECORD_FLAGS.RAW_UNREADABLE);
    seen(ENOENT, dir, 0);
    // 4095 bytes and a NUL are the longest path there is, and whole
    seen(atRoot, '/x', 0);
    seen(ENAMETOOLONG, longest, RECORD_FLAGS.RAW_TRUNCATED);
    seen(ENAMETOOLONG, long.slice(0, PATH_MAX - 1), RECORD_FLAGS.RAW_TRUNCATED);
    run.check('rename', { res: EFAULT, oldpath: undefined, newpath: join(dir, 'x') });
    run.check('rename', { res: EFAULT, oldpath: join(dir, 'x'), newpath: undefined });
    run.end();
  });

  test('by way of the caller’s own descriptors and working directory', async () => {
    const { dir } = suite;
    const at = (name: string): string => join(dir, name);
    mkdirSync(at('there'));
    writeFileSync(at('there/secret'), '');
    // The guests of test/vm have no such link.
    const devices = existsSync('/dev/fd') ? '/dev/fd' : '/proc/self/fd';
    const link = (from: string, to: string) =>
      call('linkat', AT_FDCWD, text(from), AT_FDCWD, text(to), AT_SYMLINK_FOLLOW);
    const run = await suite.run(
      call('chdir', text(at('there'))),
      callFd('openat', AT_FDCWD, text('.'), O_PATH, 0),
      call('dup2', '@', 70),
      callFd('openat', AT_FDCWD, text('secret'), O_PATH, 0),
      call('dup2', '@', 321),
      link('/proc/self/fd/321', at('first')),
      link(`${devices}/321`, at('second')),
      link('/proc/thread-self/cwd/secret', '/proc/self/fd/70/c'),
      link('/proc/self/cwd/../there/./secret', 'd'),
      call('unlink', text('/proc/self/fd/70/../first')),
      call('rename', text('/proc/thread-self/fd/70/d'), text('/proc/self/cwd/e')),
      call('unlinkat', '@', text('/proc/self/cwd/e'), 0),
      call('mkdir', text('/proc/self/cwd'), 0o755),
      // Not looked up: numbers that are none, another spelling, no such descriptor.
      call('unlink', text('/proc/self/fd/70x/c')),
      call('unlink', text('/proc/self/fd/')),
      call('unlink', text('/proc/self//fd/70/none')),
      call('unlink', text('/proc/self/fd/99/c')),
      call('unlink', text('/proc/self/fd/000000070/c')),
      call('unlink', text('/proc/self/cwdx')),
    );
    const secret = at('there/secret');
    const ends = { olddir: 'AT_FDCWD', newdir: 'AT_FDCWD', flags: 'AT_SYMLINK_FOLLOW' };
    for (const name of ['first', 'second', 'there/c', 'there/d'])
      run.check('linkat', { res: 0, oldpath: secret, newpath: at(name), ...ends });
    run.check('unlink', { res: 0, path: at('first') });
    run.check('rename', { res: 0, oldpath: at('there/d'), newpath: at('there/e') });
    run.check('unlinkat', ({ args }) => ({
      res: 0,
      dirfd: Number(args[0]),
      name: at('there/e'),
      flags: '',
    }));
    run.check('mkdir', { res: EEXIST, path: at('there'), mode: 0o755 });
    for (const path of ['fd/70x/c', 'fd', 'fd/70/none', 'fd/99/c', 'fd/000000070/c', 'cwdx'])
      run.check('unlink', ({ ret }) => ({ res: ret, path: `/proc/self/${path}` }));
    run.end();
  });

  test('a long path in a long directory', async () => {
    const { dir } = suite;
    const part = 'd'.repeat(250);
    const down = Array.from({ length: 14 }, () => [
      call('mkdir', text(part), 0o755),
      call('chdir', text(part)),
    ]).flat();
    const name = 'x'.repeat(255);
    const path = `${`./`.repeat((PATH_MAX - 256) / 2)}${name}`.slice(-(PATH_MAX - 1));
    const run = await suite.run(['cd', dir], ...down, call('unlink', text(path)));
    for (let depth = 0; depth < 14; depth++) run.take('mkdir');
    const [event, result] = run.take('unlink');
    assert.equal(result.ret, ENOENT);
    assert.equal(path.length, PATH_MAX - 1);
    assert.equal(event.call?.text(1), path);
    assert.equal(event.param('path'), join(dir, ...Array.from({ length: 14 }, () => part), name));
    assert.equal(event.call.textTruncated, false);
    run.end();
  });
});
