import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { bootTimeNs } from 'ebpf-loader-napi';
import type { ExecDetails } from '../../src/events/event.ts';
import { EXEC, LIMITS } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { bytes, call, callFd, ipv4 } from '../support/kernel-calls.ts';
import { assertExecFile } from '../support/kernel-file-facts.ts';
import {
  ancestorsOf,
  assertHeader,
  readFacts,
  readStat,
  type ProcFacts,
} from '../support/kernel-facts.ts';
import {
  KernelProbe,
  raw,
  stepsProgram,
  type Step,
  type TestCgroup,
  missingHierarchy,
} from '../support/kernel-probe.ts';

const CLONE_NEWPID = 0x20000000;
const NOBODY = 65534;

/** What an exec says of its surroundings, as /proc and stat have it. */
function stateOf(pid: number, file: string): Partial<ExecDetails> {
  const { ctimeNs, mtimeNs } = statSync(file, { bigint: true });
  const environment = readFileSync(`/proc/${pid}/environ`).toString().split('\0').slice(0, -1);
  return {
    env: environment,
    envTruncated: false,
    fileCtimeNs: ctimeNs,
    fileMtimeNs: mtimeNs,
    standard: [0, 1, 2].map((fd) => ({
      type: typeOfDescriptor(pid, fd),
      tuple: undefined,
      connected: false,
    })),
  };
}

/** As /proc has it, where no socket is an IP one. */
function typeOfDescriptor(pid: number, fd: number): string | undefined {
  const status = statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false });
  if (status?.isSocket() === true) return 'unix';
  if (status?.isFIFO() === true) return 'pipe';
  if (status?.isDirectory() === true) return 'directory';
  return status?.isFile() === true || status?.isCharacterDevice() === true ? 'file' : undefined;
}

/** The process's TCP socket at the descriptor, as /proc/PID/net has it: ends in hexadecimal, host order in words, and its state. */
function tcpSocket(pid: number, fd: number, file: 'tcp' | 'tcp6'): string[] {
  const inode = /\d+/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[0];
  const rows = readFileSync(`/proc/${pid}/net/${file}`, 'utf8').split('\n');
  const row = rows.map((line) => line.trim().split(/\s+/)).find((parts) => parts[9] === inode);
  assert.ok(row, `no ${file} socket ${inode}`);
  return row.slice(1, 4);
}

function withoutFile(exec: ExecDetails | undefined): object {
  return { ...exec, file: undefined };
}

describe('exec', () => {
  let probe: KernelProbe;
  let dir: string;
  let program: string;
  before(() => {
    probe = new KernelProbe();
    dir = mkdtempSync(join(tmpdir(), 'varvel-exec-'));
    chmodSync(dir, 0o755);
    program = join(dir, 'program');
    copyFileSync(stepsProgram(), program);
    chmodSync(program, 0o755);
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Runs the steps, which must end in an exec into a program that pauses; gives its event while it stands. */
  async function execInto(
    cgroup: TestCgroup,
    steps: readonly Step[],
    check: (event: WireEvent, facts: ProcFacts, time: { from: bigint; to: bigint }) => void,
    type: 'execve' | 'execveat' = 'execve',
    on: KernelProbe = probe,
  ): Promise<void> {
    const from = bootTimeNs();
    const running = on.spawn(cgroup, steps);
    await running.paused();
    await on.settle();
    try {
      check(on.theEvent(running.pid, type), readFacts(running.pid), { from, to: bootTimeNs() });
    } finally {
      running.resume();
      await running.ended();
    }
  }

  for (const kind of ['v2', 'v1-pids'] as const) {
    test(`every field of a plain exec, on ${kind}`, { skip: missingHierarchy(kind) }, async () => {
      const own = new KernelProbe({ hierarchy: kind });
      try {
        const cgroup = own.mkdir('plain');
        const args = ['zeroth', 'pause', '--', 'a b', '', 'new\nline', "quo'te"];
        await execInto(
          cgroup,
          [
            'comm',
            'before',
            'cd',
            dir,
            'setpgid',
            'execve',
            'program',
            ...args.map((arg) => (arg === '' ? '' : raw(arg))),
            ';',
          ],
          (event, facts, { from, to }) => {
            assertHeader(event, { facts, cgroupId: cgroup.id, result: 0, from, to });
            assert.equal(event.comm, 'program');
            assertExecFile(event, statSync(program), { path: program });
            assert.deepEqual(facts.argv, args);
            const { exec } = event;
            // In ticks, as /proc has it.
            const namespaceTicks = (exec?.pidNamespaceStartBootNs ?? 0n) / 10_000_000n;
            assert.equal(namespaceTicks, readStat(1).startTicks);
            assert.deepEqual(withoutFile(exec), {
              file: undefined,
              filename: 'program',
              writable: true,
              argv: ['zeroth', 'pause', '--', 'a b', '', 'new\ufffdline', "quo'te"],
              argvTruncated: false,
              cwd: dir,
              ...stateOf(event.pid, program),
              pidNamespaceStartBootNs: exec?.pidNamespaceStartBootNs,
              ancestors: event.exec?.ancestors,
              pgid: facts.pgid,
              vpgid: facts.pgid,
              sid: facts.sid,
              vsid: facts.sid,
            });
            assert.equal(facts.pgid, event.pid);
            const chain = ancestorsOf(event.pid).slice(0, LIMITS.ANCESTORS_MAX);
            assert.equal(chain[0]?.pid, process.pid);
            assert.deepEqual(
              event.exec?.ancestors.map(({ startBootNs, ...rest }) => ({
                ...rest,
                start: startBootNs / 10_000_000n,
              })),
              chain.map((one) => ({
                pid: one.pid,
                comm: one.comm,
                inScope: false,
                start: one.startTicks,
              })),
            );
            assert.equal(event.param('exe'), 'zeroth');
            assert.deepEqual(event.param('args'), event.exec.argv.slice(1));
            assert.equal(event.param('exe_ino'), statSync(program).ino);
            assert.equal(event.param('trusted_exepath'), program);
            assert.equal(event.param('filename'), 'program');
            assert.equal(event.param('cwd'), dir);
            assert.equal(event.param('flags'), 'EXE_WRITABLE');
            assert.deepEqual(
              ['res', 'tid', 'pid', 'ptid', 'comm', 'tty', 'pgid', 'vpgid', 'uid', 'gid'].map(
                (name) => event.param(name),
              ),
              [
                0,
                facts.pid,
                facts.pid,
                facts.ppid,
                'program',
                facts.tty,
                facts.pgid,
                facts.pgid,
                0,
                0,
              ],
            );
          },
          'execve',
          own,
        );
      } finally {
        await own.close();
      }
    });
  }

  test('ancestors say which of them are in scope', async () => {
    const cgroup = probe.mkdir('ancestors');
    const running = probe.spawn(cgroup, [
      'fork',
      '[',
      'fork',
      '[',
      'execve',
      program,
      'p',
      'pause',
      ';',
      ']',
      ']',
    ]);
    const { pid } = await running.paused();
    await probe.settle();
    const { ancestors } = probe.theEvent(pid, 'execve').exec!;
    assert.deepEqual(
      ancestors.map((one) => one.pid),
      ancestorsOf(pid)
        .slice(0, LIMITS.ANCESTORS_MAX)
        .map((one) => one.pid),
    );
    assert.equal(ancestors[1]?.pid, running.pid);
    assert.deepEqual(
      ancestors.map((one) => one.inScope),
      ancestors.map((_, index) => index < 2),
    );
    running.resume();
    await running.ended();
  });

  test('session, group and terminal; login uid', async () => {
    const cgroup = probe.mkdir('session');
    const running = probe.spawn(cgroup, [
      ...[
        'loginuid',
        '1234',
        'fork',
        '[',
        'setsid',
        'tty',
        'comm',
        'x',
        'execve',
        program,
        'p',
        'pause',
        ';',
        ']',
      ],
    ]);
    const from = bootTimeNs();
    const { pid } = await running.paused();
    await probe.settle();
    const facts = readFacts(pid);
    const event = probe.theEvent(pid, 'execve');
    assertHeader(event, {
      facts,
      cgroupId: cgroup.id,
      result: 0,
      from: from - 1_000_000_000n,
      to: bootTimeNs(),
    });
    assert.notEqual(event.tty, 0);
    if (running.result('loginuid').ret > 0) assert.equal(event.credentials.loginUid, 1234);
    assert.deepEqual(
      [event.exec?.sid, event.exec?.pgid, event.exec?.vsid, event.exec?.vpgid],
      [pid, pid, pid, pid],
    );
    running.resume();
    await running.ended();
  });

  test('in a pid namespace: groups from outside are 0, its own have their numbers', async () => {
    const cgroup = probe.mkdir('pidns');
    const running = probe.spawn(cgroup, [
      ...[
        'unshare',
        CLONE_NEWPID,
        'fork',
        '[',
        'fork',
        '[',
        'execve',
        program,
        'p',
        'ids',
        'pause',
        ';',
        ']',
      ],
      ...['setsid', 'execve', program, 'q', 'pause', ';', ']'],
    ]);
    const check = (vpid: number): void => {
      const event = probe.events.find(
        (one) => one.exec !== undefined && one.cgroupId === cgroup.id && one.vpid === vpid,
      )!;
      const facts = readFacts(event.pid);
      assert.deepEqual(
        [
          event.vpid,
          event.vtid,
          event.exec?.vpgid,
          event.exec?.vsid,
          event.exec?.pgid,
          event.exec?.sid,
        ],
        [facts.vpid, facts.vtid, facts.vpgid, facts.vsid, facts.pgid, facts.sid],
      );
      assert.notEqual(event.pid, event.vpid);
      const own = vpid === 1;
      assert.deepEqual([event.exec?.vpgid, event.exec?.vsid], own ? [1, 1] : [0, 0]);
    };
    assert.equal((await running.paused()).pid, 2);
    await probe.settle();
    check(2);
    running.resume();
    assert.equal((await running.paused()).pid, 1);
    await probe.settle();
    check(1);
    running.resume();
    await running.ended();
  });

  test('a thread that calls exec becomes the process', async () => {
    const cgroup = probe.mkdir('thread');
    await execInto(
      cgroup,
      ['thread', '[', 'execve', program, 'p', 'pause', ';', ']'],
      (event, facts, { from, to }) => {
        assertHeader(event, { facts, cgroupId: cgroup.id, result: 0, from, to });
        assert.equal(event.tid, event.pid);
        assert.equal(
          probe.eventsOf(event.pid, 'procexit').length,
          0,
          'the leader that it ended is not the process',
        );
      },
    );
  });

  test('what descriptors 0, 1 and 2 are to the program: closed, of files, of sockets', async () => {
    const AF_INET = 2;
    const AF_INET6 = 10;
    const SOCK_STREAM = 1;
    const ADDRESS = bytes(ipv4('127.0.0.1', 0));
    // 0 is where the program pauses, 1 is where it reports.
    const error: readonly (readonly [what: string, steps: readonly Step[]])[] = [
      ['closed', call('close', 2)],
      ['a file', [...callFd('open', 's:/etc/hostname', 0), ...call('dup2', '@', 2)]],
      ['a device', [...callFd('open', 's:/dev/null', 0), ...call('dup2', '@', 2)]],
      ['a directory', [...callFd('open', 's:/etc', 0), ...call('dup2', '@', 2)]],
      ['no file at all', [...callFd('epoll_create1', 0), ...call('dup2', '@', 2)]],
    ];
    for (const [what, steps] of error) {
      const run = [...steps, 'execve', program, 'p', 'pause', ';'];
      await execInto(probe.mkdir('standard'), run, (event) => {
        assert.deepEqual(event.exec?.standard, stateOf(event.pid, program).standard, what);
      });
    }
    const become = [...call('dup2', '@', 2), 'execve', program, 'p', 'pause', ';'];
    const listening = [
      ...callFd('socket', AF_INET, SOCK_STREAM, 0),
      ...[...call('bind', '@', ADDRESS, 16), ...call('listen', '@', 8)],
    ];
    const connecting = [
      ...callFd('socket', AF_INET, SOCK_STREAM, 0),
      ...call('connect', '@', 'a:1', 16),
    ];
    const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
    const unix = { type: 'unix', tuple: undefined, connected: false };
    const ip = { family: AF_INET, protocol: 6, socketType: SOCK_STREAM, unixPath: '' };
    await execInto(
      probe.mkdir('connection'),
      [...listening, ...connecting, ...become],
      ({ pid, exec }) => {
        const [, , found] = exec?.standard ?? [];
        const { localPort = 0, remotePort = 0 } = found?.tuple ?? {};
        assert.ok(localPort > 0 && remotePort > 0);
        assert.deepEqual(tcpSocket(pid, 2, 'tcp'), [
          ...[`0100007F:${hex(localPort)}`, `0100007F:${hex(remotePort)}`, '01'],
        ]);
        const ends = { localIp: '127.0.0.1', localPort, remoteIp: '127.0.0.1', remotePort };
        assert.deepEqual(exec?.standard, [
          ...[unix, unix, { type: 'ipv4', tuple: { ...ip, ...ends }, connected: true }],
        ]);
      },
    );
    const listening6 = [...callFd('socket', AF_INET6, SOCK_STREAM, 0), ...call('listen', '@', 8)];
    await execInto(probe.mkdir('listener'), [...listening6, ...become], ({ pid, exec }) => {
      const [, , found] = exec?.standard ?? [];
      const { localPort = 0 } = found?.tuple ?? {};
      const none = '0'.repeat(32);
      assert.deepEqual(tcpSocket(pid, 2, 'tcp6'), [
        ...[`${none}:${hex(localPort)}`, `${none}:0000`, '0A'],
      ]);
      const ends = { localIp: '::', localPort, remoteIp: '::', remotePort: 0 };
      assert.deepEqual(found, {
        ...{ type: 'ipv6', tuple: { ...ip, family: AF_INET6, ...ends }, connected: false },
      });
    });
  });

  test('argv to its bound whole; past it the first 16 KiB, marked', async () => {
    const fixed = 'steps\0pause\0--\0';
    const fits = LIMITS.ARGV_MAX - fixed.length - 1;
    for (const [bytes, truncated] of [
      [fits, false],
      [fits + 1, true],
      [32768, true],
    ] as const) {
      await execInto(
        probe.mkdir(`argv${bytes}`),
        ['execbig', program, bytes, ';'],
        (event, facts) => {
          const whole = Buffer.from(`${facts.argv.join('\0')}\0`);
          const { records, at } = event;
          const parts = [EXEC.ancestors_len, EXEC.raw_len, EXEC.path_len, EXEC.cwd_len].map(
            (part) => records.short(at + part),
          );
          const from = at + EXEC.end + parts.reduce((sum, part) => sum + part, 0);
          const length = records.short(at + EXEC.argv_len);
          assert.equal(length, Math.min(whole.length, LIMITS.ARGV_MAX));
          assert.ok(
            records.bytes.subarray(from, from + length).equals(whole.subarray(0, LIMITS.ARGV_MAX)),
          );
          assert.equal(event.exec?.argvTruncated, truncated);
          assert.equal(event.exec.argv.length, 4);
          assert.equal(event.exec.argv[3]?.length, Math.min(bytes, fits + 1));
        },
      );
    }
    const running = await probe.run(probe.mkdir('many'), ['execmany', '/bin/true', 3000, 3, ';']);
    assert.deepEqual(probe.theEvent(running.pid, 'execve').exec?.argv.length, 3003);
  });

  test('no argv at all is one empty argument (5.18)', async () => {
    const running = await probe.run(probe.mkdir('empty'), ['execve', program, ';']);
    assert.deepEqual(probe.theEvent(running.pid, 'execve').exec?.argv, ['']);
  });

  test('calls that fail: the attempt, with its arguments', async () => {
    const plain = join(dir, 'plain');
    writeFileSync(plain, 'no program', { mode: 0o644 });
    const many = Array.from({ length: 40 }, (_, index) => `arg${index}`);
    const running = await probe.run(probe.mkdir('failed'), [
      ...['comm', 'tries', 'execve', '/no/such', 'zero', 'one', '', 'th%0aree', ';'],
      ...['execveat', -100, plain, 0, 'x', ';'],
      ...[
        'execve',
        '/no/such',
        ...many,
        ';',
        'execve',
        '/no/such',
        'a'.repeat(600),
        'b',
        ';',
        'execve',
        '/no/such',
        ';',
      ],
    ]);
    const [missing, crowded, long, none] = probe.eventsOf(running.pid, 'execve') as [
      WireEvent,
      WireEvent,
      WireEvent,
      WireEvent,
    ];
    assert.equal(missing.result, -2);
    assert.equal(missing.comm, 'tries');
    assert.deepEqual(
      {
        ...missing.exec,
        ancestors: missing.exec?.ancestors.length !== 0,
        pgid: 0,
        vpgid: 0,
        sid: 0,
        vsid: 0,
      },
      {
        file: undefined,
        filename: '/no/such',
        writable: false,
        argv: ['zero', 'one', '', 'th\ufffdree'],
        argvTruncated: false,
        env: undefined,
        envTruncated: false,
        fileCtimeNs: 0n,
        fileMtimeNs: 0n,
        pidNamespaceStartBootNs: 0n,
        standard: [],
        cwd: process.cwd(),
        ancestors: true,
        pgid: 0,
        vpgid: 0,
        sid: 0,
        vsid: 0,
      },
    );
    assert.equal(missing.exec?.ancestors[0]?.pid, process.pid);
    assert.deepEqual(crowded.exec?.argv, many.slice(0, 32));
    assert.equal(crowded.exec.argvTruncated, true);
    assert.deepEqual(long.exec?.argv, ['a'.repeat(511), 'b']);
    assert.equal(long.exec.argvTruncated, true);
    assert.deepEqual(none.exec?.argv, []);
    const refused = probe.theEvent(running.pid, 'execveat');
    assert.equal(refused.result, -13);
    assert.equal(refused.exec?.filename, plain);
    assert.deepEqual(refused.exec.argv, ['x']);
  });

  test('credentials after a set-uid exec; whether the process could write its own program', async () => {
    const setuid = join(dir, 'setuid');
    const owned = join(dir, 'owned');
    for (const path of [setuid, owned]) copyFileSync(program, path);
    chmodSync(setuid, 0o4755);
    chownSync(owned, NOBODY, NOBODY);
    chmodSync(owned, 0o700);
    const become: Step[] = ['resgid', NOBODY, NOBODY, NOBODY, 'resuid', NOBODY, NOBODY, NOBODY];
    const cgroup = probe.mkdir('creds');
    const cases: [path: string, euid: number, writable: boolean][] = [
      [setuid, 0, true],
      [owned, NOBODY, true],
      [program, NOBODY, false],
    ];
    for (const [path, euid, writable] of cases) {
      await execInto(
        cgroup,
        [...become, 'execve', path, 'p', 'pause', ';'],
        (event, facts, { from, to }) => {
          assertHeader(event, { facts, cgroupId: cgroup.id, result: 0, from, to });
          assert.deepEqual([event.credentials.uid, event.credentials.euid], [NOBODY, euid]);
          assert.equal(event.exec?.writable, writable, path);
        },
      );
    }
  });
});
