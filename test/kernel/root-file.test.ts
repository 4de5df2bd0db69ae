import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openInRoot, readInRoot, type LoaderError } from 'ebpf-loader-napi';
import { containerRootReader } from '../../src/host/root-reader.ts';
import { until } from '../support/until.ts';

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

  test('a directory, where one is wanted', () => {
    const fd = openInRoot(root, '/etc', { directory: true });
    try {
      assert.deepEqual(readdirSync(`/proc/self/fd/${fd}`).sort(), ['dir', 'passwd', 'relative']);
    } finally {
      closeSync(fd);
    }
    for (const [file, code] of [
      ...[
        ['secret', 'EINVAL'],
        ['fifo', 'EINVAL'],
        ['null', 'EINVAL'],
      ],
      ...[
        ['dirlink', 'ELOOP'],
        ['nothing', 'ENOENT'],
      ],
    ] as const)
      assert.throws(
        () => openInRoot(root, file, { directory: true }),
        (error: LoaderError) => error.code === code,
        file,
      );
  });

  test('arguments of the wrong kind', () => {
    assert.throws(() => openInRoot(5 as unknown as string, 'x'), TypeError);
    assert.throws(() => readInRoot(root, Buffer.from('x') as unknown as string, 5), TypeError);
    assert.throws(() => readInRoot(root, 'secret', -1), RangeError);
    assert.throws(() => readInRoot(root, 'secret', 2 ** 40), RangeError);
    assert.throws(() => readInRoot(root, 'secret', NaN), RangeError);
  });
});

/** Runs it until the test is over; resolves when it says that it is there. */
async function running(command: readonly string[]): Promise<{ pid: number; end: () => void }> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return { pid: child.pid!, end: () => child.kill('SIGKILL') };
}

test('whose root a process has: the host’s, the host’s in a mount namespace of its own, another', async () => {
  const root = mkdtempSync(join(tmpdir(), 'varvel-root-'));
  const busybox = join(root, 'busybox');
  copyFileSync('/bin/busybox', busybox);
  const wait = ['sh', '-c', 'echo here; read line'];
  const inside = ['chroot', root, '/busybox', ...wait];
  const roots = {
    host: await running([busybox, ...wait]),
    hostInside: await running(['unshare', '--mount', busybox, ...wait]),
    chroot: await running(inside),
    other: await running(['unshare', '--mount', ...inside]),
  };
  try {
    const reader = containerRootReader;
    const told = Object.entries(roots).map(([name, { pid }]) => {
      const { pid: own } = process;
      assert.equal(reader.hasContainerRoot(pid), reader.hasOtherRoot(pid, own), name);
      return [name, reader.isHostRootInside(pid), reader.hasOtherRoot(pid, own)];
    });
    assert.deepEqual(told, [
      ['host', false, false],
      ['hostInside', true, false],
      ['chroot', false, false],
      ['other', false, true],
    ]);
    assert.deepEqual(reader.filesIn(roots.other.pid, 'root', ['/none'], 9), [undefined]);
    assert.equal(reader.filesIn(2 ** 22 + 1, 'root', ['/none'], 9), undefined);
    assert.equal(reader.hasOtherRoot(roots.other.pid, roots.other.pid), false);
    assert.equal(
      reader.hasOtherRoot(roots.other.pid, 2 ** 22 + 1),
      false,
      'there is no such process',
    );
  } finally {
    for (const { end } of Object.values(roots)) end();
    rmSync(root, { recursive: true, force: true });
  }
});

test('files of one directory are of one directory, also while the process goes to another', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-root-'));
  const make =
    'for x in a b; do mkdir $x; mount -t tmpfs none $x; echo $x > $x/one; echo $x > $x/two; done';
  const script = `cd "$1"; ${make}; echo here; while :; do cd "$1/a"; cd /; cd "$1/b"; done`;
  const { pid, end } = await running(['unshare', '--mount', 'sh', '-c', script, 'sh', folder]);
  const seen = new Set<string>();
  try {
    const paths = ['/one', '/none', '/two'];
    await until('it was seen in both, and between', () => {
      const files = containerRootReader.filesIn(pid, 'mounted directory', paths, 9);
      seen.add(String(files?.map((file) => file?.toString().trim())));
      return Promise.resolve(seen.size >= 3);
    });
    for (let n = 0; n < 2000; n++) {
      const files = containerRootReader.filesIn(pid, 'mounted directory', paths, 9);
      seen.add(String(files?.map((file) => file?.toString().trim())));
    }
    assert.deepEqual([...seen].sort(), ['a,,a', 'b,,b', 'undefined']);
  } finally {
    end();
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a container’s own file: whole, of nobody else, and when anything on the way to it changed last', async () => {
  const root = mkdtempSync(join(tmpdir(), 'varvel-root-'));
  copyFileSync('/bin/busybox', join(root, 'busybox'));
  mkdirSync(join(root, 'a/b'), { recursive: true });
  writeFileSync(join(root, 'a/b/file'), 'text');
  symlinkSync('/a/b/file', join(root, 'link'));
  symlinkSync('/a/b', join(root, 'folder'));
  symlinkSync('/a/nothing', join(root, 'broken'));
  symlinkSync('/proc/1/environ', join(root, 'magic'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  for (const folder of ['mounted', 'below']) mkdirSync(join(root, folder));
  writeFileSync(join(root, 'below/file'), 'below');
  const mounts = `mount -t tmpfs none ${root}/mounted && echo volume > ${root}/mounted/file && mount --bind ${root}/a/b ${root}/below`;
  const { pid, end } = await running([
    ...['unshare', '--mount', 'sh', '-c'],
    `${mounts} && exec chroot ${root} /busybox sh -c 'echo here; read line'`,
  ]);
  try {
    const own = (path: string, maxBytes = 100) =>
      containerRootReader.readOwnFile(pid, path, maxBytes);
    const changed = (path: string): bigint => statSync(join(root, path), { bigint: true }).ctimeNs;
    const found = own('/a/b/file');
    assert.ok(typeof found === 'object');
    assert.equal(found.bytes.toString(), 'text');
    const all = ['a/b/file', 'a/b', 'a'].map(changed);
    assert.equal(
      found.changedNs,
      all.reduce((most, one) => (one > most ? one : most)),
    );
    for (const [touched, newest] of [
      ['a/b/other', 'a/b'],
      ['a/other', 'a'],
      // In the root the runtime itself makes places for mounts.
      ['other', 'a'],
      ['a/b/file', 'a/b/file'],
    ] as const) {
      await delay(20);
      writeFileSync(join(root, touched), 'text');
      const now = own('/a/b/file');
      assert.ok(typeof now === 'object');
      assert.equal(now.changedNs, changed(newest), touched);
    }
    assert.equal(own('/a/b/file', 3), 'too large');
    assert.ok(typeof own('/a/b/file', 4) === 'object');
    for (const path of ['/link', '/folder/file']) assert.equal(own(path), 'link', path);
    for (const path of ['/fifo', '/a', '/']) assert.equal(own(path), 'no file', path);
    for (const path of [
      '/magic',
      '/broken',
      '/nothing',
      '/a/b/file/x',
      '/mounted/file',
      '/below/file',
    ])
      assert.equal(own(path), undefined, path);
    assert.equal(containerRootReader.readOwnFile(2 ** 22 + 1, '/a/b/file', 9), undefined);
    assert.deepEqual([...containerRootReader.namesIn(pid, '/a', 10)].sort(), ['b', 'other']);
    assert.equal(containerRootReader.namesIn(pid, '/', 2).length, 2);
    for (const path of ['/folder', '/mounted', '/nothing', '/link'])
      assert.deepEqual(containerRootReader.namesIn(pid, path, 10), [], path);
  } finally {
    end();
    rmSync(root, { recursive: true, force: true });
  }
});

test('a folder that was put in the place of one in the root has changed then, on an overlay too', async () => {
  const root = mkdtempSync(join(tmpdir(), 'varvel-root-'));
  mkdirSync(join(root, 'lower/mine/varvel'), { recursive: true });
  for (const folder of ['layers', 'merged']) mkdirSync(join(root, folder));
  writeFileSync(join(root, 'lower/mine/varvel/file'), 'image');
  copyFileSync('/bin/busybox', join(root, 'lower/busybox'));
  const layers = join(root, 'layers');
  const mounts = [
    `mount -t tmpfs none ${layers} && mkdir ${layers}/upper ${layers}/work`,
    `mount -t overlay -o lowerdir=${root}/lower,upperdir=${layers}/upper,workdir=${layers}/work none ${root}/merged`,
  ];
  const { pid, end } = await running([
    ...['unshare', '--mount', 'sh', '-c'],
    `${mounts.join(' && ')} && exec chroot ${root}/merged /busybox sh -c 'echo here; read line'`,
  ]);
  try {
    const inside = (path: string): string => `/proc/${pid}/root/${path}`;
    const own = (path: string) => {
      const found = containerRootReader.readOwnFile(pid, path, 100);
      assert.ok(typeof found === 'object', path);
      return found;
    };
    const image = own('/mine/varvel/file');
    mkdirSync(inside('other/varvel'), { recursive: true });
    writeFileSync(inside('other/varvel/file'), 'other');
    const written = own('/other/varvel/file');
    await delay(50);
    execFileSync('mv', [inside('mine'), inside('old')]);
    renameSync(inside('other'), inside('mine'));
    const moved = own('/mine/varvel/file');
    assert.deepEqual([image.bytes.toString(), moved.bytes.toString()], ['image', 'other']);
    assert.ok(moved.changedNs > written.changedNs + 30_000_000n);
    assert.equal(moved.changedNs, statSync(inside('mine'), { bigint: true }).ctimeNs);
  } finally {
    end();
    rmSync(root, { recursive: true, force: true });
  }
});
