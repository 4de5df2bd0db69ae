// Calls that a rule denies by who makes them have no effect.
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { before, describe } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { hooksFor } from '../../src/plan/hooks.ts';
import { WAY_EVENTS, type WayEvent } from '../../src/plan/verdicts/ways.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { bytes, call, callFd, text } from '../support/kernel-calls.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { runsIn } from '../support/kernel-container.ts';
import { clone, clone3, suiteOfDeniedCalls } from '../support/kernel-denied-calls.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeProcess, makeSubject } from '../support/rules-subject.ts';

const TABLE = 1;
const EPERM = -1;
const ENOSYS = -38;
const AT_FDCWD = -100;
const PTRACE_TRACEME = 0;
const PTRACE_ATTACH = 16;
const PTRACE_SEIZE = 0x4206;
const BPF_MAP_CREATE = 0;
const BPF_PROG_LOAD = 5;
const CLONE_NEWUSER = 0x10000000;
const CLONE_NEWUTS = 0x04000000;
const SIGHUP = 1;
const SIGTERM = 15;
const SIGCONT = 18;
const PAGE = 4096;
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const PROT_SEM = 8;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const S_IFIFO = 0o10000;
const S_IFCHR = 0o20000;
const S_IFBLK = 0o60000;
/** 1:3, /dev/null */
const DEVICE = 0x103;
const MANY = 200;

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`calls denied by who makes them, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    const suite = suiteOfDeniedCalls(kind, () => {
      // Without modules in the kernel there are no such tracepoints.
      const isThere = (hook: string): boolean => !hook.endsWith('_module') || hasModules();
      return [...hooksFor(new Set(WAY_EVENTS)).filter(isThere), 'sys_dup2'];
    });
    const { at, calls, deny, refusing, told } = suite;
    before(() => {
      copyFileSync(stepsProgram(), at('other'));
      writeFileSync(at('no.ko'), 'no module');
    });

    /** One call of each event. */
    const oneOfEach = (): Readonly<Record<WayEvent, Step[]>> => ({
      mount: call('mount', text('none'), text('/mnt'), text('tmpfs'), 0, text('size=4096')),
      umount2: call('umount2', text('/proc'), 0),
      move_mount: call('move_mount', AT_FDCWD, text('/mnt'), AT_FDCWD, text('/srv'), 0),
      pivot_root: call('pivot_root', text('/mnt'), text('/mnt')),
      chroot: call('chroot', text('/')),
      init_module: call('init_module', bytes(Buffer.alloc(200, '.')), 200, text('')),
      finit_module: [
        ...callFd('openat', AT_FDCWD, text(at('no.ko')), 0, 0),
        ...call('finit_module', '@', text(''), 0),
      ],
      process_vm_readv: call(
        'process_vm_readv',
        ...['child', '{', 'o:8', 8, '}', 1, '{', 'handle', 8, '}', 1, 0],
      ),
      process_vm_writev: call(
        'process_vm_writev',
        ...['child', '{', 'o:8', 8, '}', 1, '{', 'handle', 8, '}', 1, 0],
      ),
      pidfd_getfd: [...callFd('pidfd_open', 'child', 0), ...call('pidfd_getfd', '@', 0, 0)],
      capset: call('capset', bytes(capabilityHeader()), bytes(Buffer.alloc(24))),
      bind: [...callFd('socket', 1, 1, 0), ...call('bind', '@', bytes('\x01\0/none/none\0'), 13)],
      listen: [...callFd('socket', 2, 1, 0), ...call('listen', '@', 1)],
      setuid: call('setuid', 0),
      setreuid: call('setreuid', 0, 0),
      // Where nothing would change, the kernel asks nobody.
      setresuid: call('setresuid', 1, 1, 1),
      mknod: call('mknod', text(at('null')), S_IFCHR | 0o600, DEVICE),
      mknodat: call('mknodat', AT_FDCWD, text(at('nullat')), S_IFBLK | 0o600, DEVICE),
      ptrace: call('ptrace', PTRACE_ATTACH, 'child', 0, 0),
      bpf: call('bpf', BPF_MAP_CREATE, 'n', 0),
      kill: call('kill', 'child', 0),
      tkill: call('tkill', 'child', 0),
      tgkill: call('tgkill', 'child', 'child', 0),
      pidfd_send_signal: [
        ...callFd('pidfd_open', 'child', 0),
        ...call('pidfd_send_signal', '@', SIGCONT, 'n', 0),
      ],
      unshare: call('unshare', CLONE_NEWUSER),
      clone: clone(CLONE_NEWUSER),
      clone3: clone3(CLONE_NEWUSER),
      mmap: memory(PROT_READ | PROT_EXEC),
      mprotect: [...memory(PROT_READ), ...call('mprotect', 'r', PAGE, PROT_READ | PROT_EXEC)],
    });
    const memory = (protection: number): Step[] =>
      call('mmap', 'n', PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /** Each in a process of its own. */
    const eachCall = (): Step[] =>
      WAY_EVENTS.flatMap((event) => [
        ...['fork', '[', 'child'],
        ...oneOfEach()[event],
        ...['exit', 0, ']'],
      ]);

    refusing('by each call, each with one complete record', async () => {
      deny(`evt.type in (${WAY_EVENTS.join(', ')})`);
      const untold = suite.probe.countUntold();
      const [results, events] = await calls(eachCall());
      const there = WAY_EVENTS.filter((event) => results.get(event)?.[0] !== ENOSYS);
      assert.ok(there.length >= WAY_EVENTS.length - 2, 'at most those of modules are missing');
      // That mprotect changes is mapped before.
      for (const event of there)
        assert.deepEqual(results.get(event), event === 'mmap' ? [EPERM, 0] : [EPERM], event);
      const refused = events.filter(({ denied }) => denied);
      const missing = there.filter((event) => !told(events).includes(event));
      assert.equal(missing.length, untold(), missing.join());
      assert.deepEqual(
        told(events),
        there.filter((event) => !missing.includes(event)),
      );
      for (const event of refused)
        assert.deepEqual(
          [event.result, event.judged?.result, event.ruleMatches, event.comm],
          // Of what makes a process, the number of one.
          [EPERM, event.type.startsWith('clone') ? 1 : 0, true, 'good'],
          event.type,
        );
      assert.deepEqual(
        readdirSync(at('')).sort(),
        ['good', 'no.ko', 'other'],
        'no device was made',
      );
      // With what was passed.
      const one = (type: WayEvent): WireEvent | undefined =>
        refused.find((event) => event.type === type);
      if (!missing.includes('mount'))
        assert.deepEqual(
          [1, 2, 3].map((n) => one('mount')?.call?.text(n)),
          ['none', '/mnt', 'tmpfs'],
        );
      if (!missing.includes('mknod'))
        assert.equal(one('mknod')?.call?.arg(2), BigInt(S_IFCHR | 0o600));
      // The agent's own judgement: as if it had been made.
      const engine = new RuleEngine(
        ruleSetOf(ruleFile(`evt.type in (${WAY_EVENTS.join(', ')}) and evt.rawres >= 0`)),
      );
      for (const event of refused)
        assert.equal(
          engine.evaluate(makeSubject(event, { process: makeProcess() }), 'all').length,
          1,
          event.type,
        );
    });

    refusing(
      'and by none where the rule is about another program, container or process',
      async () => {
        const all = `evt.type in (${WAY_EVENTS.join(', ')})`;
        deny(`${all} and not proc.exepath = ${at('good')}`);
        const [ofGood, events] = await calls(eachCall());
        const may = (results: ReadonlyMap<string, number[]>): string[] =>
          WAY_EVENTS.filter((event) => results.get(event)?.[0] !== EPERM);
        // The others change what is above them, or need more.
        const free = [
          'mount',
          'chroot',
          'setuid',
          'bpf',
          'listen',
          'ptrace',
          'mknod',
          'pidfd_getfd',
          'kill',
          'pidfd_send_signal',
          'mmap',
          'mprotect',
          'clone',
          'clone3',
        ];
        for (const event of free) assert.ok(may(ofGood).includes(event), event);
        assert.deepEqual(told(events), []);
        for (const made of ['null', 'nullat']) rmSync(at(made), { force: true });
        const [ofOther] = await calls(eachCall(), (of, ...args) =>
          runsIn(of, at('other'), ...args),
        );
        assert.ok(!may(ofOther).includes('mount') && !may(ofOther).includes('bpf'));
        deny(all);
        const other = suite.probe.mkdir('other');
        const [elsewhere] = await calls(eachCall(), (_, ...args) =>
          runsIn(other, at('good'), ...args),
        );
        for (const event of free) assert.ok(may(elsewhere).includes(event), event);
        for (const made of ['null', 'nullat']) rmSync(at(made), { force: true });
        const [moved] = await calls(call('chroot', text('/')), ({ dir: of }, ...args) => [
          ...['fork', '[', 'enter', of],
          ...args,
          ...['exit', 0, ']'],
        ]);
        assert.deepEqual(moved.get('chroot'), [0]);
        suite.probe.probe.setVerdicts(TABLE, undefined);
        assert.deepEqual((await calls(call('chroot', text('/'))))[0].get('chroot'), [0]);
        deny(all);
        suite.probe.probe.allowCalls();
        assert.deepEqual((await calls(call('chroot', text('/'))))[0].get('chroot'), [0]);
        suite.probe.probe.denyCalls();
        assert.deepEqual((await calls(call('chroot', text('/'))))[0].get('chroot'), [EPERM]);
      },
    );

    refusing('by the arguments that the kernel knows', async () => {
      deny('evt.type = bpf and evt.arg.cmd in (BPF_PROG_LOAD, BPF_LINK_CREATE)');
      const bpf = (cmd: number): Step[] => call('bpf', cmd, 'n', 0);
      const [ofBpf] = await calls([...bpf(BPF_MAP_CREATE), ...bpf(BPF_PROG_LOAD), ...bpf(9999)]);
      const [create, load, unknown] = ofBpf.get('bpf') ?? [];
      assert.equal(load, EPERM);
      assert.ok(create !== EPERM && unknown !== EPERM);
      deny('evt.type = ptrace and evt.arg.request in (PTRACE_ATTACH, PTRACE_SEIZE)');
      const ptrace = (request: number): Step[] => [
        ...['fork', '[', 'child'],
        ...call('ptrace', request, 'child', 0, 0),
        ...['exit', 0, ']'],
      ];
      const [ofPtrace] = await calls(
        [PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_TRACEME].flatMap((request) => ptrace(request)),
      );
      assert.deepEqual(ofPtrace.get('ptrace'), [EPERM, EPERM, 0]);
      const device =
        '(evt.rawarg.mode >= 8192 and evt.rawarg.mode < 16384) or (evt.rawarg.mode >= 24576 and evt.rawarg.mode < 32768)';
      deny(`evt.type in (mknod, mknodat) and (${device}) and evt.rawarg.dev != 0`);
      const mknod = (name: string, mode: number, dev: number): Step[] =>
        call('mknod', text(at(name)), mode, dev);
      const [ofMknod, events] = await calls([
        ...mknod('1', S_IFCHR | 0o644, DEVICE),
        ...mknod('2', S_IFBLK, DEVICE),
        ...mknod('3', S_IFIFO | 0o644, DEVICE),
        // A whiteout of an overlay.
        ...mknod('4', S_IFCHR, 0),
        ...mknod('5', 0o644, 0),
        // Bits that the kernel ignores do not hide it, and are not told.
        ...mknod('6', 0x10000 | S_IFCHR, DEVICE),
      ]);
      assert.deepEqual(ofMknod.get('mknod'), [EPERM, EPERM, 0, 0, 0, EPERM]);
      assert.equal(
        events
          .filter(({ denied }) => denied)
          .at(-1)
          ?.call?.arg(2),
        BigInt(S_IFCHR),
      );
      for (const made of ['3', '4', '5']) rmSync(at(made));
    });

    refusing('by the signal, of each process that one call is about, and told once', async () => {
      deny('evt.type in (kill, tkill, tgkill) and evt.arg.sig in (SIGTERM, SIGHUP)');
      const { deniedDropped } = suite.probe.probe.stats();
      // A group of three, which ends by what is not refused.
      const [results, events] = await calls([
        ...['fork', '['],
        ...call('setpgid', 0, 0),
        ...['fork', '[', 'child'],
        ...call('kill', 0, SIGTERM),
        ...call('kill', 'child', SIGHUP),
        ...call('tkill', 'child', SIGTERM),
        ...call('tgkill', 'child', 'child', SIGTERM),
        ...call('kill', 0, 0),
        ...call('kill', 'child', SIGCONT),
        ...['exit', 0, ']', 'exit', 0, ']'],
      ]);
      assert.deepEqual(results.get('kill'), [EPERM, EPERM, 0, 0]);
      assert.deepEqual([results.get('tkill'), results.get('tgkill')], [[EPERM], [EPERM]]);
      assert.deepEqual(told(events), ['kill', 'kill', 'tkill', 'tgkill']);
      assert.equal(suite.probe.probe.stats().deniedDropped, deniedDropped);
    });

    refusing('by what the memory or the namespace is to be', async () => {
      const written =
        'evt.type in (mmap, mprotect) and evt.rawres >= 0 and evt.arg.prot contains PROT_WRITE and evt.arg.prot contains PROT_EXEC';
      deny(written);
      const all = PROT_READ | PROT_WRITE | PROT_EXEC;
      const [results, events] = await calls([
        ...memory(all),
        ...memory(PROT_READ | PROT_WRITE),
        ...call('mprotect', 'r', PAGE, all),
        ...call('mprotect', 'r1', PAGE, PROT_READ | PROT_EXEC),
        ...memory(PROT_READ | PROT_EXEC),
        ...callFd('openat', AT_FDCWD, text(at('no.ko')), 0, 0),
        ...call('mmap', 'n', PAGE, all, MAP_PRIVATE, '@', 0),
        // A bit more, which is not known to be in the text: it is not refused, but seen.
        ...memory(all | PROT_SEM),
      ]);
      assert.deepEqual(results.get('mmap'), [EPERM, 0, 0, 0, 0]);
      assert.deepEqual(results.get('mprotect'), [EPERM, 0]);
      assert.deepEqual(told(events), ['mmap', 'mprotect']);
      deny('evt.type = unshare and evt.arg.flags contains CLONE_NEWUSER');
      const [unshared] = await calls([
        ...call('unshare', CLONE_NEWUTS),
        ...call('unshare', CLONE_NEWUTS | CLONE_NEWUSER),
      ]);
      assert.deepEqual(unshared.get('unshare'), [0, EPERM]);
      deny(written);
      suite.probe.probe.allowCalls('memory');
      assert.deepEqual((await calls(memory(all)))[0].get('mmap'), [0]);
      suite.probe.probe.denyCalls('memory');
      assert.deepEqual((await calls(memory(all)))[0].get('mmap'), [EPERM]);
    });

    refusing(`${MANY} of ${MANY} processes are refused`, async () => {
      deny(`evt.type in (mount, chroot, ptrace) and proc.exepath = ${at('good')}`);
      const untold = suite.probe.countUntold();
      const one = [
        ...['fork', '[', 'child'],
        ...call('mount', text('none'), text('/mnt'), text('tmpfs'), 0, 'n'),
        ...call('chroot', text('/')),
        ...call('ptrace', PTRACE_SEIZE, 'child', 0, 0),
        ...call('dup2', 1, 1),
        ...['exit', 0, ']'],
      ];
      const [results, events] = await calls(Array.from({ length: MANY }, () => one).flat());
      for (const event of ['mount', 'chroot', 'ptrace'])
        assert.deepEqual(results.get(event), Array(MANY).fill(EPERM), event);
      assert.deepEqual(results.get('dup2'), Array(MANY).fill(0));
      assert.equal(told(events).length + untold(), 3 * MANY);
    });
  });

/** _LINUX_CAPABILITY_VERSION_3, of the calling process. */
function capabilityHeader(): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x20080522, 0);
  return header;
}

const hasModules = (): boolean => readdirSync('/proc').includes('modules');
