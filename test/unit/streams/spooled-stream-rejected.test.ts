// A receiver that takes a batch, and says that it did not keep a part of it: not which.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { containerOf } from './delivery-fixture.ts';
import {
  heldTimer,
  recorder,
  ScriptedReceiver,
  send,
  spooledStreams,
  streamOf,
  until,
} from './spooled-stream-fixture.ts';

spooledStreams();

const TELL_LOSSES_MS = 123_456;

/** App, instance and the losses of each notice, in the order of the apps. */
function told({ got }: ScriptedReceiver): unknown[][] {
  return got
    .filter(({ seq }) => seq === 0)
    .map(({ app, text }) => {
      const { output, output_fields: fields } = JSON.parse(text) as {
        output: string;
        output_fields: Record<string, unknown>;
      };
      const sentence = /(?:Up to )?\d+ lines? (?:is|are|may be) missing here/.exec(output)?.[0];
      return [
        app?.name,
        fields['lost.count'],
        fields['lost.at_most'],
        fields['lost.numbers'],
        sentence,
      ];
    })
    .toSorted(([one], [other]) => String(one).localeCompare(String(other)));
}

const shop = containerOf({}, { instance: '0' });
const bank = containerOf({ fullId: 'cd'.repeat(32) }, { name: 'bank', instance: '1' });

test('all of one app instance: the exact count, and among which numbers', async (t) => {
  const receiver = new ScriptedReceiver();
  const { logger, said } = recorder();
  receiver.answers.push({ taken: 4, rejected: { count: 2, of: 3, reason: 'x: too old' } });
  const tellNow = heldTimer(t, TELL_LOSSES_MS);
  const stream = streamOf(receiver, logger, { tellLossesMs: TELL_LOSSES_MS });
  await send(stream, 1, 4, { container: shop });
  await until('they are sent', () => receiver.got.length === 4);
  await until('counted', () => stream.counters().sent === 2);
  assert.equal(stream.counters().refused, 2);
  assert.match(said[0]!, /rejected 2 of 3 lines, which are lost there: x: too old\./);
  tellNow();
  await until('it is told', () => receiver.got.length === 5);
  assert.deepEqual(told(receiver), [['shop', 2, undefined, '2-4', '2 lines are missing here']]);
  await stream.close();
});

test('of several apps: each is told how many at most, and a batch that is lost whole exactly', async (t) => {
  const receiver = new ScriptedReceiver();
  receiver.answers.push({ taken: 4, rejected: { count: 2, of: 4, reason: 'no' } });
  const tellNow = heldTimer(t, TELL_LOSSES_MS);
  const stream = streamOf(receiver, SILENT_LOGGER, { tellLossesMs: TELL_LOSSES_MS });
  await Promise.all([
    send(stream, 1, 3, { container: shop }),
    send(stream, 9, 9, { container: bank }),
  ]);
  await until('they are sent', () => receiver.got.length === 4);
  tellNow();
  await until('both are told', () => receiver.got.length === 6);
  assert.deepEqual(told(receiver), [
    ['bank', 1, true, '9', 'Up to 1 line may be missing here'],
    ['shop', 2, true, '1-3', 'Up to 2 lines may be missing here'],
  ]);

  receiver.got.length = 0;
  receiver.answers.push({ taken: 2, rejected: { count: 2, of: 2, reason: 'no' } });
  await Promise.all([
    send(stream, 4, 4, { container: shop }),
    send(stream, 10, 10, { container: bank }),
  ]);
  await until('they are sent', () => receiver.got.length === 2);
  tellNow();
  await until('both are told', () => receiver.got.length === 4);
  assert.deepEqual(
    told(receiver).map(([app, count, atMost]) => [app, count, atMost]),
    [
      ['bank', 1, undefined],
      ['shop', 1, undefined],
    ],
  );
  await stream.close();
});
