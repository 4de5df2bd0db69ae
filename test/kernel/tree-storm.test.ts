// Processes by the ten thousands: the tree stays within its bounds, is right for the next one, and gives back what it took.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { inner, LOOK, look, TreeProbe } from '../support/kernel-tree.ts';

const FORKS = 50_000;
/** It takes seconds, on a busy machine more. */
const STORM_MS = 120_000;
const MAX_PROCESSES = 8192;
const MAX_EXITED = 2048;
/** A tick looks at 32 processes whose end may not have been told. */
const SWEPT_PER_TICK = 32;
const program = stepsProgram();

describe(`${FORKS} processes that end at once`, () => {
  let own: TreeProbe;
  afterEach(() => own.close());

  /** Runs them, two at a time, and then one more. Returns the most that were kept meanwhile, and what was lost. */
  async function storm(): Promise<{ most: number; lost: number }> {
    const half = ['forks', FORKS / 2];
    const fresh: Step[] = ['fork', '[', 'execve', program, 'fresh', ...inner(LOOK), ';', ']'];
    const cgroup = own.kernel.mkdir('storm');
    const running = own.kernel.spawn(cgroup, [
      ...['setsid', 'execve', program, 'app'],
      ...inner(['pause', 'forkleft', '[', ...half, ']', ...half, 'reap', 'pause'], fresh),
      ';',
    ]);
    await running.paused();
    const most = { processes: 0, exited: 0, retained: 0 };
    const { onRecord } = own.kernel;
    own.kernel.onRecord = (records, at) => {
      onRecord?.(records, at);
      const now = own.tree.counters();
      for (const key of ['processes', 'exited', 'retained'] as const)
        most[key] = Math.max(most[key], now[key]);
    };
    own.keeps = false;
    running.resume();
    await running.reported(({ step }) => step === 'reap', STORM_MS);
    await running.paused();
    await own.kernel.settle();
    own.keeps = true;
    const { processes, exited, retained } = most;
    assert.ok(processes <= MAX_PROCESSES, `${processes} processes`);
    assert.ok(exited <= MAX_EXITED && retained <= MAX_EXITED, `${exited} and ${retained} ended`);

    const { dropped, droppedExec } = own.kernel.entry(cgroup);
    assert.deepEqual([own.kernel.probe.stats().dropped, droppedExec], [dropped, dropped]);
    // The cgroup, the move into it, the session and the exec; then births and ends, also of the one that made half of them.
    const delivered = own.kernel.deliveredBy.get(cgroup.id) ?? 0;
    assert.equal(delivered + dropped, 4 + 2 * (FORKS + 1));

    const child = await look(own, running);
    assert.notEqual(child, running.pid);
    assert.equal(own.last(child).fields['proc.exe'], 'fresh');
    running.resume();
    await running.ended();
    await own.kernel.settle();
    return { most: exited, lost: dropped };
  }

  test('none is lost: bounded, right for the next one, and all is given back', async () => {
    own = new TreeProbe({
      execRingBytes: 1 << 26,
      tree: { maxProcesses: MAX_PROCESSES, maxExited: MAX_EXITED },
    });
    const { most, lost } = await storm();
    assert.equal(lost, 0);
    assert.equal(most, MAX_EXITED, 'the bound was put to the test');
    own.forget();
    const { processes, imageBytes, evicted, missedExits } = own.tree.counters();
    assert.deepEqual([processes, imageBytes, evicted, missedExits], [0, 0, 0, 0]);
  });

  test('many are lost: they are counted, and those whose end was not told are found', async () => {
    own = new TreeProbe({
      execRingBytes: 1 << 16,
      tickMs: 100,
      tree: { maxProcesses: MAX_PROCESSES, maxExited: MAX_EXITED },
    });
    const { lost } = await storm();
    assert.ok(lost > 1000, `${lost} lost: the ring was too small`);
    own.forget(2 + Math.ceil((2 * own.tree.counters().processes) / SWEPT_PER_TICK));
    const { processes, imageBytes } = own.tree.counters();
    assert.deepEqual([processes, imageBytes], [0, 0]);
  });
});
