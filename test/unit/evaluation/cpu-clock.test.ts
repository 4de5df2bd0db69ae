import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CpuClock } from '../../../src/evaluation/cpu-clock.ts';

describe('the clock', () => {
  function world() {
    const time = { now: 0, cpu: 0, asked: 0 };
    const clock = new CpuClock({ nowMs: () => time.now, cpuMs: () => (time.asked++, time.cpu) });
    const pass = (ms: number, cpuMs = ms): void => {
      time.now += ms;
      time.cpu += cpuMs;
    };
    return { time, clock, pass };
  }

  test('a long span: what others had of the CPU is not charged', () => {
    const { clock, pass } = world();
    pass(1000, 5);
    clock.start();
    pass(50, 3);
    assert.equal(clock.lap(), 3);
    pass(20, 20);
    assert.equal(clock.lap(), 20, 'nor is it taken off twice');
    pass(10, 0);
    clock.start();
    pass(50, 50);
    assert.equal(clock.lap(), 50);
  });

  test('a short span is taken as it is, and CPU time is asked for every 2 ms at most', () => {
    const { clock, pass, time } = world();
    for (let round = 0; round < 1000; round++) {
      clock.start();
      pass(0.01, 0);
      assert.ok(Math.abs(clock.lap() - 0.01) < 1e-9);
    }
    assert.ok(time.asked <= 6, String(time.asked));
  });

  test('the real clocks: work is charged, and sleep is not', () => {
    const clock = new CpuClock();
    clock.start();
    for (const end = performance.now() + 50; performance.now() < end;);
    const worked = clock.lap();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    const slept = clock.lap();
    // A busy machine may give this process the CPU for some of the 50 ms only.
    assert.ok(worked > 0 && slept < 250, `${worked} and ${slept} ms`);
  });
});
