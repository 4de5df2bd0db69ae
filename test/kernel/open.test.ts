import assert from 'node:assert/strict';
import { constants, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { bootTimeNs } from 'ebpf-loader-napi';
import { OPEN, RECORD_FLAGS } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { assertHeader, readFacts } from '../support/kernel-facts.ts';
import { assertOpenFile } from '../support/kernel-file-facts.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe } from '../support/kernel-probe.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY } = constants;
const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;
const RESOLVE_NO_SYMLINKS = 4;
const RESOLVE_BENEATH = 8;
const ENOENT = -2;
const EFAULT = -14;
const ELOOP = -40;

for (const kind of ['v2', 'v1-pids'] as const) {
  describe(`open on ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let probe: KernelProbe;
    let dir: string;
    before(() => {
      probe = new KernelProbe({ hierarchy: kind });
      dir = mkdtempSync(join(tmpdir(), 'varvel-open-'));
      writeFileSync(join(dir, 'file'), 'text', { mode: 0o640 });
    });
    after(async () => {
      await probe.close();
      rmSync(dir, { recursive: true, force: true });
    });

    test('the header is what /proc says of the task', async () => {
      const cgroup = probe.mkdir('header');
      const path = join(dir, 'file');
      const from = bootTimeNs();
      const running = probe.spawn(cgroup, [
        'comm',
        'a comm (x) 15ch',
        'openat',
        AT_FDCWD,
        path,
        O_RDONLY,
        0,
        'pause',
      ]);
      await running.paused();
      const facts = readFacts(running.pid);
      await probe.settle();
      const event = probe.openOf(running.pid, path);
      assertHeader(event, {
        facts,
        cgroupId: cgroup.id,
        result: running.result('openat').ret,
        from,
        to: bootTimeNs(),
      });
      assert.equal(facts.comm, 'a comm (x) 15ch');
      assert.equal(event.type, 'openat');
      running.resume();
      await running.ended();
    });

    test('a thread: its own tid, the process otherwise', async () => {
      const cgroup = probe.mkdir('thread');
      const path = join(dir, 'file');
      const from = bootTimeNs();
      const running = probe.spawn(cgroup, [
        'thread',
        '[',
        'comm',
        'worker',
        'openat',
        AT_FDCWD,
        path,
        O_RDONLY,
        0,
        'pause',
        ']',
      ]);
      const { tid } = await running.paused();
      assert.notEqual(tid, running.pid);
      const facts = readFacts(running.pid, tid);
      await probe.settle();
      assertHeader(probe.openOf(running.pid, path), {
        facts,
        cgroupId: cgroup.id,
        result: running.result('openat').ret,
        from,
        to: bootTimeNs(),
      });
      running.resume();
      await running.ended();
    });
  });
}

/** `tracepoints`: as KernelProbe's option. */
const openTests = (tracepoints: boolean) => (): void => {
  let probe: KernelProbe;
  let dir: string;
  before(() => {
    probe = new KernelProbe({ tracepoints });
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

  test('each call with its arguments, and the file from the kernel', async () => {
    const file = join(dir, 'file');
    const made = join(dir, 'made');
    const created = join(dir, 'created');
    const running = await probe.run(probe.mkdir('calls'), [
      ...['open', file, O_RDWR | O_CLOEXEC, 0],
      ...['openat', AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0],
      ...['openat', '@', 'sub/inner', O_RDONLY, 0],
      ...['openat2', '@1', 'made', O_WRONLY | O_CREAT | O_EXCL, 0o604, RESOLVE_BENEATH],
      ...['creat', created, 0o600],
      ...['creat', created, 0o600],
    ]);
    const opens = probe.events.filter(
      (event) => event.pid === running.pid && event.open !== undefined,
    );
    assert.deepEqual(
      opens.map((event) => event.type),
      ['open', 'openat', 'openat', 'openat2', 'creat', 'creat'],
    );
    const [plain, directory, relative, beneath, first, second] = opens as [
      WireEvent,
      WireEvent,
      WireEvent,
      WireEvent,
      WireEvent,
      WireEvent,
    ];
    const dirFd = running.result('openat').ret;

    const common = {
      directoryPath: '',
      rawPathTruncated: false,
      resolve: 0,
      created: false,
      directory: false,
      dirFd: AT_FDCWD,
      mode: 0,
    };
    const { file: plainFile, ...plainRest } = plain.open!;
    assert.equal(plainFile?.path, file);
    assertOpenFile(plain, running.result('open'), { path: file });
    assert.deepEqual(plainRest, {
      ...common,
      rawPath: file,
      flags: O_RDWR | O_CLOEXEC,
      forRead: true,
      forWrite: true,
    });

    assertOpenFile(directory, running.result('openat'), { path: dir });
    assert.deepEqual(
      { ...directory.open, file: undefined },
      {
        ...common,
        file: undefined,
        rawPath: dir,
        flags: O_DIRECTORY,
        forRead: true,
        forWrite: false,
        directory: true,
      },
    );

    assertOpenFile(relative, running.result('openat', 1), { path: join(dir, 'sub/inner') });
    assert.deepEqual(
      { ...relative.open, file: undefined },
      {
        ...common,
        file: undefined,
        rawPath: 'sub/inner',
        dirFd,
        flags: O_RDONLY,
        forRead: true,
        forWrite: false,
      },
    );

    assertOpenFile(beneath, running.result('openat2'), { path: made });
    assert.deepEqual(
      { ...beneath.open, file: undefined },
      {
        ...common,
        file: undefined,
        rawPath: 'made',
        dirFd,
        flags: O_WRONLY | O_CREAT | O_EXCL,
        mode: 0o604,
        resolve: RESOLVE_BENEATH,
        created: true,
        forRead: false,
        forWrite: true,
      },
    );

    assertOpenFile(first, running.result('creat'), { path: created });
    assert.deepEqual(
      { ...first.open, file: undefined },
      {
        ...common,
        file: undefined,
        rawPath: created,
        flags: O_CREAT | O_WRONLY | O_TRUNC,
        mode: 0o600,
        created: true,
        forRead: false,
        forWrite: true,
      },
    );
    assert.equal(second.open?.created, false, 'the second creat found the file');

    const stat = running.result('openat2');
    assert.equal(beneath.param('fd'), stat.ret);
    assert.equal(beneath.param('dirfd'), dirFd);
    assert.equal(beneath.param('name'), made);
    assert.equal(beneath.param('flags'), 'O_EXCL|O_CREAT|O_WRONLY|O_F_CREATED');
    assert.equal(beneath.param('mode'), 0o604);
    assert.equal(beneath.param('resolve'), 'RESOLVE_BENEATH');
    assert.equal(beneath.param('ino'), stat.ino);
    assert.equal(beneath.param('dev'), ((stat.major! & 0xfff) << 8) | (stat.minor! & 0xff));
    assert.equal(plain.param('dirfd'), undefined);
    assert.equal(directory.param('dirfd'), dirFd === AT_FDCWD ? dirFd : 'AT_FDCWD');
  });

  test('a call that creates nothing has no mode, whatever is in the register', async () => {
    const path = join(dir, 'file');
    const running = await probe.run(probe.mkdir('mode'), [
      'openat',
      AT_FDCWD,
      path,
      O_RDONLY,
      0o7777,
      'open',
      path,
      O_RDONLY,
      0o111,
    ]);
    assert.deepEqual(
      probe.eventsOf(running.pid, 'openat', 'open').map((event) => event.open?.mode),
      [0, 0],
    );
  });

  test('calls that fail: the result, the claim, no file', async () => {
    const missing = join(dir, 'nowhere/file');
    const link = join(dir, 'link');
    const running = await probe.run(probe.mkdir('failed'), [
      ...['open', missing, O_RDONLY, 0, 'openat', -1, 'relative', O_WRONLY, 0],
      ...[
        'openat2',
        AT_FDCWD,
        link,
        O_RDONLY,
        0,
        RESOLVE_NO_SYMLINKS,
        'creat',
        missing,
        0o644,
        'badopen',
      ],
    ]);
    const seen = probe.events
      .filter((event) => event.pid === running.pid && event.open !== undefined)
      .map((event) => [
        event.type,
        event.result,
        event.open?.rawPath,
        event.open?.file,
        event.open?.dirFd,
      ]);
    assert.deepEqual(seen, [
      ['open', ENOENT, missing, undefined, AT_FDCWD],
      ['openat', -9, 'relative', undefined, -1],
      ['openat2', ELOOP, link, undefined, AT_FDCWD],
      ['creat', ENOENT, missing, undefined, AT_FDCWD],
      ['openat', EFAULT, '', undefined, AT_FDCWD],
    ]);
    const bad = probe.eventsOf(running.pid, 'openat')[1]!;
    assert.equal(bad.records.number(bad.at + OPEN.flags), RECORD_FLAGS.RAW_UNREADABLE);
    assert.equal(bad.records.number(bad.at + OPEN.file_flags), 0);
    assert.equal(bad.param('name'), '');
    assert.equal(probe.probe.stats().readErrors, 1);
  });
};
describe('open', openTests(false));
describe('open, by tracepoints of its own', openTests(true));
