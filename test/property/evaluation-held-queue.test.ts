import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeldQueue } from '../../src/evaluation/held-events.ts';
import { runs } from '../support/runs.ts';

type Step =
  | { readonly op: 'hold'; readonly key: number; readonly waitMs: number }
  | { readonly op: 'release' | 'discard'; readonly key: number }
  | { readonly op: 'pass'; readonly ms: number };

const key = fc.integer({ min: 1, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ op: fc.constant('hold' as const), key, waitMs: fc.nat(30) }),
  },
  fc.record({ op: fc.constantFrom('release' as const, 'discard' as const), key }),
  fc.record({ op: fc.constant('pass' as const), ms: fc.nat(20) }),
);

test('nothing is lost, doubled or late, whatever the order of calls', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let nowMs = 0;
      let next = 0;
      const out = new Map<number, string>();
      const leave = (item: number, how: string): void => {
        assert.equal(out.has(item), false, `${item} left twice`);
        out.set(item, how);
      };
      const queue = new HeldQueue<number>({
        maxPerKey: 5,
        maxTotal: 12,
        onExpired: (item) => leave(item, 'expired'),
      });
      let discarded = 0;
      for (const each of steps) {
        switch (each.op) {
          case 'hold': {
            const item = next++;
            if (!queue.hold(each.key, item, nowMs + each.waitMs)) leave(item, 'dropped');
            break;
          }
          case 'release':
            queue.release(each.key, (item) => leave(item, 'released'));
            assert.equal(queue.has(each.key), false);
            break;
          case 'discard':
            discarded += queue.discard(each.key);
            break;
          case 'pass':
            nowMs += each.ms;
            queue.expire(nowMs);
            break;
        }
        assert.ok(queue.counters().held <= 12);
      }
      queue.drain();
      const { held, dropped, discarded: counted } = queue.counters();
      assert.equal(held, 0);
      assert.equal(counted, discarded);
      assert.equal([...out.values()].filter((how) => how === 'dropped').length, dropped);
      assert.equal(out.size + discarded, next);
      const drops = [1, 2, 3, 4].reduce((sum, each) => sum + queue.droppedOf(each), 0);
      assert.equal(drops, dropped, 'every drop is somebody’s');
    }),
    { numRuns: runs(500) },
  );
});

test('order within a key is kept, released or expired', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 60 }), fc.nat(50), (waits, at) => {
      const seen: number[] = [];
      const queue = new HeldQueue<number>({
        maxPerKey: 100,
        maxTotal: 100,
        onExpired: (item) => seen.push(item),
      });
      waits.forEach((wait, item) => queue.hold(1, item, wait));
      queue.expire(at);
      queue.release(1, (item) => seen.push(item));
      assert.deepEqual(
        seen,
        waits.map((_, item) => item),
      );
    }),
  );
});
