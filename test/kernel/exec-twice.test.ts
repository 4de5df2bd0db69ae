// Since Linux 7.0 two programs of a probe look at each exec: the kernel may skip the first (exec_again).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KernelProbe } from '../support/kernel-probe.ts';

const PROGRAMS = 10;

test('an exec is reported once, also by a probe that comes after another', async () => {
  // The kernel runs all perf events of a tracepoint where the first of them is: with another probe, before the program that may be skipped.
  const first = new KernelProbe();
  const second = new KernelProbe();
  try {
    for (const probe of [first, second]) {
      const steps = Array.from({ length: PROGRAMS }, () => [
        ...['fork', '[', 'execve', '/bin/true', 'true', ';', ']'],
      ]).flat();
      const { results } = await probe.run(probe.mkdir('once'), steps);
      const execs = results
        .filter(({ step }) => step === 'fork')
        .map(({ ret }) => probe.eventsOf(ret).filter(({ type }) => type === 'execve'));
      assert.deepEqual(
        execs.map(({ length }) => length),
        Array.from({ length: PROGRAMS }, () => 1),
      );
    }
  } finally {
    await second.close();
    await first.close();
  }
});
