// Calls that do what others do are denied with them: none is a way around a rule.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { hooksFor } from '../../src/plan/hooks.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { call, callFd, queuedSignal } from '../support/kernel-calls.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { clone, clone3, suiteOfDeniedCalls } from '../support/kernel-denied-calls.ts';
import { runsIn } from '../support/kernel-container.ts';
import type { Step } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeProcess, makeSubject } from '../support/rules-subject.ts';

const EPERM = -1;
const CLONE_NEWUSER = 0x10000000;
const CLONE_NEWUTS = 0x04000000;
const SIGTERM = 15;
const SIGCONT = 18;
const PAGE = 4096;
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MANY = 200;

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`calls that do the same, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    const suite = suiteOfDeniedCalls(kind, () =>
      hooksFor(new Set(['kill', 'tgkill', 'pidfd_send_signal', 'mprotect', 'unshare'] as const)),
    );
    const { at, calls, deny, refusing, told } = suite;

    /** In a process with a child. */
    const withChild = (...steps: Step[]): Step[] => [
      ...['fork', '[', 'child', ...steps, 'exit', 0, ']'],
    ];
    const signals = (signal: number): Step[] => [
      ...call('rt_sigqueueinfo', 'child', signal, queuedSignal(signal)),
      ...call('rt_tgsigqueueinfo', 'child', 'child', signal, queuedSignal(signal)),
      ...callFd('pidfd_open', 'child', 0),
      ...call('pidfd_send_signal', '@', signal, 'n', 0),
    ];
    const memory = call('mmap', 'n', PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    refusing('signals that are queued, or sent by a descriptor', async () => {
      deny('evt.type in (kill, tgkill, pidfd_send_signal) and evt.arg.sig = SIGTERM');
      const [results, events] = await calls(withChild(...signals(SIGTERM), ...signals(SIGCONT)));
      for (const name of ['rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'pidfd_send_signal'])
        assert.deepEqual(results.get(name), [EPERM, 0], name);
      assert.deepEqual(told(events), ['kill', 'tgkill', 'pidfd_send_signal']);
      const [byDescriptor] = events.filter(({ type }) => type === 'pidfd_send_signal');
      assert.equal(byDescriptor?.param('sig'), SIGTERM);
      assert.equal(byDescriptor.result, EPERM);
    });

    refusing('memory that is made executable with a protection key', async () => {
      deny('evt.type = mprotect and evt.rawres = 0 and evt.arg.prot contains PROT_WRITE');
      const [results, events] = await calls([
        ...memory,
        ...call('pkey_mprotect', 'r', PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, -1),
        ...call('pkey_mprotect', 'r1', PAGE, PROT_READ | PROT_WRITE, -1),
        ...call('pkey_mprotect', 'r2', PAGE, PROT_READ | PROT_EXEC, -1),
      ]);
      assert.deepEqual(results.get('pkey_mprotect'), [EPERM, 0, 0]);
      assert.deepEqual(told(events), ['mprotect']);
    });

    refusing('a user namespace that is made with a process', async () => {
      const condition = 'evt.type in (clone, clone3) and evt.arg.flags contains CLONE_NEWUSER';
      deny(`${condition} and evt.rawres > 0 and proc.exepath = ${at('good')}`);
      const flags = CLONE_NEWUSER | CLONE_NEWUTS;
      const made = [
        ...withChild(...clone(flags)),
        ...withChild(...clone3(flags)),
        ...withChild(...clone(CLONE_NEWUTS)),
      ];
      const [results, events] = await calls(made);
      // The last one is made: it returns in both processes, but the other one may say so too late.
      assert.deepEqual(results.get('clone')?.slice(0, 2), [EPERM, 0]);
      assert.deepEqual(results.get('clone3'), [EPERM]);
      assert.deepEqual(told(events), ['clone', 'clone3']);
      const engine = new RuleEngine(ruleSetOf(ruleFile(`${condition} and evt.rawres > 0`)));
      for (const event of events.filter(({ denied }) => denied)) {
        assert.deepEqual(
          [event.result, event.ruleMatches, event.comm, event.clone?.childPid],
          [EPERM, true, 'good', 0],
        );
        assert.equal(event.param('flags'), 'CLONE_NEWUTS|CLONE_NEWUSER');
        const found = engine.evaluate(makeSubject(event, { process: makeProcess() }), 'all');
        assert.equal(found.length, 1, 'the agent judges it as if it had been made');
      }
      const elsewhere = suite.probe.mkdir('elsewhere');
      const [others] = await calls(made, (_, ...args) => runsIn(elsewhere, at('good'), ...args));
      assert.ok(!others.get('clone')?.includes(EPERM) && !others.get('clone3')?.includes(EPERM));
    });

    refusing(`each ${MANY} of ${MANY} times`, async () => {
      deny(
        'evt.type in (kill, tgkill, pidfd_send_signal, mprotect) or (evt.type in (clone, clone3) and evt.arg.flags contains CLONE_NEWUSER)',
      );
      const untold = suite.probe.countUntold();
      const one = withChild(
        ...signals(SIGCONT),
        ...memory,
        ...call('pkey_mprotect', 'r', PAGE, PROT_READ | PROT_EXEC, -1),
        ...clone(CLONE_NEWUSER),
        ...clone3(CLONE_NEWUSER),
      );
      const [results, events] = await calls(Array.from({ length: MANY }, () => one).flat());
      const names = ['rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'pidfd_send_signal', 'pkey_mprotect'];
      for (const name of [...names, 'clone', 'clone3'])
        assert.deepEqual(results.get(name), Array(MANY).fill(EPERM), name);
      assert.equal(told(events).length + untold(), 6 * MANY);
    });
  });
