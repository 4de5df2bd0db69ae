import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { bootTimeNs } from 'ebpf-loader-napi';
import { HEADER } from '../../src/events/table.gen.ts';
import { assertHeader, readFacts, readStat } from '../support/kernel-facts.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';

describe('exit', () => {
  let probe: KernelProbe;
  before(() => {
    probe = new KernelProbe();
  });
  after(() => probe.close());

  for (const kind of ['v2', 'v1-pids'] as const) {
    test(`every field, on ${kind}`, { skip: missingHierarchy(kind) }, async () => {
      const own = new KernelProbe({ hierarchy: kind });
      try {
        const cgroup = own.mkdir('plain');
        const running = own.spawn(cgroup, ['comm', 'leaves', 'setsid', 'pause', 'exit', 7]);
        await running.paused();
        const facts = readFacts(running.pid);
        const parentStartTicks = readStat(facts.ppid).startTicks;
        const from = bootTimeNs();
        running.resume();
        assert.equal((await running.ended()).code, 7);
        await own.settle();
        const event = own.theEvent(running.pid, 'procexit');
        assertHeader(event, {
          facts,
          cgroupId: cgroup.id,
          result: 0,
          from,
          to: bootTimeNs(),
          parentStartTicks,
        });
        assert.deepEqual(event.exit, { status: 7 << 8 });
        assert.deepEqual(
          ['status', 'ret', 'sig'].map((name) => event.param(name)),
          [7 << 8, 7, 0],
        );
        assert.equal(event.records.number(event.at + HEADER.len), 168);
      } finally {
        await own.close();
      }
    });
  }

  /** The exit record of the forked child that runs the steps, against what wait() gave its parent. */
  async function assertStatus(name: string, steps: readonly Step[]): Promise<void> {
    const running = await probe.run(probe.mkdir(name), ['fork', '[', ...steps, ']']);
    const waited = running.result('fork');
    const event = probe.theEvent(waited.ret, 'procexit');
    assert.equal(event.exit?.status, waited.status, name);
    assert.equal(event.ppid, running.pid);
  }

  test('the status is what wait gives: codes and signals', async () => {
    await assertStatus('code', ['exit', 255]);
    await assertStatus('term', ['kill', 15]);
    await assertStatus('kill', ['kill', 9]);
    await assertStatus('segv', ['kill', 11]);
  });

  test('a leader that ends before its threads: one record, when the last thread ends, with the leader’s status', async () => {
    await assertStatus('leader', ['thread', '[', 'exitthread', 9, ']', 'exit', 5]);
    await assertStatus('last', [
      'threadleft',
      '[',
      'sleep',
      30,
      'exitthread',
      9,
      ']',
      'exitthread',
      7,
    ]);
    await assertStatus('group', ['threadleft', '[', 'sleep', 30, 'exit', 9, ']', 'exitthread', 7]);
  });

  test('a process of many threads ends once, with the status that wait gives', async () => {
    const cgroup = probe.mkdir('many');
    const steps: Step[] = [];
    // Threads that end by themselves, with codes of their own, race with the end of the whole process.
    for (let i = 0; i < 250; i++) {
      steps.push(
        'fork',
        '[',
        i % 2 ? 'threads' : 'threadsend',
        i % 4 < 2 ? 2 : 12,
        'exit',
        77,
        ']',
      );
    }
    for (let round = 0; round < 10; round++) {
      const running = await probe.run(cgroup, steps);
      const children = running.results.filter((result) => result.step === 'fork');
      assert.equal(children.length, 250);
      const statuses = new Map<number, number[]>();
      for (const { pid, exit } of probe.events) {
        if (exit !== undefined) statuses.set(pid, [...(statuses.get(pid) ?? []), exit.status]);
      }
      probe.events.length = 0;
      assert.deepEqual(
        children.map(({ ret }) => statuses.get(ret)),
        children.map(({ status }) => [status]),
      );
    }
  });
});
