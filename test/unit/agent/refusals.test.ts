import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusals } from '../../../src/agent/refusals.ts';
import type { Logger } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';

function world(denyConnects: (directory: string) => void) {
  const calls: string[] = [];
  const warned: unknown[] = [];
  const refusals = new Refusals({
    probe: {
      denyConnects: (directory) => {
        calls.push(directory);
        denyConnects(directory);
      },
      allowConnects: () => calls.push('allow'),
    },
    logger: { warn: (facts: object) => warned.push(facts) } as unknown as Logger,
    directory: () => '/cgroup2',
  });
  return { refusals, calls, warned };
}

test('what refuses connections is loaded when it is first asked for, once', () => {
  const { refusals, calls, warned } = world(() => undefined);
  assert.deepEqual([refusals.unavailable, calls], [undefined, []]);
  assert.deepEqual([refusals.areAvailable(), refusals.areAvailable()], [true, true]);
  assert.deepEqual([calls, warned], [['/cgroup2'], []]);
});

test('where it does not load, that is said once, with the reason', () => {
  const { refusals, calls, warned } = world(() => {
    throw new UserError('Cannot refuse connections: EPERM.');
  });
  assert.deepEqual([refusals.areAvailable(), refusals.areAvailable()], [false, false]);
  assert.equal(refusals.unavailable, 'Cannot refuse connections: EPERM.');
  assert.deepEqual(calls, ['/cgroup2', 'allow']);
  assert.deepEqual(warned, [{ why: 'Cannot refuse connections: EPERM.' }]);
});

test('where the self-test has shown that they are not refused, nothing counts on it', () => {
  const { refusals, calls } = world(() => undefined);
  assert.equal(refusals.areAvailable(), true);
  refusals.giveUp('not denied');
  assert.deepEqual([refusals.areAvailable(), refusals.unavailable], [false, 'not denied']);
  assert.deepEqual(calls, ['/cgroup2', 'allow']);
});
