// A spool beside a plain model, through any sequence of appends, sendings and kills.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { Spool } from '../../src/streams/spool/spool.ts';

interface Line {
  readonly lane: string;
  readonly urgent: boolean;
  readonly text: string;
}

type Action =
  | {
      readonly does: 'append';
      readonly lane: string;
      readonly urgent: boolean;
      readonly bytes: number;
    }
  | { readonly does: 'send'; readonly asked: number; readonly taken: number }
  | { readonly does: 'kill' };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant('append' as const),
      lane: fc.constantFrom('a', 'b', 'ü', ''),
      urgent: fc.boolean(),
      bytes: fc.integer({ min: 0, max: 400 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('send' as const),
      asked: fc.integer({ min: 1, max: 5 }),
      taken: fc.integer({ min: 0, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('kill' as const) }) },
);

/** Is each line before the later ones of its lane and kind? */
function assertOrder(sent: readonly Line[]): void {
  const last = new Map<string, number>();
  for (const { lane, urgent, text } of sent) {
    const key = `${lane} ${urgent}`;
    const number = Number(text.split(' ')[0]);
    assert.ok(number > (last.get(key) ?? -1), `${text} after ${last.get(key)} in ${key}`);
    last.set(key, number);
  }
}

test('every line taken is sent, in its lane’s order, whatever happens meanwhile', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const folder = join(mkdtempSync(join(tmpdir(), 'varvel-spool-')), 'spool');
      const openIt = (): Spool => Spool.open({ folder, maxBytes: 1 << 20, segmentBytes: 1000 });
      let spool = openIt();
      const taken = new Map<string, Line>();
      const sent: Line[] = [];
      let number = 0;
      const send = (asked: number, most: number): number => {
        const items = spool.peek(asked);
        const done = items.slice(0, most);
        for (const { payload, lane } of done) {
          const line = taken.get(payload.toString());
          assert.equal(line?.lane, lane);
          sent.push(line);
        }
        spool.settle(done.length);
        return items.length;
      };
      for (const one of actions) {
        if (one.does === 'append') {
          const text = `${number++} ${'x'.repeat(one.bytes)}`;
          assert.ok(spool.append(one, Buffer.from(text)));
          taken.set(text, { lane: one.lane, urgent: one.urgent, text });
        } else if (one.does === 'send') send(one.asked, one.taken);
        else spool = openIt();
        assert.equal(spool.counters().waiting, taken.size - sent.length);
      }
      while (send(7, 7) > 0);
      assert.equal(sent.length, taken.size);
      assert.equal(new Set(sent).size, taken.size);
      assertOrder(sent);
      spool.close();
      rmSync(join(folder, '..'), { recursive: true });
    }),
    { numRuns: 100 },
  );
});
