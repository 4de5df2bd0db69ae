import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import type { SendResult } from '../../../src/streams/receiver.ts';
import { containerOf, deliveryOf } from './delivery-fixture.ts';
import {
  heldTimer,
  noticesIn,
  numbers,
  recorder,
  ScriptedReceiver,
  send,
  spooledStreams,
  streamOf,
  until,
} from './spooled-stream-fixture.ts';

spooledStreams();

const TELL_LOSSES_MS = 123_456;

describe('a receiver behind a spool', () => {
  test('gets each line whole, in order, in batches', async () => {
    const receiver = new ScriptedReceiver();
    const stream = streamOf(receiver);
    const container = containerOf({}, { guid: 'g', org: 'o', tags: { app_name: 'shop' } });
    await send(stream, 1, 9, { container, timeNs: 1_700_000_000_123_456_789n });
    await until('all sent', () => receiver.got.length === 9);
    assert.deepEqual(numbers(receiver), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.ok(receiver.batches.every((size) => size <= 4));
    const [{ text, ...first } = { text: '' }] = receiver.got;
    assert.deepEqual(first, {
      id: 'id 1',
      seq: 1,
      timeNs: 1_700_000_000_123_456_789n,
      priority: 'Warning',
      rule: 'Shell in an app container',
      hostname: 'cell-1',
      app: { name: 'shop', guid: 'g', org: 'o', tags: { app_name: 'shop' } },
    });
    assert.equal((JSON.parse(text) as { seq: number }).seq, 1);
    await stream.close();
    assert.equal(receiver.closed, 1);
    assert.equal(stream.counters().sent, 9);
  });

  test('says what waits for it, and since when', async () => {
    const receiver = new ScriptedReceiver();
    for (let attempt = 0; attempt < 2; attempt++)
      receiver.answers.push({
        taken: attempt,
        rest: 'later',
        reason: 'down',
        retryAfterMs: 20_000,
      });
    const stream = streamOf(receiver);
    assert.equal(stream.counters().spool.oldestMs, undefined);
    await send(stream, 1, 1, { timeNs: 5_000_000_000n });
    // What goes first is not what has waited for longest.
    await send(stream, 2, 9, { timeNs: 6_000_000_000n, priority: 'Critical' });
    await until('it was tried', () => stream.counters().retries === 1);
    const { waiting, oldestMs, bytes, maxBytes } = stream.counters().spool;
    assert.deepEqual([waiting, oldestMs], [9, 5000]);
    assert.ok(bytes > 1000 && bytes <= maxBytes);
    await stream.close();
  });

  test('that is down gets them later, each once, and the operator hears of it once', async () => {
    const receiver = new ScriptedReceiver();
    const { logger, said } = recorder();
    receiver.answers.push(
      { taken: 0, rest: 'later', reason: 'connection refused' },
      { taken: 2, rest: 'later', reason: 'connection reset', retryAfterMs: 5 },
      { taken: 0, rest: 'later', reason: 'connection refused', retryAfterMs: 5 },
    );
    const stream = streamOf(receiver, logger);
    await send(stream, 1, 6);
    await until('its state says why', () => stream.counters().down !== undefined);
    const { down } = stream.counters();
    assert.equal(down?.reason, 'connection refused');
    assert.ok(Math.abs(Date.now() - down.sinceMs) < 60_000);
    await until('all sent', () => receiver.got.length === 6);
    assert.deepEqual(numbers(receiver), [1, 2, 3, 4, 5, 6]);
    await until('and known', () => said.length === 2);
    assert.equal('down' in stream.counters(), false);
    assert.match(said[0]!, /takes nothing now: connection refused\. Lines wait in the spool/);
    assert.match(said[1]!, /takes lines again/);
    assert.equal(stream.counters().retries, 3);
    await stream.close();
  });

  test('that refuses a line loses that one, counted and said', async () => {
    const receiver = new ScriptedReceiver();
    const { logger, said } = recorder();
    receiver.answers.push({ taken: 1, rest: 'refused', reason: 'it answered 400' });
    const stream = streamOf(receiver, logger);
    await send(stream, 1, 4);
    await until('the others are sent', () => receiver.got.length === 3);
    assert.deepEqual(numbers(receiver), [1, 3, 4]);
    assert.deepEqual([stream.counters().sent, stream.counters().refused, said.length], [3, 1, 1]);
    assert.match(said[0]!, /refused a line, which is lost there: it answered 400\./);
    await stream.close();
  });

  test('what it refused is told its app there, with the exact count, and nobody else', async (t) => {
    const receiver = new ScriptedReceiver();
    receiver.refuses = ({ seq }) => [2, 3, 7, 8].includes(seq);
    const tellNow = heldTimer(t, TELL_LOSSES_MS);
    const stream = streamOf(receiver, SILENT_LOGGER, { tellLossesMs: TELL_LOSSES_MS });
    const bank = containerOf({ fullId: 'cd'.repeat(32) }, { name: 'bank', instance: '1' });
    const shop = containerOf();
    for (let seq = 1; seq <= 8; seq++) {
      const container = seq < 7 ? shop : bank;
      await send(stream, seq, seq, { container, timeNs: BigInt(seq) * 1_000_000n });
    }
    await send(stream, 9, 9, { container: undefined });
    await until('four are refused, the others sent', () => {
      return stream.counters().refused === 4 && receiver.got.length === 5;
    });
    tellNow();
    await until('both are told', () => receiver.got.length === 7);
    await delay(150);
    assert.deepEqual(numbers(receiver).toSorted(), [0, 0, 1, 4, 5, 6, 9]);
    assert.deepEqual(noticesIn(receiver), [
      ['bank', '1', 'Varvel: lines lost', 2, 7_000_000, 8_000_000],
      ['shop', undefined, 'Varvel: lines lost', 2, 2_000_000, 3_000_000],
    ]);
    const ids = receiver.got.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    // What is told is not told again, and a notice that is refused is told of no more.
    receiver.refuses = () => true;
    await send(stream, 10, 10);
    await until('it is refused', () => stream.counters().refused === 5);
    tellNow();
    await until('its notice is refused too', () => stream.counters().refused === 6);
    tellNow();
    await delay(150);
    assert.equal(stream.counters().refused, 6);
    await stream.close();
  });

  test('what it refused last is told by the next agent', async () => {
    const first = new ScriptedReceiver();
    first.refuses = ({ seq }) => seq > 1;
    const stream = streamOf(first);
    await send(stream, 1, 3);
    await until('they are refused', () => stream.counters().refused === 2);
    for (let n = 0; n < 9; n++) first.answers.push({ taken: 0, rest: 'later', reason: 'down' });
    await stream.close();
    const second = new ScriptedReceiver();
    const next = streamOf(second);
    await until('it is told', () => second.got.length === 1);
    assert.deepEqual(
      noticesIn(second).map((notice) => notice.slice(0, 4)),
      [['shop', undefined, 'Varvel: lines lost', 2]],
    );
    await next.close();
  });

  test('a notice in text says whose it is, and no container, which is not known any more', async () => {
    const receiver = new ScriptedReceiver();
    receiver.refuses = ({ seq }) => seq > 0;
    const stream = streamOf(receiver, SILENT_LOGGER, { format: 'text', tellLossesMs: 10 });
    await send(stream, 1, 1);
    await until('it is told', () => receiver.got.length === 1);
    assert.match(
      receiver.got[0]!.text,
      /Notice \[app=shop rule="Varvel: lines lost" id=\w{20} seq=0 lost\.stream=syslog [^\]]*\] 1 line is missing here/,
    );
    await stream.close();
  });

  test('an urgent line goes before those that wait, a quiet app’s before a flood’s rest', async () => {
    const receiver = new ScriptedReceiver();
    receiver.answers.push({ taken: 0, rest: 'later', reason: 'down', retryAfterMs: 200 });
    const stream = streamOf(receiver);
    await send(stream, 1, 20);
    await until('it was tried', () => receiver.batches.length === 1);
    const quiet = containerOf({}, { name: 'quiet' });
    await send(stream, 21, 21, { container: quiet });
    await send(stream, 22, 22, { container: quiet, priority: 'Critical' });
    await until('all sent', () => receiver.got.length === 22);
    // The first four were under way.
    assert.deepEqual(numbers(receiver).slice(0, 7), [1, 2, 3, 4, 22, 5, 21]);
    await stream.close();
  });

  test('what waits at the end is sent by the next agent, with the same ids', async () => {
    const first = new ScriptedReceiver();
    first.answers.push({ taken: 1, rest: 'later', reason: 'down', retryAfterMs: 20_000 });
    for (let n = 0; n < 9; n++) first.answers.push({ taken: 0, rest: 'later', reason: 'down' });
    const stream = streamOf(first);
    await send(stream, 1, 3);
    await until('one is sent', () => first.got.length === 1);
    await stream.close();
    assert.equal(await stream.deliver(deliveryOf()), false, 'closed');
    const second = new ScriptedReceiver();
    const next = streamOf(second);
    await until('the others too', () => second.got.length === 2);
    assert.deepEqual(
      second.got.map(({ id }) => id),
      ['id 2', 'id 3'],
    );
    await next.close();
  });

  test('one that answers nothing does not hold up the end: it is closed, and the lines wait', async () => {
    const receiver = new ScriptedReceiver();
    let hangUp = (): void => undefined;
    const hanging = new Promise<SendResult>((resolve) => {
      hangUp = () => resolve({ taken: 0, rest: 'later', reason: 'closed' });
    });
    receiver.send = () => hanging;
    receiver.close = () => {
      hangUp();
      return Promise.resolve();
    };
    const stream = streamOf(receiver);
    await send(stream, 1, 2);
    const closing = stream.close().then(() => 'closed');
    // Nothing else keeps the process alive meanwhile; after it, a timer would do so for a minute.
    const timer = new AbortController();
    const heldUp = delay(60_000, 'held up', { signal: timer.signal }).catch(() => 'closed in time');
    assert.equal(await Promise.race([closing, heldUp]), 'closed');
    timer.abort();
    const next = new ScriptedReceiver();
    const after = streamOf(next);
    await until('the lines are there', () => next.got.length === 2);
    await after.close();
  });
});
