import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import type { OutgoingLine, SendResult } from '../../../src/streams/receiver.ts';
import { lostNotice } from '../../../src/streams/notices.ts';
import { containerOf, deliveryOf } from './delivery-fixture.ts';
import {
  noticesIn,
  ScriptedReceiver,
  send,
  spooledStreams,
  streamOf,
  until,
} from './spooled-stream-fixture.ts';

spooledStreams();

describe('a receiver behind a full spool', () => {
  /** Of a receiver that is down until the test says otherwise. */
  class DownReceiver extends ScriptedReceiver {
    down = true;

    override send(lines: readonly OutgoingLine[]): Promise<SendResult> {
      if (!this.down) return super.send(lines);
      return delay(5).then(() => ({ taken: 0, rest: 'later', reason: 'down', retryAfterMs: 5 }));
    }
  }

  test('a full spool: a quiet app’s lines fit, and the app that filled it is told how many of its own were dropped', async () => {
    const receiver = new DownReceiver();
    const stream = streamOf(receiver, SILENT_LOGGER, { tellLossesMs: 10 });
    const output = 'x'.repeat(1000);
    const flood = containerOf({}, { name: 'flood' });
    const quiet = containerOf({}, { name: 'quiet' });
    let sent = 0;
    while (await stream.deliver(deliveryOf({ output, container: flood }, { seq: sent + 1 })))
      sent++;
    assert.ok(sent > 20, String(sent));
    await send(stream, 1, 10, { output, container: quiet });
    const { dropped } = stream.counters().spool;
    assert.ok(dropped > 0);
    assert.equal(stream.counters().dropped, dropped + 1, 'with the one that was refused');
    receiver.down = false;
    const told = (): number =>
      noticesIn(receiver)
        .filter(([app, , rule]) => app === 'flood' && rule === 'Varvel: lines lost')
        .reduce((sum, [, , , count]) => sum + Number(count), 0);
    await until('all is sent, and told', () => told() === dropped);
    await until('the rest', () => stream.counters().spool.waiting === 0);
    const of = (name: string): number[] =>
      receiver.got.filter(({ app, seq }) => app?.name === name && seq > 0).map(({ seq }) => seq);
    assert.deepEqual(of('quiet'), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.deepEqual(
      of('flood'),
      Array.from({ length: sent - dropped }, (_, nth) => nth + 1),
    );
    await stream.close();
  });

  test('a notice of lost lines that finds no room is told later, with its count', async () => {
    const receiver = new DownReceiver();
    const stream = streamOf(receiver, SILENT_LOGGER, { tellLossesMs: 10 });
    const container = containerOf({}, { name: 'flood' });
    const more = { output: 'x'.repeat(300), container, priority: 'Critical' } as const;
    while (await stream.deliver(deliveryOf(more)));
    const numbers = [{ from: 2, to: 8 }];
    const lost = { container, count: 7, firstNs: 1_000_000n, lastNs: 2_000_000n, numbers };
    const detection = lostNotice('syslog', lost);
    const tell = (): Promise<boolean> =>
      stream.deliver({ detection, id: 'notice', seq: 0, hostname: 'cell-1' });
    let notices = 0;
    while (await tell()) notices++;
    receiver.down = false;
    await until('it is told', () => noticesIn(receiver).length === notices + 1);
    assert.deepEqual(noticesIn(receiver).at(-1), [
      'flood',
      undefined,
      'Varvel: lines lost',
      7,
      1_000_000,
      2_000_000,
    ]);
    await stream.close();
  });

  test('a full spool: false for what does not fit, counted', async () => {
    const receiver = new ScriptedReceiver();
    receiver.answers.push({ taken: 0, rest: 'later', reason: 'down', retryAfterMs: 20_000 });
    const stream = streamOf(receiver);
    let taken = 0;
    while (await stream.deliver(deliveryOf({ output: 'x'.repeat(4000) }, { seq: ++taken })));
    assert.ok(taken > 10 && taken < 30, String(taken));
    assert.equal(stream.counters().dropped, 1);
    for (let n = 0; n < 9; n++) receiver.answers.push({ taken: 0, rest: 'later', reason: 'down' });
    await stream.close();
  });
});
