import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { EVENT_NAMES } from '../../src/events/table.gen.ts';
import { ALL_EVENTS, type SocketMask } from '../../src/probe/live.ts';
import {
  bytes,
  call,
  callFd,
  suiteOf,
  testAllAsserted,
  text,
  u32,
} from '../support/kernel-calls.ts';

const AT_FDCWD = -100;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const AF_PACKET = 17;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const O_CLOEXEC = 0o2000000;
const ESRCH = -3;
const EBADF = -9;
const EFAULT = -14;
const EINVAL = -22;
const PIDFD_NONBLOCK = 0o4000;
const IORING_SETUP_CQSIZE = 8;
const IORING_SETUP_CLAMP = 16;
const IORING_SETUP_R_DISABLED = 64;
const IORING_ENTER_GETEVENTS = 1;
const IORING_ENTER_SQ_WAIT = 4;
const IORING_REGISTER_EVENTFD = 4;
const IORING_REGISTER_PROBE = 8;

/** What Falco knows of the features that io_uring_setup gives back, by their bits in include/uapi/linux/io_uring.h. */
const FEATURES = [
  ...['SINGLE_MMAP', 'NODROP', 'SUBMIT_STABLE', 'RW_CUR_POS', 'CUR_PERSONALITY', 'FAST_POLL'],
  ...['POLL_32BITS', 'SQPOLL_NONFIXED', 'EXT_ARG', 'NATIVE_WORKERS', 'RSRC_TAGS'],
];

describe('calls of descriptors', () => {
  const suite = suiteOf('descriptors');

  test('dup', async () => {
    const file = join(suite.dir, 'duplicated');
    writeFileSync(file, '');
    const run = await suite.run(
      callFd('openat', AT_FDCWD, text(file), 0, 0),
      call('dup', '@'),
      call('dup', 99),
      call('dup2', '@', 40),
      call('dup2', -1, 41),
      call('dup3', '@', 42, O_CLOEXEC),
      call('dup3', '@', '@', 0),
    );
    const fd = run.result('openat').ret;
    const { ino } = statSync(file);
    const files = [
      run.check('dup', ({ ret }) => ({ res: ret, oldfd: fd })),
      run.check('dup2', { res: 40, oldfd: fd, newfd: 40 }),
      run.check('dup3', { res: 42, oldfd: fd, newfd: 42, flags: 'O_CLOEXEC' }),
    ];
    for (const event of files) {
      assert.deepEqual([event.call?.file?.ino, event.call?.file?.path], [ino, file]);
    }
    const failed = [
      run.check('dup', { res: EBADF, oldfd: 99 }),
      run.check('dup2', { res: EBADF, oldfd: -1, newfd: 41 }),
      run.check('dup3', { res: EINVAL, oldfd: fd, newfd: fd, flags: '' }),
    ];
    for (const event of failed) assert.equal(event.call?.file, undefined);
    run.end();
  });

  test('pidfd_open and pidfd_getfd', async () => {
    const file = join(suite.dir, 'taken');
    writeFileSync(file, '');
    const run = await suite.run(
      callFd('openat', AT_FDCWD, text(file), 0, 0),
      ['child'],
      callFd('pidfd_open', 'child', PIDFD_NONBLOCK),
      callFd('pidfd_getfd', '@', '@1', 0),
      call('pidfd_getfd', '@1', 99, 0),
      call('pidfd_getfd', '@1', 0, 3),
      call('pidfd_open', 0x3fffff, 0),
    );
    const child = run.results.find(({ step }) => step === 'child')!.ret;
    const [opened, pidfd] = [run.result('openat').ret, run.results[3]!.ret];
    const taken = run.results[4]!;
    run.check('pidfd_open', { fd: pidfd, pid: child, flags: 'PIDFD_NONBLOCK' });
    assert.ok(pidfd > opened);
    const event = run.check('pidfd_getfd', {
      fd: taken.ret,
      pid_fd: pidfd,
      target_fd: opened,
      flags: 0,
    });
    assert.deepEqual(
      [event.call?.file?.ino, event.call?.file?.path, event.call?.fd],
      [statSync(file).ino, file, taken.ret],
    );
    run.check('pidfd_getfd', { fd: EBADF, pid_fd: pidfd, target_fd: 99, flags: 0 });
    run.check('pidfd_getfd', { fd: EINVAL, pid_fd: pidfd, target_fd: 0, flags: 3 });
    run.check('pidfd_open', { fd: ESRCH, pid: 0x3fffff, flags: '' });
    run.end();
  });

  test('io_uring', async () => {
    const asked = Buffer.concat([
      u32(0), // sq_entries
      u32(33), // cq_entries
      u32(IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED),
      u32(3), // sq_thread_cpu
      u32(1234), // sq_thread_idle
      Buffer.alloc(100),
    ]);
    const run = await suite.run(
      callFd('io_uring_setup', 5, bytes(asked)),
      call('io_uring_setup', 0, bytes(asked)),
      call('io_uring_setup', 1, 1),
      call('io_uring_register', '@', IORING_REGISTER_PROBE, 'o:64', 7),
      call('io_uring_register', 99, IORING_REGISTER_EVENTFD, 'n', 1),
      callFd('io_uring_setup', 1, 'o:120'),
      call('io_uring_enter', '@', 3, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAIT),
      call('io_uring_enter', 99, 1, 2, 0),
    );
    const flags = 'IORING_SETUP_CQSIZE|IORING_SETUP_CLAMP|IORING_SETUP_R_DISABLED';
    const ring = run.results[1]!;
    const given = Buffer.from(ring.buffers[0]!, 'hex');
    assert.deepEqual([given.readUInt32LE(0), given.readUInt32LE(4)], [8, 64], 'the powers above');
    const features = given.readUInt32LE(20);
    const names = FEATURES.filter((_name, bit) => (features & (1 << bit)) !== 0);
    assert.ok(names.length > 5);
    run.check('io_uring_setup', ({ ret }) => ({
      res: ret,
      entries: 5,
      sq_entries: 8,
      cq_entries: 64,
      flags,
      sq_thread_cpu: 3,
      sq_thread_idle: 1234,
      features: names
        .map((name) => (name === 'EXT_ARG' ? 'IORING_FEAT_ENTER_EXT_ARG' : `IORING_FEAT_${name}`))
        .join('|'),
    }));
    run.check('io_uring_setup', {
      res: EINVAL,
      entries: 0,
      sq_entries: 0,
      cq_entries: 33,
      flags,
      sq_thread_cpu: 3,
      sq_thread_idle: 1234,
      features: '',
    });
    const unread = ['sq_entries', 'cq_entries', 'flags', 'sq_thread_cpu', 'sq_thread_idle'];
    run.check('io_uring_setup', {
      res: EFAULT,
      entries: 1,
      ...Object.fromEntries([...unread, 'features'].map((name) => [name, undefined])),
    });
    const probed = run.results.find(({ name }) => name === 'io_uring_register')!;
    run.check('io_uring_register', {
      res: 0,
      fd: ring.ret,
      opcode: 'IORING_REGISTER_PROBE',
      arg: BigInt(probed.args[2]!),
      nr_args: 7,
    });
    run.check('io_uring_register', {
      res: EBADF,
      fd: 99,
      opcode: 'IORING_REGISTER_EVENTFD',
      arg: 0n,
      nr_args: 1,
    });
    run.take('io_uring_setup');
    const entered = run.results.find(({ name }) => name === 'io_uring_enter')!;
    assert.equal(entered.ret, 0);
    run.check('io_uring_enter', {
      res: 0,
      fd: Number(entered.args[0]),
      to_submit: 3,
      min_complete: 0,
      flags: 'IORING_ENTER_GETEVENTS|IORING_ENTER_SQ_WAIT',
    });
    run.check('io_uring_enter', { res: EBADF, fd: 99, to_submit: 1, min_complete: 2, flags: '' });
    run.end();
  });

  test('where rules ask for those of network sockets only, the other new descriptors are counted and go no further', async () => {
    const file = join(suite.dir, 'masked');
    writeFileSync(file, '');
    const masks = {
      opens: { read: true, write: true, failed: true },
      messages: { newPeer: true, other: true },
      sockets: { ordinary: true, local: true, other: true },
      env: true,
    };
    const steps = [
      callFd('socket', AF_INET, SOCK_STREAM, 0),
      call('dup', '@'),
      callFd('socket', AF_INET6, SOCK_DGRAM, 0),
      call('dup2', '@', 41),
      callFd('socket', AF_UNIX, SOCK_STREAM, 0),
      call('dup2', '@', 42),
      callFd('openat', AT_FDCWD, text(file), 0, 0),
      call('dup3', '@', 43, O_CLOEXEC),
      call('dup', 99),
    ];
    const filtered = (): number[] =>
      (['dup', 'dup2', 'dup3'] as const).map(
        (name) => suite.probe.probe.filtered()[EVENT_NAMES.indexOf(name)] ?? -1,
      );
    const dupsOf = async (network: boolean, other: boolean): Promise<[unknown[], number[]]> => {
      suite.probe.probe.setMasks({ ...masks, dups: { network, other } });
      const before = filtered();
      const run = await suite.run(...steps);
      const seen = suite.eventsOf(run.cgroup).filter(({ type }) => type.startsWith('dup'));
      const { prefiltered } = suite.probe.entry(run.cgroup);
      assert.equal(prefiltered + seen.length, 5);
      return [
        seen.map(({ type, call: of }) => [type, of?.socket?.family]),
        filtered().map((count, at) => count - (before[at] ?? 0)),
      ];
    };
    try {
      const network = [
        ['dup', AF_INET],
        ['dup2', AF_INET6],
      ];
      const others = [
        ['dup2', AF_UNIX],
        ['dup3', undefined],
        ['dup', undefined],
      ];
      assert.deepEqual(await dupsOf(true, false), [network, [1, 1, 1]]);
      assert.deepEqual(await dupsOf(false, true), [others, [1, 1, 0]]);
      assert.deepEqual(await dupsOf(false, false), [[], [2, 2, 1]]);
      assert.deepEqual(await dupsOf(true, true), [
        [...network, ...others],
        [0, 0, 0],
      ]);
    } finally {
      suite.probe.probe.setMasks({ ...masks, dups: { network: true, other: true } });
    }
  });

  test('of new sockets, only the kinds that rules can match are reported', async () => {
    const sockets: Record<keyof SocketMask, [domain: number, type: number][]> = {
      ordinary: [
        [AF_INET, SOCK_STREAM],
        [AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC],
      ],
      local: [
        [AF_UNIX, SOCK_STREAM],
        [AF_NETLINK, SOCK_RAW],
      ],
      // The last has no type, and fails.
      other: [
        [AF_INET, SOCK_RAW],
        [AF_PACKET, SOCK_DGRAM],
        [AF_INET6, 15],
      ],
    };
    const steps = Object.values(sockets)
      .flat()
      .map(([domain, type]) => call('socket', domain, type, 0));
    suite.probe.probe.attach('sys_socket');
    try {
      for (const kind of ['ordinary', 'local', 'other', undefined] as const) {
        const only = { ordinary: false, local: false, other: false };
        suite.probe.probe.setMasks({
          ...ALL_EVENTS,
          sockets: kind === undefined ? only : { ...only, [kind]: true },
        });
        const run = await suite.run(...steps);
        const seen = suite.eventsOf(run.cgroup).filter(({ type }) => type === 'socket');
        assert.deepEqual(
          seen.map(({ call: made }) => [made?.int(1), made?.int(2)]),
          kind === undefined ? [] : sockets[kind],
        );
        assert.equal(suite.probe.entry(run.cgroup).prefiltered, 7 - seen.length);
      }
    } finally {
      suite.probe.probe.detach('sys_socket');
      suite.probe.probe.setMasks(ALL_EVENTS);
    }
  });

  testAllAsserted(suite);
});
