// What may wait for a stream, of one container and of all: what is dropped beyond that, and who is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Priority } from '../../src/rules/detection.ts';
import { FanOut } from '../../src/streams/fan-out.ts';
import { containerOf, detectionOf } from '../unit/streams/delivery-fixture.ts';
import { BOUND, idOf, NotingStream, options } from '../unit/streams/fan-out-fixture.ts';

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

test('however many flood, room stays free for one that comes late', () => {
  const fanOut = new FanOut([new NotingStream('tenant')], options);
  const flood = (index: number): void => {
    const container = containerOf({ fullId: idOf(index) }, { name: `app-${index}` });
    const detection = detectionOf({ container });
    for (let line = 0; line < BOUND; line++) fanOut.deliver(detection);
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
  for (let number = 0; number < 100; number++) {
    const detection = detectionOf({ container: containerOf({ fullId: idOf(number) }) });
    for (let line = 0; line < 1400; line++) fanOut.deliver(detection);
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

test('a stream that takes nothing leaves the others their room', async () => {
  const stuck = new NotingStream('operator', () => new Promise<boolean>(() => undefined));
  const tenant = new NotingStream('tenant');
  const fanOut = new FanOut([stuck, tenant], options);
  // Of 1000 containers ten lines each, of 8 KiB and more: more than one stream's queue has room for.
  const output = 'x'.repeat(4096);
  const all = Array.from({ length: 1000 }, (_, n) =>
    detectionOf({ output, container: containerOf({ fullId: idOf(n) }) }),
  );
  for (let round = 0; round < 10; round++) {
    for (const detection of all) fanOut.deliver(detection);
    await fanOut.flush(1);
  }
  for (const end = performance.now() + 60_000; tenant.taken.length < 10_000;) {
    assert.ok(performance.now() < end, `${tenant.taken.length} of 10,000 are taken`);
    await delay(5);
  }
  assert.equal(tenant.taken.length, 10_000);
  const { streams } = fanOut.counters();
  assert.ok((streams['operator']?.dropped ?? 0) > 2000);
  assert.equal(streams['tenant']?.dropped, 0);
});

/** So many events lost at second 1, so that a later call's are of the same interval. */
