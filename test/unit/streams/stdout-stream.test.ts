import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { FanOut } from '../../../src/streams/fan-out.ts';
import { StdoutStream } from '../../../src/streams/stdout/stdout-stream.ts';
import { deliveryOf, detectionOf } from './delivery-fixture.ts';

test('one line per delivery, in colour on a terminal only', async () => {
  const plain = new PassThrough();
  const terminal = Object.assign(new PassThrough(), { isTTY: true });
  await new StdoutStream({ output: plain, format: 'text' }).deliver(deliveryOf());
  await new StdoutStream({ output: terminal, format: 'text' }).deliver(deliveryOf());
  await new StdoutStream({ output: terminal, format: 'json' }).deliver(deliveryOf());
  assert.doesNotMatch(String(plain.read()), /\x1b/);
  const [text, json] = String(terminal.read()).split('\n');
  assert.ok(text!.includes('\x1b[33mWarning\x1b[0m'));
  assert.equal((JSON.parse(json!) as { seq: number }).seq, 1);
});

test('a reader that does not read costs lines, not memory, and close gives up what waits', async () => {
  const stuck = new Writable({
    write() {
      /* never done */
    },
  });
  const stream = new StdoutStream({ output: stuck, format: 'text' });
  const results = Array.from({ length: 4200 }, () => stream.deliver(deliveryOf()));
  assert.deepEqual(stream.counters(), { delivered: 0, failed: 0, dropped: 104 });
  await stream.close();
  assert.ok((await Promise.all(results)).every((written) => !written));
  assert.deepEqual(stream.counters(), { delivered: 0, failed: 4096, dropped: 104 });
});

test('a reader that has gone is counted and does not throw', async () => {
  const gone = new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    },
  });
  const stream = new StdoutStream({ output: gone, format: 'text' });
  assert.equal(await stream.deliver(deliveryOf()), false);
  assert.equal(await stream.deliver(deliveryOf()), false);
  assert.deepEqual(stream.counters(), { delivered: 0, failed: 2, dropped: 0 });
});

test('lines of one container do not wait for each other: a turn of the event loop is long beside a flood', async () => {
  let first = 0;
  const slow = new Writable({
    highWaterMark: 1 << 20,
    write(line: Buffer) {
      // It is never done with it.
      first = line.length;
    },
  });
  const fanOut = new FanOut([new StdoutStream({ output: slow, format: 'text' })], {
    hostname: 'host',
  });
  for (let n = 0; n < 20; n++) fanOut.deliver(detectionOf());
  while (first === 0) await turn();
  assert.equal(Math.round(slow.writableLength / first), 20);
  await fanOut.close();
});
