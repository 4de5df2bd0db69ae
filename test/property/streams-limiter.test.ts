import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DetectionLimiter } from '../../src/streams/limiter.ts';
import { containerOf, detectionOf } from '../unit/streams/delivery-fixture.ts';

const step = fc.record({
  waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40_000 })),
  rule: fc.constantFrom('a', 'b', 'c'),
  container: fc.constantFrom('1', '2'),
  priority: fc.constantFrom('Critical' as const, 'Warning' as const),
  tells: fc.boolean(),
});

const limits = fc.record({
  burst: fc.integer({ min: 1, max: 5 }),
  perMinute: fc.integer({ min: 1, max: 100 }),
  appBurst: fc.integer({ min: 1, max: 8 }),
  appPerMinute: fc.integer({ min: 1, max: 100 }),
  summaryMs: fc.integer({ min: 1000, max: 60_000 }),
});

test('each detection is written or counted, once; and no more are written than is allowed', () => {
  fc.assert(
    fc.property(limits, fc.array(step, { maxLength: 200 }), (options, steps) => {
      let ms = 0;
      const limiter = new DetectionLimiter(options, () => ms);
      const offered = new Map<string, number>();
      const written = new Map<string, number>();
      const counted = new Map<string, number>();
      const add = (to: Map<string, number>, key: string, count = 1): void =>
        void to.set(key, (to.get(key) ?? 0) + count);
      const tell = (all: boolean): void => {
        for (const { rule, container, count } of limiter.due(all)) {
          add(counted, `${container?.fullId ?? ''} ${rule}`, count);
        }
      };
      for (const { waitMs, rule, container, priority, tells } of steps) {
        ms += waitMs;
        const fullId = container.repeat(64);
        const key = `${fullId} ${rule}`;
        add(offered, key);
        const detection = detectionOf({ rule, priority, container: containerOf({ fullId }) });
        if (limiter.admit(detection)) {
          limiter.settle(detection);
          add(written, key);
        }
        if (tells) tell(false);
      }
      tell(true);
      for (const [key, count] of offered) {
        assert.equal((written.get(key) ?? 0) + (counted.get(key) ?? 0), count, key);
      }
      for (const [key, count] of written) {
        const most = options.burst + (ms * options.perMinute) / 60_000;
        assert.ok(count <= most + 1e-6, `${key}: ${count} of ${most}`);
      }
    }),
  );
});
