import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { OwnFolder, ownerIn, secretIn, TakenError } from '../../../src/host/own-folder.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { lacks } from '../../support/needs.ts';

let home: string;
let path: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'varvel-own-folder-'));
  path = join(home, 'folder');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const startOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ')[19] ?? '';

test('who runs has the folder; who has ended has not, also as a zombie that nobody waits for', async () => {
  const folder = OwnFolder.open(path);
  // Its child becomes a zombie: a shell that has become another program waits for nobody.
  const parent = spawn('sh', ['-c', 'sleep 600 & echo $!; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [chunk] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(chunk.toString());
    // Until then it is a shell, which would wait for its child.
    while (readFileSync(`/proc/${parent.pid}/comm`, 'latin1') !== 'sleep\n')
      await new Promise((resolve) => setImmediate(resolve));
    symlinkSync(`${pid} ${startOf(pid)} secret`, join(path, 'owner'));
    assert.equal(ownerIn(path), pid);
    assert.throws(() => folder.claim(), TakenError);
    process.kill(pid, 'SIGKILL');
    while (!readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z '))
      await new Promise((resolve) => setImmediate(resolve));
    assert.equal(ownerIn(path), undefined);
    folder.claim();
    assert.equal(ownerIn(path), process.pid);
  } finally {
    parent.kill('SIGKILL');
    folder.close();
  }
  assert.throws(() => lstatSync(join(path, 'owner')), /ENOENT/);
});

test('the claim works on a full disk, and has a secret for who can read the folder', (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk();
  const folder = OwnFolder.open(join(disk.path, 'folder'));
  disk.fill();
  const secret = folder.claim();
  assert.match(secret, /^[\w-]{22}$/);
  assert.equal(secretIn(folder.inside), secret);
  assert.notEqual(folder.claim(), secret, 'each claim has its own');
  folder.close();
});

test('a claim that an earlier version wrote as a file counts; a folder in its place does not', () => {
  const folder = OwnFolder.open(path);
  writeFileSync(join(path, 'owner'), `1 ${startOf(1)}`);
  assert.deepEqual([ownerIn(path), secretIn(path)], [1, undefined]);
  rmSync(join(path, 'owner'));
  mkdirSync(join(path, 'owner', 'x'), { recursive: true });
  folder.claim();
  assert.equal(ownerIn(path), process.pid);
  folder.close();
});

test('what is no folder of this process is set aside where that is asked for, and nowhere followed', () => {
  const elsewhere = join(home, 'elsewhere');
  mkdirSync(elsewhere, { mode: 0o700 });
  const makes: (() => void)[] = [
    () => symlinkSync(elsewhere, path),
    () => symlinkSync(join(home, 'nowhere'), path),
    () => writeFileSync(path, ''),
    () => {
      mkdirSync(path);
      chmodSync(path, 0o777);
    },
  ];
  for (const make of makes) {
    make();
    assert.throws(() => OwnFolder.open(path));
    const { folder, setAside } = OwnFolder.openOrSetAside(path);
    assert.ok(setAside);
    assert.ok(lstatSync(path).isDirectory());
    lstatSync(`${path}.damaged`);
    folder.close();
    rmSync(path, { recursive: true });
  }
  const { folder, setAside } = OwnFolder.openOrSetAside(path);
  assert.equal(setAside, false);
  folder.close();
});
