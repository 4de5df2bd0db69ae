import assert from 'node:assert/strict';
import {
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FILE_FLAGS, OPEN } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { assertOpenFile, PRIVATE_MOUNTS } from '../support/kernel-file-facts.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import { raw, type Step, type StepResult } from '../support/kernel-process.ts';

const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
const O_PATH = 0o10000000;
const O_TMPFILE = 0o20200000;
const AT_FDCWD = -100;
const MS_BIND = 4096;
const ENAMETOOLONG = -36;

describe('paths of opens', () => {
  let probe: KernelProbe;
  let dir: string;
  before(() => {
    probe = new KernelProbe();
    dir = mkdtempSync(join(tmpdir(), 'varvel-open-'));
    mkdirSync(join(dir, 'sub'));
    writeFileSync(join(dir, 'file'), 'text', { mode: 0o640 });
    writeFileSync(join(dir, 'sub', 'inner'), 'text');
    symlinkSync('file', join(dir, 'link'));
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test('paths: relative, dots, symlinks, O_PATH, O_TMPFILE', async () => {
    const steps: Step[] = [
      ...['cd', dir, 'openat', AT_FDCWD, 'sub/../sub/./inner', O_RDONLY, 0],
      ...['openat', AT_FDCWD, 'link', O_RDONLY, 0],
      ...['openat', AT_FDCWD, './link', O_PATH | O_NOFOLLOW, 0],
      ...['openat', AT_FDCWD, 'file', O_PATH | O_RDWR, 0],
      ...['openat', AT_FDCWD, 'sub', O_RDONLY, 0],
      ...['openat', AT_FDCWD, '.', O_TMPFILE | O_RDWR, 0o600],
      ...['openat', AT_FDCWD, '/', O_RDONLY, 0],
    ];
    const running = await probe.run(probe.mkdir('paths'), steps);
    const of = (rawPath: string): WireEvent => probe.openOf(running.pid, rawPath);
    const stat = (nth: number): StepResult => running.result('openat', nth);
    assertOpenFile(of('sub/../sub/./inner'), stat(0), { path: join(dir, 'sub/inner') });
    assertOpenFile(of('link'), stat(1), { path: join(dir, 'file') });
    assertOpenFile(of('./link'), stat(2), { path: join(dir, 'link') });
    const { forRead, forWrite } = of('file').open!;
    assert.deepEqual({ forRead, forWrite }, { forRead: false, forWrite: false });
    assert.equal(of('sub').open?.directory, true);
    const temporary = of('.');
    assert.equal(temporary.open?.file?.unlinked, true);
    assert.equal(temporary.open.file.ino, stat(5).ino);
    assert.equal(
      temporary.open.directory,
      false,
      'O_TMPFILE makes a file, though it holds O_DIRECTORY',
    );
    assert.equal(temporary.open.forWrite, true);
    assert.equal(temporary.open.mode, 0o600);
    assertOpenFile(of('/'), stat(6), { path: '/' });
  });

  test('a file without a name, and one that never had one', async () => {
    const gone = join(dir, 'gone');
    const running = await probe.run(probe.mkdir('nameless'), [
      ...['openat', AT_FDCWD, gone, O_RDWR | O_CREAT, 0o644, 'unlink', gone],
      ...['openat', AT_FDCWD, '/proc/self/fd/3', O_RDONLY, 0],
      ...['memfd', 'payload', '/bin/true', 'openat', AT_FDCWD, '/proc/self/fd/5', O_RDONLY, 0],
    ]);
    assert.deepEqual([running.result('openat').ret, running.result('memfd').ret], [3, 5]);
    assertOpenFile(probe.openOf(running.pid, '/proc/self/fd/3'), running.result('openat', 1), {
      path: gone,
      unlinked: true,
    });
    const memfd = probe.openOf(running.pid, '/proc/self/fd/5');
    assertOpenFile(memfd, running.result('openat', 2), {
      path: 'memfd:payload',
      memfd: true,
      detached: true,
    });
  });

  test('names with newline, ESC, quotes and invalid UTF-8 arrive byte for byte, and as harmless text', async () => {
    const parent = `${dir}/a\nb\u001b[31m"'[FALCO`;
    mkdirSync(parent);
    const path = Buffer.concat([Buffer.from(`${parent}/0]é`), Buffer.from([0xff, 0xc3])]);
    const running = await probe.run(probe.mkdir('hostile'), ['creat', raw(path), 0o644]);
    const event = probe.theEvent(running.pid, 'creat');
    const rawAt = event.at + OPEN.end;
    const length = event.records.short(event.at + OPEN.raw_len);
    assert.deepEqual(event.records.bytes.subarray(rawAt, rawAt + length), path);
    const pathLength = event.records.short(event.at + OPEN.path_len);
    assert.deepEqual(
      event.records.bytes.subarray(rawAt + length, rawAt + length + pathLength),
      path,
    );
    const text = `${dir}/a\nb\u001b[31m"'[FALCO/0]é\udcff\udcc3`;
    assert.equal(event.open?.rawPath, text);
    assert.equal(event.open.file?.path, text);
  });

  test('the longest path that a call can take, and one byte more', async () => {
    const longest = '/'.repeat(4095 - 'etc/passwd'.length) + 'etc/passwd';
    const running = await probe.run(probe.mkdir('long'), [
      'open',
      longest,
      O_RDONLY,
      0,
      'openat',
      AT_FDCWD,
      `/${longest}`,
      O_RDONLY,
      0,
    ]);
    const whole = probe.theEvent(running.pid, 'open');
    assert.equal(whole.open?.rawPath, longest);
    assert.equal(whole.open.rawPathTruncated, false);
    assertOpenFile(whole, running.result('open'), { path: '/etc/passwd' });
    const cut = probe.theEvent(running.pid, 'openat');
    assert.equal(cut.result, ENAMETOOLONG);
    assert.equal(cut.open?.rawPath, `/${longest}`.slice(0, 4095));
    assert.equal(cut.open.rawPathTruncated, true);
  });

  test('the longest path that the kernel file can have whole: 4095 bytes; longer ones keep their end', async () => {
    const component = 'c'.repeat(255);
    const fits = 'f'.repeat(254);
    const exceeds = 'g'.repeat(255);
    const steps: Step[] = [
      ...PRIVATE_MOUNTS,
      'mount',
      'none',
      dir,
      'tmpfs',
      0,
      '-',
      'chroot',
      dir,
      'cd',
      '/',
    ];
    for (let i = 0; i < 15; i++) steps.push('mkdir', component, 'cd', component);
    const running = await probe.run(probe.mkdir('deepest'), [
      ...steps,
      'creat',
      fits,
      0o644,
      'creat',
      exceeds,
      0o644,
    ]);
    const path = `/${component}`.repeat(15);
    const [whole, cut] = probe.eventsOf(running.pid, 'creat') as [WireEvent, WireEvent];
    assertOpenFile(whole, running.result('creat'), { path: `${path}/${fits}` });
    assert.equal(whole.open?.file?.path.length, 4095);
    assertOpenFile(cut, running.result('creat', 1), {
      path: `${path}/${exceeds}`.slice(256),
      pathTruncated: true,
    });
  });

  test('63 components are whole, more lose their beginning and say so', async () => {
    const steps: Step[] = [
      ...PRIVATE_MOUNTS,
      'mount',
      'none',
      dir,
      'tmpfs',
      0,
      '-',
      'chroot',
      dir,
      'cd',
      '/',
    ];
    for (let i = 0; i < 62; i++) steps.push('mkdir', 'd', 'cd', 'd');
    steps.push('creat', 'whole', 0o644, 'mkdir', 'd', 'cd', 'd', 'creat', 'cut', 0o644);
    const running = await probe.run(probe.mkdir('many'), steps);
    const [whole, cut] = probe.eventsOf(running.pid, 'creat') as [WireEvent, WireEvent];
    assertOpenFile(whole, running.result('creat'), { path: `${'/d'.repeat(62)}/whole` });
    assertOpenFile(cut, running.result('creat', 1), {
      path: `${'/d'.repeat(63)}/cut`,
      pathTruncated: true,
    });
  });

  test('bind mounts and chroot: the path is the one the process sees', async () => {
    mkdirSync(join(dir, 'root/bound'), { recursive: true });
    const running = await probe.run(probe.mkdir('bind'), [
      ...PRIVATE_MOUNTS,
      ...['mount', join(dir, 'sub'), join(dir, 'root/bound'), 'none', MS_BIND, '-'],
      ...['openat', AT_FDCWD, join(dir, 'root/bound/inner'), O_RDONLY, 0],
      ...['openat', AT_FDCWD, dir, O_PATH, 0],
      ...['chroot', join(dir, 'root'), 'cd', '/', 'openat', AT_FDCWD, '/bound/inner', O_RDONLY, 0],
      ...['openat', '@1', 'file', O_RDONLY, 0],
    ]);
    const of = (rawPath: string): WireEvent => probe.openOf(running.pid, rawPath);
    assertOpenFile(of(join(dir, 'root/bound/inner')), running.result('openat'), {
      path: join(dir, 'root/bound/inner'),
    });
    assertOpenFile(of('/bound/inner'), running.result('openat', 2), { path: '/bound/inner' });
    // Reached through a descriptor from before: outside the root, so the path is the host's.
    assertOpenFile(of('file'), running.result('openat', 3), {
      path: join(dir, 'file'),
      detached: true,
    });
  });

  test('a pivoted mount namespace: paths begin at its root and cross its mounts', async () => {
    mkdirSync(join(dir, 'new'), { recursive: true });
    const fresh = join(dir, 'new');
    const inside = `${dir}/file`;
    const running = await probe.run(probe.mkdir('pivot'), [
      ...PRIVATE_MOUNTS,
      ...[
        'mount',
        'none',
        fresh,
        'tmpfs',
        0,
        '-',
        'cd',
        fresh,
        'mkdir',
        'old',
        'pivot',
        '.',
        'old',
        'cd',
        '/',
      ],
      ...[
        'creat',
        '/top',
        0o644,
        'mkdir',
        '/m',
        'mount',
        'none',
        '/m',
        'tmpfs',
        0,
        '-',
        'creat',
        '/m/below',
        0o600,
      ],
      ...['openat', AT_FDCWD, `/old${inside}`, O_RDONLY, 0],
    ]);
    const [top, below] = probe.eventsOf(running.pid, 'creat') as [WireEvent, WireEvent];
    assertOpenFile(top, running.result('creat'), { path: '/top' });
    assertOpenFile(below, running.result('creat', 1), { path: '/m/below' });
    assertOpenFile(probe.openOf(running.pid, `/old${inside}`), running.result('openat'), {
      path: `/old${inside}`,
    });
  });

  test('overlay: the image layer, the writable layer, and what moves from one to the other', async () => {
    for (const name of ['lower/dir', 'upper', 'work', 'merged'])
      mkdirSync(join(dir, name), { recursive: true });
    writeFileSync(join(dir, 'lower/image'), 'from the image');
    writeFileSync(join(dir, 'lower/changed'), 'from the image');
    const merged = join(dir, 'merged');
    const data = `lowerdir=${dir}/lower,upperdir=${dir}/upper,workdir=${dir}/work`;
    const running = await probe.run(probe.mkdir('overlay'), [
      ...PRIVATE_MOUNTS,
      ...['mount', 'overlay', merged, 'overlay', 0, data],
      ...['openat', AT_FDCWD, `${merged}/image`, O_RDONLY, 0, 'creat', `${merged}/new`, 0o755],
      ...[
        'openat',
        AT_FDCWD,
        `${merged}/changed`,
        O_RDONLY,
        0,
        'open',
        `${merged}/changed`,
        O_RDWR,
        0,
      ],
      ...[
        'openat',
        AT_FDCWD,
        `${merged}/dir`,
        O_RDONLY,
        0,
        'openat',
        AT_FDCWD,
        merged,
        O_RDONLY,
        0,
      ],
    ]);
    assert.equal(running.result('mount', 1).ret, 0, 'overlay can be mounted here');
    const of = (path: string): WireEvent =>
      probe.events.find(
        (event) =>
          event.pid === running.pid && event.open?.rawPath === path && event.type === 'openat',
      )!;
    assertOpenFile(of(`${merged}/image`), running.result('openat'), {
      path: `${merged}/image`,
      lowerLayer: true,
    });
    const made = probe.theEvent(running.pid, 'creat');
    assertOpenFile(made, running.result('creat'), { path: `${merged}/new`, upperLayer: true });
    assert.equal(made.open?.created, true);
    assert.equal(
      made.records.number(made.at + OPEN.file_flags),
      FILE_FLAGS.FILE_KNOWN | FILE_FLAGS.FILE_UPPER_LAYER | FILE_FLAGS.FILE_CREATED,
    );
    assertOpenFile(of(`${merged}/changed`), running.result('openat', 1), {
      path: `${merged}/changed`,
      lowerLayer: true,
    });
    const written = probe.theEvent(running.pid, 'open');
    assertOpenFile(written, running.result('open'), {
      path: `${merged}/changed`,
      upperLayer: true,
    });
    assert.equal(written.open?.created, false, 'a copy-up creates nothing');
    assertOpenFile(of(`${merged}/dir`), running.result('openat', 2), {
      path: `${merged}/dir`,
      lowerLayer: true,
    });
    assertOpenFile(of(merged), running.result('openat', 3), { path: merged, upperLayer: true });
    assert.equal(readFileSync(join(dir, 'upper/changed'), 'utf8'), 'from the image');
  });
});
