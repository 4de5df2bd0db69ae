import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bootTimeNs } from 'ebpf-loader-napi';
import type { RecordBytes } from '../../src/events/batch.ts';
import { HEADER, KINDS, OPEN } from '../../src/events/table.gen.ts';
import {
  withProbe,
  type KernelProbe,
  type KernelProbeOptions,
  type TestCgroup,
} from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';

const FILE = '/etc/hostname';

/** Blocks the event loop, without using the CPU that producers need. */
function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Follows the running numbers that kernel-steps.c puts in its opens (as dirfd), by process. */
class Sequences {
  readonly counts = new Map<number, number>();
  readonly #last = new Map<number, number>();
  gaps = 0;
  slowestMs = 0;
  readonly disorders: string[] = [];

  readonly take = (records: RecordBytes, at: number): void => {
    const lateMs = Number(bootTimeNs() - records.u64(at + HEADER.ts)) / 1e6;
    this.slowestMs = Math.max(this.slowestMs, lateMs);
    if (records.short(at + HEADER.kind) !== KINDS.open) return;
    const number = records.int(at + OPEN.dirfd);
    if (number < 0) return; // AT_FDCWD: not of a sequence
    const pid = records.number(at + HEADER.pid);
    const last = this.#last.get(pid) ?? -1;
    if (number <= last) this.disorders.push(`${pid}: ${number} after ${last}`);
    this.gaps += number - last - 1;
    this.#last.set(pid, number);
    this.counts.set(pid, (this.counts.get(pid) ?? 0) + 1);
  };
}

describe('hand-over', () => {
  test('a flood leaves a turn of the event loop after each 5 ms of work', async () => {
    await withProbe({ bulkRingBytes: 8 << 20, bufferBytes: 128 << 10 }, async (probe) => {
      let hadTurn = true;
      const together: number[] = [];
      probe.onRecord = (_, at) => {
        if (at !== 0) return;
        together.push(hadTurn ? 1 : (together.pop() ?? 0) + 1);
        hadTurn = false;
        setImmediate(() => (hadTurn = true));
        stall(11);
      };
      const flood = probe.spawn(probe.mkdir('flood'), ['bursts', '2', 5000, 1, FILE]);
      await flood.ended();
      // What is left now comes by drain(), all at once.
      probe.onRecord = () => undefined;
      await probe.settle();
      assert.ok(together.length > 4, `only ${together.length} batches`);
      assert.deepEqual(
        together.filter((batches) => batches > 1),
        [],
      );
    });
  });

  test('bursts with idle gaps: everything once, in order, nothing left behind', async () => {
    await withProbe({ keep: false, bulkRingBytes: 64 << 20 }, async (probe) => {
      const sequences = new Sequences();
      probe.onRecord = sequences.take;
      // The second one's gap is about the time in which the consumer decides to sleep: thousands of chances.
      const running = [
        probe.run(probe.mkdir('bursts'), ['bursts', '3', 200, 7, FILE]),
        probe.run(probe.mkdir('edge'), ['bursts', '3', 1, 4, FILE]),
        probe.run(probe.mkdir('rare'), ['bursts', '3', 3, 250, FILE]),
      ];
      const produced = (await Promise.all(running)).map(
        (one) => [one.pid, one.result('bursts').ret] as const,
      );
      await probe.settle();
      assert.deepEqual(sequences.disorders, []);
      assert.deepEqual([sequences.gaps, probe.probe.stats().dropped], [0, 0]);
      assert.deepEqual(sequences.counts, new Map(produced));
      assert.ok(sequences.slowestMs < 2000, `a record waited ${sequences.slowestMs} ms`);
    });
  });

  test('flat out on both processors with the event loop blocked: what is lost is counted, the rest comes once', async () => {
    await withProbe(
      { keep: false, bulkRingBytes: 1 << 20, bufferBytes: 128 << 10 },
      async (probe) => {
        const sequences = new Sequences();
        probe.onRecord = sequences.take;
        const cgroups = ['a', 'b'].map((name) => probe.mkdir(name));
        const running = cgroups.map((cgroup) =>
          probe.spawn(cgroup, ['bursts', '2', 1000, 0, FILE]),
        );
        // Both are at it: whoever is stalled before they began loses nothing.
        const heard = (): boolean => running.every(({ pid }) => sequences.counts.has(pid));
        for (const end = Date.now() + 60_000; !heard() && Date.now() < end;) await delay(5);
        stall(500);
        await delay(100);
        stall(500);
        await Promise.all(running.map((one) => one.ended()));
        await probe.settle();
        assert.deepEqual(sequences.disorders, []);
        cgroups.forEach((cgroup, i) => {
          const { pid } = running[i]!;
          const produced = running[i]!.result('bursts').ret;
          const { emitted, dropped } = probe.entry(cgroup);
          assert.ok(dropped > 0, 'the stalls lost something');
          // Besides the sequence: mkdir, attach, and two closing records at most (the write's open is outside).
          const others = probe.deliveredBy.get(cgroup.id)! - sequences.counts.get(pid)!;
          assert.equal(emitted, probe.deliveredBy.get(cgroup.id));
          assert.equal(sequences.counts.get(pid)! + dropped, produced);
          assert.equal(others, 3, 'mkdir, attach, procexit');
        });
      },
    );
  });

  test('order: a fork before what the child does, an exec before what the program does, the end last', async () => {
    await withProbe(
      { bufferBytes: 128 << 10, execRingBytes: 16 << 20, bulkRingBytes: 64 << 20 },
      async (probe) => {
        const cgroup = probe.mkdir('order');
        const opens: Step[] = Array.from({ length: 8 }, () => ['openat', -100, FILE, 0, 0]).flat();
        const steps: Step[] = [];
        for (let i = 0; i < 60; i++) {
          steps.push(
            'fork',
            '[',
            ...opens,
            'execve',
            stepsProgram(),
            `p${i}`,
            ...opens,
            ';',
            ']',
            'vfork',
            '[',
            ...opens,
            ']',
          );
        }
        const running = await Promise.all([1, 2, 3].map(() => probe.run(cgroup, steps)));
        await probe.settle();
        assert.equal(probe.probe.stats().dropped, 0);
        const born = new Set(running.map((one) => one.pid));
        const last = new Map<number, bigint>();
        const ended = new Set<number>();
        let execs = 0;
        const opensOf = new Map<number, string[]>();
        for (const event of probe.events) {
          const { pid } = event;
          assert.ok(born.has(pid), `a ${event.type} of ${pid} before its fork`);
          assert.ok(!ended.has(pid), `a ${event.type} of ${pid} after its end`);
          assert.ok(event.bootNs >= (last.get(pid) ?? 0n), `a ${event.type} of ${pid} out of time`);
          last.set(pid, event.bootNs);
          if (event.clone !== undefined) born.add(event.clone.childPid);
          if (event.exit !== undefined) ended.add(pid);
          if (event.exec !== undefined) execs++;
          const kinds = opensOf.get(pid) ?? [];
          if (event.open !== undefined || event.exec !== undefined)
            kinds.push(event.exec ? 'exec' : 'open');
          opensOf.set(pid, kinds);
        }
        assert.equal(execs, 180);
        assert.equal(ended.size, 363);
        const eight = 'open '.repeat(8);
        for (const [pid, kinds] of opensOf) {
          if (running.some((one) => one.pid === pid)) continue;
          const text = kinds.map((kind) => `${kind} `).join('');
          assert.ok(text === eight || text === `${eight}exec ${eight}`, `${pid}: ${text}`);
        }
      },
    );
  });

  test('drain() hands over at once what is there', async () => {
    await withProbe({}, async (probe) => {
      const cgroup = probe.mkdir('drain');
      await probe.settle();
      execFileSync(stepsProgram(), ['enter', cgroup.dir, 'openat', '-100', FILE, '0', '0']);
      assert.equal(probe.events.length, 0, 'the event loop has not turned');
      assert.ok(probe.probe.drain() > 0);
      assert.deepEqual(
        probe.events.map((event) => event.type),
        ['openat', 'procexit'],
      );
      assert.equal(probe.probe.drain(), 0);
    });
  });

  test('drain() hands over all that is there, however many batches that are', async () => {
    const options = { keep: false, bulkRingBytes: 64 << 20, bufferBytes: 128 << 10 };
    await withProbe(options, async (probe) => {
      const cgroup = probe.mkdir('drains');
      await probe.settle();
      const before = probe.delivered;
      // At once: while this waits, nobody reads.
      const opens = execFileSync(stepsProgram(), [
        'enter',
        cgroup.dir,
        'bursts',
        '0.001',
        '50000',
        '0',
        FILE,
      ]);
      assert.match(String(opens), /50000/);
      const waitingSince = (): number | undefined => probe.probe.stats().waitingSinceBootNs;
      const waited: (number | undefined)[] = [];
      let lastNs = 0;
      probe.onRecord = (records, at) => {
        if (at === 0) waited.push(waitingSince());
        lastNs = Number(records.u64(at + HEADER.ts));
      };
      const bytes = probe.probe.drain();
      // What is said to wait is no older than what was handed over, and nothing is left at the end.
      const since = waited.filter((ns) => ns !== undefined);
      assert.ok(since.length > 100, `${since.length} times something waited`);
      assert.deepEqual(
        since,
        [...since].sort((a, b) => a - b),
      );
      assert.ok(since.at(-1)! <= lastNs);
      assert.equal(waitingSince(), undefined);
      assert.ok(bytes > 64 * (128 << 10), `only ${bytes} bytes: too few for this test`);
      assert.ok(probe.delivered - before >= 50_000);
      assert.equal(probe.entry(cgroup).dropped, 0);
    });
  });
});

describe('one container cannot blind another', () => {
  /** Floods from cgroup `loud` and its children while `quiet` does little; the loop is blocked meanwhile. */
  async function compete(
    options: KernelProbeOptions,
    flood: (loud: TestCgroup, probe: KernelProbe) => (readonly Step[])[],
  ): Promise<{ quiet: number; loud: number }> {
    const losses = { quiet: 0, loud: 0 };
    await withProbe({ keep: false, ...options }, async (probe) => {
      const sequences = new Sequences();
      probe.onRecord = sequences.take;
      const quiet = probe.mkdir('quiet');
      const loud = probe.mkdir('loud');
      const floods = flood(loud, probe).map((steps) => probe.spawn(undefined, steps));
      const trickle = probe.spawn(quiet, ['loop', 150, 5, FILE]);
      const execs = probe.spawn(quiet, ['execs', 12, 60, '/bin/true']);
      await delay(150);
      stall(500);
      await delay(50);
      stall(500);
      await Promise.all([trickle, execs].map((one) => one.ended()));
      for (const one of floods) one.kill();
      await Promise.all(floods.map((one) => one.ended()));
      await probe.settle();
      losses.quiet = probe.entry(quiet).dropped;
      const entries = probe.probe.scopeEntries();
      losses.loud = entries.reduce(
        (sum, one) => sum + (one.cgroupId === quiet.id ? 0 : one.dropped),
        0,
      );
      assert.equal(probe.probe.stats().dropped, losses.quiet + losses.loud);
      assert.equal(probe.probe.stats().emitted, probe.delivered);
      assert.equal(
        probe.probe.stats().droppedExec,
        entries.reduce((sum, one) => sum + one.droppedExec, 0),
      );
      if (losses.quiet === 0) assert.equal(sequences.counts.get(trickle.pid), 150);
    });
    return losses;
  }
  const assertOnlyLoud = ({ quiet, loud }: { quiet: number; loud: number }): void => {
    assert.ok(loud > 0, 'the flood was too small to lose anything');
    assert.equal(quiet, 0, `the quiet container lost ${quiet}, the loud one ${loud}`);
  };

  test('opens flat out on both processors', async () => {
    assertOnlyLoud(
      await compete({ bulkRingBytes: 1 << 20 }, (loud) => {
        const steps = ['enter', loud.dir, 'bursts', '60', 1000, 0, FILE];
        return [steps, steps];
      }),
    );
  });

  test('from many nested cgroups', async () => {
    assertOnlyLoud(
      await compete({ bulkRingBytes: 1 << 20 }, (_, probe) =>
        ['1', '2', '3', '4', '5', '6', '7', '8', '9'].map((name) => [
          ...['enter', probe.mkdir(`loud/${name}`).dir, 'bursts', '60', 1000, 0, FILE],
        ]),
      ),
    );
  });

  test('programs started flat out', async () => {
    assertOnlyLoud(
      await compete({ execRingBytes: 256 << 10 }, (loud) => {
        const steps = ['enter', loud.dir, 'execs', 1_000_000, 0, '/bin/true'];
        return [steps, steps];
      }),
    );
  });

  test('nested cgroups made and removed, and entered to and fro, flat out', async () => {
    assertOnlyLoud(
      await compete({ execRingBytes: 256 << 10 }, (loud, probe) => {
        const nested = probe.mkdir('loud/nested');
        return [
          ['enter', loud.dir, 'mkdirs', 10_000_000, nested.dir],
          ['enter', loud.dir, 'moves', 10_000_000, loud.dir, nested.dir],
        ];
      }),
    );
  });
});
