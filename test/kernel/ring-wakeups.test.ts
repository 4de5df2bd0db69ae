import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { withProbe, type KernelProbe } from '../support/kernel-probe.ts';
import { stepsProgram, type Step, type TestProcess } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { verdictTable } from '../support/verdict-table.ts';

// When the reader is woken, and when it is left to its next look.

const FILE = '/etc/hostname';
const OPEN: readonly Step[] = ['openat', -100, FILE, 0, 0];
const HOOKS = ['cgroup_mkdir', 'sched_exec', 'sched_exit', 'sys_openat'];
/** Longer than any test: what comes has woken the reader. */
const NEVER = { tickMs: 2, dozeMs: 60_000, safetyMs: 60_000 };
const TABLE = 1;

async function until(what: string, reached: () => boolean): Promise<void> {
  const end = Date.now() + 30_000;
  while (!reached()) {
    assert.ok(Date.now() < end, `not reached: ${what}`);
    await delay(2);
  }
}

/** Waits until the reader has no more to do, and sleeps until the next record. */
async function untilAsleep(probe: KernelProbe): Promise<void> {
  await until('the reader is asleep', () => probe.probe.stats().waits === 'asleep');
  await twoTurns();
}

/** After a wakeup the event loop polls the rings once more, and would find what came in between. */
async function twoTurns(): Promise<void> {
  await turn();
  await turn();
}

/**
 * Has the reader doze: a record that is not urgent has woken it. On a busy machine it may look twice for one record, and
 * then sleeps again: another record is sent. Resolves to the process that sends them, for the caller to kill.
 */
async function lull(probe: KernelProbe): Promise<TestProcess> {
  const running = probe.spawn(
    probe.mkdir('lulls'),
    Array.from({ length: 50 }, () => ['pause', ...OPEN]).flat(),
  );
  for (let i = 0; i < 50; i++) {
    await running.paused();
    await untilAsleep(probe);
    const before = emitted(probe);
    running.resume();
    await until('a reader that sleeps is woken by any record', () => probe.delivered > before);
    await twoTurns();
    if (probe.probe.stats().waits === 'dozes') return running;
  }
  return assert.fail('the reader never dozes');
}

const emitted = (probe: KernelProbe): number => probe.probe.stats().emitted;

describe('wakeups', () => {
  test('a single record after idleness arrives by its own wakeup', async () => {
    await withProbe({ attach: ['cgroup_mkdir', 'sys_openat'], safetyMs: 60_000 }, async (probe) => {
      const steps: Step[] = [];
      for (let i = 0; i < 20; i++) steps.push('pause', 'openat', -100, FILE, 0, 0);
      const running = probe.spawn(probe.mkdir('lone'), steps);
      for (let i = 1; i <= 20; i++) {
        await running.paused();
        await untilAsleep(probe);
        const before = probe.delivered;
        running.resume();
        const end = Date.now() + 30_000;
        while (probe.delivered === before && Date.now() < end) await delay(2);
        assert.equal(probe.delivered, before + 1, `record ${i}`);
      }
      await running.ended();
    });
  });

  test('what no table has judged does not wake a reader that dozes; an exec does, and brings all', async () => {
    await withProbe({ attach: HOOKS, ...NEVER }, async (probe) => {
      const running = probe.spawn(probe.mkdir('doze'), [
        ...['pause', ...OPEN, ...OPEN, 'pause'],
        ...['execve', stepsProgram(), 'again', 'pause', ';'],
      ]);
      await running.paused();
      const lazy = await lull(probe);
      const before = emitted(probe);
      running.resume();
      await running.paused();
      assert.equal(emitted(probe), before + 2);
      // It would be here at once, and the event loop has turned.
      await delay(50);
      assert.equal(probe.delivered, before, 'they have woken nobody');
      running.resume();
      await until('the exec', () => probe.delivered === before + 3);
      running.kill();
      lazy.kill();
    });
  });

  test('a reader whose wakeup was overtaken by drain() is woken by the next record', async () => {
    await withProbe({ attach: HOOKS, ...NEVER }, async (probe) => {
      const running = probe.spawn(probe.mkdir('overtaken'), [
        'pause',
        ...OPEN,
        'pause',
        ...OPEN,
        'pause',
      ]);
      await running.paused();
      await untilAsleep(probe);
      const before = emitted(probe);
      running.resume();
      // Blocks the event loop, so that drain() is first.
      const end = Date.now() + 30_000;
      while (emitted(probe) === before && Date.now() < end) continue;
      probe.probe.drain();
      assert.equal(probe.delivered, before + 1);
      await running.paused();
      await untilAsleep(probe);
      running.resume();
      await until('the next one', () => probe.delivered === before + 2);
      running.kill();
    });
  });

  test('what a rule may match wakes a reader that dozes', async () => {
    await withProbe({ attach: HOOKS, ...NEVER }, async (probe) => {
      const judged = probe.mkdir('judged');
      const table = verdictTable(ruleSetOf(ruleFile(`evt.type = openat and fd.name = ${FILE}`)));
      probe.probe.setVerdicts(TABLE, table.bytes ?? assert.fail('the table does not fit'));
      probe.probe.scopeSet(judged.id, 'included', judged.level, TABLE);
      const urgent = probe.spawn(judged, ['pause', ...OPEN, 'pause']);
      await urgent.paused();
      const lazy = await lull(probe);
      const before = emitted(probe);
      assert.equal(probe.delivered, before);
      urgent.resume();
      await until('the open', () => probe.delivered === before + 1);
      urgent.kill();
      lazy.kill();
    });
  });

  test('a ring that is an eighth full wakes a reader that dozes', async () => {
    await withProbe({ attach: HOOKS, bulkRingBytes: 256 << 10, ...NEVER }, async (probe) => {
      const running = probe.spawn(probe.mkdir('fills'), [
        ...['pause', ...Array.from({ length: 400 }, () => OPEN).flat(), 'pause'],
      ]);
      await running.paused();
      const lazy = await lull(probe);
      const before = emitted(probe);
      running.resume();
      await running.paused();
      assert.equal(emitted(probe), before + 400);
      await until('most of them', () => probe.delivered > before + 200);
      assert.equal(probe.probe.stats().dropped, 0);
      running.kill();
      lazy.kill();
    });
  });

  test('a reader that dozes sleeps once nothing more comes', async () => {
    await withProbe({ attach: HOOKS, tickMs: 2, dozeMs: 16, safetyMs: 60_000 }, async (probe) => {
      const running = probe.spawn(probe.mkdir('ends'), ['pause', ...OPEN, 'pause']);
      await running.paused();
      await untilAsleep(probe);
      running.resume();
      await running.paused();
      await untilAsleep(probe);
      assert.equal(probe.delivered, emitted(probe));
      running.kill();
    });
  });
});
