import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission, type AdmissionTarget } from '../../../src/evaluation/admission.ts';
import { PENDING_MEMORY_MS } from '../../../src/apps/container-registry.ts';
import { dockerRegistry, webContainer } from './evaluation-fixture.ts';

interface TestEvent {
  readonly cgroupId: number;
  readonly n: number;
  readonly detached: boolean;
  readonly heldBytes: number;
  readonly timeNs: bigint;
  detach(): TestEvent;
}

interface TestDetection {
  readonly cgroupId: number;
  readonly n: number;
  readonly heldBytes: number;
  readonly timeNs: bigint;
}

const detectionOf = (n: number, more: Partial<TestDetection> = {}): TestDetection => ({
  cgroupId: 10,
  n,
  heldBytes: 400,
  timeNs: BigInt(n),
  ...more,
});

const ID = 'a'.repeat(64);

function eventOf(cgroupId: number, n: number, detached = false, heldBytes = 400): TestEvent {
  const detach = (): TestEvent => eventOf(cgroupId, n, true, heldBytes);
  return { cgroupId, n, detached, heldBytes, timeNs: BigInt(n), detach };
}

function world(options = {}, more: Partial<AdmissionTarget<TestEvent, TestDetection>> = {}) {
  const { registry, time } = dockerRegistry();
  const log: string[] = [];
  const admission = new Admission<TestEvent, TestDetection>(
    registry,
    {
      evaluate: (event, container) =>
        log.push(`${container?.name ?? '-'} ${event.n}${event.detached ? ' held' : ''}`),
      attributed: (detection, container) => log.push(`${container.name} detection ${detection.n}`),
      unattributed: (detection) => log.push(`nobody detection ${detection.n}`),
      dropped: ({ name }, { count, firstNs, lastNs }) =>
        log.push(`${name} without ${count} of ${firstNs} to ${lastNs}`),
      ...more,
    },
    () => time.nowMs,
    options,
  );
  const include = (): void => {
    const container = webContainer(ID);
    registry.decide('docker', ID, { state: 'included', container, reason: '' });
  };
  const exclude = (): void => {
    registry.decide('docker', ID, { state: 'excluded', container: undefined, reason: '' });
  };
  return { time, registry, admission, log, include, exclude };
}

const PATH = `/docker/${ID}`;

test('a known container’s event passes at once, as it is; an excluded one’s ends', () => {
  const w = world();
  w.registry.found(10, PATH);
  w.include();
  w.admission.event(eventOf(10, 1));
  assert.deepEqual(w.log, ['web 1']);
  w.exclude();
  w.admission.event(eventOf(10, 2));
  assert.deepEqual(w.log, ['web 1']);
});

test('held while pending, detached, released in order with the identity', () => {
  const w = world();
  w.registry.found(10, PATH);
  w.admission.event(eventOf(10, 1));
  w.admission.event(eventOf(10, 2));
  w.admission.event(eventOf(10, 3));
  assert.deepEqual(w.log, []);
  w.include();
  assert.deepEqual(w.log, ['web 1 held', 'web 2 held', 'web 3 held']);
  assert.equal(w.admission.counters().events.dropped, 0);
});

test('held for nothing: discarded, and not counted as lost', () => {
  const w = world();
  w.registry.found(10, PATH);
  w.admission.event(eventOf(10, 1));
  w.exclude();
  const { events } = w.admission.counters();
  assert.deepEqual([w.log.length, events.discarded, events.dropped, events.held], [0, 1, 0, 0]);
});

test('after 5 s evaluated without identity; what it trips waits for it', () => {
  const w = world();
  w.registry.found(10, PATH);
  w.admission.event(eventOf(10, 1));
  w.time.nowMs = 4999;
  w.admission.tick();
  assert.deepEqual(w.log, []);
  w.time.nowMs = 5000;
  // Also without a tick: the next event must not overtake.
  w.admission.event(eventOf(10, 2));
  assert.deepEqual(w.log, ['- 1 held', '- 2']);
  w.admission.detection(detectionOf(1));
  w.admission.detection(detectionOf(2));
  w.include();
  assert.deepEqual(w.log.slice(2), ['web detection 1', 'web detection 2']);
});

test('a detection that never finds its app is the operator’s', () => {
  const w = world();
  w.registry.found(10, PATH);
  w.admission.detection(detectionOf(1));
  w.time.nowMs = 599_999;
  w.admission.tick();
  assert.deepEqual(w.log, []);
  w.time.nowMs = 600_000;
  w.admission.tick();
  assert.deepEqual(w.log, ['nobody detection 1']);
});

test('a detection is not handed to a later container with the same number', () => {
  const w = world();
  w.registry.found(10, PATH);
  w.admission.detection(detectionOf(1));
  w.admission.event(eventOf(10, 1));
  w.registry.remove(10);
  w.time.nowMs = 100;
  w.registry.found(10, `/docker/${'b'.repeat(64)}`);
  assert.deepEqual(w.log, ['- 1 held', 'nobody detection 1']);
  w.include();
  assert.equal(w.log.length, 2);
});

test('events that come before the report of their cgroup wait for it', () => {
  const w = world();
  w.admission.event(eventOf(10, 1));
  w.admission.event(eventOf(10, 2));
  w.registry.found(10, PATH);
  assert.deepEqual(w.log, []);
  w.include();
  assert.deepEqual(w.log, ['web 1 held', 'web 2 held']);
  // And when its identity is known before its cgroup.
  w.admission.event(eventOf(12, 3));
  w.registry.found(12, PATH.replace('/docker/', '/system.slice/docker-') + '.scope');
  assert.deepEqual(w.log.slice(-1), ['web 3 held']);
});

test('events of a cgroup that nobody ever reports are evaluated after the hold', () => {
  const w = world();
  w.admission.event(eventOf(99, 1));
  w.time.nowMs = 3000;
  w.admission.event(eventOf(99, 2));
  w.time.nowMs = 5000;
  w.admission.event(eventOf(99, 3));
  assert.deepEqual(w.log, ['- 1 held', '- 2 held', '- 3']);
});

test('bounds: the newest are dropped, counted, and told to their container once it is known', () => {
  const w = world({ maxEventsPerContainer: 2, maxDetectionsPerContainer: 1 });
  w.registry.found(10, PATH);
  for (const n of [1, 2, 3, 4]) w.admission.event(eventOf(10, n));
  for (const n of [1, 2]) w.admission.detection(detectionOf(n));
  for (const n of [5, 6]) w.admission.event(eventOf(11, n));
  assert.equal(w.admission.droppedOf(10), 3);
  assert.equal(w.admission.droppedOf(11), 0);
  w.include();
  w.include();
  const held = ['web detection 1', 'web 1 held', 'web 2 held'];
  assert.deepEqual(w.log, [...held, 'web without 3 of 2 to 4']);
  assert.equal(w.admission.counters().detections.dropped, 1);
});

test('the end: everything held is evaluated, everything waiting handed over', () => {
  const w = world();
  w.registry.found(10, PATH);
  w.admission.start();
  w.admission.event(eventOf(10, 1));
  w.admission.detection(detectionOf(1));
  w.admission.stop();
  assert.deepEqual(w.log, ['- 1 held', 'nobody detection 1']);
});

test('a removed container that stays unnamed hands over what waits when it is forgotten', () => {
  const w = world({ detectionWaitMs: PENDING_MEMORY_MS * 2 });
  w.registry.found(10, PATH);
  w.admission.detection(detectionOf(1));
  w.registry.remove(10);
  w.time.nowMs = PENDING_MEMORY_MS;
  w.registry.sweep();
  assert.deepEqual(w.log, ['nobody detection 1']);
});

test('large events and detections that wait are bounded by their bytes, per container and together', () => {
  const w = world();
  const large = 50_000;
  for (let n = 0; n < 1000; n++) w.admission.event(eventOf(10, n, false, large));
  assert.equal(w.admission.counters().events.held, Math.floor((8 << 20) / large));
  assert.equal(w.admission.droppedOf(10), 1000 - Math.floor((8 << 20) / large));
  for (let cgroup = 11; cgroup < 30; cgroup++) {
    for (let n = 0; n < 100; n++) w.admission.event(eventOf(cgroup, n, false, large));
  }
  assert.ok(w.admission.counters().events.heldBytes <= 24 << 20);
  for (let n = 0; n < 1000; n++) w.admission.detection(detectionOf(n, { heldBytes: large }));
  for (let cgroup = 11; cgroup < 60; cgroup++) {
    for (let n = 0; n < 20; n++)
      w.admission.detection(detectionOf(n, { cgroupId: cgroup, heldBytes: large }));
  }
  const { held, heldBytes, dropped } = w.admission.counters().detections;
  assert.ok(heldBytes <= 16 << 20 && heldBytes > 15 << 20, String(heldBytes));
  assert.equal(held + dropped, 1000 + 49 * 20);
  w.admission.stop();
  assert.equal(w.admission.counters().events.heldBytes, 0);
  assert.equal(w.admission.counters().detections.heldBytes, 0);
});

/** With a container whose rules are compiled when the test says so. */
function compilingWorld(options = {}) {
  const rules = { ready: false };
  const finished: string[] = [];
  const w = world(options, {
    isReady: () => rules.ready,
    finish: (container) => {
      if (rules.ready) return;
      finished.push(container.name);
      rules.ready = true;
      w.admission.ready(container);
    },
  });
  w.registry.found(10, PATH);
  return { ...w, rules, finished };
}

test('held while its rules are compiled, and released in order when they are there', () => {
  const w = compilingWorld();
  w.admission.event(eventOf(10, 1));
  w.include();
  w.admission.event(eventOf(10, 2));
  assert.deepEqual(w.log, [], 'its identity is known, its rules are not');
  w.rules.ready = true;
  w.admission.ready(webContainer(ID));
  w.admission.event(eventOf(10, 3));
  assert.deepEqual(w.log, ['web 1 held', 'web 2 held', 'web 3']);
  w.admission.ready(webContainer(ID));
  assert.equal(w.log.length, 3);
});

test('more events than can wait for rules: these are compiled at once, and nothing is lost', () => {
  const w = compilingWorld({ maxEventsPerContainer: 2 });
  w.include();
  for (const n of [1, 2, 3, 4]) w.admission.event(eventOf(10, n));
  assert.deepEqual(w.finished, ['web']);
  assert.deepEqual(w.log, ['web 1 held', 'web 2 held', 'web 3 held', 'web 4']);
  assert.equal(w.admission.counters().events.dropped, 0);
  assert.equal(w.admission.droppedOf(10), 0);
});

test('rules that are not ready in time are compiled when the first event has waited long enough', () => {
  const w = compilingWorld({ holdMs: 1000 });
  w.admission.event(eventOf(10, 1));
  w.time.nowMs += 900;
  w.include();
  w.admission.event(eventOf(10, 2));
  w.time.nowMs += 99;
  w.admission.tick();
  assert.deepEqual(w.log, []);
  w.time.nowMs += 1;
  w.admission.tick();
  assert.deepEqual(w.finished, ['web']);
  assert.deepEqual(w.log, ['web 1 held', 'web 2 held']);
});

test('at the end rules are compiled for what waits', () => {
  const w = compilingWorld();
  w.include();
  w.admission.event(eventOf(10, 1));
  w.admission.stop();
  assert.deepEqual(w.finished, ['web']);
  assert.deepEqual(w.log, ['web 1 held']);
});

test('a detection that waited for its container is attributed by the rules of its app', () => {
  const w = compilingWorld({ holdMs: 1000 });
  w.admission.detection(detectionOf(1));
  w.include();
  assert.deepEqual(w.log, []);
  w.rules.ready = true;
  w.admission.ready(webContainer(ID));
  assert.deepEqual(w.log, ['web detection 1']);
  w.rules.ready = false;
  w.admission.detection(detectionOf(2));
  assert.deepEqual(w.finished, ['web']);
  assert.deepEqual(w.log.slice(1), ['web detection 2']);
});
