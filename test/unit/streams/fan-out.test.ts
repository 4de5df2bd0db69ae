import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../src/shared/logger.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { FanOut } from '../../../src/streams/fan-out.ts';
import { Numbering } from '../../../src/streams/numbering/numbering.ts';
import type { Unseen } from '../../../src/streams/unseen.ts';
import { containerOf, detectionOf } from './delivery-fixture.ts';
import { idOf, NotingStream, options } from './fan-out-fixture.ts';

test('nothing happens on the caller’s path; flush waits for all of it', async () => {
  const stream = new NotingStream('operator');
  const fanOut = new FanOut([stream], options);
  for (let index = 0; index < 100; index++) fanOut.deliver(detectionOf());
  assert.equal(stream.taken.length, 0);
  assert.equal(stream.active, 0);
  assert.deepEqual(await fanOut.flush(1000), { delivered: 100, lost: 0 });
  assert.equal(stream.taken.length, 100);
  assert.deepEqual(await fanOut.flush(1000), { delivered: 0, lost: 0 });
});

test('a stream that keeps the order itself takes many lines of a container before the first is done', async () => {
  for (const [maxUnderWay, most] of [
    [undefined, 1],
    [300, 300],
  ] as const) {
    const waiting: (() => void)[] = [];
    const stream = new NotingStream(
      'operator',
      () => new Promise((done) => waiting.push(() => done(true))),
    );
    if (maxUnderWay !== undefined) Object.assign(stream, { maxUnderWay });
    // Its clock stands still: on a busy machine a turn may be over before it has taken as many as it may.
    const fanOut = new FanOut([stream], { ...options, nowMs: () => 0 });
    for (let index = 0; index < 1000; index++) fanOut.deliver(detectionOf());
    while (stream.taken.length < 1000) {
      await turn();
      for (const done of waiting.splice(0)) done();
    }
    assert.equal(stream.mostActive, most);
    assert.deepEqual(
      stream.taken.map(({ seq }) => seq),
      Array.from({ length: 1000 }, (_, index) => index + 1),
    );
  }
});

test('a stream that takes many lines at once leaves the others a part of each turn', async () => {
  // By a clock of its own: on a busy machine a turn may be over before anybody had it.
  let nowMs = 0;
  const slow = new NotingStream('operator', () => {
    nowMs += 0.2;
    return turn().then(() => true);
  });
  Object.assign(slow, { maxUnderWay: Infinity });
  const quick = new NotingStream('tenant', () => {
    nowMs += 0.01;
    return Promise.resolve(true);
  });
  const fanOut = new FanOut([slow, quick], { ...options, nowMs: () => nowMs });
  const lines = 4000;
  for (let index = 0; index < lines; index++) fanOut.deliver(detectionOf());
  while (quick.taken.length < lines) await turn();
  assert.ok(slow.taken.length < lines, 'the other waited for it');
  assert.deepEqual(await fanOut.flush(60_000).then(({ lost }) => lost), 0);
});

test('order is kept per container whatever each line takes, and containers do not wait for each other', async () => {
  let turn = 0;
  const stream = new NotingStream('tenant', async () => {
    await delay(++turn % 3);
    return true;
  });
  const fanOut = new FanOut([stream], options);
  for (let number = 1; number <= 5; number++) {
    for (let container = 0; container < 200; container++) {
      fanOut.deliver(detectionOf({ container: containerOf({ fullId: idOf(container) }) }));
    }
  }
  await fanOut.flush(5000);
  assert.equal(stream.taken.length, 1000);
  for (let container = 0; container < 200; container++) {
    const seqs = stream.taken
      .filter(({ detection }) => detection.container?.fullId === idOf(container))
      .map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      Array.from({ length: 5 }, (_, index) => index + 1),
    );
  }
  assert.ok(stream.mostActive > 1 && stream.mostActive <= 128);
});

test('ids are unique and sort by time; numbers count per app instance', async () => {
  const stream = new NotingStream('operator');
  const fanOut = new FanOut([stream], options);
  const at = (ms: number, container: ReturnType<typeof containerOf>): void =>
    fanOut.deliver(detectionOf({ timeNs: BigInt(ms) * 1_000_000n, container }));
  const web0 = (index: number) =>
    containerOf({ fullId: idOf(index) }, { guid: 'g', instance: '0' });
  at(1000, web0(1));
  at(1000, web0(1));
  at(1001, web0(2));
  at(1001, containerOf({ fullId: idOf(3) }, { guid: 'g', instance: '1' }));
  at(1002, containerOf({ fullId: idOf(4) }));
  at(1003, containerOf({ fullId: idOf(5) }));
  await fanOut.flush(1000);
  const sorted = [...stream.taken].sort((a, b) => (a.id < b.id ? -1 : 1));
  assert.deepEqual(
    sorted.map(({ seq }) => seq),
    [1, 2, 3, 1, 1, 1],
  );
  assert.equal(new Set(stream.taken.map(({ id }) => id)).size, 6);
  for (const { id } of stream.taken) assert.match(id, /^[0-9A-HJKMNP-TV-Z]{20}$/);
  assert.ok(stream.taken.every(({ hostname }) => hostname === 'cell-1'));
});

test('what has no container goes to operators only', async () => {
  const tenant = new NotingStream('tenant');
  const operator = new NotingStream('operator');
  const fanOut = new FanOut([tenant, operator], options);
  fanOut.deliver(detectionOf({ container: undefined }));
  await fanOut.flush(1000);
  assert.equal(tenant.taken.length, 0);
  assert.equal(operator.taken.length, 1);
});

test('what happens in a container whose app is not certain goes to operators alone, and is numbered for itself', async () => {
  const tenant = new NotingStream('tenant');
  const operator = new NotingStream('operator');
  const fanOut = new FanOut([tenant, operator], options);
  const certain = containerOf({ fullId: idOf(1) });
  const doubtful = containerOf({ fullId: idOf(2), app: undefined, doubt: 'Two apps are named.' });
  for (const container of [doubtful, certain, doubtful]) fanOut.deliver(detectionOf({ container }));
  await fanOut.flush(1000);
  const seen = ({ taken }: NotingStream) =>
    taken.map(({ seq, detection }) => [detection.container?.fullId, seq]);
  assert.deepEqual(seen(tenant), [[idOf(1), 1]]);
  assert.deepEqual(seen(operator).sort(), [
    [idOf(1), 1],
    [idOf(2), 1],
    [idOf(2), 2],
  ]);
});

test('a stream that hangs, refuses or throws holds up no other', async (t) => {
  const errors: string[] = [];
  const logger: Logger = { ...SILENT_LOGGER, error: (_fields, message) => errors.push(message) };
  const hanging = new NotingStream('tenant', () => new Promise(() => undefined), 'hanging');
  const refusing = new NotingStream('tenant', () => Promise.resolve(false), 'refusing');
  const throwing = new NotingStream('operator', () => Promise.reject(new Error('bug')), 'throwing');
  const good = new NotingStream('operator', undefined, 'good');
  const delivered: string[] = [];
  const fanOut = new FanOut([hanging, refusing, throwing, good], {
    ...options,
    logger,
    onDelivered: (delivery, stream) => delivered.push(`${stream.name} ${delivery.seq}`),
  });
  for (let index = 0; index < 3; index++) fanOut.deliver(detectionOf());
  // The time that it waits is over when all is done that can be.
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const flushed = fanOut.flush(50);
  while (delivered.length < 3 || errors.length < 3) await turn();
  t.mock.timers.tick(50);
  assert.deepEqual(await flushed, { delivered: 3, lost: 9 });
  assert.deepEqual(delivered, ['good 1', 'good 2', 'good 3']);
  assert.equal(errors.length, 3);
});

test('at the end what a stream did not take, and what no rule saw, is told at once', async () => {
  let takes = false;
  const stream = new NotingStream('operator', () => Promise.resolve(takes));
  const fanOut = new FanOut([stream], options);
  fanOut.deliver(detectionOf());
  assert.deepEqual(await fanOut.flush(1000), { delivered: 0, lost: 1 });
  takes = true;
  fanOut.noteUnseen(unseen(3));
  fanOut.tellLosses();
  await fanOut.flush(1000);
  assert.deepEqual(
    stream.taken
      .slice(1)
      .map(({ detection: { rule, outputFields } }) => [rule, outputFields['lost.count']]),
    [
      ['Varvel: events lost', 3],
      ['Varvel: lines lost', 1],
    ],
  );
});

test('after close nothing is taken any more, and that is counted', async () => {
  const stream = new NotingStream('operator');
  const fanOut = new FanOut([stream], options);
  await fanOut.close();
  fanOut.deliver(detectionOf());
  await fanOut.flush(100);
  assert.equal(stream.taken.length, 0);
  assert.equal(fanOut.counters().streams['operator']?.dropped, 1);
});

const LIMITS = { burst: 2, perMinute: 1, appBurst: 100, appPerMinute: 100, summaryMs: 30_000 };

test('suppressed detections take no number and are told once, everywhere', async () => {
  const streams = [new NotingStream('tenant'), new NotingStream('operator')];
  let ms = 0;
  const fanOut = new FanOut(streams, { ...options, limits: LIMITS, nowMs: () => ms });
  for (let n = 0; n < 10; n++) fanOut.deliver(detectionOf());
  fanOut.deliver(detectionOf({ rule: 'another' }));
  ms = 29_999;
  fanOut.onTick();
  await fanOut.flush(0);
  ms = 30_000;
  fanOut.onTick();
  await fanOut.flush(1000);
  for (const { taken } of streams) {
    assert.deepEqual(
      taken.map(({ seq, detection: { rule, outputFields } }) => [
        seq,
        rule,
        outputFields['suppressed.count'],
      ]),
      [
        [1, 'Shell in an app container', undefined],
        [2, 'Shell in an app container', undefined],
        [3, 'another', undefined],
        [0, 'Varvel: detections suppressed', 8],
      ],
    );
    assert.equal(new Set(taken.map(({ id }) => id)).size, 4);
  }
  assert.deepEqual([fanOut.counters().detections, fanOut.counters().suppressed], [11, 8]);
  await fanOut.close();
});

test('at the end what was counted is told at once', async () => {
  const stream = new NotingStream('tenant');
  const fanOut = new FanOut([stream], { ...options, limits: LIMITS });
  for (let n = 0; n < 5; n++) fanOut.deliver(detectionOf());
  await fanOut.flush(1000);
  assert.equal(stream.taken.at(-1)?.detection.outputFields['suppressed.count'], 3);
  await fanOut.close();
});

test('what a stream did not take is told there, and there alone, once it takes again', async () => {
  let takes = true;
  const tenant = new NotingStream('tenant', () => Promise.resolve(takes));
  const operator = new NotingStream('operator');
  let ms = 0;
  const fanOut = new FanOut([tenant, operator], { ...options, nowMs: () => ms });
  fanOut.deliver(detectionOf({ timeNs: 1n }));
  await fanOut.flush(1000);
  takes = false;
  for (const ns of [2n, 3n, 4n]) fanOut.deliver(detectionOf({ timeNs: ns }));
  await fanOut.flush(1000);
  takes = true;
  ms = 10_000;
  fanOut.onTick();
  ms = 20_000;
  fanOut.onTick();
  await fanOut.flush(1000);
  const notices = tenant.taken.filter(({ detection }) => detection.source === 'varvel');
  assert.deepEqual(
    notices.map(({ seq, detection: { rule, outputFields } }) => [seq, rule, outputFields]),
    [
      [
        0,
        'Varvel: lines lost',
        {
          'lost.stream': 'tenant',
          'lost.count': 3,
          'lost.numbers': '2-4',
          'lost.first': 2n,
          'lost.last': 4n,
        },
      ],
    ],
  );
  assert.equal(operator.taken.length, 4);
  await fanOut.close();
});

test('a notice of losses that the stream does not take either is told later, whole, and until then nothing counts as told', async () => {
  let takes = true;
  const stream = new NotingStream('operator', () => Promise.resolve(takes));
  const numbering = new Numbering();
  const settled: string[] = [];
  numbering.lossesTold = () => settled.push('told');
  let ms = 0;
  const fanOut = new FanOut([stream], { ...options, numbering, nowMs: () => ms });
  takes = false;
  for (const ns of [2n, 3n]) fanOut.deliver(detectionOf({ timeNs: ns }));
  await fanOut.flush(1000);
  for (const lost of [4n, 5n]) {
    ms += 10_000;
    fanOut.onTick();
    await fanOut.flush(1000);
    fanOut.deliver(detectionOf({ timeNs: lost }));
    await fanOut.flush(1000);
  }
  assert.deepEqual(settled, []);
  takes = true;
  ms += 10_000;
  fanOut.onTick();
  await fanOut.flush(1000);
  assert.ok(settled.length > 0);
  const [told, ...more] = stream.taken.slice(-1);
  assert.deepEqual(more, []);
  assert.deepEqual(told?.detection.outputFields, {
    'lost.stream': 'operator',
    'lost.count': 4,
    'lost.numbers': '1-4',
    'lost.first': 2n,
    'lost.last': 5n,
  });
  assert.equal(fanOut.counters().streams['operator']?.dropped, 0);
  await fanOut.close();
});

test('events that no rule saw are told, in the container’s streams and the operator’s', async () => {
  const streams = [new NotingStream('tenant'), new NotingStream('operator')];
  let ms = 0;
  const fanOut = new FanOut(streams, { ...options, nowMs: () => ms });
  fanOut.noteUnseen(unseen(7));
  fanOut.noteUnseen(unseen(5));
  fanOut.onTick();
  ms = 10_000;
  fanOut.onTick();
  ms = 20_000;
  fanOut.onTick();
  await fanOut.flush(1000);
  for (const { taken } of streams) {
    assert.deepEqual(
      taken.map(({ seq, detection: { rule, outputFields, container } }) => [
        seq,
        rule,
        outputFields['lost.count'],
        container?.app?.name,
      ]),
      [[0, 'Varvel: events lost', 12, 'shop']],
    );
  }
  await fanOut.close();
});

function unseen(count: number): Unseen {
  const times = { firstNs: 1_000_000_000n, lastNs: 1_000_000_000n };
  return { container: containerOf(), reasons: { ownShare: count }, ...times };
}
