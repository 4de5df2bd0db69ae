import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ceilings, notWatchedFor, type CeilingOptions } from '../../../src/agent/ceilings.ts';
import { cgroupMemoryLimit, OwnUsage } from '../../../src/metrics/own-usage.ts';
import { PRIORITIES, type Priority } from '../../../src/rules/detection.ts';

const MIB = 1024 ** 2;
type Step = readonly [what: string, highest: Priority | undefined];

/** Seconds go by with each tick. */
class Host {
  readonly rules: Partial<Record<Priority, number>>;
  readonly steps: Step[] = [];
  off: readonly Priority[] = [];
  collected = 0;
  gaveBack = 0;
  nowMs = 0;
  readonly ceilings: Ceilings;

  constructor(
    rules: Partial<Record<Priority, number>>,
    options: Partial<Pick<CeilingOptions, 'cpuPercent' | 'memoryBytes'>>,
  ) {
    this.rules = rules;
    this.ceilings = new Ceilings({
      cpuPercent: undefined,
      memoryBytes: undefined,
      restoreAfterMs: 10_000,
      ...options,
      nowMs: () => this.nowMs,
      rulesOf: (priorities) =>
        priorities.reduce((sum, priority) => sum + (this.rules[priority] ?? 0), 0),
      shed: (priorities) => void (this.off = priorities),
      collectGarbage: () => {
        this.collected++;
      },
      giveMemoryBack: () => {
        this.gaveBack++;
      },
      onChange: ({ shed }, what) => void this.steps.push([what, shed.at(-1)]),
    });
  }

  tick(cpuPercent: number, memoryMib: number, seconds = 1): void {
    for (let second = 0; second < seconds; second++) {
      this.nowMs += 1000;
      this.ceilings.onTick({ cpuPercent, memoryBytes: memoryMib * MIB });
    }
  }
}

const RULES = { Debug: 2, Notice: 3, Error: 1, Critical: 4 } as const;

test('without a ceiling nothing is shed', () => {
  const host = new Host(RULES, {});
  host.tick(400, 4000, 100);
  assert.deepEqual(host.steps, []);
});

test('one priority after the other, those without rules left out, and never Critical', () => {
  const host = new Host(RULES, { cpuPercent: 50 });
  host.tick(100, 100, 2);
  assert.deepEqual(host.steps, [], 'a peak is no need');
  host.tick(100, 100, 1);
  assert.deepEqual(host.steps, [['shed', 'Debug']]);
  host.tick(100, 100, 2);
  assert.equal(host.steps.length, 1, 'it has time to show its effect');
  host.tick(100, 100, 20);
  assert.deepEqual(host.steps, [
    ['shed', 'Debug'],
    ['shed', 'Notice'],
    ['shed', 'Error'],
    ['stuck', 'Error'],
  ]);
  const { shed, rulesOff, because, sheds, stuck } = host.ceilings.status();
  assert.deepEqual([shed.at(-1), rulesOff, because, sheds, stuck], ['Error', 6, 'cpu', 3, 1]);
  assert.equal(
    notWatchedFor(host.ceilings.status()),
    '6 rules of priority Error and below, since the agent would need more CPU time than it may have',
  );
});

test('back step by step when it is quiet, and later each time that this was too early', () => {
  const host = new Host(RULES, { cpuPercent: 50 });
  host.tick(100, 100, 6);
  assert.deepEqual(host.off, ['Debug', 'Informational', 'Notice']);
  host.tick(45, 100, 60);
  assert.equal(host.steps.length, 2, 'just below the ceiling is not quiet');
  host.tick(5, 100, 60);
  assert.deepEqual(host.steps.slice(2), [
    ['restored', 'Informational'],
    ['restored', undefined],
  ]);
  assert.equal(notWatchedFor(host.ceilings.status()), undefined);
  const waits: number[] = [];
  for (let flood = 0; flood < 4; flood++) {
    host.tick(100, 100, 3);
    assert.equal(host.off.length, 1);
    const since = host.nowMs;
    do host.tick(5, 100);
    while (host.steps.at(-1)?.[0] === 'shed');
    waits.push(host.nowMs - since);
  }
  assert.ok(
    waits.every((wait, index) => index < 2 || wait > waits[index - 1]! * 1.5),
    waits.join(),
  );
});

test('memory: what is garbage is collected first, and only what is used counts', () => {
  const host = new Host(RULES, { memoryBytes: 200 * MIB });
  host.tick(0, 300, 1);
  assert.deepEqual([host.collected, host.steps.length], [1, 0]);
  host.tick(0, 100, 10);
  assert.equal(host.steps.length, 0);
  host.tick(0, 300, 2);
  assert.deepEqual([host.collected, host.steps], [2, [['shed', 'Debug']]]);
  assert.match(notWatchedFor(host.ceilings.status())!, /2 rules of priority Debug .* more memory/);
});

test('a flood’s garbage is collected between the seconds, at most twice in one, until nothing is left to shed', () => {
  const host = new Host(RULES, { memoryBytes: 200 * MIB });
  const quarters = (memoryMib: number, count: number): void => {
    for (let quarter = 0; quarter < count; quarter++) {
      host.nowMs += 250;
      host.ceilings.onMemory(memoryMib * MIB);
    }
  };
  quarters(190, 4);
  assert.equal(host.collected, 0);
  quarters(210, 3);
  assert.equal(host.collected, 2);
  host.ceilings.onTick({ cpuPercent: 0, memoryBytes: 190 * MIB });
  assert.equal(host.steps.length, 0, 'what was left was not too much');
  quarters(210, 3);
  host.ceilings.onTick({ cpuPercent: 0, memoryBytes: 210 * MIB });
  assert.deepEqual(host.steps, [['shed', 'Debug']], 'it was');
  host.tick(0, 300, 8);
  assert.equal(host.steps.at(-1)?.[0], 'stuck');
  const before = host.collected;
  quarters(300, 40);
  assert.equal(host.collected, before);
});

test('collecting between the seconds does not hide that too much CPU time is used', () => {
  const host = new Host(RULES, { memoryBytes: 200 * MIB, cpuPercent: 50 });
  for (let second = 0; second < 3; second++) {
    host.nowMs += 500;
    host.ceilings.onMemory(210 * MIB);
    host.nowMs += 500;
    host.ceilings.onTick({ cpuPercent: 90, memoryBytes: 150 * MIB });
  }
  assert.equal(host.collected, 3);
  assert.deepEqual(host.steps, [['shed', 'Debug']]);
});

test('while rules are off for want of memory, memory is given back every ten seconds until it is quiet', () => {
  const host = new Host(RULES, { memoryBytes: 100 * MIB });
  host.tick(1, 120, 2);
  assert.equal(host.steps.length, 1);
  const before = host.gaveBack;
  host.tick(1, 90, 30);
  assert.ok([2, 3].includes(host.gaveBack - before), `${host.gaveBack - before} times`);
  const high = host.gaveBack;
  host.tick(1, 60, 30);
  assert.equal(host.gaveBack, high, 'it is quiet');
  assert.equal(host.steps.at(-1)?.[0], 'restored');
  host.tick(1, 90, 30);
  assert.equal(host.gaveBack, high, 'no rule is off');
});

test('while the agent is busy, garbage is collected and no more', () => {
  const host = new Host(RULES, { memoryBytes: 100 * MIB });
  host.tick(50, 120, 2);
  assert.equal(host.steps.length, 1);
  const before = host.collected;
  host.tick(50, 90, 30);
  assert.ok([2, 3].includes(host.collected - before), `${host.collected - before} times`);
  assert.equal(host.gaveBack, 0);
});

test('what a step has freed is collected before the next one, and every ten seconds where none is left', () => {
  const host = new Host(RULES, { memoryBytes: 100 * MIB });
  const seen: unknown[] = [];
  for (let second = 0; second < 8; second++) {
    host.tick(1, 300);
    seen.push([host.collected, host.steps.at(-1)?.[1]]);
  }
  assert.deepEqual(seen, [
    [1, undefined],
    [1, 'Debug'],
    [2, 'Debug'],
    [2, 'Notice'],
    [3, 'Notice'],
    [3, 'Error'],
    [4, 'Error'],
    [4, 'Error'],
  ]);
  assert.equal(host.steps.at(-1)?.[0], 'stuck');
  host.tick(1, 300, 30);
  assert.ok([6, 7].includes(host.collected), `${host.collected} times`);
});

test('whatever is used: Critical and above stay, and what is off is a lowest part', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 400 })), {
        maxLength: 200,
      }),
      fc.dictionary(fc.constantFrom(...PRIORITIES), fc.integer({ min: 0, max: 3 })),
      (uses, rules) => {
        const host = new Host(rules, { cpuPercent: 50, memoryBytes: 200 * MIB });
        for (const [cpu, memory] of uses) {
          host.tick(cpu, memory);
          const lowest = [...PRIORITIES].reverse().slice(0, host.off.length);
          assert.deepEqual(host.off, lowest);
          assert.ok(!host.off.includes('Critical'));
        }
      },
    ),
  );
});

test('the agent’s own use is measured', () => {
  const usage = new OwnUsage();
  usage.read();
  const until = performance.now() + 200;
  while (performance.now() < until);
  const { cpuPercent, memoryBytes } = usage.read();
  assert.ok(cpuPercent > 0 && cpuPercent < 1000, String(cpuPercent));
  assert.ok(memoryBytes > 10 * MIB);
});

test('the least limit of its cgroup and those above it counts', () => {
  const home = mkdtempSync(join(tmpdir(), 'varvel-limits-'));
  try {
    const put = (path: string, text: string): void => {
      mkdirSync(join(home, path, '..'), { recursive: true });
      writeFileSync(join(home, path), text);
    };
    const limit = (cgroup: string): number | undefined => {
      put('proc', cgroup);
      return cgroupMemoryLimit(join(home, 'proc'), home);
    };
    assert.equal(limit('0::/a/b\n'), undefined);
    put('a/b/memory.max', 'max\n');
    put('a/b/memory.high', `${300 * MIB}\n`);
    assert.equal(limit('0::/a/b\n'), 300 * MIB);
    put('a/memory.max', `${200 * MIB}\n`);
    assert.equal(limit('0::/a/b\n'), 200 * MIB);
    put('memory/x/memory.limit_in_bytes', '9223372036854771712\n');
    assert.equal(limit('5:memory:/x\n0::/\n'), undefined);
    put('memory/x/memory.limit_in_bytes', `${100 * MIB}\n`);
    assert.equal(limit('5:cpu,memory:/x\n0::/a\n'), 100 * MIB);
  } finally {
    rmSync(home, { recursive: true });
  }
});
