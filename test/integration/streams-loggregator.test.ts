// The Loggregator receiver with a real gRPC server and mutual TLS on the other side.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { LoggregatorReceiver } from '../../src/streams/loggregator/loggregator-receiver.ts';
import { SILENT_LOGGER, type Logger } from '../../src/shared/logger.ts';
import type { OutgoingLine, SendResult } from '../../src/streams/receiver.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { until } from '../support/e2e-agent.ts';
import { LoggregatorServer } from '../support/loggregator-server.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';

const GUID = '11111111-2222-4333-8444-555555555555';
const APP = {
  name: 'shop',
  guid: undefined,
  space: undefined,
  org: undefined,
  processType: undefined,
  instance: undefined,
};
let folder: string;
let authority: Authority;
let metron: Certificate;
let client: Certificate;
let server: LoggregatorServer;
let receiver: LoggregatorReceiver;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-loggregator-'));
  authority = new Authority(folder);
  metron = authority.issue('metron');
  client = authority.issue('varvel');
});

after(() => {
  rmSync(folder, { recursive: true });
});

beforeEach(async () => {
  server = new LoggregatorServer(authority.ca, metron);
  await server.start();
  receiver = receiverOf();
});

afterEach(async () => {
  await receiver.close();
  server.stop();
});

function receiverOf(
  options: Partial<Certificate & { ca: string; serverName: string }> = {},
  logger: Logger = SILENT_LOGGER,
) {
  return new LoggregatorReceiver(
    {
      address: server.address,
      ca: authority.ca,
      ...client,
      serverName: 'metron',
      sourceType: 'VARVEL',
      ...options,
    },
    logger,
  );
}

/** Sends until the answer is that; what a broken connection took before it is known as such does not count. */
async function untilResult(send: () => Promise<SendResult>, rest: 'later'): Promise<SendResult> {
  return await until(`the answer is ${rest}`, async () => {
    const result = await send();
    return result.rest === rest ? result : undefined;
  });
}

function line(seq: number, more: Partial<OutgoingLine> = {}): OutgoingLine {
  return {
    id: `id ${seq}`,
    seq,
    timeNs: 1_700_000_000_123_456_789n,
    priority: 'Warning',
    rule: 'Shell in an app container',
    hostname: 'cell-1',
    text: `{"rule":"line ${seq}"}`,
    app: {
      ...APP,
      guid: GUID,
      instance: '3',
      tags: {
        app_name: 'shop',
        process_type: 'web',
        source_type: 'APP/PROC/WEB',
        app_id: 'forged',
      },
    },
    ...more,
  };
}

const lines = (count: number): OutgoingLine[] =>
  Array.from({ length: count }, (_, index) => line(index));

const payloads = (): string[] => server.envelopes.map(({ log }) => log!.payload.toString());

describe('loggregator', () => {
  test('a line is an envelope beside the app’s own: its tags, ours last', async () => {
    assert.deepEqual(await receiver.send([line(7)]), { taken: 1 });
    assert.deepEqual(server.envelopes, [
      {
        timestamp: '1700000000123456789',
        source_id: GUID,
        instance_id: '3',
        tags: {
          app_name: 'shop',
          process_type: 'web',
          app_id: GUID,
          source_id: GUID,
          instance_id: '3',
          source_type: 'VARVEL',
          varvel_rule: 'Shell in an app container',
          varvel_priority: 'Warning',
          varvel_id: 'id 7',
          varvel_seq: '7',
        },
        log: { payload: Buffer.from('{"rule":"line 7"}'), type: 'OUT' },
        message: 'log',
      },
    ]);
  });

  test('what is Error or more severe is on the ERR side', async () => {
    const priorities = ['Emergency', 'Critical', 'Error', 'Warning', 'Debug'] as const;
    await receiver.send(priorities.map((priority, seq) => line(seq, { priority })));
    assert.deepEqual(
      server.envelopes.map(({ log }) => log!.type),
      ['ERR', 'ERR', 'ERR', 'OUT', 'OUT'],
    );
  });

  test('only apps that the platform knows', async () => {
    const known = deliveryOf({ container: containerOf({}, { guid: GUID }) });
    assert.deepEqual(
      [known, deliveryOf(), deliveryOf({ container: undefined })].map((it) => receiver.accepts(it)),
      [true, false, false],
    );
    const nobodys = line(1, { app: APP });
    assert.deepEqual(await receiver.send([line(0), nobodys, line(2)]), {
      taken: 1,
      rest: 'refused',
      reason: 'it has no usable app guid',
    });
    assert.equal(server.envelopes.length, 1);
  });

  test('an agent that is down, then there again: later, then taken', async () => {
    server.stop();
    const down = await receiver.send(lines(2));
    assert.deepEqual([down.taken, down.rest], [0, 'later']);
    assert.match(down.reason ?? '', /ECONNREFUSED|No connection established/);
    await server.start();
    assert.deepEqual(await receiver.send(lines(2)), { taken: 2 });
    assert.equal(receiver.counters().connectFailures, 1);
  });

  test('one that ends in the middle of a call: what was not acknowledged is not taken', async () => {
    await receiver.send([line(0)]);
    server.slowMs = 300;
    const sending = receiver.send([line(1)]);
    setTimeout(() => server.stop(), 50);
    assert.deepEqual([(await sending).taken, (await sending).rest], [0, 'later']);
    server.slowMs = 0;
    await server.start();
    assert.deepEqual(await receiver.send([line(1)]), { taken: 1 });
  });

  test('closing ends a call that is not answered', async () => {
    server.slowMs = 5_000;
    const sending = receiver.send([line(0)]);
    setTimeout(() => void receiver.close(), 100);
    // One that was not ended would be answered, and taken.
    const result = await sending;
    assert.deepEqual([result.taken, result.rest], [0, 'later']);
  });

  test('too many bytes at once: fewer, then all; a single one too large is refused', async () => {
    server.mostAtOnce = 30;
    let left = lines(100);
    for (let tries = 0; left.length > 0 && tries < 20; tries++) {
      const { taken, retryAfterMs, rest } = await receiver.send(left);
      if (rest === 'later') assert.equal(retryAfterMs, 0);
      left = left.slice(taken);
    }
    assert.deepEqual(
      payloads(),
      lines(100).map(({ text }) => text),
    );
    assert.ok(Math.max(...server.batches) <= 30);
    server.mostAtOnce = 0;
    let last = await receiver.send([line(0)]);
    assert.equal(last.rest, 'refused');
    assert.match(last.reason ?? '', /larger than max/);
    server.mostAtOnce = Number.POSITIVE_INFINITY;
    last = await receiver.send([line(0)]);
    assert.deepEqual(last, { taken: 1 });
  });

  test('a batch with an envelope that the agent cannot read: that one is refused, and no other', async () => {
    server.unreadable = ({ tags }) => tags['varvel_seq'] === '37';
    let left = lines(60);
    const refused: string[] = [];
    for (let tries = 0; left.length > 0 && tries < 40; tries++) {
      const { taken, rest, reason } = await receiver.send(left);
      left = left.slice(taken);
      if (rest !== 'refused') continue;
      refused.push(`${left[0]!.seq}: ${reason ?? ''}`);
      left = left.slice(1);
    }
    assert.deepEqual(refused, [
      '37: grpc: error unmarshalling request: string field contains invalid UTF-8',
    ]);
    assert.deepEqual(
      payloads(),
      lines(60)
        .filter(({ seq }) => seq !== 37)
        .map(({ text }) => text),
    );
  });

  test('a full agent is asked again later; what it calls invalid is not', async () => {
    server.refusals.push({ code: status.UNAVAILABLE, details: 'too busy' });
    assert.deepEqual(await receiver.send([line(0)]), {
      taken: 0,
      rest: 'later',
      reason: 'too busy',
    });
    server.refusals.push({ code: status.INVALID_ARGUMENT, details: 'no such thing' });
    const refused = await receiver.send([line(0)]);
    assert.deepEqual([refused.rest, refused.reason], ['refused', 'no such thing']);
    server.refusals.push({ code: status.INVALID_ARGUMENT, details: 'one of these' });
    assert.equal((await receiver.send(lines(2))).rest, 'later', 'which one, is not known yet');
    assert.deepEqual(await receiver.send(lines(2)), { taken: 2 });
  });

  test('a certificate of another authority, on either side: nothing is sent', async () => {
    const strangers = new Authority(folder, 'strangers');
    const stranger = receiverOf(strangers.issue('varvel'));
    const refused = await stranger.send([line(0)]);
    assert.deepEqual([refused.taken, refused.rest], [0, 'later']);
    await stranger.close();
    const deceived = receiverOf({ ca: strangers.ca });
    const refuses = await deceived.send([line(0)]);
    assert.deepEqual([refuses.taken, refuses.rest], [0, 'later']);
    assert.match(refuses.reason ?? '', /certificate|issuer/);
    await deceived.close();
    const misled = receiverOf({ serverName: 'doppler' });
    const named = await misled.send([line(0)]);
    assert.deepEqual([named.taken, named.rest], [0, 'later']);
    await misled.close();
    assert.equal(server.envelopes.length, 0);
  });

  test('rotated certificates are taken up without a restart', async () => {
    const [cert, key] = [join(folder, 'rotated.crt'), join(folder, 'rotated.key')];
    const put = (from: Certificate): void => {
      copyFileSync(from.cert, cert);
      copyFileSync(from.key, key);
    };
    put(new Authority(folder, 'old').issue('varvel'));
    const rotating = receiverOf({ cert, key });
    assert.equal((await rotating.send([line(0)])).rest, 'later');
    put(authority.issue('varvel'));
    assert.deepEqual(await rotating.send([line(0)]), { taken: 1 });
    put(authority.issue('varvel'));
    const { connects } = rotating.counters();
    assert.deepEqual(await rotating.send([line(1)]), { taken: 1 });
    assert.equal(rotating.counters().connects, connects + 1);
    await rotating.close();
  });

  test('certificates that are not there: later, with the file’s name', async () => {
    const none = receiverOf({ key: join(folder, 'none.key') });
    const result = await none.send([line(0)]);
    assert.equal(result.rest, 'later');
    assert.match(result.reason ?? '', /none\.key/);
    await none.close();
  });

  describe('an agent without the call that is acknowledged', () => {
    beforeEach(() => {
      server.hasSend = false;
    });

    test('lines go by one stream, in order, and the operator is told what that means', async () => {
      const told: unknown[] = [];
      const telling = receiverOf({}, { ...SILENT_LOGGER, warn: (_, text) => told.push(text) });
      for (let from = 0; from < 300; from += 100) {
        assert.deepEqual(await telling.send(lines(300).slice(from, from + 100)), { taken: 100 });
      }
      await until('all have arrived', () => server.envelopes.length === 300);
      assert.deepEqual(
        payloads(),
        lines(300).map(({ text }) => text),
      );
      assert.deepEqual(telling.counters(), {
        connects: 1,
        connectFailures: 0,
        unacknowledged: 300,
        droppedTags: 0,
      });
      assert.equal(told.length, 1);
      assert.match(String(told[0]), /too old to acknowledge/);
      await telling.close();
      await until('the stream was ended', () => server.streams.ended === 1);
      assert.equal(server.streams.opened, 1);
      assert.equal(telling.counters().connectFailures, 0, 'the error that ends it is none');
    });

    test('one that goes away and comes back: later, then taken; and one that has the call is asked by it', async () => {
      assert.deepEqual(await receiver.send(lines(2)), { taken: 2 });
      await until('they have arrived', () => server.envelopes.length === 2);
      server.stop();
      const down = await untilResult(() => receiver.send(lines(2)), 'later');
      assert.match(down.reason ?? '', /broke|ECONNREFUSED|No connection established/);
      await server.start();
      assert.deepEqual(await receiver.send(lines(2)), { taken: 2 });
      await until('they have arrived', () => server.envelopes.length >= 4);
      server.stop();
      await untilResult(() => receiver.send(lines(2)), 'later');
      server.hasSend = true;
      await server.start();
      const before = receiver.counters().unacknowledged;
      assert.deepEqual(await receiver.send(lines(2)), { taken: 2 });
      assert.equal(receiver.counters().unacknowledged, before);
    });

    test('a line that it cannot read costs what was sent with it, and the stream goes on', async () => {
      server.unreadable = ({ tags }) => tags['varvel_seq'] === '1';
      assert.equal((await receiver.send([line(1)])).taken, 1);
      await until('it is lost', () => server.streams.opened === 1);
      // How soon its end is known here is not for us to say.
      const { reason } = await untilResult(() => receiver.send([line(2)]), 'later');
      assert.match(reason ?? '', /unmarshalling.*may be lost/);
      server.envelopes.length = 0;
      assert.deepEqual(await receiver.send([line(2)]), { taken: 1 });
      await until('the next has arrived', () => server.envelopes.length === 1);
      assert.equal(receiver.counters().connectFailures, 1);
    });

    test('rotated certificates: the stream before is ended, not broken', async () => {
      const [cert, key] = [join(folder, 'again.crt'), join(folder, 'again.key')];
      const put = (from: Certificate): void => {
        copyFileSync(from.cert, cert);
        copyFileSync(from.key, key);
      };
      put(authority.issue('varvel'));
      const rotating = receiverOf({ cert, key });
      assert.deepEqual(await rotating.send(lines(50)), { taken: 50 });
      put(authority.issue('varvel'));
      assert.deepEqual(await rotating.send(lines(50)), { taken: 50 });
      await until('all have arrived', () => server.envelopes.length === 100);
      await until('the first is ended', () => server.streams.ended === 1);
      assert.equal(rotating.counters().connectFailures, 0);
      await rotating.close();
    });
  });
});
