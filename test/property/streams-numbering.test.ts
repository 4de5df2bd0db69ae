// Numbers beside a plain model, through any sequence of lines, ends of logs' work, kills and restarts.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { OwnFolder } from '../../src/host/own-folder.ts';
import type { Numbered } from '../../src/streams/numbering/numbered.ts';
import { Numbering, SKIP } from '../../src/streams/numbering/numbering.ts';
import { runs } from '../support/runs.ts';

type Action =
  | { readonly does: 'number'; readonly key: string; readonly logs: number }
  | { readonly does: 'finish'; readonly which: number; readonly lost: boolean }
  | { readonly does: 'hostEnds'; readonly back: number }
  | { readonly does: 'tellLosses' | 'close' | 'kill' };

const KEYS = ['a', 'ü', ''];
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      does: fc.constant('number' as const),
      key: fc.constantFrom(...KEYS),
      logs: fc.integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      does: fc.constant('finish' as const),
      which: fc.nat(),
      lost: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constantFrom<'tellLosses' | 'close' | 'kill'>('tellLosses', 'close', 'kill'),
    }),
  },
);

/** What a log has, or was told that it may not have. */
class Log {
  readonly seen = new Set<number>();
  readonly told: (readonly [from: number, to: number])[] = [];
  highest = 0;

  accountsFor(number: number): boolean {
    return this.seen.has(number) || this.told.some(([from, to]) => from <= number && number <= to);
  }
}

interface Line {
  readonly key: string;
  readonly line: Numbered;
  readonly gap: readonly [from: number, to: number] | undefined;
  copies: number;
  lost: boolean;
}

function run(actions: readonly Action[], maxInstances: number): void {
  const home = mkdtempSync(join(tmpdir(), 'varvel-numbers-'));
  let boot = 1;
  const openIt = (): Numbering =>
    new Numbering({
      folder: OwnFolder.open(join(home, 'state')),
      bootId: `boot ${boot}`,
      maxInstances,
    });
  const logs = new Map(KEYS.map((key) => [key, new Log()]));
  let numbering = openIt();
  let underWay: Line[] = [];
  let untold: Line[] = [];
  const given = new Set<string>();
  const file = join(home, 'state/numbers');
  /** The file as a disk may have it when the host ends: new instances come there at once, the rest later. */
  let disk: Buffer[] = [readFileSync(file)];

  const settle = (line: Line): void => {
    const log = logs.get(line.key)!;
    if (line.lost) untold.push(line);
    else if (line.gap !== undefined) log.told.push(line.gap);
    else log.seen.add(line.line.seq);
  };
  const add = (line: Line): void => {
    for (let copy = 0; copy < line.copies; copy++) line.line.enqueued();
    line.line.complete();
    if (line.copies > 0) underWay.push(line);
    else settle(line);
  };
  const tellGap = (key: string): void => {
    const found = numbering.takeGap(key);
    if (found === undefined) return;
    const { gap, line } = found;
    assert.ok(gap.from <= gap.to);
    add({ key, line, gap: [gap.from, gap.to], copies: 1, lost: false });
  };
  const finish = (line: Line, lost: boolean): void => {
    if (lost) {
      line.line.lost();
      line.lost = true;
    } else line.line.written();
    if (--line.copies > 0) return;
    underWay = underWay.filter((one) => one !== line);
    settle(line);
  };

  for (const one of [...actions, { does: 'kill' } as const]) {
    if (one.does === 'number') {
      const { key } = one;
      const line = numbering.next(key);
      tellGap(key);
      assert.ok(!given.has(`${key} ${line.seq}`), `${key} ${line.seq} was given before`);
      assert.ok(line.seq > logs.get(key)!.highest, 'numbers grow');
      logs.get(key)!.highest = line.seq;
      given.add(`${key} ${line.seq}`);
      if (line.seq === 1) disk = [];
      disk.push(readFileSync(file));
      add({ key, line, gap: undefined, copies: one.logs, lost: false });
    } else if (one.does === 'finish') {
      const line = underWay[one.which % Math.max(1, underWay.length)];
      if (line !== undefined) finish(line, one.lost);
    } else if (one.does === 'tellLosses') {
      numbering.lossesTold();
      // Of a line that other logs still have on their way, what one of them lost is told as well.
      for (const one of [...untold, ...underWay.filter(({ lost }) => lost)]) {
        logs.get(one.key)!.told.push([one.line.from, one.line.seq]);
        one.lost = false;
      }
      untold = [];
    } else {
      if (one.does === 'close') numbering.close();
      if (one.does === 'hostEnds') {
        boot++;
        writeFileSync(file, disk[one.back % disk.length]!);
      }
      underWay = [];
      untold = [];
      numbering = openIt();
      disk = [readFileSync(file)];
    }
  }
  // All logs are told now. What an instance was given is in its log, or was told as missing.
  for (const key of KEYS) {
    if (logs.get(key)!.highest === 0) continue;
    const next = numbering.next(key);
    tellGap(key);
    for (const line of [...underWay]) finish(line, false);
    const log = logs.get(key)!;
    for (
      let number = 1;
      number < next.seq;
      number += number > SKIP / 2 && number % 7 === 0 ? 99_991 : 1
    )
      assert.ok(
        log.accountsFor(number),
        `${number} of ${JSON.stringify(key)} is missing in silence`,
      );
  }
  numbering.close();
  rmSync(home, { recursive: true });
}

test('a line that one log has lost, told while another still has it', () => {
  const number = { does: 'number', key: 'a' } as const;
  const first = { does: 'finish', which: 0 } as const;
  run(
    [
      { ...number, logs: 1 },
      { ...number, logs: 2 },
      { ...first, lost: true },
      { ...first, lost: true },
      { does: 'tellLosses' },
      { ...first, lost: false },
    ],
    2,
  );
});

test('no number is given twice, and none is missing in silence, whatever happens', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => run(actions, 8)),
    { numRuns: runs(400) },
  );
});

test('nor with more instances than are remembered', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => run(actions, 2)),
    { numRuns: runs(100) },
  );
});

test('nor with the host’s end', () => {
  fc.assert(
    fc.property(
      fc.array(action, { maxLength: 20 }),
      fc.nat(),
      fc.array(action, { maxLength: 20 }),
      (before, back, after) => run([...before, { does: 'hostEnds', back }, ...after], 8),
    ),
    { numRuns: runs(30) },
  );
});
