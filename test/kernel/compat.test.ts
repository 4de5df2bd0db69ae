import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EVENT_TABLE, type EventName } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { KernelProbe, STANDARD_PROGRAMS } from '../support/kernel-probe.ts';
import { runProgram } from '../support/kernel-program.ts';
import {
  comparable,
  DISCARD,
  HOW,
  twin,
  type Argument,
  type Made,
  type Twin,
} from '../support/kernel-twins.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { verdictTable } from '../support/verdict-table.ts';

// Each call by int 0x80 beside its 64-bit twin: the two must be the same event, param by param.

const AT_FDCWD = -100;
const O_RDWR_CREAT = 0o102;
const ENOENT = -2;
const EBADF = -9;
const EINVAL = -22;
const ENOSYS = -38;
const ESRCH = -3;

let probe: KernelProbe;
let dir: string;
let runs = 0;

/** All hooks but those that fire for every second call: io_uring has a test of its own. */
function hooksOf(events: Iterable<EventName>): string[] {
  const names = [...new Set(events)].map((event) => {
    const { hook } = EVENT_TABLE[event];
    return hook === 'exec' ? `sys_${event}` : `sys_${hook}`;
  });
  return names.filter((name) => !STANDARD_PROGRAMS.includes(name));
}

function workingDirectory(): string {
  const at = join(dir, `run${runs}`);
  mkdirSync(join(at, 'sub'), { recursive: true });
  writeFileSync(join(at, 'file'), 'text');
  writeFileSync(join(at, 'old'), 'text');
  return at;
}

interface Run {
  readonly cwd: string;
  readonly made: readonly Made[];
  readonly events: readonly WireEvent[];
  /** Opens of it that ended in the kernel. */
  readonly prefiltered: number;
}

/** Makes the calls in a cgroup and directory of their own; the events are all that the process made after them. */
async function make(
  calls: readonly (readonly [way: Made['way'], nr: number, ...args: Argument[]])[],
  table?: number,
): Promise<Run> {
  const cwd = workingDirectory();
  const cgroup = probe.mkdir(`run${runs++}`);
  if (table !== undefined) probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, table);
  const made = await runProgram<Made>(probe, 'compat-calls.c', cgroup, [
    cwd,
    ...calls.flatMap((one) => [...one, ';']),
  ]);
  assert.equal(made.length, calls.length);
  const events = probe.events.filter(
    (event) => event.cgroupId === cgroup.id && event.type !== 'procexit',
  );
  return { cwd, made, events, prefiltered: probe.entry(cgroup).prefiltered };
}

describe('calls by int 0x80', () => {
  before(() => {
    probe = new KernelProbe({
      attach: [
        'compat_exit',
        ...STANDARD_PROGRAMS,
        ...hooksOf((Object.keys(EVENT_TABLE) as EventName[]).filter(isCall)),
      ],
    });
    dir = mkdtempSync(join(tmpdir(), 'varvel-compat-'));
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  function isCall(event: EventName): boolean {
    const { hook } = EVENT_TABLE[event];
    // mmap and mprotect: the program's own allocations; fork and exit have no exit hook
    return !['fork', 'exit', 'mmap', 'mprotect'].includes(hook);
  }

  test('opens that no rule can match end in the kernel, as those of 64 bits do', async () => {
    const rules = ruleSetOf(
      ruleFile('evt.type in (open, openat, creat) and fd.name in (/etc/shadow, /no/file)'),
    );
    probe.probe.setVerdicts(1, verdictTable(rules).bytes ?? assert.fail('no room'));
    try {
      for (const [way, open, openat, creat] of [
        ['native', 2, 257, 85],
        ['ia32', 5, 295, 8],
      ] as const) {
        const { events, prefiltered } = await make(
          [
            [way, open, 's:/etc/shadow', 0, 0],
            [way, open, 's:/etc/hostname', 0, 0],
            [way, openat, AT_FDCWD, 's:/etc/shadow', 0, 0],
            [way, openat, AT_FDCWD, 's:/etc/hostname', 0, 0],
            [way, open, 's:/no/file', 0, 0],
            [way, open, 's:/no/other', 0, 0],
            [way, creat, 's:made', 0o600],
          ],
          1,
        );
        assert.deepEqual(
          events.map((event) => [event.type, event.open?.rawPath]),
          [
            ['open', '/etc/shadow'],
            ['openat', '/etc/shadow'],
            ['open', '/no/file'],
          ],
          way,
        );
        // Those of the program's own start, and four here.
        assert.ok(prefiltered >= 4, `${way}: ${prefiltered}`);
      }
    } finally {
      probe.probe.setVerdicts(1, undefined);
    }
  });

  async function compare(twins: readonly Twin[]): Promise<void> {
    const native = await make(
      twins.map((one) => ['native', one.native, ...(one.nativeArgs ?? one.args)] as const),
    );
    const ia32 = await make(twins.map((one) => ['ia32', one.ia32, ...one.args] as const));
    for (const run of [native, ia32]) {
      assert.deepEqual(
        run.events.map((event) => event.type),
        twins.map((one) => one.event),
      );
    }
    twins.forEach(({ event, params }, at) => {
      const seen = ia32.events[at]!;
      const expected = native.events[at]!;
      const what = `${event}, call ${at}`;
      assert.equal(seen.result, ia32.made[at]!.ret, what);
      assert.equal(expected.result, native.made[at]!.ret, what);
      assert.deepEqual(comparable(seen, ia32.cwd), comparable(expected, native.cwd), what);
      for (const [name, value] of Object.entries(params)) {
        const absolute = typeof value === 'string' ? value.replaceAll('$', ia32.cwd) : value;
        assert.deepEqual(seen.param(name), absolute, `${what}: ${name}`);
      }
      if ((seen.open?.file?.ino ?? 0) !== 0) assert.equal(seen.open!.file!.ino, ia32.made[at]!.ino);
    });
  }

  test('opens, for reading and writing, by path and directory, that work and that fail', () =>
    compare([
      twin('open', 5, 2, ['s:file', 0, 0], { name: '$/file', flags: 'O_RDONLY' }),
      twin('open', 5, 2, ['s:/etc/shadow', 0, 0], { name: '/etc/shadow' }),
      twin('open', 5, 2, ['s:/etc/shadow', 2, 0], { name: '/etc/shadow', flags: 'O_RDWR' }),
      twin('open', 5, 2, ['s:none', 0, 0], { fd: ENOENT, name: 'none' }),
      twin('openat', 295, 257, [AT_FDCWD, 's:made', O_RDWR_CREAT, 0o604], {
        dirfd: 'AT_FDCWD',
        name: '$/made',
        mode: 0o604,
      }),
      twin('openat', 295, 257, [AT_FDCWD, 's:sub', 0o200000, 0], { name: '$/sub' }),
      twin('openat', 295, 257, ['@5', 's:../file', 0, 0], { name: '$/file' }),
      twin('openat', 295, 257, [-7, 's:file', 0, 0], { fd: EBADF, dirfd: -7 }),
      twin('openat2', 437, 437, [AT_FDCWD, 's:file', HOW, 24], {
        name: '$/file',
        resolve: 'RESOLVE_NO_SYMLINKS',
      }),
      twin('openat2', 437, 437, [AT_FDCWD, 's:none', HOW, 24], { fd: ENOENT }),
      twin('creat', 8, 85, ['s:created', 0o600], { name: '$/created', mode: 0o600 }),
      twin('creat', 8, 85, ['s:none/created', 0o600], { fd: ENOENT }),
    ]));

  test('names and modes of files', () =>
    compare([
      twin('mkdir', 39, 83, ['s:new', 0o750], { res: 0, path: '$/new', mode: 0o750 }),
      twin('mkdirat', 296, 258, [-7, 's:new', 0o750], { res: EBADF, dirfd: -7 }),
      twin('rename', 38, 82, ['s:old', 's:new/old'], { res: 0, newpath: '$/new/old' }),
      twin('chmod', 15, 90, ['s:file', 0o4755], { res: 0, filename: '$/file' }),
      twin('symlink', 83, 88, ['s:/etc/shadow', 's:link'], { res: 0, target: '/etc/shadow' }),
      twin('link', 9, 86, ['s:file', 's:hard'], { res: 0, oldpath: '$/file' }),
      twin('unlink', 10, 87, ['s:hard'], { res: 0, path: '$/hard' }),
      twin('unlinkat', 301, 263, [AT_FDCWD, 's:none', 0], { res: ENOENT }),
      twin('mount', 21, 165, ['s:none', 's:nowhere', 's:tmpfs', 0, 0], { dir: '$/nowhere' }),
      twin('umount2', 22, 166, ['s:nowhere', 99], { flags: '' }, ['s:nowhere', 0]),
    ]));

  test('identities of 16 and of 32 bits', () =>
    compare([
      twin('setuid', 23, 105, [0x50000], { res: 0, uid: 0 }, [0]),
      twin('setuid', 23, 105, [0xffff], { res: EINVAL }, [-1]),
      twin('setuid', 213, 105, [0], { res: 0, uid: 0 }),
      twin('setgid', 46, 106, [0], { res: 0 }),
      twin('setreuid', 70, 113, [0xffff, 0], { res: 0, euid: 0 }, [-1, 0]),
      twin('setresuid', 164, 117, [0xffff, 0xffff, 0], { res: 0, suid: 0 }, [-1, -1, 0]),
      twin('chown', 182, 92, ['s:file', 0x1000b, 0xffff], { res: 0, uid: 11 }, ['s:file', 11, -1]),
      twin('chown', 212, 92, ['s:file', 70_000, 70_001], { res: 0, uid: 70_000, gid: 70_001 }),
    ]));

  test('processes, descriptors and the kernel', () =>
    compare([
      twin('dup2', 63, 33, [1, 60], { res: 60, oldfd: 1, newfd: 60 }),
      twin('memfd_create', 356, 319, ['s:hidden', 0], { name: 'hidden' }),
      twin('kill', 37, 62, [-2_000_000, 0], { res: ESRCH, pid: -2_000_000 }),
      twin('ptrace', 26, 101, [16, -5, 0, 0], { res: ESRCH, pid: -5 }),
      twin('bpf', 357, 321, [5, 0, 0], { cmd: 'BPF_PROG_LOAD' }),
      twin('execve', 11, 59, ['s:/none', '[', 's:one', 's:two', 0, ']', '[', 0, ']'], {
        res: ENOENT,
        filename: '/none',
        exe: 'one',
        args: ['two'],
      }),
      twin('execveat', 358, 322, [AT_FDCWD, 's:none', '[', 's:one', 0, ']', '[', 0, ']', 0], {
        res: ENOENT,
      }),
    ]));

  test('sockets, by calls of their own and by socketcall', async () => {
    const twins = [
      twin('socket', 102, 41, [1, '[', 2, 2, 0, ']'], { domain: 'AF_INET' }, [2, 2, 0]),
      twin('connect', 362, 42, ['@0', DISCARD, 16], { res: 0 }),
      twin('socket', 359, 41, [2, 2, 0], {}),
      twin('connect', 102, 42, [3, '[', '@2', DISCARD, 16, ']'], { res: 0 }, ['@2', DISCARD, 16]),
      twin('connect', 102, 42, [3, '[', -4, DISCARD, 16, ']'], { res: EBADF }, [-4, DISCARD, 16]),
      twin('bind', 102, 49, [2, '[', -4, DISCARD, 16, ']'], {}, [-4, DISCARD, 16]),
      twin('listen', 102, 50, [4, '[', '@0', 5, ']'], { backlog: 5 }, ['@0', 5]),
      twin('accept', 102, 43, [5, '[', '@0', 0, 0, ']'], {}, ['@0', 0, 0]),
      twin(
        'sendto',
        102,
        44,
        [9, '[', '@0', 's:data', 4, 0, ']'],
        { data: Buffer.from('data'), size: 4 },
        [...['@0', 's:data', 4, 0, 0, 0]],
      ),
      twin(
        'sendto',
        102,
        44,
        [11, '[', '@2', 's:more', 4, 0, DISCARD, 16, ']'],
        { data: Buffer.from('more') },
        ['@2', 's:more', 4, 0, DISCARD, 16],
      ),
      // 32-bit struct msghdr: name, its length, vectors, their number, control, its length, flags
      twin(
        'sendmsg',
        370,
        46,
        ['@2', '[', DISCARD, 16, '[', 's:ab', 2, 's:cdef', 4, ']', 2, 0, 0, 0, ']', 0],
        { res: 6, size: 6, data: Buffer.from('abcdef') },
      ),
      twin(
        'sendmsg',
        102,
        46,
        [16, '[', '@2', '[', DISCARD, 16, '[', 's:x', 1, ']', 1, 0, 0, 0, ']', 0, ']'],
        { res: 1, data: Buffer.from('x') },
        ['@2', '[', DISCARD, 16, '[', 's:x', 1, ']', 1, 0, 0, 0, ']', 0],
      ),
    ];
    // a datagram to a closed port of this host comes back as an error of a later call: not the same in each run
    const native = await make(
      twins.map((one) => ['native', one.native, ...(one.nativeArgs ?? one.args)] as const),
    );
    const ia32 = await make(twins.map((one) => ['ia32', one.ia32, ...one.args] as const));
    for (const run of [native, ia32])
      assert.deepEqual(
        run.events.map((event) => event.type),
        twins.map((one) => one.event),
      );
    twins.forEach(({ event, params }, at) => {
      const seen = ia32.events[at]!;
      const what = `${event}, call ${at}`;
      assert.equal(seen.result, ia32.made[at]!.ret, what);
      const refused = seen.result === -111;
      for (const [name, value] of Object.entries(params)) {
        if (refused && (name === 'res' || name === 'data')) continue;
        assert.deepEqual(seen.param(name), value, `${what}: ${name}`);
      }
      assert.equal(seen.param('fd'), native.events[at]!.param('fd'), what);
      assert.equal(seen.param('addr'), native.events[at]!.param('addr'), what);
      const remote = seen.call?.socket?.tuple;
      const nativeRemote = native.events[at]!.call?.socket?.tuple;
      if (!refused && native.made[at]!.ret !== -111) {
        assert.equal(remote?.remoteIp, nativeRemote?.remoteIp, what);
        assert.equal(remote?.remotePort, nativeRemote?.remotePort, what);
      }
    });
    const connects = ia32.events.filter((event) => event.type === 'connect');
    assert.deepEqual(
      connects.slice(0, 2).map((event) => event.call?.socket?.tuple?.remotePort),
      [9, 9],
    );
  });

  test('a process that is made by ia32 is made by that call, with its flags', async () => {
    const [CLONE_NEWUTS, SIGCHLD] = [0x04000000, 17];
    const word = (value: number): string => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32LE(value);
      return bytes.toString('hex');
    };
    /** struct clone_args (5.3): flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls */
    const asked = `b:${[CLONE_NEWUTS, 0, 0, 0, SIGCHLD, 0, 0, 0].map(word).join('')}`;
    const { made, events } = await make([
      ['ia32', 2],
      ['ia32', 120, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0],
      ['ia32', 435, asked, 64],
      ['native', 435, asked, 64],
    ]);
    assert.deepEqual(
      events.map(({ type, result, clone }) => [type, result, clone?.flags]),
      [
        ['fork', made[0]?.ret, 0n],
        ['clone', made[1]?.ret, BigInt(CLONE_NEWUTS | SIGCHLD)],
        ['clone3', made[2]?.ret, BigInt(CLONE_NEWUTS)],
        ['clone3', made[3]?.ret, BigInt(CLONE_NEWUTS)],
      ],
    );
    for (const { ret } of made) assert.ok(ret > 0);
  });

  test('a successful execve is the exec hook’s, once', async () => {
    const cwd = workingDirectory();
    const cgroup = probe.mkdir(`run${runs++}`);
    await runProgram<Made>(probe, 'compat-calls.c', cgroup, [
      ...[cwd, 'ia32', 11, 's:/bin/true', '[', 's:true', 's:an argument', 0, ']', '[', 0, ']', ';'],
    ]);
    const execs = probe.events.filter(
      (event) => event.cgroupId === cgroup.id && event.exec !== undefined,
    );
    assert.deepEqual(
      execs.map((event) => [event.type, event.result, event.exec?.filename, event.exec?.argv]),
      [['execve', 0, '/bin/true', ['true', 'an argument']]],
    );
  });

  test('x32 numbers, even where the kernel refuses them', async () => {
    const X32 = ['x32'] as const;
    const run = await make([
      [...X32, 2, 's:file', 0, 0],
      [...X32, 257, AT_FDCWD, 's:none', 0, 0],
      [...X32, 520, 's:/none', '[', 's:one', 's:two', 0, ']', '[', 0, ']'],
      [...X32, 545, AT_FDCWD, 's:none', '[', 's:one', 0, ']', '[', 0, ']', 0],
      [...X32, 518, -1, '[', 0, 0, '[', 's:x', 1, ']', 1, 0, 0, 0, ']', 0],
      [...X32, 521, 16, -5, 0, 0],
      [...X32, 87, 's:none'],
      [...X32, 39],
    ]);
    assert.deepEqual(
      run.events.map((event) => [event.type, event.result]),
      ['open', 'openat', 'execve', 'execveat', 'sendmsg', 'ptrace', 'unlink'].map((type, at) => [
        type,
        run.made[at]!.ret,
      ]),
    );
    assert.equal(run.events[0]!.open?.rawPath, 'file');
    assert.deepEqual(run.events[2]!.exec?.argv, ['one', 'two']);
    assert.equal(run.events[5]!.param('pid'), -5);
    assert.equal(run.events[6]!.param('path'), join(run.cwd, 'none'));
  });

  test('x32 calls that work', async (context) => {
    const run = await make([
      ['x32', 39],
      ['x32', 2, 's:/etc/shadow', 0, 0],
    ]);
    if (run.made[0]!.ret === ENOSYS) {
      context.skip('this kernel has no x32 (ENOSYS)');
      return;
    }
    assert.equal(run.events[0]!.open?.file?.path, '/etc/shadow');
  });
});
