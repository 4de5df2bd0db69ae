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
