// Digests of files that a container chose: only where reading them cannot wait for the container.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Evidence } from '../../src/agent/evidence.ts';
import { FileDigests } from '../../src/agent/file-digests.ts';
import { TICK_NS } from '../../src/context/proc-reader.ts';
import { digestOf, reasonAgainst } from '../../src/host/file-digest.ts';
import { makeFile, makeProcess } from '../support/rules-subject.ts';
import type { Detection } from '../../src/rules/detection.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';
import { detection } from '../unit/responses/responder-fixture.ts';
import { deliveryOf } from '../unit/streams/delivery-fixture.ts';

const O_PATH = 0o10000000;
const folder = temporaryFolder('varvel-digest-');
const mounted: string[] = [];
after(() => mounted.forEach((path) => execFileSync('umount', ['-l', path])));

function mount(name: string, ...args: readonly string[]): string {
  const path = join(folder, name);
  mkdirSync(path);
  execFileSync('mount', [...args, path]);
  mounted.push(path);
  return path;
}
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const always = { maxBytes: 1 << 20, isWanted: () => true };

async function digest(path: string, options = always, state?: Parameters<typeof digestOf>[2]) {
  const fd = openSync(path, O_PATH);
  try {
    return await digestOf(fd, options, state);
  } finally {
    closeSync(fd);
  }
}

test('the whole of a regular file that is no larger than the limit, and of the one that is meant', async () => {
  const file = join(folder, 'file');
  const text = 'x'.repeat(300_000);
  writeFileSync(file, text);
  const found = { sha256: sha256(text), bytes: text.length };
  assert.deepEqual(await digest(file), found);
  assert.deepEqual(await digest(file, { ...always, maxBytes: text.length }), found);
  assert.equal(
    await digest(file, { ...always, maxBytes: text.length - 1 }),
    '300000 bytes, more than 299999',
  );
  const { ino, ctimeNs } = statSync(file, { bigint: true });
  const state = { ino: Number(ino), changedNs: ctimeNs };
  assert.deepEqual(await digest(file, always, state), found);
  for (const other of [
    { ...state, ino: state.ino + 1 },
    { ...state, changedNs: ctimeNs + 1n },
  ])
    assert.equal(await digest(file, always, other), 'it is another file by now');
  assert.equal(await digest('/dev/zero'), 'no regular file');
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  assert.equal(await digest(join(folder, 'fifo')), 'no regular file');
  let chunks = 0;
  assert.equal(await digest(file, { ...always, isWanted: () => ++chunks < 3 }), undefined);
});

test('on file systems that answer by themselves, in memory, and on overlays that the host has mounted', async () => {
  const layers = mount('layers', '-t', 'tmpfs', 'none');
  for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(layers, name));
  writeFileSync(join(layers, 'lower', 'file'), 'x');
  const layered = join(layers, 'merged');
  execFileSync('mount', [
    '-t',
    'overlay',
    'none',
    '-o',
    `lowerdir=${layers}/lower,upperdir=${layers}/upper,workdir=${layers}/work`,
    layered,
  ]);
  mounted.unshift(layered);
  const of = async (path: string, hosts: readonly number[]): Promise<string | undefined> => {
    const [fd, mounts] = [openSync(path, O_PATH), openSync('/proc/self/mountinfo', 'r')];
    try {
      return await reasonAgainst(fd, mounts, hosts);
    } finally {
      for (const one of [fd, mounts]) closeSync(one);
    }
  };
  assert.equal(await of(join(layers, 'lower', 'file'), []), undefined);
  assert.equal(await of(join(layered, 'file'), [process.pid]), undefined);
  // The last has no such mount: as where a container has made the overlay itself, of a file system of its own.
  const other = spawn('unshare', [
    '-m',
    'sh',
    '-c',
    `umount ${layered} && echo ready && read -r line`,
  ]);
  await once(other.stdout, 'data');
  for (const hosts of [[], [2 ** 22], [other.pid!]])
    assert.equal(
      await of(join(layered, 'file'), hosts),
      'its overlay is not one of the container runtime',
    );
  other.kill();
  assert.equal(await of('/proc/self/status', [process.pid]), 'a file system proc may never answer');
  const memory = spawn('python3', [
    '-c',
    'import os, sys; fd = os.memfd_create("x"); os.dup2(fd, 9); print("ready", flush=True); sys.stdin.read()',
  ]);
  await once(memory.stdout, 'data');
  assert.equal(await of(`/proc/${memory.pid}/fd/9`, []), undefined);
  memory.kill();
});

test('a file below the root of the first process that is there', async () => {
  const digests = new FileDigests(() => 0);
  const file = join(folder, 'below');
  writeFileSync(file, 'below');
  symlinkSync(file, join(folder, 'link'));
  const { ino } = statSync(file);
  const of = async (path: string, pids: readonly number[], inode = ino) => {
    const job = digests.ofPath(path, pids, { ino: inode }, [process.pid]);
    await job.ended;
    return job.result;
  };
  const found = { sha256: sha256('below'), bytes: 5 };
  const gone = 2 ** 22;
  assert.deepEqual(await of(file, [0, gone, process.pid]), found);
  assert.deepEqual(await of(join(folder, 'link'), [process.pid]), found);
  assert.equal(await of(file, [0, gone]), 'no process of the container is left');
  assert.equal(await of(file, [process.pid], ino + 1), 'it is another file by now');
  assert.equal(await of(file, [process.pid], 0), 'its inode is not known');
  assert.equal(await of(join(folder, 'none'), [process.pid]), 'ENOENT');
});

test('evidence of a refused open has the file that was to be opened, or says that it is another by now', async () => {
  const path = join(folder, 'key.pem');
  writeFileSync(path, 'key');
  const { ino } = statSync(path);
  const fieldsOf = async (inode: number) => {
    const said: Detection[] = [];
    const evidence = new Evidence({ nowMs: () => 0, say: (line) => said.push(line) });
    const startTicks = Number(
      readFileSync('/proc/self/stat', 'latin1').split(') ').at(-1)!.split(' ')[19],
    );
    const one = detection({
      process: makeProcess({ pid: process.pid, startBootNs: BigInt(startTicks) * TICK_NS }),
      denied: 'file',
      file: makeFile(path, { ino: inode }),
    });
    evidence.after(one, [
      { name: 'deny', outcome: 'prevented', guarantee: 'before the effect', denied: 'file' },
    ]);
    evidence.onNumbered(deliveryOf({ eventNum: one.eventNum, rule: one.matched.name }));
    await until('its file was read', () => said.length > 0);
    return said[0]!.outputFields;
  };
  const fields = await fieldsOf(ino);
  assert.equal(fields['evidence.file'], path);
  assert.equal(fields['evidence.file_sha256'], sha256('key'));
  assert.equal(fields['evidence.file_bytes'], 3);
  assert.match(String(fields['evidence.exe_sha256']), /^[0-9a-f]{64}$/);
  assert.equal(fields['evidence.missing'], null);
  const others = await fieldsOf(ino + 1);
  assert.equal(others['evidence.file_sha256'], null);
  assert.deepEqual(others['evidence.missing'], ['sha256 of the file: it is another file by now']);
});

test('at most so much a minute, and nothing that is given up', async () => {
  const time = { ms: 0 };
  const digests = new FileDigests(() => time.ms);
  const large = join(mount('large', '-t', 'tmpfs', 'none'), 'file');
  writeFileSync(large, '');
  truncateSync(large, 128 * 1024 * 1024);
  const of = () =>
    digests.ofOpen(
      { file: openSync(large, O_PATH), mounts: openSync('/proc/self/mountinfo', 'r') },
      [],
    );
  const open = openSync('/dev/null', 'r');
  closeSync(open);
  const givenUp = of();
  givenUp.giveUp();
  const jobs = Array.from({ length: 5 }, of);
  await jobs.at(-1)!.ended;
  assert.equal(givenUp.result, undefined);
  assert.deepEqual(
    jobs.map(({ result }) => typeof result),
    ['object', 'object', 'object', 'object', 'string'],
  );
  assert.equal(jobs.at(-1)!.result, 'enough was read in this minute');
  time.ms = 60_000;
  const later = of();
  await later.ended;
  assert.equal(typeof later.result, 'object');
  const many = Array.from({ length: 17 }, of);
  many.forEach((job) => job.giveUp());
  await Promise.all(many.map(({ ended }) => ended));
  assert.equal(many[16]!.result, 'too many wait');
  const next = openSync('/dev/null', 'r');
  closeSync(next);
  assert.equal(next, open, 'no descriptor is left');
});
