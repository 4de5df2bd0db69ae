// Of which calls a rule can be certain by who makes them, before they are made.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deniesCallsAmong } from '../../../src/plan/verdicts/call-kinds.ts';
import { deniedKindsOf } from '../../../src/plan/verdicts/rule-clauses.ts';
import { verdictOf } from '../../../src/plan/verdicts/verdict.ts';
import type { WayKind } from '../../../src/plan/verdicts/ways.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { kindsDenied, verdictTable } from '../../support/verdict-table.ts';

const CHARACTER_DEVICE = 'evt.rawarg.mode >= 8192 and evt.rawarg.mode < 16384';

for (const [condition, denies] of [
  ['evt.type = mount', true],
  ['evt.type in (mount, move_mount, openat) and not proc.exepath = /x', true],
  ['evt.type = mount and evt.rawres = 0', true],
  ['evt.type = mount and evt.failed = false', true],
  ['evt.type = mount and evt.failed = true', false],
  // What these return is not known before.
  ['evt.type = bpf and evt.rawres >= 0', true],
  ['evt.type = bpf and evt.rawres > 0', false],
  ['evt.type = bpf and evt.rawres < 0', false],
  ['evt.type = pidfd_getfd and evt.rawres = 0', false],
  ['evt.type = bpf and evt.res = SUCCESS', true],
  // Nor are most of the arguments.
  ['evt.type = mount and evt.arg.flags contains MS_BIND', false],
  ['evt.type = mount and evt.arg.name = /dev/sda', false],
  ['evt.type = mknod and evt.arg.path = /x', false],
  ['evt.type = listen and fd.name = /x', false],
  ['evt.type = mount and user.name = root', false],
  ['evt.type = bpf and evt.arg.cmd in (BPF_PROG_LOAD, BPF_MAP_CREATE)', true],
  ['evt.type = bpf and evt.rawarg.cmd = 5', true],
  ['evt.type = bpf and evt.rawarg.cmd > 38', false],
  ['evt.type = ptrace and evt.arg.request = PTRACE_ATTACH', true],
  ['evt.type = ptrace and evt.arg.request = PTRACE_PEEKTEXT', false],
  [`evt.type in (mknod, mknodat) and ${CHARACTER_DEVICE} and evt.rawarg.dev != 0`, true],
  [`evt.type in (mknod, mknodat) and ${CHARACTER_DEVICE} and evt.rawarg.dev = 259`, false],
  ['evt.type in (kill, tgkill) and evt.arg.sig in (SIGKILL, SIGSTOP)', true],
  ['evt.type = kill and evt.rawarg.sig = 0', true],
  ['evt.type = kill and evt.arg.sig = SIGUSR1', false],
  ['evt.type = kill and evt.arg.pid = 1', false],
  ['evt.type = mprotect and evt.rawres = 0 and evt.arg.prot contains PROT_EXEC', true],
  ['evt.type = mmap and evt.rawres >= 0 and evt.arg.prot contains PROT_WRITE', true],
  ['evt.type = mmap and evt.rawarg.prot = 5', true],
  ['evt.type = mmap and evt.rawarg.prot = 3', false],
  ['evt.type = mmap and evt.arg.prot contains PROT_SEM', false],
  ['evt.type = mmap and evt.arg.flags contains MAP_SHARED', false],
  ['evt.type = unshare and evt.arg.flags contains CLONE_NEWUSER', true],
  ['evt.type in (unshare, setns) and evt.arg.flags contains CLONE_NEW', true],
  ['evt.type = unshare and evt.arg.flags contains CLONE_NEWNS', false],
  ['evt.type = unshare and evt.arg.flags = CLONE_NEWUSER', false],
  ['evt.type = unshare and not evt.arg.flags contains CLONE_NEWUSER', false],
  ['evt.type in (clone, clone3) and evt.arg.flags contains CLONE_NEWUSER', true],
  ['evt.type = clone and evt.arg.flags contains CLONE_NEWUSER and evt.rawres > 0', true],
  ['evt.type = clone and evt.arg.flags contains CLONE_NEWUSER and evt.rawres >= 0', true],
  ['evt.type = clone and evt.arg.flags contains CLONE_NEWUSER and evt.failed = false', true],
  ['evt.type = clone and evt.arg.flags contains CLONE_NEWUSER and evt.rawres = 0', false],
  ['evt.type = clone and evt.arg.flags contains CLONE_NEWUSER and evt.rawres > 1', false],
  ['evt.type = clone and evt.arg.flags contains CLONE_NEWUSER and evt.rawres < 0', false],
  ['evt.type = clone and evt.arg.flags contains CLONE_NEWNS', false],
  ['evt.type = clone and not evt.arg.flags contains CLONE_NEWUSER', false],
  ['evt.type = clone and evt.arg.pid = 1', false],
  ['evt.type in (fork, vfork)', false],
  ['evt.type = pidfd_send_signal and evt.arg.sig in (SIGKILL, SIGSTOP)', true],
  ['evt.type = pidfd_send_signal and evt.arg.pid_fd = 3', false],
  // No hook sees them before they have an effect.
  ['evt.type in (dup2, setns, fsopen, delete_module, memfd_create)', false],
] as const)
  test(`${condition}: ${denies ? 'can be refused' : 'cannot be refused'}`, () => {
    const rules = ruleSetOf(ruleFile(condition));
    assert.equal(deniesCallsAmong(deniedKindsOf(rules.rules[0]!)), denies);
    const { bytes, denied } = verdictTable(rules, 'docker', new Set(['r']));
    assert.deepEqual(denied, denies ? ['r'] : []);
    if (bytes === undefined) return;
    assert.equal(deniesCallsAmong(kindsDenied(bytes)), denies);
  });

test('a table is certain by what the kernel knows of the call', () => {
  const isCertain = (condition: string, kind: WayKind, program = '/bin/app'): boolean => {
    const { bytes } = verdictTable(ruleSetOf(ruleFile(condition)), 'docker', new Set(['r']));
    const { failing } = verdictOf(bytes ?? assert.fail('no table'), {
      ...kind,
      directory: false,
      layer: 'none',
      path: undefined,
      program: { path: Buffer.from(program), layer: 'lower' },
    });
    return (failing & 1) === 0;
  };
  const mount: WayKind = { event: 'mount', way: 0 };
  assert.ok(isCertain('evt.type in (mount, bpf)', mount));
  assert.ok(!isCertain('evt.type = bpf', mount));
  const byOthers = 'evt.type = mount and not proc.exepath in (/bin/mount, /bin/app)';
  assert.ok(!isCertain(byOthers, mount));
  assert.ok(isCertain(byOthers, mount, '/tmp/x'));
  const loads = 'evt.type = bpf and evt.arg.cmd = BPF_PROG_LOAD';
  assert.ok(isCertain(loads, { event: 'bpf', way: 5 }));
  assert.ok(!isCertain(loads, { event: 'bpf', way: 4 }));
  assert.ok(!isCertain(loads, { event: 'bpf', way: 39 }), 'a command that it does not know');
  const device = `evt.type = mknod and ${CHARACTER_DEVICE} and evt.rawarg.dev != 0`;
  const written = 'evt.type = mmap and evt.arg.prot contains PROT_WRITE';
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((way) => isCertain(written, { event: 'mmap', way })),
    [false, false, false, true, true],
  );
  const killed = 'evt.type = kill and evt.arg.sig != SIGTERM';
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6].map((way) => isCertain(killed, { event: 'kill', way })),
    [false, true, true, true, true, false, true],
  );
  assert.deepEqual(
    [0, 1, 2].map((way) => isCertain(device, { event: 'mknod', way })),
    [false, true, false],
  );
});
