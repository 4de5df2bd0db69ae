import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Process } from '../../src/context/process.ts';
import {
  EFFECT_MS,
  GAP_MS,
  Incidents,
  MAX_BEGUN,
  MAX_MS,
  QUIET_MS,
} from '../../src/evaluation/incidents.ts';
import { CONTAINER, makeProcess, RUNTIME } from '../support/rules-subject.ts';
import { runs } from '../support/runs.ts';

/** A process is started by one of those before it, or put in from outside; then a line of one of them follows. */
const STEP = fc.record({
  parent: fc.nat(),
  isPutIn: fc.boolean(),
  /** Of most, the time between two is short. */
  afterMs: fc.oneof(fc.nat(300), fc.nat(GAP_MS + 100), fc.constant(MAX_MS / 3)),
  who: fc.nat(),
  rule: fc.nat(200),
});

interface Line {
  readonly who: Process;
  readonly atMs: number;
  readonly rule: string;
  readonly id: string;
}

const HOUR_MS = 3_600_000;

function play(steps: readonly (typeof STEP extends fc.Arbitrary<infer T> ? T : never)[]): Line[] {
  const incidents = new Incidents('cell-1');
  const first = makeProcess({ pid: CONTAINER.initPid, vpid: 1, parent: RUNTIME, startBootNs: 1n });
  const processes = [first];
  let atMs = HOUR_MS;
  return steps.map(({ parent, isPutIn, afterMs, who, rule: number }, n) => {
    atMs += afterMs;
    const above = isPutIn && parent % 7 === 0 ? RUNTIME : processes[parent % processes.length];
    const startBootNs = BigInt(atMs) * 1_000_000n;
    processes.push(makeProcess({ pid: 10_000 + n, vpid: 100 + n, parent: above!, startBootNs }));
    const process = processes[who % processes.length]!;
    const rule = `Rule ${number}`;
    const line = { rule, process, container: CONTAINER, cgroupId: 7 };
    const id = incidents.of({ ...line, bootNs: BigInt(atMs) * 1_000_000n + 5n });
    return { who: process, atMs, rule, id };
  });
}

const isAbove = (above: Process, of: Process): boolean => {
  for (let at: Process | undefined = of; at !== undefined; at = at.parent)
    if (at === above) return true;
  return false;
};

/** The nearest process that both have above them or are, in the container. */
function common(one: Process, other: Process): Process | undefined {
  for (let at: Process | undefined = one; at?.inScope === true; at = at.parent)
    if (isAbove(at, other)) return at;
  return undefined;
}

const isFirst = ({ vpid }: Process): boolean => vpid === 1;

/** Whether the child of the first process that it is, or is below, was started at or right after these lines of that one. */
function isEffectOf(process: Process, own: readonly Line[]): boolean {
  if (isFirst(process)) return true;
  let child = process;
  while (child.parent !== undefined && !isFirst(child.parent)) child = child.parent;
  const startedMs = Number(child.startBootNs) / 1e6;
  // The start of a process may be told in ticks of 10 ms.
  return (
    own.some(({ atMs }) => startedMs >= atMs - 11) &&
    own.some(({ atMs }) => startedMs <= atMs + EFFECT_MS + 1)
  );
}

test('processes that only the first process of their container connects never share an incident, but for its own doing', () => {
  const arbitrary = fc.array(STEP, { maxLength: 60 });
  fc.assert(
    fc.property(arbitrary, (steps) => {
      const lines = play(steps);
      // Beyond the bound a rule's lines are one.
      const crowded = new Set(crowdedRules(lines));
      const told = lines.filter(({ rule }) => !crowded.has(rule));
      for (const [index, one] of told.entries()) {
        for (const other of told.slice(index + 1)) {
          if (one.id !== other.id) continue;
          const between = common(one.who, other.who);
          assert.ok(other.atMs - one.atMs <= MAX_MS, 'no incident is older');
          const isRelated = between !== undefined && !isFirst(between);
          const own = lines.filter(({ who, id }) => isFirst(who) && id === one.id);
          const isItsDoing = [one.who, other.who].every((who) => isEffectOf(who, own));
          assert.ok(isRelated || isItsDoing, 'nothing connects them');
        }
      }
    }),
    { numRuns: runs(500) },
  );
});

/** Rules with more lines that can have begun an incident than may, in the time in which that is counted. */
function crowdedRules(lines: readonly Line[]): string[] {
  return [...new Set(lines.map(({ rule }) => rule))].filter((rule) => {
    const own = lines.filter((line) => line.rule === rule);
    return own.length > MAX_BEGUN;
  });
}

test('lines of one process, its descendants and ancestors that follow each other closely are one incident', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ parent: fc.nat(), who: fc.nat(), afterMs: fc.nat(GAP_MS) }), {
        minLength: 1,
        maxLength: 29,
      }),
      (steps) => {
        const incidents = new Incidents('cell-1');
        const first = makeProcess({
          pid: CONTAINER.initPid,
          vpid: 1,
          parent: RUNTIME,
          startBootNs: 1n,
        });
        const of = (n: number, parent: Process): Process =>
          makeProcess({
            pid: 1000 + n,
            vpid: n,
            parent,
            startBootNs: BigInt(HOUR_MS) * 1_000_000n,
          });
        const below = [of(2, first)];
        let atMs = HOUR_MS;
        const ids = steps.map(({ parent, who, afterMs }, n) => {
          below.push(of(n + 3, below[parent % below.length]!));
          atMs += afterMs;
          const process = below[who % below.length]!;
          const bootNs = BigInt(atMs) * 1_000_000n;
          return incidents.of({ rule: 'Any', process, container: CONTAINER, cgroupId: 7, bootNs });
        });
        assert.equal(new Set(ids).size, 1);
      },
    ),
    { numRuns: runs(300) },
  );
});

test('incidents that a rule begins in a container are bounded, whatever is done', () => {
  fc.assert(
    fc.property(fc.array(STEP, { minLength: 1, maxLength: 120 }), (steps) => {
      const lines = play(steps.map((step) => ({ ...step, rule: 0 })));
      let quiet = 1;
      for (const [index, { atMs }] of lines.entries())
        if (index > 0 && atMs - lines[index - 1]!.atMs > QUIET_MS) quiet++;
      const ids = new Set(lines.map(({ id }) => id));
      assert.ok(ids.size <= quiet * (MAX_BEGUN + 1), `${ids.size} incidents`);
    }),
    { numRuns: runs(300) },
  );
});
