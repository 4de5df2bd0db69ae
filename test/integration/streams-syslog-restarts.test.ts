import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import type { OutgoingLine, SendResult } from '../../src/streams/receiver.ts';
import { SpooledStream } from '../../src/streams/spool/spooled-stream.ts';
import type { SyslogReceiver } from '../../src/streams/syslog/syslog-receiver.ts';
import { freeTcpPort } from '../support/rsyslog.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';
import { appOf } from '../unit/streams/outgoing-line-fixture.ts';
import {
  rsyslog,
  at,
  receiverAt,
  clientFiles,
  lines,
  arrivedOf,
  untilThere,
  idOf,
} from '../support/syslog-stream.ts';

test('a restart of the receiver between batches costs nothing', async (context) => {
  const receiver = receiverAt(context, at.tcp());
  const [first, second] = [lines(10), lines(10)];
  assert.deepEqual(await receiver.send(first), { taken: 10 });
  await untilThere(first.at(-1)!);
  await rsyslog.kill('SIGTERM');
  const down = await receiver.send(second);
  assert.deepEqual([down.taken, down.rest], [0, 'later']);
  assert.match(down.reason!, /^syslog\+tcp:\/\/127\.0\.0\.1:\d+: connection refused/);
  await rsyslog.run();
  assert.deepEqual(await receiver.send(second), { taken: 10 });
  await untilThere(second.at(-1)!);
  const all = [...first, ...second];
  assert.deepEqual(
    [...new Set(arrivedOf(all))],
    all.map(({ id }) => id),
  );
  const { repeatedMessages, ...counters } = receiver.counters();
  assert.deepEqual(counters, { connects: 2, connectFailures: 1, droppedTags: 0, cutMessages: 0 });
  assert.equal(arrivedOf(all).length, all.length + repeatedMessages);
});

for (const kind of ['tcp', 'tls', 'unix'] as const) {
  test(`${kind}: a receiver that is stuck and dies in the middle of a batch: what lay in its buffers is sent again`, async (context) => {
    const receiver = receiverAt(context, at[kind](), kind === 'tls' ? clientFiles() : {});
    const first = lines(1);
    assert.deepEqual(await receiver.send(first), { taken: 1 });
    await untilThere(first[0]!);

    // It reads no more, and the kernels' buffers fill up until a batch is stuck.
    await rsyslog.pause();
    const all: OutgoingLine[] = [];
    let taken = 0;
    let stuck: ReturnType<SyslogReceiver['send']>;
    for (;;) {
      const batch = lines(100, { text: 'z'.repeat(8000) });
      all.push(...batch);
      stuck = receiver.send(batch);
      // Twice: after a standstill of this process the timer comes before what the kernel has to say.
      const soon = (): Promise<SendResult | undefined> =>
        Promise.race([stuck, delay(500, undefined)]);
      const result = (await soon()) ?? (await soon());
      if (result === undefined) break;
      assert.deepEqual(result, { taken: 100 });
      taken += 100;
      assert.ok(taken < 10_000, 'the kernel takes no end of it');
    }
    await rsyslog.kill('SIGKILL');
    const result = await stuck;
    assert.equal(result.rest, 'later');
    assert.match(result.reason!, /it ended the connection/);
    taken += result.taken;

    await rsyslog.run();
    const rest = all.slice(taken);
    assert.ok(rest.length > 0 && rest.length <= 100);
    assert.deepEqual(await receiver.send(rest), { taken: rest.length });
    await untilThere(all.at(-1)!);
    const got = arrivedOf(all);
    assert.deepEqual(
      [...new Set(got)],
      all.map(({ id }) => id),
      'all, in order',
    );
    const { repeatedMessages } = receiver.counters();
    assert.ok(repeatedMessages >= taken);
    assert.equal(got.length, all.length, 'none twice, since it had read none');
    context.diagnostic(`${kind}: ${taken} lines of 8 KB lay in the buffers`);
  });
}

test('a receiver that ends in order in the middle of batches: nothing is missing', async (context) => {
  const receiver = receiverAt(context, at.tcp());
  const all = lines(3000, { text: 'w'.repeat(2000) });
  const deadlineMs = performance.now() + 30_000;
  let ending: Promise<void> | undefined;
  let brokeAt: number | undefined;
  for (let next = 0; next < all.length;) {
    const result = await receiver.send(all.slice(next, next + 100));
    next += result.taken;
    if (next >= 1000) ending ??= rsyslog.kill('SIGTERM').then(() => rsyslog.run());
    if (result.rest !== undefined) {
      brokeAt ??= next;
      assert.equal(result.rest, 'later');
      await ending;
    }
    if (next === all.length && brokeAt === undefined) {
      // How soon it ends is not for us to say: until then there is always a next batch.
      assert.ok(performance.now() < deadlineMs, 'it does not end');
      await delay(5);
      all.push(...lines(10, { text: 'w'.repeat(2000) }));
    }
  }
  await ending;
  assert.ok(brokeAt !== undefined && brokeAt >= 1000, 'the end came in between');
  await untilThere(all.at(-1)!);
  const got = arrivedOf(all);
  assert.deepEqual(
    [...new Set(got)],
    all.map(({ id }) => id),
    'all, in order',
  );
  const { repeatedMessages } = receiver.counters();
  assert.ok(got.length - all.length <= repeatedMessages);
  context.diagnostic(`${repeatedMessages} sent again, ${got.length - all.length} arrived twice`);
});

test('what is in doubt is sent again, also when no line follows', async (context) => {
  const receiver = receiverAt(context, at.tcp());
  const first = lines(1);
  assert.deepEqual(await receiver.send(first), { taken: 1 });
  await untilThere(first[0]!);
  await rsyslog.pause();
  const last = lines(10);
  assert.deepEqual(await receiver.send(last), { taken: 10 });
  await rsyslog.kill('SIGKILL');
  await rsyslog.run();
  await untilThere(last.at(-1)!);
  assert.deepEqual(
    arrivedOf(last),
    last.map(({ id }) => id),
  );
  assert.equal(receiver.counters().repeatedMessages, 11);
});

test('behind a spool: restarts of the receiver cost no line', async (context) => {
  const spool = { folder: join(rsyslog.folder, 'spool'), maxBytes: 64 * 1024 * 1024 };
  const receiver = receiverAt(context, at.tls(), clientFiles());
  const stream = new SpooledStream({ receiver, spool, format: 'json', logger: SILENT_LOGGER });
  // Open, it would keep this process up when an assertion fails.
  context.after(() => stream.close());
  const ids: string[] = [];
  const deliver = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      const id = `spooled-${ids.length}`;
      ids.push(id);
      const detection = { container: containerOf({}, appOf()), output: 'o'.repeat(1000) };
      assert.equal(await stream.deliver(deliveryOf(detection, { id, seq: ids.length })), true);
      if (index % 20 === 0) await delay(1);
    }
  };
  await deliver(500);
  await Promise.all([rsyslog.kill('SIGTERM'), deliver(500)]);
  await deliver(500);
  await Promise.all([rsyslog.run(), deliver(500)]);
  await rsyslog.kill('SIGTERM');
  await rsyslog.run();
  await untilThere({ id: ids.at(-1)! });
  await stream.close();
  const wanted = new Set(ids);
  const got = rsyslog
    .received()
    .map(idOf)
    .filter((id) => wanted.has(id));
  assert.deepEqual([...new Set(got)], ids, 'all, in order');
  const { sent, refused, spool: left } = stream.counters();
  assert.deepEqual([sent, refused, left.dropped, left.refused], [2000, 0, 0, 0]);
});

test('a receiver that takes a connection and ends it at once takes nothing', async (context) => {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const receiver = receiverAt(context, { kind: 'tcp', host: '127.0.0.1', port });
  const result = await receiver.send(lines(5));
  assert.deepEqual([result.taken, result.rest], [0, 'later']);
  assert.match(result.reason!, /it ended the connection/);
  assert.equal(connections.size, 1);
});

test('a receiver that does not read is given up, and all of it goes to the next one', async (context) => {
  const port = await freeTcpPort();
  let isReading = false;
  const got: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => got.push(chunk));
    if (isReading) socket.resume();
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  const receiver = receiverAt(context, { kind: 'tcp', host: '127.0.0.1', port });
  const all: OutgoingLine[] = [];
  let taken = 0;
  for (let result; result?.rest === undefined; taken += result.taken) {
    const batch = lines(100, { text: 'v'.repeat(8000) });
    all.push(...batch);
    result = await receiver.send(batch);
    assert.ok(result.rest === undefined || result.reason!.endsWith(': it stopped reading'));
    assert.ok(taken < 10_000, 'the kernel takes no end of it');
  }
  isReading = true;
  assert.deepEqual(await receiver.send(all.slice(taken)), { taken: all.length - taken });
  await receiver.close();
  const arrivedIds = [
    ...Buffer.concat(got)
      .toString()
      .matchAll(/ varvel_id="([^"]*)"/g),
  ];
  assert.deepEqual(
    arrivedIds.map(([, id]) => id),
    all.map(({ id }) => id),
  );
});
