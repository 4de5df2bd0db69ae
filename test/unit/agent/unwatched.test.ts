import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnwatchedContainers } from '../../../src/agent/unwatched.ts';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

function entry(unwatched: boolean): RegistryEntry {
  const container = containerOf();
  return {
    cgroupId: 7,
    path: '/docker/x',
    handle: 'x',
    runtime: 'docker',
    unwatched,
    resolution: { state: 'included', container },
    verdict: undefined,
    sinceMs: 0,
    isNew: false,
    goneAtMs: undefined,
    emitted: 0,
    dropped: 0,
    prefiltered: 0,
  };
}

test('a container without room is told once that it is not watched, and once that it is again', () => {
  const said: Detection[] = [];
  const unwatched = new UnwatchedContainers({
    say: (line) => void said.push(line),
    rescan: () => undefined,
  });
  for (const now of [false, true, true, false, false]) unwatched.onTick([entry(now)], 0);
  assert.deepEqual(
    said.map(({ rule, priority, outputFields }) => [rule, priority, outputFields['watched.now']]),
    [
      ['Varvel: no room', 'Warning', false],
      ['Varvel: no room', 'Informational', true],
    ],
  );
  assert.equal(said[0]?.container?.id, containerOf().id);
});

test('a container that the kernel had no room for is looked for', () => {
  let rescans = 0;
  const unwatched = new UnwatchedContainers({
    say: () => undefined,
    rescan: () => {
      rescans++;
    },
  });
  for (const full of [0, 1, 1, 3]) unwatched.onTick([], full);
  assert.equal(rescans, 2);
});
