import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { FanOut } from '../../../src/streams/fan-out.ts';
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
    assert.equal(stream.counters().spool.refused, 1);
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

  test('what the spool took counts as spooled until the receiver has taken or refused it', async () => {
    const receiver = new DownReceiver();
    receiver.refuses = ({ seq }) => seq === 2;
    const fanOut = new FanOut([streamOf(receiver)], { hostname: 'cell-1' });
    const results = (): object => fanOut.counters().streams['syslog']!;
    for (let nth = 0; nth < 4; nth++) fanOut.deliver(deliveryOf().detection);
    assert.deepEqual(await fanOut.flush(10_000), { delivered: 4, lost: 0 });
    const none = { failed: 0, dropped: 0, waiting: 0 };
    assert.deepEqual(results(), { spooled: 4, sent: 0, refused: 0, ...none });
    receiver.down = false;
    await until('three are sent', () => receiver.got.length === 3);
    assert.deepEqual(results(), { spooled: 4, sent: 3, refused: 1, ...none });
    receiver.down = true;
    const output = 'x'.repeat(4000);
    const flood = containerOf({}, { name: 'flood' });
    for (let nth = 0; nth < 40; nth++)
      fanOut.deliver({ ...deliveryOf({ output }).detection, container: flood });
    const { delivered, lost } = await fanOut.flush(10_000);
    assert.ok(delivered > 10 && lost > 10, `${delivered} ${lost}`);
    const full = { spooled: 4 + delivered, sent: 3, refused: 1, failed: lost };
    assert.deepEqual(results(), { ...full, dropped: 0, waiting: 0 });
    // It takes the room of the flood's newest.
    fanOut.deliver(deliveryOf({ output }).detection);
    await fanOut.flush(10_000);
    assert.deepEqual(results(), { ...full, spooled: full.spooled + 1, dropped: 1, waiting: 0 });
    await fanOut.close();
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
    assert.equal(stream.counters().spool.refused, 1);
    for (let n = 0; n < 9; n++) receiver.answers.push({ taken: 0, rest: 'later', reason: 'down' });
    await stream.close();
  });
});
