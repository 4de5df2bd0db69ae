import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { startTicksOf } from '../../src/context/proc-reader.ts';
import type { ProcStat } from '../../src/context/proc-reader.ts';
import { ProcessTree } from '../../src/context/process-tree.ts';
import type { Process } from '../../src/context/process.ts';
import { cloneEvent, execEvent, exitEvent, kernelEvent } from '../unit/context/kernel-events.ts';
import { runs } from '../support/runs.ts';

/** What happens: `who` picks among the living, `pid` among few numbers, so that reuse is the rule. */
interface Step {
  do: 'fork' | 'exec' | 'exit' | 'event' | 'tick' | 'late';
  who: number;
  pid: number;
}

/** The model: who ran what, and the line of creators, of every process that ever lived. */
interface Model {
  pid: number;
  start: bigint;
  name: string;
  lineage: Model[];
  dead: boolean;
  diedAt: bigint;
}

const step = fc.record<Step>({
  do: fc.constantFrom('fork', 'fork', 'fork', 'exec', 'exec', 'exit', 'event', 'tick', 'late'),
  who: fc.nat(),
  pid: fc.integer({ min: 2, max: 12 }),
});
const MS = 1_000_000n;

function statOf(m: Model | undefined): ProcStat | undefined {
  if (m === undefined) return undefined;
  const { pid, name: comm } = m;
  const startTicks = startTicksOf(m.start);
  return { pid, comm, state: 'S', ppid: 0, pgid: pid, sid: pid, tty: 0, threads: 1, startTicks };
}

function play(steps: readonly Step[], maxProcesses: number | undefined): void {
  const tree = new ProcessTree({
    // /proc of the model: the living are there, and there is nothing to learn from it.
    reader: {
      pids: () => [],
      stat: (pid) => statOf(living.find((m) => m.pid === pid)),
      read: () => undefined,
    },
    ...(maxProcesses === undefined ? {} : { maxProcesses, maxExited: 4 }),
  });
  let now = 1_000_000_000n;
  const init: Model = { pid: 1, start: now, name: 'init', lineage: [], dead: false, diedAt: 0n };
  let living = [init];
  const everyone = [init];
  const actor = (m: Model) => ({ pid: m.pid, start: m.start, comm: m.name, ppid: 0 });
  const kept = new Map<Model, Process>();
  kept.set(init, tree.onEvent(execEvent(actor(init), now, { argv: ['init'] })));

  for (const s of steps) {
    now += 10n * MS;
    const who = living[s.who % living.length]!;
    if (s.do === 'fork') {
      // The pid may have been another's, who must be dead for that; a pid in use is not given out.
      if (living.some((m) => m.pid === s.pid)) continue;
      const child: Model = {
        pid: s.pid,
        start: now,
        name: who.name,
        lineage: [who, ...who.lineage],
        dead: false,
        diedAt: 0n,
      };
      kept.set(who, tree.onEvent(cloneEvent(actor(who), now, child)));
      living.push(child);
      everyone.push(child);
    } else if (s.do === 'exec') {
      who.name = `p${who.pid}-${String(now / MS)}`.slice(0, 15);
      kept.set(who, tree.onEvent(execEvent(actor(who), now, { argv: [who.name] })));
    } else if (s.do === 'exit') {
      if (who === init) continue;
      kept.set(who, tree.onEvent(exitEvent(actor(who), now)));
      who.dead = true;
      who.diedAt = now;
      living = living.filter((m) => m !== who);
    } else if (s.do === 'event') {
      kept.set(who, tree.onEvent(kernelEvent(actor(who), now)));
    } else if (s.do === 'late') {
      // A record of the bulk ring, of a process that ended a moment ago, perhaps with its pid in use again.
      const late = everyone[s.who % everyone.length]!;
      if (!late.dead || now - late.diedAt > 4_000n * MS || maxProcesses !== undefined) continue;
      const process = tree.onEvent(kernelEvent(actor(late), late.diedAt - 1n));
      assert.equal(process.startBootNs, late.start);
      assert.equal(process.image.name, late.name, 'the dead have their own image, not their pid’s');
    }
    if (s.do === 'tick') now += 3_000n * MS;
    tree.tick(now);
    const { processes } = tree.counters();
    assert.ok(processes <= (maxProcesses ?? everyone.length));

    for (const m of living) {
      const process = tree.find(m.pid, m.start);
      if (maxProcesses !== undefined) {
        // Forgotten processes leave gaps, but never a stranger in the line.
        let rest = m.lineage;
        for (let p = process?.parent; p !== undefined; p = p.parent) {
          const { pid, startBootNs } = p;
          const index = rest.findIndex((x) => x.pid === pid && x.start === startBootNs);
          assert.ok(index >= 0);
          rest = rest.slice(index + 1);
        }
        continue;
      }
      assert.ok(process, 'a living process is known');
      assert.equal(process.image.name, m.name);
      // Its line of creators, of which dead ones may be passed over only when eight are there in a row.
      let above = process.parent;
      let run = 0;
      for (const expected of m.lineage) {
        if (
          above !== undefined &&
          above.pid === expected.pid &&
          above.startBootNs === expected.start
        ) {
          assert.equal(above.image.name, expected.name);
          run = expected.dead ? run + 1 : 0;
          above = above.parent;
        } else {
          assert.ok(expected.dead && run >= 1, 'a living ancestor is never lost');
        }
      }
      assert.equal(above, undefined);
    }
  }
}

test('the tree agrees with a model: living processes, their ancestors, reused pids', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => play(steps, undefined)),
    { numRuns: runs(200) },
  );
});

test('the tree stays within its bounds and sane when it is too small', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => play(steps, 16)),
    { numRuns: runs(100) },
  );
});
