import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../src/shared/logger.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import type { Priority } from '../../../src/rules/detection.ts';
import { deliverySize } from '../../../src/streams/delivery-size.ts';
import { FanOut } from '../../../src/streams/fan-out.ts';
import type { Delivery, LogStream, StreamCounters } from '../../../src/streams/stream.ts';
import type { Unseen } from '../../../src/streams/unseen.ts';
import { containerOf, deliveryOf, detectionOf } from './delivery-fixture.ts';

/** A stream that notes what it is given and takes `take` for each: the real thing for a fan-out. */
class NotingStream implements LogStream {
  readonly taken: Delivery[] = [];
  closed = false;
  active = 0;
  mostActive = 0;
  readonly name: string;
  readonly audience: 'tenant' | 'operator';
  readonly #take: (delivery: Delivery) => Promise<boolean>;

  constructor(
    audience: 'tenant' | 'operator',
    take: (delivery: Delivery) => Promise<boolean> = () => Promise.resolve(true),
    name: string = audience,
  ) {
    this.name = name;
    this.audience = audience;
    this.#take = take;
  }

  accepts(): boolean {
    return true;
  }

  async deliver(delivery: Delivery): Promise<boolean> {
    this.mostActive = Math.max(this.mostActive, ++this.active);
    try {
      const taken = await this.#take(delivery);
      this.taken.push(delivery);
      return taken;
    } finally {
      this.active--;
    }
  }

  counters(): StreamCounters {
    return { delivered: 0, failed: 0, dropped: 0 };
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

const idOf = (index: number): string => index.toString(16).padStart(64, '0');
const options = { hostname: 'cell-1' };
/** Deliveries of the least size that all containers together may have waiting for one stream. */
const BOUND = Math.floor((64 * 1024 * 1024) / deliverySize(deliveryOf()));

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
    const fanOut = new FanOut([stream], options);
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
  for (const { id } of stream.taken) assert.match(id, /^[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.ok(stream.taken.every(({ hostname }) => hostname === 'cell-1'));
});

test('a flood takes no room from Critical lines, nor from what the agent says of itself', async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const stream = new NotingStream('tenant', () => held.then(() => true));
  const fanOut = new FanOut([stream], options);
  for (let line = 0; line < 30_000; line++) fanOut.deliver(detectionOf({ priority: 'Notice' }));
  const before = fanOut.counters().streams['tenant']?.dropped ?? 0;
  assert.ok(before > 1000);
  fanOut.deliver(detectionOf({ priority: 'Critical' }));
  fanOut.say(detectionOf({ source: 'varvel', priority: 'Notice', rule: 'Varvel: a line' }));
  assert.equal(fanOut.counters().streams['tenant']?.dropped, before);
  // Nor without a bound.
  for (let line = 0; line < 2000; line++) fanOut.deliver(detectionOf({ priority: 'Critical' }));
  assert.ok((fanOut.counters().streams['tenant']?.dropped ?? 0) > before);
  release();
  await fanOut.flush(60_000);
  assert.ok(stream.taken.some(({ detection }) => detection.rule === 'Varvel: a line'));
});

test('lines that wait are given up by priority, counted and told; those of the agent itself stay', async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const stream = new NotingStream('tenant', () => {
    begin();
    return held.then(() => true);
  });
  let nowMs = 0;
  const fanOut = new FanOut([stream], { ...options, nowMs: () => nowMs });
  for (const priority of ['Notice', 'Notice', 'Critical', 'Warning'] as const)
    fanOut.deliver(detectionOf({ priority }));
  fanOut.say(detectionOf({ source: 'varvel', priority: 'Notice', rule: 'Varvel: a line' }));
  // The first one is at the stream already.
  await begun;
  assert.equal(fanOut.dropWaiting(['Debug', 'Notice', 'Warning']), 2);
  assert.equal(fanOut.dropWaiting(['Debug', 'Notice', 'Warning']), 0);
  const { streams, droppedPerApp } = fanOut.counters();
  assert.deepEqual([streams['tenant']?.dropped, streams['tenant']?.waiting], [2, 3]);
  assert.deepEqual(droppedPerApp, [['shop', 2]]);
  release();
  nowMs = 60_000;
  fanOut.onTick();
  assert.equal((await fanOut.flush(1000)).lost, 0);
  assert.deepEqual(
    stream.taken.map(({ seq, detection: { rule } }) => (seq > 0 ? seq : rule)),
    [1, 3, 'Varvel: a line', 'Varvel: lines lost'],
  );
  // A container whose lines were all given up gets its next one.
  const other = containerOf({ fullId: idOf(9) });
  fanOut.deliver(detectionOf({ priority: 'Notice', container: other }));
  assert.equal(fanOut.dropWaiting(['Notice']), 1);
  fanOut.deliver(detectionOf({ priority: 'Notice', container: other }));
  await fanOut.flush(1000);
  assert.equal(stream.taken.at(-1)?.seq, 2);
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

test('a flooding container takes half of the room at most; the newest are dropped and counted for its app', async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const stream = new NotingStream('tenant', async () => {
    await gate;
    return true;
  });
  const fanOut = new FanOut([stream], options);
  const loud = containerOf({ fullId: idOf(1) }, { name: 'loud' });
  const most = Math.floor((BOUND + 1) / 2);
  for (let index = 0; index < most + 44; index++) fanOut.deliver(detectionOf({ container: loud }));
  fanOut.deliver(detectionOf({ container: containerOf({ fullId: idOf(2) }, { name: 'quiet' }) }));
  assert.deepEqual(fanOut.counters().droppedPerApp, [['loud', 44]]);
  release();
  assert.deepEqual(await fanOut.flush(60_000), { delivered: most + 1, lost: 0 });
  const loudSeqs = stream.taken
    .filter(({ detection }) => detection.container?.app?.name === 'loud')
    .map(({ seq }) => seq);
  assert.deepEqual(
    loudSeqs,
    Array.from({ length: most }, (_, index) => index + 1),
  );
  assert.deepEqual(fanOut.counters().streams['tenant'], {
    delivered: most + 1,
    failed: 0,
    dropped: 44,
    waiting: 0,
  });
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

test('however many flood, room stays free for one that comes late', () => {
  const fanOut = new FanOut([new NotingStream('tenant')], options);
  const flood = (index: number): void => {
    const container = containerOf({ fullId: idOf(index) }, { name: `app-${index}` });
    for (let line = 0; line < BOUND; line++) fanOut.deliver(detectionOf({ container }));
  };
  const droppedOf = (index: number): number =>
    fanOut.counters().droppedPerApp.find(([app]) => app === `app-${index}`)?.[1] ?? 0;
  for (const index of [0, 1, 2]) flood(index);
  // Half, a quarter, an eighth: what is free is never taken by one alone.
  for (const index of [0, 1, 2]) {
    const taken = BOUND - droppedOf(index);
    assert.ok(Math.abs(taken - BOUND / 2 ** (index + 1)) < 5, `${index} has ${taken}`);
  }
});

test('all containers together are bounded too', async () => {
  const stream = new NotingStream('tenant', () => new Promise(() => undefined));
  const fanOut = new FanOut([stream], options);
  for (let container = 0; container < 100; container++) {
    for (let number = 0; number < 1400; number++) {
      fanOut.deliver(detectionOf({ container: containerOf({ fullId: idOf(container) }) }));
    }
  }
  const { waiting, dropped } = fanOut.counters().streams['tenant']!;
  assert.ok(waiting <= BOUND && waiting > BOUND - 100, `${waiting} wait`);
  assert.equal(dropped, 140_000 - waiting);
  assert.deepEqual(await fanOut.flush(20), { delivered: 0, lost: waiting });
  await fanOut.close();
  assert.ok(stream.closed);
});

test('what waits is bounded by its texts too: a container with long ones takes no more memory than another', async () => {
  const stream = new NotingStream('tenant', () => new Promise(() => undefined));
  const fanOut = new FanOut([stream], options);
  const of = (name: string, length: number, priority: Priority = 'Warning') =>
    detectionOf({
      container: containerOf({ fullId: idOf(name.length) }, { name }),
      output: 'x'.repeat(length / 2),
      outputFields: { 'proc.name': 'x', 'proc.args': ['y'.repeat(length / 2)] },
      priority,
    });
  // Some 64 KiB each.
  for (let count = 0; count < 700; count++) fanOut.deliver(of('long', 32_000));
  const { waiting } = fanOut.counters().streams['tenant']!;
  assert.ok(waiting > 500 && waiting <= 520, `${waiting} wait`);
  assert.deepEqual(fanOut.counters().droppedPerApp, [['long', 700 - waiting]]);
  for (let count = 0; count < 40; count++) fanOut.deliver(of('long', 32_000, 'Critical'));
  const urgent = fanOut.counters().streams['tenant']!.waiting - waiting;
  assert.ok(urgent >= 16 && urgent < 40, `${urgent} urgent ones found room`);
  fanOut.deliver(of('quiet', 10));
  assert.equal(fanOut.counters().streams['tenant']!.waiting, waiting + urgent + 1);
  // One that is larger than all that a container may have is not refused for ever.
  fanOut.deliver(of('larger', 10 * 1024 * 1024));
  assert.equal(fanOut.counters().streams['tenant']!.waiting, waiting + urgent + 2);
  await fanOut.flush(20);
  await fanOut.close();
});

test('of a container that has more than its share by now, Critical lines and what the agent says find room', async () => {
  const stream = new NotingStream('tenant', () => new Promise(() => undefined));
  const fanOut = new FanOut([stream], options);
  const of = (name: string, priority: Priority = 'Warning') =>
    detectionOf({
      container: containerOf({ fullId: idOf(name.length) }, { name }),
      output: 'x'.repeat(32_000),
      priority,
    });
  const waiting = () => fanOut.counters().streams['tenant']!.waiting;
  for (let count = 0; count < 1000; count++) fanOut.deliver(of('first'));
  for (let count = 0; count < 1000; count++) fanOut.deliver(of('second'));
  const before = waiting();
  fanOut.deliver(of('first', 'Critical'));
  fanOut.deliver(of('second', 'Critical'));
  assert.equal(waiting(), before + 2);
  fanOut.deliver(of('first'));
  assert.equal(waiting(), before + 2, 'the others of it do not');
  fanOut.tellLosses();
  assert.equal(waiting(), before + 4, 'each is told what it lost');
  // A flood of Critical lines takes 2 MiB more, and no more.
  for (let count = 0; count < 200; count++) fanOut.deliver(of('first', 'Critical'));
  const flooded = waiting();
  assert.ok(flooded < before + 80, `${flooded - before} more`);
  fanOut.deliver(of('second', 'Critical'));
  assert.equal(waiting(), flooded + 1);
  await fanOut.flush(20);
  await fanOut.close();
});

test('losses that there is no room to tell are told later', async () => {
  let isStuck = true;
  const stream = new NotingStream('tenant', () =>
    isStuck ? new Promise(() => undefined) : Promise.resolve(true),
  );
  const fanOut = new FanOut([stream], options);
  const of = (index: number, priority: Priority) =>
    detectionOf({
      container: containerOf({ fullId: idOf(index) }),
      output: 'x'.repeat(64_000),
      priority,
    });
  // Critical lines of many, and then notices, take all that there is.
  for (let index = 0; index < 200; index++) {
    for (let count = 0; count < 40; count++) fanOut.deliver(of(index, 'Critical'));
  }
  for (let count = 0; count < 600; count++)
    fanOut.say({ ...of(count, 'Notice'), source: 'varvel' });
  const { waiting, dropped } = fanOut.counters().streams['tenant']!;
  fanOut.tellLosses();
  const atOnce = fanOut.counters().streams['tenant']!.waiting - waiting;
  assert.ok(atOnce < 100, `${atOnce} found room`);
  isStuck = false;
  assert.ok(dropped > 0);
  const given = fanOut.dropWaiting(['Critical']);
  assert.ok(given > 0);
  fanOut.tellLosses();
  const told = fanOut.counters().streams['tenant']!.waiting - (waiting - given);
  assert.ok(told >= 180, `${told} containers are told`);
  await fanOut.flush(20);
  await fanOut.close();
});

test('room that a line took is there again when it is delivered or given up', async () => {
  const stream = new NotingStream('tenant');
  const fanOut = new FanOut([stream], options);
  // 500 of these are nearly all that a container may have.
  const fill = (): void => {
    for (let count = 0; count < 500; count++)
      fanOut.deliver(detectionOf({ output: 'x'.repeat(32_000), priority: 'Notice' }));
  };
  for (let round = 0; round < 10; round++) {
    fill();
    if (round % 2 === 0) assert.deepEqual(await fanOut.flush(5000), { delivered: 500, lost: 0 });
    else assert.equal(fanOut.dropWaiting(['Notice']), 500);
  }
  assert.equal(fanOut.counters().streams['tenant']!.dropped, 5 * 500);
  await fanOut.close();
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
      .map(({ detection: { rule, outputFields } }) => [...[rule, outputFields['lost.count']]]),
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
          ...{ 'lost.stream': 'tenant', 'lost.count': 3, 'lost.numbers': '2-4' },
          ...{ 'lost.first': 2n, 'lost.last': 4n },
        },
      ],
    ],
  );
  assert.equal(operator.taken.length, 4);
  await fanOut.close();
});

test('a stream that takes nothing leaves the others their room', async () => {
  const stuck = new NotingStream('operator', () => new Promise<boolean>(() => undefined));
  const tenant = new NotingStream('tenant');
  const fanOut = new FanOut([stuck, tenant], options);
  // More containers than one stream's queue has room for, a few lines each.
  const containers = Array.from({ length: 1000 }, (_, n) => containerOf({ fullId: idOf(n) }));
  for (let round = 0; round < 70; round++) {
    for (const container of containers) fanOut.deliver(detectionOf({ container }));
    await fanOut.flush(1);
  }
  for (const end = performance.now() + 60_000; tenant.taken.length < 70_000;) {
    assert.ok(performance.now() < end, `${tenant.taken.length} of 70,000 are taken`);
    await delay(5);
  }
  assert.equal(tenant.taken.length, 70_000);
  const { streams } = fanOut.counters();
  assert.ok((streams['operator']?.dropped ?? 0) > 3000);
  assert.equal(streams['tenant']?.dropped, 0);
});

/** So many events lost at second 1, so that a later call's are of the same interval. */
function unseen(count: number): Unseen {
  const times = { firstNs: 1_000_000_000n, lastNs: 1_000_000_000n };
  return { container: containerOf(), reasons: { ownShare: count }, ...times };
}

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
        ...[seq, rule, outputFields['lost.count'], container?.app?.name],
      ]),
      [[0, 'Varvel: events lost', 12, 'shop']],
    );
  }
  await fanOut.close();
});
