// A spool beside a plain model, through any sequence of appends, sendings and kills.
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Spool } from '../../src/streams/spool/spool.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { runs } from '../support/runs.ts';
import { lacks } from '../support/needs.ts';

const PARENT = mkdtempSync(join(tmpdir(), 'varvel-spool-'));
after(() => rmSync(PARENT, { recursive: true }));

interface Line {
  readonly lane: string;
  readonly urgent: boolean;
  readonly kept: boolean;
  readonly text: string;
}

type Action =
  | ({ readonly does: 'append'; readonly bytes: number } & Omit<Line, 'text'>)
  | { readonly does: 'send'; readonly asked: number; readonly taken: number }
  | { readonly does: 'kill' };

const append = (lane: fc.Arbitrary<string>): fc.Arbitrary<Action> =>
  fc.record({
    does: fc.constant('append' as const),
    lane,
    urgent: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    kept: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    bytes: fc.integer({ min: 0, max: 400 }),
  });

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 12, arbitrary: append(fc.constant('flood')) },
  { weight: 6, arbitrary: append(fc.constantFrom('a', 'b', 'ü', '')) },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('send' as const),
      asked: fc.integer({ min: 1, max: 5 }),
      taken: fc.integer({ min: 0, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('kill' as const) }) },
);

/** Is each line before the later ones of its lane and kind? */
function assertOrder(sent: readonly Line[]): void {
  const last = new Map<string, number>();
  for (const { lane, urgent, text } of sent) {
    const key = `${lane} ${urgent}`;
    const number = Number(text.split(' ')[0]);
    assert.ok(number > (last.get(key) ?? -1), `${text} after ${last.get(key)} in ${key}`);
    last.set(key, number);
  }
}

/** As the kernel does when the process is killed. */
function closeAllBelow(folder: string): void {
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)) closeSync(Number(fd));
    } catch {
      // The one that lists them is closed already.
    }
  }
}

/** What the files have on the disk. */
const bytesIn = (folder: string): number =>
  readdirSync(folder)
    .filter((name) => name.includes('.spool'))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

/** The spool’s bounds, and what may wait in it. */
interface Bounds {
  readonly maxBytes: number;
  readonly memoryBytes?: number;
  readonly all: number;
  readonly others: number;
  /** What a record needs besides itself: on the disk, to be settled and moved; in memory, its index. */
  readonly besides: number;
}

const boundsOf = (maxBytes: number): Bounds => {
  const all = maxBytes - Math.floor(maxBytes / 32) - maxBytes / 16;
  return { maxBytes, all, others: all * 0.9, besides: 14 };
};

/** Of a spool whose disk takes nothing. */
const memoryBoundsOf = (memoryBytes: number): Bounds => ({
  maxBytes: 1 << 30,
  memoryBytes,
  all: memoryBytes,
  others: memoryBytes * 0.9,
  besides: 250,
});

/** Whether a line’s lane had its equal share without it, and so may be refused. What cannot be dropped is nobody’s share. */
function hasItsShare(line: Line, waiting: ReadonlySet<Line>, fixed: ReadonlySet<Line>, to: Bounds) {
  // Head, lane and payload, and what it needs besides.
  const chargeOf = ({ lane, text }: Line): number =>
    8 + 3 + Buffer.byteLength(lane) + text.length + to.besides;
  const sum = (lines: readonly Line[]): number =>
    lines.reduce((total, one) => total + chargeOf(one), 0);
  const lines = [...waiting];
  const lanes = new Set([...lines.map(({ lane }) => lane), line.lane]).size;
  const room = (limit: number): number =>
    (limit - sum(lines.filter((one) => fixed.has(one) || one.kept))) / lanes;
  const own = lines.filter(({ lane }) => lane === line.lane);
  const others = own.filter(({ urgent }) => !urgent);
  return (
    sum([...own, line]) > room(to.all) || (!line.urgent && sum([...others, line]) > room(to.others))
  );
}

/** Returns how many lines gave way. */
function run(
  actions: readonly Action[],
  bounds: Bounds,
  segmentBytes: number,
  parent = PARENT,
): number {
  const { maxBytes, memoryBytes } = bounds;
  const folder = join(parent, 'spool');
  // Of a run that failed.
  rmSync(folder, { recursive: true, force: true });
  const lines = new Map<string, Line>();
  const waiting = new Set<Line>();
  const given = new Set<Line>();
  const sent: Line[] = [];
  let counted = 0;
  const lineOf = (payload: Buffer): Line => {
    const line = lines.get(payload.toString());
    assert.ok(line !== undefined && waiting.has(line), `${payload.toString()} waits`);
    return line;
  };
  const openIt = (): Spool => {
    const onDropped = (payload: Buffer): void => {
      const line = lineOf(payload);
      assert.ok(!line.kept && !given.has(line), 'neither what is kept nor what is under way');
      waiting.delete(line);
      counted++;
    };
    return Spool.open({
      folder,
      maxBytes,
      segmentBytes,
      onDropped,
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
    });
  };
  let spool = openIt();
  let dropped = 0;
  const send = (asked: number, most: number): number => {
    const items = spool.peek(asked);
    given.clear();
    for (const { payload, lane } of items) {
      given.add(lineOf(payload));
      assert.equal(lineOf(payload).lane, lane);
    }
    const done = items.slice(0, most).map(({ payload }) => lineOf(payload));
    for (const line of done) {
      sent.push(line);
      waiting.delete(line);
      given.delete(line);
    }
    spool.settle(done.length);
    return items.length;
  };
  let number = 0;
  for (const one of actions) {
    if (one.does === 'append') {
      const { lane, urgent, kept } = one;
      const line = { lane, urgent, kept, text: `${number++} ${'x'.repeat(one.bytes)}` };
      const before = new Set(waiting);
      lines.set(line.text, line);
      if (spool.append(line, Buffer.from(line.text))) waiting.add(line);
      else assert.ok(hasItsShare(line, before, given, bounds), `${line.text} is refused`);
    } else if (one.does === 'send') send(one.asked, one.taken);
    else {
      dropped += spool.counters().dropped;
      given.clear();
      closeAllBelow(folder);
      spool = openIt();
    }
    assert.equal(spool.counters().waiting, waiting.size);
    if (memoryBytes !== undefined) assert.equal(spool.counters().inMemory, waiting.size);
    assert.equal(dropped + spool.counters().dropped, counted);
    assert.ok(spool.counters().bytes >= bytesIn(folder));
    assert.ok(bytesIn(folder) <= maxBytes, `${bytesIn(folder)} bytes of ${maxBytes}`);
  }
  while (send(7, 7) > 0);
  assert.equal(waiting.size, 0);
  assert.equal(new Set(sent).size, sent.length);
  assertOrder(sent);
  spool.close();
  rmSync(folder, { recursive: true });
  return counted;
}

test('every line taken is sent, in its lane’s order, whatever happens meanwhile', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      assert.equal(run(actions, boundsOf(1 << 20), 1000), 0);
    }),
    { numRuns: runs(50) },
  );
});

test('a full spool: no lane below its share is refused, what is dropped is counted, the disk’s bound holds', () => {
  let counted = 0;
  fc.assert(
    fc.property(
      fc.array(action, { minLength: 100, maxLength: 300 }),
      fc.integer({ min: 12_000, max: 60_000 }),
      (actions, maxBytes) => void (counted += run(actions, boundsOf(maxBytes), 1 << 20)),
    ),
    { numRuns: runs(40) },
  );
  assert.ok(counted > 0, 'the spool was full, and lines gave way');
});

test('a disk that takes nothing: in memory too no lane below its share is refused, and what is dropped is counted', (t) => {
  if (lacks(t, 'mount')) return;
  let counted = 0;
  fc.assert(
    fc.property(
      fc.array(
        action.filter(({ does }) => does !== 'kill'),
        { minLength: 100, maxLength: 300 },
      ),
      fc.integer({ min: 12_000, max: 60_000 }),
      (actions, memoryBytes) => {
        using disk = new SmallDisk(64);
        disk.fill();
        counted += run(actions, memoryBoundsOf(memoryBytes), 1 << 20, disk.path);
      },
    ),
    { numRuns: runs(40) },
  );
  assert.ok(counted > 0, 'memory was full, and lines gave way');
});
