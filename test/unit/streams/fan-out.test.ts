import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../src/shared/logger.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { FanOut } from '../../../src/streams/fan-out.ts';
import type { Delivery, LogStream, StreamCounters } from '../../../src/streams/stream.ts';
import { containerOf, detectionOf } from './delivery-fixture.ts';

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

test('order is kept per container whatever each line takes, and containers do not wait for each other', async () => {
  let turn = 0;
  const stream = new NotingStream('tenant', async () => {
    await delay(++turn % 3);
    return true;
  });
  const fanOut = new FanOut([stream], options);
  for (let number = 1; number <= 20; number++) {
    for (let container = 0; container < 50; container++) {
      fanOut.deliver(detectionOf({ container: containerOf({ fullId: idOf(container) }) }));
    }
  }
  await fanOut.flush(5000);
  assert.equal(stream.taken.length, 1000);
  for (let container = 0; container < 50; container++) {
    const seqs = stream.taken
      .filter(({ detection }) => detection.container?.fullId === idOf(container))
      .map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
  }
  assert.ok(stream.mostActive > 1 && stream.mostActive <= 32);
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

test('what has no container goes to operators only', async () => {
  const tenant = new NotingStream('tenant');
  const operator = new NotingStream('operator');
  const fanOut = new FanOut([tenant, operator], options);
  fanOut.deliver(detectionOf({ container: undefined }));
  await fanOut.flush(1000);
  assert.equal(tenant.taken.length, 0);
  assert.equal(operator.taken.length, 1);
});

test('a flooding container fills its own queue only; the newest are dropped and counted for its app', async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const stream = new NotingStream('tenant', async () => {
    await gate;
    return true;
  });
  const fanOut = new FanOut([stream], options);
  const loud = containerOf({ fullId: idOf(1) }, { name: 'loud' });
  for (let index = 0; index < 300; index++) fanOut.deliver(detectionOf({ container: loud }));
  fanOut.deliver(detectionOf({ container: containerOf({ fullId: idOf(2) }, { name: 'quiet' }) }));
  assert.deepEqual(fanOut.counters().droppedPerApp, [['loud', 44]]);
  release();
  assert.deepEqual(await fanOut.flush(1000), { delivered: 257, lost: 0 });
  const loudSeqs = stream.taken
    .filter(({ detection }) => detection.container?.app.name === 'loud')
    .map(({ seq }) => seq);
  assert.deepEqual(
    loudSeqs,
    Array.from({ length: 256 }, (_, index) => index + 1),
  );
  assert.deepEqual(fanOut.counters().streams['tenant'], {
    delivered: 257,
    failed: 0,
    dropped: 44,
    waiting: 0,
  });
});

test('all containers together are bounded too', async () => {
  const stream = new NotingStream('tenant', () => new Promise(() => undefined));
  const fanOut = new FanOut([stream], options);
  for (let container = 0; container < 100; container++) {
    for (let number = 0; number < 200; number++) {
      fanOut.deliver(detectionOf({ container: containerOf({ fullId: idOf(container) }) }));
    }
  }
  const { waiting, dropped } = fanOut.counters().streams['tenant']!;
  assert.equal(waiting, 16_384);
  assert.equal(dropped, 20_000 - 16_384);
  assert.deepEqual(await fanOut.flush(20), { delivered: 0, lost: 16_384 });
  await fanOut.close();
  assert.ok(stream.closed);
});

test('a stream that hangs, refuses or throws holds up no other', async () => {
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
  assert.deepEqual(await fanOut.flush(50), { delivered: 3, lost: 9 });
  assert.deepEqual(delivered, ['good 1', 'good 2', 'good 3']);
  assert.equal(errors.length, 3);
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
