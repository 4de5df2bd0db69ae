// What is found of files in a container's mounts: with real mounts, in a mount namespace of their own.
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ContainerLook } from '../../src/host/container-look.ts';

const SETUP = `
set -e
cd "$1"
mkdir volume twice server other layers lower upper work 'with space'
echo root > file
ln -s file link
echo hidden > single
mount -t tmpfs none volume
mkdir -p volume/deep
echo key > volume/deep/key
ln -s deep volume/link
echo once > volume/single
mount --bind volume/single single
for n in 1 2; do mount -t tmpfs none twice; echo $n > twice/key; done
mount -t tmpfs none 'with space'
echo spaced > 'with space/key'
mount -t proc none server
mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work layers
echo layer > layers/key
mkdir layers/inner
mount -t tmpfs none layers/inner
echo inner > layers/inner/key
mkfifo volume/pipe
for n in $(seq 0 69); do mkdir -p many/$n; mount --bind many/$n many/$n; echo many > many/$n/key; done
echo ready
exec sleep 600
`;

describe('files in the mounts of a container', () => {
  const folder = mkdtempSync('/run/varvel-look-');
  let container: ChildProcess;
  let look: ContainerLook;
  before(async () => {
    mkdirSync(join(folder, 'base'));
    execFileSync('mount', ['-t', 'tmpfs', 'none', join(folder, 'base')]);
    container = spawn('unshare', ['-m', 'sh', '-c', SETUP, 'sh', join(folder, 'base')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(container.stdout!, 'data');
    look = new ContainerLook(container.pid!);
  });
  after(async () => {
    look.close();
    container.kill('SIGKILL');
    await once(container, 'close');
    execFileSync('umount', ['--lazy', join(folder, 'base')]);
    rmSync(folder, { recursive: true });
  });

  const at = (name: string): string => join(folder, 'base', name);
  const read = (name: string, by = look): string | undefined => {
    const fd = by.find(at(name));
    if (fd === undefined) return undefined;
    try {
      return readFileSync(`/proc/self/fd/${fd}`, 'utf8').trim();
    } finally {
      closeSync(fd);
    }
  };
  const kindOf = (name: string): ReturnType<ContainerLook['kindOf']> => look.kindOf(at(name));

  test('of its root file system and of volumes', () => {
    assert.equal(read('file'), 'root');
    assert.equal(read('volume/deep/key'), 'key');
    assert.equal(read('with space/key'), 'spaced');
    assert.equal(read('twice/key'), '2', 'what is mounted last is what is seen');
    assert.equal(read('single'), 'once', 'a volume that is one file');
    assert.deepEqual([...look.namesIn(at('volume'), 9)].sort(), ['deep', 'link', 'pipe', 'single']);
    assert.equal(look.namesIn(at('volume'), 2).length, 2);
    assert.deepEqual(look.namesIn(at('volume/deep'), 9), ['key']);
  });

  test('no links, no directories, no pipes, nothing that is not there', () => {
    assert.equal(kindOf('volume/deep/key'), 'file');
    for (const name of ['volume', 'volume/deep', 'other']) assert.equal(kindOf(name), 'directory');
    for (const name of ['volume/pipe']) assert.equal(kindOf(name), 'other');
    for (const name of ['link', 'volume/link/key', 'volume/none', 'file/x'])
      assert.equal(kindOf(name), undefined, name);
    for (const name of ['volume/deep', 'volume/pipe', 'volume/none', 'link'])
      assert.equal(read(name), undefined, name);
    assert.deepEqual(look.namesIn(at('volume/none'), 9), []);
    assert.deepEqual(look.namesIn(at('single'), 9), []);
  });

  test('nothing of a file system that may never answer, nor of what is mounted in it', () => {
    for (const name of ['server', 'server/version', 'layers/key', 'layers/inner/key'])
      assert.equal(kindOf(name), undefined, name);
    assert.deepEqual(look.namesIn(at('server'), 9), []);
  });

  test('nothing of what was mounted in the place of a volume since it looked', () => {
    const later = new ContainerLook(container.pid!);
    try {
      const inNamespace = ['-t', String(container.pid), '-m', 'mount', '-t', 'proc', 'none'];
      execFileSync('nsenter', [...inNamespace, at('with space')]);
      assert.equal(read('with space/key'), 'spaced', 'the first one has it open');
      assert.equal(read('with space/version', later), undefined);
      assert.deepEqual(later.namesIn(at('with space'), 9), []);
      assert.equal(read('volume/deep/key', later), 'key');
    } finally {
      later.close();
    }
  });

  test('at most 64 volumes', () => {
    const many = new ContainerLook(container.pid!);
    try {
      const found = Array.from({ length: 70 }, (_, nth) => read(`many/${nth}/key`, many));
      // All of them are in another one.
      assert.deepEqual(found.slice(0, 63), Array<string>(63).fill('many'));
      assert.deepEqual(found.slice(63), Array<undefined>(7).fill(undefined));
    } finally {
      many.close();
    }
  });

  test('a process that is gone has none', () => {
    assert.throws(() => new ContainerLook(2 ** 22), { code: 'ENOENT' });
  });
});
