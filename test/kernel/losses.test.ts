import assert from 'node:assert/strict';
import { rmdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bootTimeNs } from 'ebpf-loader-napi';
import { RecordLosses, type ContainerLoss } from '../../src/agent/record-losses.ts';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import { KernelProbe, type TestCgroup } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';
import { standStill } from '../support/stand-still.ts';

const FILE = '/etc/hostname';
/** The smallest ring: two shares of a container, 32 KiB each. */
const RING = { bulkRingBytes: 64 << 10 };
/** As READ_LATE_NS of native/probe/shared.h. */
const LATE_NS = 500_000_000;

/** A probe whose losses are told as the agent tells them. */
class Losing {
  readonly probe = new KernelProbe({ keep: false, ...RING });
  readonly told: [root: number, loss: ContainerLoss][] = [];
  readonly losses: RecordLosses;

  constructor() {
    const { probe } = this.probe;
    this.losses = new RecordLosses(
      {
        stats: () => ({ ...probe.stats(), skipped: 0 }),
        countSkipped: () => probe.skipped(),
        nextLossInterval: () => probe.nextLossInterval(),
        scope: {
          set: () => assert.fail('losses change nothing'),
          delete: () => assert.fail('losses change nothing'),
          get: (id) => probe.scopeGet(id),
          entries: () => probe.scopeEntries(),
        },
      },
      SILENT_LOGGER,
      {
        onProcessRecordsLost: () => undefined,
        onEventsLost: (root, loss) => {
          this.told.push([root, loss]);
          return true;
        },
      },
    );
  }

  of(cgroup: TestCgroup): ContainerLoss[] {
    return this.told.filter(([root]) => root === cgroup.id).map(([, loss]) => loss);
  }

  /** Runs the steps until they are at it, stands still, and ends them. */
  async during(cgroup: TestCgroup, steps: readonly Step[], stallMs: number): Promise<void> {
    const root = this.probe.deliveredBy;
    const before = [...root.values()].reduce((sum, count) => sum + count, 0);
    const running = this.probe.spawn(cgroup, steps);
    // Its attach and its first opens.
    const heard = (): number => [...root.values()].reduce((sum, count) => sum + count, -before);
    for (const end = Date.now() + 30_000; heard() < 3 && Date.now() < end;) await delay(2);
    standStill(stallMs);
    running.kill();
    await running.ended();
    await this.probe.settle();
  }
}

const sum = ({ ownShare, agentLate, noRoom }: ContainerLoss): number =>
  ownShare + agentLate + noRoom;

async function withLosing(body: (losing: Losing) => Promise<void>): Promise<void> {
  const losing = new Losing();
  try {
    await body(losing);
  } finally {
    await losing.probe.close();
  }
}

describe('whose losses they are, when they were, and why', () => {
  const FLOOD: readonly Step[] = ['bursts', '60', 1000, 0, FILE];

  test('a flood from a cgroup inside that is gone by then: the container’s own, at their times; the neighbour is not told', async () => {
    await withLosing(async (losing) => {
      const { probe } = losing;
      const loud = probe.mkdir('loud');
      const quiet = probe.mkdir('quiet');
      await probe.run(quiet, ['openat', -100, FILE, 0, 0]);
      const inside = probe.mkdir('loud/inside');
      const from = Number(bootTimeNs());
      await losing.during(inside, FLOOD, 200);
      rmdirSync(inside.dir);
      losing.losses.look();
      const until = Number(bootTimeNs());
      await delay(50);
      losing.losses.look();
      const [first, ...none] = losing.of(loud);
      assert.ok(first !== undefined && none.length === 0, 'told once');
      assert.equal(sum(first), probe.entry(loud).dropped);
      assert.ok(first.ownShare > 0, 'it used up its share');
      assert.ok(from < first.firstBootNs && first.firstBootNs <= first.lastBootNs);
      assert.ok(first.lastBootNs < until);
      assert.deepEqual(losing.of(quiet), []);

      const again = Number(bootTimeNs());
      await losing.during(loud, FLOOD, 200);
      losing.losses.look();
      const second = losing.of(loud)[1];
      assert.ok(second !== undefined);
      assert.ok(again < second.firstBootNs, 'its interval begins with its own first loss');
      assert.ok(second.firstBootNs <= second.lastBootNs);
      const all = losing.told.reduce((total, [, loss]) => total + sum(loss), 0);
      assert.equal(all, probe.probe.stats().dropped);
    });
  });

  test('an agent that does not read is late, and says so; no container is blamed', async () => {
    await withLosing(async (losing) => {
      const calm = losing.probe.mkdir('calm');
      // Its share is some hundred opens: more than a second of these.
      await losing.during(calm, ['loop', 100_000, 10, FILE], 3000);
      losing.losses.look();
      const [loss] = losing.of(calm);
      assert.ok(loss !== undefined, 'the ring was full in the end');
      assert.ok(loss.agentLate > 0);
      assert.equal(loss.ownShare, 0);
      assert.ok(loss.lateNs > LATE_NS && loss.lateNs < 60e9, `${loss.lateNs}`);
    });
  });

  test('an agent that slept because there was nothing to read is not late when it wakes', async () => {
    await withLosing(async (losing) => {
      const { probe } = losing;
      const loud = probe.mkdir('loud');
      await probe.settle();
      for (
        const end = Date.now() + 10_000;
        probe.probe.stats().waits !== 'asleep' && Date.now() < end;
      )
        await delay(20);
      const sleeps = probe.spawn(loud, ['pause', ...FLOOD]);
      await sleeps.paused();
      // Longer than what counts as late.
      await delay(700);
      sleeps.resume();
      standStill(200);
      sleeps.kill();
      await sleeps.ended();
      await probe.settle();
      losing.losses.look();
      const [loss] = losing.of(loud);
      assert.ok(loss !== undefined && loss.ownShare > 0, 'its first losses are its own');
    });
  });

  test('a container that loses because others filled the ring is not blamed', async () => {
    await withLosing(async (losing) => {
      const { probe } = losing;
      const loud = ['one', 'two', 'three'].map((name) => probe.mkdir(name));
      const calm = probe.mkdir('calm');
      await probe.settle();
      const floods = loud.map((cgroup) => probe.spawn(cgroup, FLOOD));
      const heard = (): boolean => loud.every(({ id }) => (probe.deliveredBy.get(id) ?? 0) > 3);
      for (const end = Date.now() + 30_000; !heard() && Date.now() < end;) await delay(2);
      const opens = probe.spawn(calm, ['loop', 20, 5, FILE]);
      standStill(1000);
      await opens.ended();
      for (const one of floods) one.kill();
      await Promise.all(floods.map((one) => one.ended()));
      await probe.settle();
      losing.losses.look();
      for (const loss of losing.of(calm)) assert.equal(loss.ownShare, 0);
      const blamed = loud.filter((cgroup) =>
        losing.of(cgroup).some(({ ownShare }) => ownShare > 0),
      );
      assert.ok(blamed.length > 0);
      for (const cgroup of [...loud, calm]) {
        const told = losing.of(cgroup).reduce((total, loss) => total + sum(loss), 0);
        assert.equal(told, probe.entry(cgroup).dropped);
      }
    });
  });
});
