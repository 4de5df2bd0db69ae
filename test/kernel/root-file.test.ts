import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openInRoot, readInRoot, type LoaderError } from 'ebpf-loader-napi';

/** Every file below the container's root is the container's choice. */
describe('files below a root that an enemy fills', () => {
  let outside: string;
  let root: string;
  before(() => {
    outside = mkdtempSync(join(tmpdir(), 'varvel-root-'));
    root = join(outside, 'root');
    mkdirSync(join(root, 'etc/dir'), { recursive: true });
    writeFileSync(join(outside, 'secret'), 'of the host');
    writeFileSync(join(root, 'secret'), 'of the container');
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0\n');
    symlinkSync('/secret', join(root, 'absolute'));
    symlinkSync('../../../secret', join(root, 'etc/relative'));
    symlinkSync('/etc', join(root, 'dirlink'));
    symlinkSync('loop', join(root, 'loop'));
    symlinkSync('/proc/self/root/etc/hostname', join(root, 'magic'));
    execFileSync('mkfifo', [join(root, 'fifo')]);
    execFileSync('mknod', [join(root, 'null'), 'c', '1', '3']);
  });
  after(() => rmSync(outside, { recursive: true, force: true }));

  const read = (file: string, symlinks = false, maxBytes = 100, from = root): string =>
    readInRoot(from, file, maxBytes, { symlinks }).toString();
  const fails = (code: string, file: string, symlinks: boolean, from = root): void => {
    assert.throws(
      () => openInRoot(from, file, { symlinks }),
      (error: LoaderError) =>
        error instanceof Error && error.code === code && error.operation.startsWith('open '),
      `${file} should fail with ${code}`,
    );
  };

  test('plain files, with and without a leading slash', () => {
    assert.equal(read('etc/passwd'), 'root:x:0:0\n');
    assert.equal(read('/etc/passwd'), 'root:x:0:0\n');
    assert.equal(read('/etc/../etc/./passwd'), 'root:x:0:0\n');
  });

  test('the root cannot be left upwards', () => {
    assert.equal(read('../secret'), 'of the container');
    assert.equal(read('/../../../../../../secret'), 'of the container');
    assert.equal(read('etc/../../secret'), 'of the container');
  });

  test('symlinks: refused, or resolved inside the root', () => {
    for (const file of ['absolute', 'etc/relative', 'dirlink/passwd', 'loop'])
      fails('ELOOP', file, false);
    assert.equal(read('absolute', true), 'of the container');
    assert.equal(read('etc/relative', true), 'of the container');
    assert.equal(read('dirlink/passwd', true), 'root:x:0:0\n');
    fails('ELOOP', 'loop', true);
    fails('ENOENT', 'magic', true);
  });

  test('no magic link, and no other mount', () => {
    fails('ELOOP', 'self/root/etc/hostname', true, '/proc');
    fails('ELOOP', `${process.pid}/exe`, true, '/proc');
    fails('EXDEV', 'proc/version', true, '/');
  });

  test('only regular files, and opening one never waits', () => {
    for (const file of ['fifo', 'null', 'etc/dir', 'etc', '/', '.']) fails('EINVAL', file, true);
    fails('ENOENT', 'etc/nothing', true);
    fails('ENOENT', '', true);
    fails('ENOTDIR', 'etc/passwd/x', true);
    fails('ENOENT', 'x', true, join(outside, 'nowhere'));
    fails('ENOTDIR', 'x', true, join(outside, 'secret'));
  });

  test('what is no regular file is not opened at all: no pipe and no device notices', async () => {
    // Opening a watchdog starts it, opening a tape rewinds it. A pipe tells: its writer waits for a reader.
    const writer = spawn('sh', ['-c', 'echo waits; exec 3> "$0"; echo opened', join(root, 'fifo')]);
    let said = '';
    writer.stdout.on('data', (text: Buffer) => (said += text.toString()));
    while (said === '') await delay(5);
    await delay(100);
    fails('EINVAL', 'fifo', false);
    await delay(200);
    assert.equal(said, 'waits\n');
    writer.kill();
    await once(writer, 'close');
  });

  test('at most so many bytes', () => {
    const big = Buffer.alloc(100_000, 'x');
    writeFileSync(join(root, 'big'), big);
    assert.equal(readInRoot(root, 'big', 10).toString(), 'xxxxxxxxxx');
    assert.equal(readInRoot(root, 'big', 0).length, 0);
    assert.ok(readInRoot(root, 'big', 1 << 20).equals(big));
    writeFileSync(join(root, 'empty'), '');
    assert.equal(readInRoot(root, 'empty', 10).length, 0);
    // A file whose size says 0 is read to its end all the same.
    assert.equal(readInRoot('/proc', 'self/../version', 5, { symlinks: true }).toString(), 'Linux');
  });

  test('the descriptor is the caller’s, read-only and not inherited; none is lost on the way', () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    const fd = openInRoot(root, 'secret');
    try {
      assert.equal(readlinkSync(`/proc/self/fd/${fd}`), join(root, 'secret'));
      const info = execFileSync('cat', [`/proc/${process.pid}/fdinfo/${fd}`], { encoding: 'utf8' });
      const flags = parseInt(/flags:\s*(\d+)/.exec(info)?.[1] ?? '', 8);
      assert.equal(flags & 3, 0);
      assert.equal(flags & 0o2000000, 0o2000000);
      const buffer = Buffer.alloc(5);
      assert.equal(readSync(fd, buffer), 5);
    } finally {
      closeSync(fd);
    }
    for (let i = 0; i < 50; i++) {
      for (const file of ['secret', 'fifo', 'etc', 'nothing', 'loop']) {
        try {
          read(file, true);
        } catch {
          // the descriptors count here
        }
      }
    }
    assert.equal(count(), before);
  });

  test('a path that is swapped while it is walked never leads out', () => {
    // An exchange of a directory with a symlink that points outside: every read is the container's or an error.
    mkdirSync(join(root, 'swap'));
    linkSync(join(root, 'secret'), join(root, 'swap/secret'));
    symlinkSync(outside, join(root, 'trap'));
    for (let i = 0; i < 200; i++) {
      const [from, to] = i % 2 === 0 ? ['trap', 'here'] : ['here', 'trap'];
      renameSync(join(root, from), join(root, to));
      for (const file of ['swap/secret', 'here/secret', 'trap/secret']) {
        try {
          assert.equal(read(file, true), 'of the container');
        } catch (error) {
          assert.equal((error as LoaderError).code, 'ENOENT');
        }
      }
    }
  });

  test('arguments of the wrong kind', () => {
    assert.throws(() => openInRoot(5 as unknown as string, 'x'), TypeError);
    assert.throws(() => readInRoot(root, Buffer.from('x') as unknown as string, 5), TypeError);
    assert.throws(() => readInRoot(root, 'secret', -1), RangeError);
    assert.throws(() => readInRoot(root, 'secret', 2 ** 40), RangeError);
    assert.throws(() => readInRoot(root, 'secret', NaN), RangeError);
  });
});
