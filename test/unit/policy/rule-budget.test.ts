import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RuleBudget } from '../../../src/policy/rule-budget.ts';

const LIMITS = { cpuPercent: 2, atOnceMs: 20 };

describe('the budget of an app', () => {
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

  test('40 ms that come back within 250 ms: a burst, so that no other app waits for all that a window allows', () => {
    const budget = new RuleBudget();
    for (let at = 0; at < 2000; at += 10)
      assert.equal(budget.spend(0.9, at, LIMITS), undefined, String(at));
    const burst = new RuleBudget();
    let at = 1000;
    let overrun = burst.spend(10, at, LIMITS);
    while (overrun === undefined) overrun = burst.spend(10, (at += 12), LIMITS);
    assert.deepEqual([overrun.limit, overrun.periodMs], ['burst', 10_000]);
    // 10 ms every 12, of which 1.9 come back.
    assert.equal(at, 1048);
    assert.ok(overrun.spentMs > 40 && overrun.spentMs < 50, String(overrun.spentMs));
    const compiled = new RuleBudget();
    const unbounded = { ...LIMITS, atOnceMs: Infinity };
    for (let n = 0; n < 3; n++) assert.equal(compiled.spend(60, n, unbounded), undefined);
    assert.equal(compiled.spend(15, 3, LIMITS), undefined, 'what was compiled is no burst');
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
