import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  bytes,
  call,
  callFd,
  queuedSignal,
  suiteOf,
  testAllAsserted,
  text,
  u32,
  type CallRun,
} from '../support/kernel-calls.ts';
import type { Step } from '../support/kernel-process.ts';

const AT_FDCWD = -100;
const BPF_MAP_CREATE = 0;
const BPF_PROG_LOAD = 5;
const CLONE_NEWNS = 0x20000;
const CLONE_NEWUTS = 0x4000000;
const CLONE_NEWIPC = 0x8000000;
const KEYCTL_GET_KEYRING_ID = 0;
const KEYCTL_JOIN_SESSION_KEYRING = 1;
const KEYCTL_DESCRIBE = 6;
const KEY_SPEC_SESSION_KEYRING = -3;
const PTRACE_PEEKDATA = 2;
const PTRACE_ATTACH = 16;
const PTRACE_SEIZE = 0x4206;
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const PR_SET_NO_NEW_PRIVS = 38;
const SIGUSR1 = 10;
const SIGCONT = 18;
const EPERM = -1;
const ESRCH = -3;
const EBADF = -9;
const EFAULT = -14;
const EINVAL = -22;
const ENOKEY = -126;
const NOBODY = 0x3fffff;
const CAP_CHOWN = 0;
const CAP_SETUID = 7;
const CAP_NET_RAW = 13;

const childOf = (run: CallRun): number => run.results.find(({ step }) => step === 'child')!.ret;

/** Falco has ids as unsigned numbers. */
const KEEP = 0xffffffff;

describe('calls of processes', () => {
  const suite = suiteOf('processes');

  test('ptrace', async () => {
    const run = await suite.run(
      ['child'],
      call('ptrace', PTRACE_ATTACH, 'child', 0, 0),
      ['awaitstop'],
      call('ptrace', PTRACE_PEEKDATA, 'child', '0xfffffffffffff000', 'o:8'),
      call('ptrace', PTRACE_SEIZE, NOBODY, 0, 0x7f),
      call('ptrace', 999, 'child', 1, 2),
    );
    const pid = childOf(run);
    run.check('ptrace', { res: 0, addr: 0n, data: 0n, request: 'PTRACE_ATTACH', pid });
    const peeked = run.results.filter(({ name }) => name === 'ptrace')[1]!;
    run.check('ptrace', {
      res: peeked.ret,
      addr: 0xfffffffffffff000n,
      data: BigInt(peeked.args[3]!),
      request: 'PTRACE_PEEKDATA',
      pid,
    });
    assert.ok(peeked.ret < 0, 'the last page of all is the kernel’s');
    run.check('ptrace', {
      res: ESRCH,
      addr: 0n,
      data: 0x7fn,
      request: 'PTRACE_SEIZE',
      pid: NOBODY,
    });
    const unknown = run.result('ptrace').ret;
    assert.ok(unknown < 0);
    const event = run.event('ptrace', run.results[0]!);
    run.checkEvent(event, { res: unknown, addr: 1n, data: 2n, request: 'PTRACE_UNKNOWN', pid });
    run.end();
  });

  test('signals', async () => {
    const run = await suite.run(
      ['child'],
      call('kill', 'child', SIGCONT),
      call('kill', NOBODY, SIGUSR1),
      call('kill', 'child', 99),
      call('kill', -NOBODY, 0),
      call('tkill', 'child', SIGCONT),
      call('tkill', 0, SIGUSR1),
      call('tgkill', 'child', 'child', SIGCONT),
      call('tgkill', 'pid', 'child', SIGUSR1),
      call('rt_sigqueueinfo', 'child', SIGCONT, queuedSignal(SIGCONT)),
      call('rt_sigqueueinfo', NOBODY, SIGUSR1, queuedSignal(SIGUSR1)),
      call('rt_tgsigqueueinfo', 'child', 'child', SIGCONT, queuedSignal(SIGCONT)),
      callFd('pidfd_open', 'child', 0),
      call('pidfd_send_signal', '@', SIGCONT, 'n', 0),
      call('pidfd_send_signal', 99, SIGUSR1, 'n', 0),
    );
    const child = childOf(run);
    const pid = run.results[0]!.pid;
    run.check('kill', { res: 0, pid: child, sig: SIGCONT });
    run.check('kill', { res: ESRCH, pid: NOBODY, sig: SIGUSR1 });
    run.check('kill', { res: EINVAL, pid: child, sig: 99 });
    run.check('kill', { res: ESRCH, pid: -NOBODY, sig: 0 });
    run.check('tkill', { res: 0, tid: child, sig: SIGCONT });
    run.check('tkill', { res: EINVAL, tid: 0, sig: SIGUSR1 });
    run.check('tgkill', { res: 0, pid: child, tid: child, sig: SIGCONT });
    run.check('tgkill', { res: ESRCH, pid, tid: child, sig: SIGUSR1 });
    run.check('rt_sigqueueinfo', { res: 0, pid: child, sig: SIGCONT });
    run.check('rt_sigqueueinfo', { res: ESRCH, pid: NOBODY, sig: SIGUSR1 });
    run.check('rt_tgsigqueueinfo', { res: 0, pid: child, tid: child, sig: SIGCONT });
    const descriptor = run.result('pidfd_open').ret;
    run.check('pidfd_send_signal', { res: 0, pid_fd: descriptor, sig: SIGCONT });
    run.check('pidfd_send_signal', { res: EBADF, pid_fd: 99, sig: SIGUSR1 });
    run.end();
  });

  test('prctl', async () => {
    const run = await suite.run(
      call('prctl', PR_SET_NAME, text('a name of more than 15\n')),
      call('prctl', PR_GET_NAME, 'o:16'),
      call('prctl', PR_SET_NAME, text('')),
      call('prctl', PR_SET_NAME, 1),
      call('prctl', PR_SET_DUMPABLE, -2),
      call('prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
      call('prctl', 9999, '0x8000000000000000'),
    );
    const named = { option: 'PR_SET_NAME', arg2_int: 0n };
    const set = run.check('prctl', { ...named, res: 0, arg2_str: 'a name of more than 15\n' });
    assert.equal(set.comm, 'a name of more ');
    run.check('prctl', {
      res: 0,
      option: 'PR_GET_NAME',
      arg2_str: 'a name of more ',
      arg2_int: 0n,
    });
    const empty = run.check('prctl', { ...named, res: 0, arg2_str: '' });
    assert.equal(empty.comm, '');
    run.check('prctl', { ...named, res: EFAULT, arg2_str: undefined });
    const number = { arg2_str: undefined };
    run.check('prctl', { ...number, res: EINVAL, option: 'PR_SET_DUMPABLE', arg2_int: -2n });
    run.check('prctl', { ...number, res: 0, option: 'PR_SET_NO_NEW_PRIVS', arg2_int: 1n });
    run.check('prctl', { ...number, res: EINVAL, option: '9999', arg2_int: -(2n ** 63n) });
    run.end();
  });

  test('namespaces', async () => {
    const run = await suite.run(
      callFd('openat', AT_FDCWD, text('/proc/self/ns/uts'), 0, 0),
      call('unshare', CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS),
      call('unshare', 0x1),
      call('setns', '@', CLONE_NEWUTS),
      call('setns', '@', CLONE_NEWIPC),
      call('setns', 99, 0),
    );
    const fd = run.result('openat').ret;
    run.check('unshare', { res: 0, flags: 'CLONE_NEWIPC|CLONE_NEWNS|CLONE_NEWUTS' });
    run.check('unshare', { res: EINVAL, flags: '' });
    const event = run.check('setns', { res: 0, fd, nstype: 'CLONE_NEWUTS' });
    assert.equal(event.call?.file?.ino, run.results.find((one) => one.link)?.ino);
    run.check('setns', { res: EINVAL, fd, nstype: 'CLONE_NEWIPC' });
    run.check('setns', { res: EBADF, fd: 99, nstype: '' });
    run.end();
  });

  test('capset: what the task has afterwards', async () => {
    const header = bytes(Buffer.concat([u32(0x20080522), u32(0)]));
    const low = (...caps: number[]): Buffer => u32(caps.reduce((sum, cap) => sum + 2 ** cap, 0));
    const some = low(CAP_CHOWN, CAP_SETUID, CAP_NET_RAW);
    const data = (effective: Buffer): string =>
      bytes(Buffer.concat([effective, some, low(CAP_SETUID), u32(0), u32(0), u32(0)]));
    const run = await suite.run(
      call('capset', header, data(low(CAP_CHOWN, CAP_NET_RAW))),
      call('capset', header, data(low(21))), // more than is permitted
    );
    const after = {
      cap_inheritable: 1n << 7n,
      cap_permitted: (1n << 0n) | (1n << 7n) | (1n << 13n),
      cap_effective: (1n << 0n) | (1n << 13n),
    };
    run.check('capset', { res: 0, ...after });
    run.check('capset', { res: EPERM, ...after });
    run.end();
  });

  /** A child of its own for each, since most cannot go back; as nobody for those that fail. */
  const alone = (...step: Step[]): Step[] => ['fork', '[', ...step, ']'];
  const denied = (...step: Step[]): Step[] => alone('resuid', 4000, 4000, 4000, ...step);

  test('ids', async () => {
    const run = await suite.run(
      alone(...call('setgid', 1001), ...call('setuid', 1002)),
      denied(...call('setuid', 1), ...call('setgid', 2)),
      alone(...call('setregid', 1003, KEEP), ...call('setreuid', -1, 1004)),
      denied(...call('setregid', 1, 2), ...call('setreuid', 3, 4)),
      alone(...call('setresgid', 1, 2, -1), ...call('setresuid', 4, 5, 6), 'ids'),
      denied(...call('setresgid', 1, 2, 3), ...call('setresuid', 4, 5, 6)),
    );
    const { credentials } = run.check('setgid', { res: 0, gid: 1001 });
    assert.deepEqual([credentials.gid, credentials.egid], [1001, 1001]);
    const user = run.check('setuid', { res: 0, uid: 1002 }).credentials;
    assert.deepEqual([user.uid, user.euid], [1002, 1002]);
    run.check('setuid', { res: EPERM, uid: 1 });
    run.check('setgid', { res: EPERM, gid: 2 });
    const group = run.check('setregid', { res: 0, rgid: 1003, egid: KEEP }).credentials;
    assert.deepEqual([group.gid, group.egid], [1003, 0]);
    const real = run.check('setreuid', { res: 0, ruid: KEEP, euid: 1004 }).credentials;
    assert.deepEqual([real.uid, real.euid], [0, 1004]);
    run.check('setregid', { res: EPERM, rgid: 1, egid: 2 });
    run.check('setreuid', { res: EPERM, ruid: 3, euid: 4 });
    run.check('setresgid', { res: 0, rgid: 1, egid: 2, sgid: KEEP });
    const [as, result] = run.take('setresuid');
    run.checkEvent(as, { res: 0, ruid: 4, euid: 5, suid: 6 });
    const ids = run.results.find(({ step, pid }) => step === 'ids' && pid === result.pid);
    const { uid, euid, gid, egid } = as.credentials;
    const { uid: u, euid: eu, gid: g, egid: eg } = ids as unknown as Record<string, number>;
    assert.deepEqual([uid, euid, gid, egid], [u, eu, g, eg]);
    run.check('setresgid', { res: EPERM, rgid: 1, egid: 2, sgid: 3 });
    // The step before it, by which it became nobody, is the first such call of that process.
    const first = run.result('setresuid');
    assert.equal(first.ret, EPERM);
    const became = run.event('setresuid', first);
    assert.deepEqual(
      ['res', 'ruid', 'euid', 'suid'].map((name) => became.param(name)),
      [0, 4000, 4000, 4000],
    );
    run.checkEvent(run.event('setresuid', first), { res: EPERM, ruid: 4, euid: 5, suid: 6 });
  });

  test('setsid and setpgid', async () => {
    const run = await suite.run(
      call('setsid'),
      call('setsid'), // it leads a group by now
      call('setpgid', 0, 0), // nor can who leads a session
      ['child'],
      call('setpgid', 'child', 0),
      call('setpgid', NOBODY, 7),
    );
    const child = childOf(run);
    run.check('setsid', ({ pid }) => ({ res: pid }));
    run.check('setsid', { res: EPERM });
    run.check('setpgid', { res: EPERM, pid: 0, pgid: 0 });
    run.check('setpgid', { res: 0, pid: child, pgid: 0 });
    run.check('setpgid', { res: ESRCH, pid: NOBODY, pgid: 7 });
    run.end();
  });

  test('keyctl', async () => {
    const run = await suite.run(
      call('keyctl', KEYCTL_JOIN_SESSION_KEYRING, 'n', 3, 4, 5),
      call('keyctl', KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 7, 8),
      call('keyctl', KEYCTL_DESCRIBE, 0x7ffffff0, 'o:8', 8, 0),
    );
    const ids = run.results.filter(({ name }) => name === 'keyctl');
    assert.ok(ids[0]!.ret > 0 && ids[1]!.ret === ids[0]!.ret);
    run.check('keyctl', ({ ret }) => ({
      res: ret,
      operation: 'KEYCTL_JOIN_SESSION_KEYRING',
      arg2: 0n,
      arg3: 3n,
      arg4: 4n,
      arg5: 5n,
    }));
    run.check('keyctl', ({ ret }) => ({
      res: ret,
      operation: 'KEYCTL_GET_KEYRING_ID',
      arg2: 0xfffffffffffffffdn,
      arg3: 0n,
      arg4: 7n,
      arg5: 8n,
    }));
    run.check('keyctl', {
      res: ENOKEY,
      operation: 'KEYCTL_DESCRIBE',
      arg2: 0x7ffffff0n,
      arg3: BigInt(ids[2]!.args[2]!),
      arg4: 8n,
      arg5: 0n,
    });
    run.end();
  });

  test('bpf', async () => {
    const array = Buffer.concat([u32(2), u32(4), u32(4), u32(1)]);
    const run = await suite.run(
      callFd('bpf', BPF_MAP_CREATE, bytes(array), array.length),
      call('bpf', BPF_PROG_LOAD, 1, 64),
      call('bpf', 9999, bytes(array), array.length),
    );
    run.check('bpf', ({ ret }) => ({ fd: ret, cmd: 'BPF_MAP_CREATE' }));
    assert.ok(run.results.find(({ name }) => name === 'bpf')!.ret >= 0);
    run.check('bpf', { fd: EFAULT, cmd: 'BPF_PROG_LOAD' });
    run.check('bpf', { fd: EINVAL, cmd: '9999' });
    run.end();
  });

  testAllAsserted(suite);
});
