import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecordLosses, type ContainerLoss } from '../../../src/agent/record-losses.ts';
import type { ScopeEntry } from '../../../src/probe/scope.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { MemoryScopeMap } from '../../support/memory-scope-map.ts';

/** Losses of one kind, as the kernel counts them. */
interface Drop {
  readonly at: number;
  readonly share?: number;
  readonly late?: number;
  readonly room?: number;
  readonly lateNs?: number;
}

function world() {
  const map = new MemoryScopeMap();
  let dropped = 0;
  let interval = 0;
  const intervalOf = new Map<number, number>();
  const told: [root: number, loss: ContainerLoss][] = [];
  const pending = new Set<number>();
  const warnings: [facts: object, message: string][] = [];
  const losses = new RecordLosses(
    {
      scope: map,
      nextLossInterval: () => {
        interval++;
      },
      countSkipped: () => 0,
      stats: () => ({
        emitted: 0,
        dropped,
        droppedExec: 0,
        scopeFull: 0,
        skipped: 0,
        readErrors: 0,
        deniedDropped: 0,
        waits: 'polls',
        epoch: 0,
        waitingSinceBootNs: undefined,
      }),
    },
    { ...SILENT_LOGGER, warn: (facts, message) => void warnings.push([facts, message]) },
    {
      onProcessRecordsLost: () => undefined,
      onEventsLost: (root, loss) => {
        if (pending.has(root)) return false;
        told.push([root, loss]);
        return true;
      },
    },
  );
  /** What native/probe/ring.h does. */
  const drop = (id: number, { at, share = 0, late = 0, room = 0, lateNs = 0 }: Drop): void => {
    const before = map.get(id) as ScopeEntry;
    const isNew = intervalOf.get(id) !== interval;
    intervalOf.set(id, interval);
    dropped += share + late + room;
    map.count(id, {
      dropped: before.dropped + share + late + room,
      droppedShare: before.droppedShare + share,
      droppedLate: before.droppedLate + late,
      firstDropBootNs: isNew ? at : before.firstDropBootNs,
      lastDropBootNs: at,
      lateNs: Math.max(lateNs, isNew ? 0 : before.lateNs),
    });
  };
  return { map, losses, drop, told, pending, warnings };
}

test('each container is told its own losses, with the times at which they happened', () => {
  const w = world();
  for (const id of [1, 2, 3]) w.map.set(id, 'included');
  w.drop(1, { at: 100, share: 5 });
  w.drop(1, { at: 140, share: 2 });
  w.drop(2, { at: 120, room: 1 });
  w.losses.look();
  assert.deepEqual(w.told, [
    [1, { ownShare: 7, agentLate: 0, noRoom: 0, lateNs: 0, firstBootNs: 100, lastBootNs: 140 }],
    [2, { ownShare: 0, agentLate: 0, noRoom: 1, lateNs: 0, firstBootNs: 120, lastBootNs: 120 }],
  ]);
});

test('the next telling has only what is new, and begins with the first of it', () => {
  const w = world();
  w.map.set(1, 'included');
  w.drop(1, { at: 100, share: 5 });
  w.losses.look();
  w.losses.look();
  w.drop(1, { at: 900, late: 3, lateNs: 2e9 });
  w.drop(1, { at: 950, share: 1 });
  w.losses.look();
  assert.deepEqual(w.told.at(-1), [
    1,
    { ownShare: 1, agentLate: 3, noRoom: 0, lateNs: 2e9, firstBootNs: 900, lastBootNs: 950 },
  ]);
  assert.equal(w.told.length, 2);
});

test('a container that is removed is told what it lost until then, once', () => {
  const w = world();
  w.map.set(1, 'included');
  w.drop(1, { at: 100, share: 5 });
  w.losses.forget(1);
  w.map.delete(1);
  w.losses.look();
  assert.deepEqual(
    w.told.map(([root, { ownShare }]) => [root, ownShare]),
    [[1, 5]],
  );
  const [warning] = w.warnings[0]!;
  assert.equal((warning as { ofUnknownContainers: number }).ofUnknownContainers, 0);
});

test('what is lost before a container has a name is told when it has, from the first loss on', () => {
  const w = world();
  w.map.set(1, 'pending');
  w.pending.add(1);
  w.drop(1, { at: 100, room: 1 });
  w.losses.look();
  w.drop(1, { at: 500, room: 2 });
  w.losses.look();
  w.pending.delete(1);
  w.losses.look();
  assert.deepEqual(w.told, [
    [1, { ownShare: 0, agentLate: 0, noRoom: 3, lateNs: 0, firstBootNs: 100, lastBootNs: 500 }],
  ]);
});

test('the operator is told whether the agent was late, and whether containers made too much', () => {
  const w = world();
  w.map.set(1, 'included');
  w.drop(1, { at: 100, late: 4, lateNs: 3.25e9 });
  w.losses.look();
  w.drop(1, { at: 200, share: 4 });
  w.losses.look();
  assert.deepEqual(
    w.warnings.map(([, message]) => message),
    [
      'Records were lost. The agent did not read them in time (it was up to 3.3 s late).',
      'Records were lost. Some containers make more than their share: "varvel status" names them.',
    ],
  );
});
