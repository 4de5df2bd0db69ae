import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DetectionLimiter, type LimitOptions } from '../../../src/streams/limiter.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { suppressedNotice } from '../../../src/streams/notices.ts';
import { containerOf, detectionOf } from './delivery-fixture.ts';

const LIMITS: LimitOptions = {
  burst: 3,
  perMinute: 6,
  appBurst: 5,
  appPerMinute: 60,
  summaryMs: 30_000,
};

class Clock {
  ms = 1000;
  readonly now = (): number => this.ms;
}

const at = (ns: bigint, more = {}) => detectionOf({ timeNs: ns, ...more });

/** Asks for a line and writes it; whether it became one. */
function take(limiter: DetectionLimiter, detection: Detection): boolean {
  if (!limiter.admit(detection)) return false;
  limiter.settle(detection);
  return true;
}

describe('limiter', () => {
  test('a burst, then as many as the rate allows; the rest is counted, with its first and last', () => {
    const clock = new Clock();
    const limiter = new DetectionLimiter(LIMITS, clock.now);
    const taken = [1n, 2n, 3n, 4n, 5n, 6n].map((ns) => take(limiter, at(ns)));
    assert.deepEqual(taken, [true, true, true, false, false, false]);
    clock.ms += 9_999;
    assert.equal(take(limiter, at(7n)), false);
    clock.ms += 1;
    assert.equal(take(limiter, at(8n)), true);
    assert.equal(take(limiter, at(9n)), false);
    assert.deepEqual(limiter.due(), []);
    clock.ms += 20_000;
    const [suppressed, ...others] = limiter.due();
    assert.deepEqual(others, []);
    assert.deepEqual(
      [suppressed?.rule, suppressed?.count, suppressed?.firstNs, suppressed?.lastNs],
      ['Shell in an app container', 5, 4n, 9n],
    );
    assert.deepEqual(limiter.due(true), [], 'told once');
  });

  test('a long line counts as several: those of 8,192 characters as four each', () => {
    const clock = new Clock();
    const limiter = new DetectionLimiter({ ...LIMITS, burst: 100, appBurst: 8 }, clock.now);
    const long = { output: 'x'.repeat(8192) };
    const taken = [1n, 2n, 3n].map((ns) => take(limiter, at(ns, long)));
    assert.deepEqual(taken, [true, true, false]);
    const other = new DetectionLimiter({ ...LIMITS, burst: 100, appBurst: 3 }, clock.now);
    // The first is written, though there is less left than it takes: no length of a line is refused for ever.
    assert.deepEqual([take(other, at(1n, long)), take(other, at(2n))], [true, false]);
    clock.ms += 1_999;
    assert.equal(take(other, at(3n)), false, 'one is owed: one a second comes back');
    clock.ms += 1;
    assert.equal(take(other, at(4n)), true);
  });

  test('lines are admitted before they are written, no more than there are tokens; their length is taken later', () => {
    const clock = new Clock();
    const limiter = new DetectionLimiter({ ...LIMITS, burst: 4, appBurst: 4 }, clock.now);
    const long = { output: 'x'.repeat(4096) };
    const admitted = [1n, 2n, 3n, 4n, 5n].map((ns) => limiter.admit(at(ns)));
    assert.deepEqual(admitted, [true, true, true, true, false]);
    for (const ns of [1n, 2n, 3n, 4n]) limiter.settle(at(ns, long));
    // Four are owed, and one comes back each second.
    clock.ms += 4_000;
    assert.equal(limiter.admit(at(6n)), false);
    const [suppressed] = limiter.due(true);
    assert.deepEqual([suppressed?.count, suppressed?.firstNs, suppressed?.lastNs], [2, 5n, 6n]);
    clock.ms += 60_000;
    assert.equal(limiter.admit(at(7n)), true);
  });

  test('rules and app instances have their own', () => {
    const limiter = new DetectionLimiter(LIMITS, new Clock().now);
    const other = containerOf({ fullId: 'cd'.repeat(32) });
    const takeOne = (more: object): boolean => take(limiter, at(1n, more));
    for (let n = 0; n < 3; n++) assert.ok(takeOne({}));
    assert.ok(!takeOne({}));
    assert.ok(takeOne({ rule: 'Another' }));
    assert.ok(takeOne({ container: other }));
    // Two containers of one instance, one after the other, share what is its own.
    const instance = { instance: '0', guid: 'g' };
    for (let n = 0; n < 3; n++) {
      assert.ok(takeOne({ container: containerOf({ fullId: `${n}`.repeat(64) }, instance) }));
    }
    assert.ok(!takeOne({ container: containerOf({ fullId: '9'.repeat(64) }, instance) }));
  });

  test('many rules of one instance: its own bound; critical ones have theirs to themselves', () => {
    const limiter = new DetectionLimiter(LIMITS, new Clock().now);
    const takeOne = (n: number, priority: 'Warning' | 'Critical'): boolean =>
      take(limiter, at(1n, { rule: `rule ${n}`, priority }));
    const taken = (priority: 'Warning' | 'Critical'): number =>
      Array.from({ length: 20 }, (_, n) => takeOne(n, priority)).filter(Boolean).length;
    assert.equal(taken('Warning'), 5);
    assert.equal(taken('Critical'), 5);
    assert.equal(
      limiter.due(true).reduce((sum, { count }) => sum + count, 0),
      30,
    );
  });

  test('what is forgotten for room is told first', () => {
    const limiter = new DetectionLimiter({ ...LIMITS, burst: 1 }, new Clock().now);
    const takeOne = (n: number): boolean =>
      take(limiter, at(1n, { container: containerOf({ fullId: String(n).padStart(64, '0') }) }));
    assert.deepEqual([takeOne(0), takeOne(0)], [true, false]);
    for (let n = 1; n <= 16_384; n++) takeOne(n);
    const [told] = limiter.due();
    assert.equal(told?.count, 1);
  });

  test('an instance with more rules than there is room for takes none from another that comes later', () => {
    const limiter = new DetectionLimiter({ ...LIMITS, burst: 1 }, new Clock().now);
    const takeOne = (rule: number, more = {}): boolean =>
      take(limiter, at(1n, { rule: `rule ${rule}`, ...more }));
    for (let rule = 0; rule <= 16_384; rule++) takeOne(rule);
    const container = containerOf({ fullId: 'cd'.repeat(32) });
    assert.deepEqual([takeOne(0, { container }), takeOne(0, { container })], [true, false]);
    const told = limiter.due(true).reduce((sum, { count }) => sum + count, 0);
    assert.equal(told, 16_385 - LIMITS.appBurst + 1, 'all that was counted, forgotten or not');
  });

  test('the line says what it stands for', () => {
    const container = containerOf();
    const line = suppressedNotice(
      {
        rule: 'R',
        priority: 'Error',
        count: 2,
        container,
        firstNs: 1_700_000_000_000_000_000n,
        lastNs: 1_700_000_001_500_000_000n,
      },
      LIMITS,
    );
    assert.equal(line.priority, 'Notice');
    assert.equal(line.source, 'varvel');
    assert.equal(line.container, container);
    assert.equal(
      line.output,
      '2 more detections of "R" (Error) from 2023-11-14T22:13:20.000000000Z to 2023-11-14T22:13:21.500000000Z were counted, not written: more than 3 lines at once and 6 a minute',
    );
    assert.equal(line.outputFields['suppressed.count'], 2);
  });
});
