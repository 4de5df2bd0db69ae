import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CONTAINER_TURN_MS,
  ContainerTurns,
  MAX_RELEASED,
  MAX_WAITING,
} from '../../../src/evaluation/container-turns.ts';

/** What work costs here is in tenths of a turn. */
const TENTH_MS = CONTAINER_TURN_MS / 10;

/** A clock that only work moves on, and turns that the test gives. */
function world(kind: 'event' | 'detection') {
  let nowMs = 0;
  const turns: (() => void)[] = [];
  const done: string[] = [];
  const work = new ContainerTurns({
    schedule: (turn) => void turns.push(turn),
    nowMs: () => nowMs,
  });
  const takes = (name: string, cost: number) => (): void => {
    done.push(name);
    nowMs += cost * TENTH_MS;
  };
  const flooding: string[] = [];
  const event = (
    container: number,
    run: () => void,
    bytes: number,
    { isReleased = false, isCheap = false } = {},
  ): void =>
    work.event(container, {
      now: run,
      later: () => ({ bytes, run, isReleased }),
      isReleased,
      isCheap,
      flood(all) {
        const before = done.length;
        all();
        flooding.push(`${done.length - before}`);
      },
    });
  const add = (container: number, name: string, cost = 1, bytes = 100, isReleased = false) => {
    const run = takes(name, cost);
    if (kind === 'event') event(container, run, bytes, { isReleased });
    else work.detection(container, run, () => ({ bytes, run }));
  };
  const addCheap = (container: number, name: string, cost = 1): void =>
    event(container, takes(name, cost), 100, { isCheap: true });
  /** An event of which so many detections come. */
  const addEvent = (container: number, name: string, cost: number, detections: number): void => {
    const run = (): void => {
      takes(name, cost)();
      for (let n = 0; n < detections; n++) {
        const write = takes(`${name}-${n}`, cost);
        work.detection(container, write, () => ({ bytes: 100, run: write }));
      }
    };
    event(container, run, 100);
  };
  const turn = (): void => {
    assert.equal(turns.length, 1, 'one turn is asked for');
    turns.shift()?.();
  };
  return { work, done, turns, add, addCheap, addEvent, turn, flooding };
}

const names = (container: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, n) => `${container}${from + n}`);

for (const kind of ['event', 'detection'] as const) {
  test(
    `a container that is alone is done for at once, for one turn; then the rest waits` +
      ` (${kind}s)`,
    () => {
      const { work, done, turns, add, turn } = world(kind);
      for (let n = 0; n < 25; n++) add(1, `a${n}`);
      assert.deepEqual(done, names('a', 0, 10));
      assert.equal(work.waiting, 15);
      turn();
      assert.deepEqual(done, names('a', 0, 20));
      turn();
      assert.deepEqual(done, names('a', 0, 25));
      assert.deepEqual([work.waiting, turns.length], [0, 0]);
    },
  );

  test(`the first of another container is done at once, whatever waits (${kind}s)`, () => {
    const { done, add } = world(kind);
    for (let n = 0; n < 100; n++) add(1, `a${n}`);
    const before = done.length;
    add(2, 'b0');
    assert.deepEqual(done.slice(before), ['b0']);
  });

  test(`what comes while some waits does not overtake it (${kind}s)`, () => {
    const { done, add, turn } = world(kind);
    for (let n = 0; n < 12; n++) add(1, `a${n}`);
    turn();
    assert.deepEqual(done, names('a', 0, 12));
    for (let n = 12; n < 30; n++) add(1, `a${n}`);
    turn();
    add(1, 'a30');
    turn();
    assert.deepEqual(done, names('a', 0, 31));
  });

  test(`in a turn each container has one done after the other (${kind}s)`, () => {
    const { done, add, turn } = world(kind);
    for (let n = 0; n < 30; n++) add(1, `a${n}`);
    for (let n = 0; n < 8; n++) add(2, `b${n}`, 6);
    const before = done.length;
    turn();
    const [first, second] = done.slice(before);
    assert.deepEqual([first?.[0], second?.[0]].sort(), ['a', 'b']);
  });

  test(
    `at the end all that waits is done, and a turn that was asked for finds nothing` +
      ` (${kind}s)`,
    () => {
      const { work, done, turns, add, turn } = world(kind);
      for (let n = 0; n < 15; n++) add(1, `a${n}`);
      work.drain();
      assert.deepEqual([work.waiting, done], [0, names('a', 0, 15)]);
      turn();
      assert.deepEqual([done.length, turns.length], [15, 0]);
    },
  );
}

test('where there is no room, the oldest detection of the container is written, and the newest waits', () => {
  const { work, done, add } = world('detection');
  for (let n = 0; n < 10 + MAX_WAITING.ofOne; n++) add(1, `a${n}`);
  assert.equal(work.waiting, MAX_WAITING.ofOne);
  add(1, `a${10 + MAX_WAITING.ofOne}`);
  assert.equal(work.waiting, MAX_WAITING.ofOne);
  assert.deepEqual(done, names('a', 0, 11));
  for (let n = 11 + MAX_WAITING.ofOne; n < 20_000; n++) add(1, `a${n}`);
  assert.equal(work.waiting, MAX_WAITING.ofOne);
  work.drain();
  assert.deepEqual(done, names('a', 0, 20_000));
});

test('where there is no room for an event, some that wait are evaluated with each that comes, until the flood is over', () => {
  const { work, done, add, turn, flooding } = world('event');
  const full = 10 + MAX_WAITING.ofOne;
  let at = 0;
  const come = (count: number): void => {
    for (let n = 0; n < count; n++) add(1, `a${at++}`);
  };
  come(full);
  assert.deepEqual([work.waiting, done.length, flooding], [MAX_WAITING.ofOne, 10, []]);
  come(1);
  // In the account of its app. Nothing else had to wait for more than these.
  assert.deepEqual([work.waiting, done.length, flooding], [MAX_WAITING.ofOne - 1, 12, ['2']]);
  come(MAX_WAITING.ofOne - 3);
  assert.equal(work.waiting, 2);
  come(1);
  assert.deepEqual([work.waiting, done], [0, names('a', 0, at)]);
  const before = flooding.length;
  come(1);
  assert.deepEqual([work.waiting, done.at(-1)], [0, `a${at - 1}`], 'each at once');
  assert.equal(flooding.length, before + 1);
  add(2, 'b0');
  assert.equal(flooding.length, before + 1, 'another has nothing to do with it');
  turn();
  come(20);
  assert.equal(work.waiting, 0, 'the turn before had much of it');
  turn();
  add(1, 'quick', 0);
  turn();
  add(1, 'later', 20);
  add(1, 'last');
  assert.equal(work.waiting, 1, 'nothing came in a turn');
});

test('in a flood of large events no more waits than there is room for', () => {
  const { work, done, add } = world('event');
  const large = MAX_WAITING.bytesOfOne / 16;
  let at = 0;
  for (; at < 10 + MAX_WAITING.ofOne; at++) add(1, `a${at}`, 1, 1);
  for (const end = at + 100; at < end; at++) {
    add(1, `a${at}`, 1, large);
    const waiting = at + 1 - done.length;
    assert.ok(waiting <= MAX_WAITING.ofOne && waiting === work.waiting);
  }
  // The small ones have gone; of large ones there is room for 16.
  for (const end = at + MAX_WAITING.ofOne; at < end; at++) add(1, `a${at}`, 1, large);
  assert.ok(work.waiting <= 16, String(work.waiting));
  work.drain();
  assert.deepEqual(done, names('a', 0, at));
});

test('what is cheap does not begin to wait, and comes after what waits', () => {
  const { work, done, add, addCheap, turn } = world('event');
  add(1, 'a0', 20);
  for (let n = 1; n <= 3; n++) add(1, `a${n}`);
  assert.deepEqual(done, ['a0']);
  addCheap(1, 'a4');
  assert.deepEqual([work.waiting, done], [2, names('a', 0, 3)]);
  addCheap(1, 'a5');
  assert.deepEqual([work.waiting, done], [0, names('a', 0, 6)]);
  addCheap(1, 'a6');
  assert.deepEqual([work.waiting, done], [0, names('a', 0, 7)]);
  turn();
  add(1, 'a7', 20);
  add(1, 'a8');
  assert.equal(work.waiting, 1, 'that is not cheap');
});

test('events that were released are not counted as the container’s own that wait, nor charged', () => {
  const { work, done, add, flooding } = world('event');
  add(1, 'a0', 20);
  for (let n = 1; n < 4000; n++) add(1, `a${n}`, 1, 100, true);
  for (let n = 4000; n < 4000 + MAX_WAITING.ofOne; n++) add(1, `a${n}`);
  assert.deepEqual([work.waiting, flooding], [3999 + MAX_WAITING.ofOne, []]);
  add(1, `a${4000 + MAX_WAITING.ofOne}`);
  assert.deepEqual(done, names('a', 0, 4002));
  assert.deepEqual(flooding, ['2']);
});

test('what was released to many containers floods none, and is bounded by itself', () => {
  const { work, done, add, flooding } = world('event');
  for (let n = 0; n < 24; n++) add(n, `${n}-first `, 20);
  for (let n = 0; n < 24; n++) for (let m = 0; m < 400; m++) add(n, `${n}-${m} `, 1, 100, true);
  add(5, '5-live ');
  add(99, 'other');
  assert.deepEqual([work.waiting, flooding], [24 * 400 + 1, []]);
  assert.equal(done.at(-1), 'other');
  for (let m = 400; m < 400 + MAX_RELEASED.ofAll; m++) add(7, `7-${m} `, 1, 100, true);
  assert.ok(work.waiting <= MAX_RELEASED.ofAll + 1, String(work.waiting));
  work.drain();
  const [mine] = [done.filter((name) => name.startsWith('7-'))];
  assert.deepEqual(mine, [
    '7-first ',
    ...names('7-', 0, 400 + MAX_RELEASED.ofAll).map((name) => `${name} `),
  ]);
  assert.equal(
    done.indexOf('5-live '),
    done.findLastIndex((name) => name.startsWith('5-')),
  );
  assert.deepEqual(flooding, []);
});

test('events of a container are evaluated at once when asked, and what they detect still takes its turn', () => {
  const { work, done, addEvent } = world('event');
  addEvent(1, 'a', 20, 0);
  addEvent(1, 'b', 1, 1);
  addEvent(2, 'c', 20, 0);
  addEvent(2, 'd', 1, 1);
  assert.deepEqual(done, ['a', 'c']);
  work.finishEvents(1);
  assert.deepEqual([work.waiting, done], [2, ['a', 'c', 'b']]);
  work.finishAllEvents();
  assert.deepEqual([work.waiting, done], [2, ['a', 'c', 'b', 'd']]);
  work.drain();
  assert.deepEqual(done, ['a', 'c', 'b', 'd', 'b-0', 'd-0']);
});

test('work that throws is charged, and nothing after it', () => {
  let nowMs = 0;
  const work = new ContainerTurns({ schedule: () => undefined, nowMs: () => nowMs });
  const broken = (): void => {
    nowMs += 3;
    throw new Error('broken');
  };
  assert.throws(() => work.detection(1, broken, () => ({ bytes: 1, run: broken })), /broken/);
  nowMs += 1000;
  const done: string[] = [];
  for (const name of ['a', 'b'])
    work.detection(
      2,
      () => done.push(name),
      () => ({ bytes: 1, run: () => done.push(name) }),
    );
  assert.deepEqual([work.waiting, done], [0, ['a', 'b']]);
});

test('what waits is bounded by its bytes', () => {
  for (const kind of ['event', 'detection'] as const) {
    const { work, done, add } = world(kind);
    for (let n = 0; n < 10 + 4; n++) add(1, `a${n}`, 1, MAX_WAITING.bytesOfOne / 4);
    assert.equal(work.waiting, 4);
    add(1, 'a14', 1, 1);
    assert.deepEqual(
      [work.waiting, done],
      kind === 'event' ? [3, names('a', 0, 12)] : [4, names('a', 0, 11)],
    );
  }
});

for (const [what, bytes] of [
  ['in number', 100],
  ['in bytes', 4000],
] as const) {
  test(`what waits of all is bounded ${what}: then the oldest of the container is done`, () => {
    for (const kind of ['event', 'detection'] as const) {
      const { work, done, add } = world(kind);
      // What is first of each is done at once.
      let most = 0;
      for (let container = 0; container < 10; container++) {
        for (let n = 0; n < 1000; n++) {
          add(container, `${container}-${n} `, 10, bytes);
          most = Math.max(most, work.waiting);
        }
      }
      const { ofAll, bytesOfAll } = MAX_WAITING;
      assert.equal(
        most,
        Math.min(ofAll, Math.ceil(bytesOfAll / bytes) - (kind === 'event' ? 0 : 1)),
      );
      for (let container = 0; container < 10; container++) {
        const own = done.filter((name) => name.startsWith(`${container}-`));
        assert.deepEqual(
          own,
          Array.from({ length: own.length }, (_, n) => `${container}-${n} `),
        );
      }
      work.drain();
      assert.equal(done.length, 10_000);
    }
  });
}

test('what an event has detected is written before the next event is evaluated', () => {
  const { work, done, addEvent, turn } = world('event');
  for (const name of ['a', 'b', 'c']) addEvent(1, name, 3, 4);
  assert.deepEqual(done, ['a', 'a-0', 'a-1', 'a-2'], 'until the turn’s time is over');
  assert.equal(work.waiting, 3);
  turn();
  assert.deepEqual(done.slice(4), ['a-3', 'b', 'b-0', 'b-1']);
  work.drain();
  assert.deepEqual(
    done,
    ['a', 'b', 'c'].flatMap((name) => [name, ...[0, 1, 2, 3].map((n) => `${name}-${n}`)]),
  );
});

test('an event of another container is evaluated at once, whatever waits', () => {
  const { done, addEvent } = world('event');
  for (let n = 0; n < 100; n++) addEvent(1, `a${n}`, 1, 2);
  const before = done.length;
  addEvent(2, 'b', 1, 1);
  assert.deepEqual(done.slice(before), ['b', 'b-0']);
});

test('without room for what an event detects, it is written within the event', () => {
  const { work, done, addEvent } = world('event');
  addEvent(1, 'a', 20, 0);
  for (let n = 0; n < MAX_WAITING.ofOne; n++) addEvent(1, `b${n}`, 1, 3);
  assert.equal(work.waiting, MAX_WAITING.ofOne);
  work.drain();
  assert.deepEqual(done, [
    'a',
    ...Array.from({ length: MAX_WAITING.ofOne }, (_, n) => [
      `b${n}`,
      ...[0, 1, 2].map((m) => `b${n}-${m}`),
    ]).flat(),
  ]);
});
