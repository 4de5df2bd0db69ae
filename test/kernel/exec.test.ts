import assert from 'node:assert/strict';
import { chmodSync, chownSync, copyFileSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { bootTimeNs } from 'ebpf-loader-napi';
import type { ExecDetails } from '../../src/events/event.ts';
import { LIMITS } from '../../src/events/table.gen.ts';
import { execSuite, runIntoExec, standardOf, type ExecCheck } from '../support/kernel-exec.ts';
import { assertExecFile } from '../support/kernel-file-facts.ts';
import {
  ancestorsOf,
  assertHeader,
  assertOutside,
  readFacts,
  readStat,
} from '../support/kernel-facts.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe, type TestCgroup } from '../support/kernel-probe.ts';
import { raw, type Step } from '../support/kernel-process.ts';

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
    standard: standardOf(pid),
  };
}

function withoutFile(exec: ExecDetails | undefined): object {
  return { ...exec, file: undefined, packed: undefined };
}

describe('exec', () => {
  let probe: KernelProbe;
  let dir: string;
  let program: string;
  const suite = execSuite();
  before(() => ({ probe, dir, program } = suite()));

  const execInto = (
    cgroup: TestCgroup,
    steps: readonly Step[],
    check: ExecCheck,
    type: 'execve' | 'execveat' = 'execve',
    on: KernelProbe = probe,
  ): Promise<void> => runIntoExec(on, cgroup, steps, check, type);

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
              packed: undefined,
              filename: 'program',
              parentsProgram: false,
              writable: true,
              argv: ['zeroth', 'pause', '--', 'a b', '', 'new\nline', "quo'te"],
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
            assert.equal(event.exec?.ancestors[0]?.pid, process.pid);
            assertOutside(event.exec.ancestors, process.pid);
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
    const from = bootTimeNs();
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
    const { pid } = await running.paused();
    await probe.settle();
    const facts = readFacts(pid);
    const event = probe.theEvent(pid, 'execve');
    assertHeader(event, {
      facts,
      cgroupId: cgroup.id,
      result: 0,
      from,
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
