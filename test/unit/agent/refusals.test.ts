import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal, unavailableOf } from '../../../src/agent/refusals.ts';
import type { Logger } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';

function world(start: () => void) {
  const calls: string[] = [];
  const warned: unknown[] = [];
  const clock = { nowMs: 0 };
  const refusal = new Refusal({
    start: () => {
      calls.push('start');
      start();
    },
    stop: () => calls.push('stop'),
    otherwise: 'killed instead',
    logger: { warn: (facts: object) => warned.push(facts) } as unknown as Logger,
    nowMs: () => clock.nowMs,
  });
  return { refusal, calls, warned, clock };
}

const refused = (): never => {
  throw new UserError('Cannot refuse connections: EPERM.');
};

test('what refuses calls is loaded when it is first asked for, once', () => {
  const { refusal, calls, warned } = world(() => undefined);
  assert.deepEqual([refusal.unavailable, calls], [undefined, []]);
  assert.deepEqual([refusal.isAvailable(), refusal.isAvailable()], [true, true]);
  assert.deepEqual([calls, warned], [['start'], []]);
});

test('where it does not load, that is said once, with the reason, and tried again a minute later', () => {
  const { refusal, calls, warned, clock } = world(refused);
  assert.deepEqual([refusal.isAvailable(), refusal.isAvailable()], [false, false]);
  assert.equal(refusal.unavailable, 'Cannot refuse connections: EPERM.');
  clock.nowMs = 60_000;
  assert.equal(refusal.isAvailable(), false);
  assert.deepEqual(calls, ['start', 'stop', 'start', 'stop']);
  assert.deepEqual(warned, [{ why: 'Cannot refuse connections: EPERM.' }]);
});

test('where the self-test has shown that they are not refused, nothing counts on it', () => {
  const { refusal, calls } = world(() => undefined);
  assert.equal(refusal.isAvailable(), true);
  refusal.giveUp('not denied');
  assert.deepEqual([refusal.isAvailable(), refusal.unavailable], [false, 'not denied']);
  assert.deepEqual(calls, ['start', 'stop']);
});

test('after a trial it is unloaded, unless a rule asks for it', () => {
  const { refusal, calls } = world(() => undefined);
  assert.equal(refusal.tryLoad(), true);
  refusal.endTrial();
  assert.deepEqual(calls, ['start', 'stop']);
  assert.equal(refusal.isAvailable(), true);
  refusal.endTrial();
  assert.deepEqual(calls, ['start', 'stop', 'start']);
});

test('what cannot be refused is only told where a rule asks for it', () => {
  const [connection, unix, file, call, memory, namespace, cgroup] = Array.from(
    { length: 7 },
    () => world(refused).refusal,
  ) as [Refusal, Refusal, Refusal, Refusal, Refusal, Refusal, Refusal];
  assert.deepEqual([connection.tryLoad(), file.isAvailable()], [false, false]);
  assert.equal(connection.failure, 'Cannot refuse connections: EPERM.');
  const all = { connection, unix, file, call, memory, namespace, cgroup };
  const why = 'Cannot refuse connections: EPERM.';
  assert.equal(cgroup.isAvailable(), false);
  assert.deepEqual(unavailableOf(all), { file: why }, 'another way may do');
  assert.equal(call.isAvailable(), false);
  assert.deepEqual(unavailableOf(all), { file: why, call: why, cgroup: why });
});
