import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CpuClock } from '../../../src/policy/cpu-clock.ts';
import { RuleBudget } from '../../../src/policy/rule-budget.ts';

const LIMITS = { cpuPercent: 2, atOnceMs: 20 };

describe('the budget of a container', () => {
  test('2 % of a core: what is spent slower goes on for ever, what is spent faster is paused', () => {
    const slow = new RuleBudget();
    for (let at = 0; at < 600_000; at += 100)
      assert.equal(slow.spend(1.9, at, LIMITS), undefined, String(at));
    const fast = new RuleBudget();
    let at = 0;
    let overrun = fast.spend(3, at, LIMITS);
    while (overrun === undefined) overrun = fast.spend(3, (at += 100), LIMITS);
    // 200 ms are there at first, 20 ms come back each second, 30 ms are spent.
    assert.ok(at > 19_000 && at < 21_000, String(at));
    assert.equal(overrun.limit, 'window');
    assert.ok(overrun.spentMs > 200 && overrun.spentMs < 204);
    assert.equal(fast.isPaused, true);
  });

  test('20 ms for one event: at once', () => {
    const budget = new RuleBudget();
    assert.equal(budget.spend(20, 0, LIMITS), undefined);
    assert.deepEqual(budget.spend(20.5, 1, LIMITS), {
      limit: 'at once',
      spentMs: 20.5,
      periodMs: 10_000,
    });
  });

  test('pauses of 10 s, 1 min, 10 min, 1 h, 1 h; of 10 s again after a good hour', () => {
    const budget = new RuleBudget();
    const periods: (number | undefined)[] = [];
    let nowMs = 0;
    const pause = (): void => {
      const periodMs = budget.spend(30, nowMs, LIMITS)?.periodMs ?? assert.fail('no pause');
      periods.push(periodMs);
      assert.equal(budget.spend(30, nowMs, LIMITS), undefined, 'it is paused already');
      assert.equal(budget.resume(nowMs + periodMs - 1), false);
      nowMs += periodMs;
      assert.equal(budget.resume(nowMs), true);
      assert.equal(budget.resume(nowMs), false);
      nowMs += 1000;
    };
    for (let round = 0; round < 5; round++) pause();
    nowMs += 3_598_000;
    pause();
    nowMs += 3_600_000;
    pause();
    assert.deepEqual(
      periods,
      [10, 60, 600, 3600, 3600, 3600, 10].map((seconds) => seconds * 1000),
    );
  });
});

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
