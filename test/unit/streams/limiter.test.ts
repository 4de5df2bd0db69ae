import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DetectionLimiter, type LimitOptions } from '../../../src/streams/limiter.ts';
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

describe('limiter', () => {
  test('a burst, then as many as the rate allows; the rest is counted, with its first and last', () => {
    const clock = new Clock();
    const limiter = new DetectionLimiter(LIMITS, clock.now);
    const taken = [1n, 2n, 3n, 4n, 5n, 6n].map((ns) => limiter.take(at(ns)));
    assert.deepEqual(taken, [true, true, true, false, false, false]);
    clock.ms += 9_999;
    assert.equal(limiter.take(at(7n)), false);
    clock.ms += 1;
    assert.equal(limiter.take(at(8n)), true);
    assert.equal(limiter.take(at(9n)), false);
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
    const taken = [1n, 2n, 3n].map((ns) => limiter.take(at(ns, long)));
    assert.deepEqual(taken, [true, true, false]);
    const other = new DetectionLimiter({ ...LIMITS, burst: 100, appBurst: 3 }, clock.now);
    // The first is written, though there is less left than it takes: no length of a line is refused for ever.
    assert.deepEqual([other.take(at(1n, long)), other.take(at(2n))], [true, false]);
    clock.ms += 1_999;
    assert.equal(other.take(at(3n)), false, 'one is owed: one a second comes back');
    clock.ms += 1;
    assert.equal(other.take(at(4n)), true);
  });

  test('whether one would only be counted can be asked before it is written: what would be a line uses up nothing', () => {
    const limiter = new DetectionLimiter(LIMITS, new Clock().now);
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 5; n++) assert.equal(limiter.isCounted(at(1n)), false);
      assert.equal(limiter.take(at(1n)), true);
    }
    assert.equal(limiter.isCounted(at(2n)), true);
    assert.equal(limiter.take(at(3n)), false);
    assert.equal(limiter.isCounted(at(4n)), true);
    const [suppressed] = limiter.due(true);
    assert.deepEqual(
      [suppressed?.count, suppressed?.firstNs, suppressed?.lastNs],
      [3, 2n, 4n],
      'each way counts',
    );
  });

  test('rules and app instances have their own', () => {
    const limiter = new DetectionLimiter(LIMITS, new Clock().now);
    const other = containerOf({ fullId: 'cd'.repeat(32) });
    const take = (more: object): boolean => limiter.take(at(1n, more));
    for (let n = 0; n < 3; n++) assert.ok(take({}));
    assert.ok(!take({}));
    assert.ok(take({ rule: 'Another' }));
    assert.ok(take({ container: other }));
    // Two containers of one instance, one after the other, share what is its own.
    const instance = { instance: '0', guid: 'g' };
    for (let n = 0; n < 3; n++) {
      assert.ok(take({ container: containerOf({ fullId: `${n}`.repeat(64) }, instance) }));
    }
    assert.ok(!take({ container: containerOf({ fullId: '9'.repeat(64) }, instance) }));
  });

  test('many rules of one instance: its own bound; critical ones have theirs to themselves', () => {
    const limiter = new DetectionLimiter(LIMITS, new Clock().now);
    const take = (n: number, priority: 'Warning' | 'Critical'): boolean =>
      limiter.take(at(1n, { rule: `rule ${n}`, priority }));
    const taken = (priority: 'Warning' | 'Critical'): number =>
      Array.from({ length: 20 }, (_, n) => take(n, priority)).filter(Boolean).length;
    assert.equal(taken('Warning'), 5);
    assert.equal(taken('Critical'), 5);
    assert.equal(
      limiter.due(true).reduce((sum, { count }) => sum + count, 0),
      30,
    );
  });

  test('what is forgotten for room is told first', () => {
    const limiter = new DetectionLimiter({ ...LIMITS, burst: 1 }, new Clock().now);
    const take = (n: number): boolean =>
      limiter.take(at(1n, { container: containerOf({ fullId: String(n).padStart(64, '0') }) }));
    assert.deepEqual([take(0), take(0)], [true, false]);
    for (let n = 1; n <= 16_384; n++) take(n);
    const [told] = limiter.due();
    assert.equal(told?.count, 1);
  });

  test('an instance with more rules than there is room for takes none from another that comes later', () => {
    const limiter = new DetectionLimiter({ ...LIMITS, burst: 1 }, new Clock().now);
    const take = (rule: number, more = {}): boolean =>
      limiter.take(at(1n, { rule: `rule ${rule}`, ...more }));
    for (let rule = 0; rule <= 16_384; rule++) take(rule);
    const container = containerOf({ fullId: 'cd'.repeat(32) });
    assert.deepEqual([take(0, { container }), take(0, { container })], [true, false]);
    const told = limiter.due(true).reduce((sum, { count }) => sum + count, 0);
    assert.equal(told, 16_385 - LIMITS.appBurst + 1, 'all that was counted, forgotten or not');
  });

  test('the line says what it stands for', () => {
    const container = containerOf();
    const line = suppressedNotice(
      {
        ...{ rule: 'R', priority: 'Error', count: 2, container },
        ...{ firstNs: 1_700_000_000_000_000_000n, lastNs: 1_700_000_001_500_000_000n },
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
