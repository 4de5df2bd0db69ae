import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoverageLines, type Covered } from '../../../src/agent/coverage-lines.ts';
import type { SpooledCounters } from '../../../src/streams/spool/spooled-stream.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const container = containerOf();

/** Of a stream that has sent all. */
const SPOOLED: SpooledCounters = {
  sent: 1,
  spool: {
    waiting: 0,
    bytes: 0,
    maxBytes: 1,
    recovered: 0,
    unreadBytes: 0,
    refused: 0,
    dropped: 0,
    givenUp: 0,
    inMemory: 0,
    setAside: 0,
  },
  receiver: { connects: 1, connectFailures: 0 },
  refused: 0,
  retries: 0,
};

function covered(more: Partial<Covered> = {}): Covered {
  return {
    cgroupId: 7,
    path: '/apps/one',
    resolution: { state: 'included', container },
    sinceMs: 0,
    goneAtMs: undefined,
    emitted: 10,
    dropped: 1,
    ...more,
  };
}

function lines(): { coverage: CoverageLines; said: Detection[] } {
  const said: Detection[] = [];
  const coverage = new CoverageLines({
    intervalMs: 60_000,
    version: '1.2.3',
    rules: () => 71,
    fanOut: { suppressedOf: () => 4, lastLineOf: () => 12 },
    isOwn: (path) => path.startsWith('/own/'),
    say: (line) => void said.push(line),
  });
  return { coverage, said };
}

const facts = (said: readonly Detection[]): unknown[] =>
  said.map(({ outputFields: fields }) => [fields['coverage.when'], fields['coverage.events']]);

test('what is the agent’s own is no app that is watched', () => {
  const { coverage, said } = lines();
  coverage.onTick([covered({ path: '/own/one' })], 60_000);
  coverage.stop();
  assert.deepEqual(facts(said), []);
});

test('after five seconds, every so often, and at its end', () => {
  const { coverage, said } = lines();
  coverage.onTick([covered()], 4_999);
  assert.deepEqual(facts(said), []);
  coverage.onTick([covered()], 5_000);
  coverage.onTick([covered({ emitted: 20 })], 64_999);
  coverage.onTick([covered({ emitted: 30 })], 65_000);
  coverage.onTick([covered({ emitted: 40 })], 70_000);
  coverage.onTick([covered({ goneAtMs: 71_000 })], 72_000);
  coverage.onTick([], 73_000);
  assert.deepEqual(facts(said), [
    ['start', 10],
    ['running', 30],
    ['stop', 40],
  ]);
  const [first] = said;
  assert.equal(first?.priority, 'Informational');
  assert.equal(first.rule, 'Varvel: coverage');
  assert.equal(first.container, container);
  assert.equal(
    first.output,
    'This container is watched by varvel 1.2.3 with 71 rules: 10 events seen, 1 lost, 4 detections counted instead of written; its last line is number 12',
  );
});

test('what is denied, and since when lines of the app’s team wait', () => {
  const said: Detection[] = [];
  const at = Date.UTC(2026, 0, 2);
  const counters = { delivered: 0, failed: 0, dropped: 0 };
  const down = (sinceMs: number): SpooledCounters => ({
    ...SPOOLED,
    down: { sinceMs, reason: 'ECONNREFUSED' },
  });
  const coverage = new CoverageLines({
    intervalMs: 60_000,
    version: '1',
    rules: () => 9,
    fanOut: { suppressedOf: () => 0, lastLineOf: () => 3 },
    deniesIn: (cgroupId) => (cgroupId === 7 ? 2 : 0),
    streams: () => [
      { audience: 'tenant', counters: () => counters },
      { audience: 'tenant', counters: () => SPOOLED },
      { audience: 'tenant', counters: () => down(at + 5) },
      { audience: 'tenant', counters: () => down(at) },
      // Of the operator's receivers tenants are not told.
      { audience: 'operator', counters: () => down(at - 7) },
    ],
    skipped: () => 4,
    say: (line) => void said.push(line),
  });
  coverage.onTick([covered()], 5_000);
  coverage.onTick([], 10_000);
  const [first, last] = said;
  assert.equal(
    first?.output,
    'This container is watched by varvel 1 with 9 rules, of which 2 deny: 10 events seen, 1 lost, 0 detections counted instead of written; its last line is number 3; the kernel skipped 4 events on this host so far, some may be of this container; a receiver takes no lines since 2026-01-02T00:00:00.000Z, they wait',
  );
  const facts = (line: Detection | undefined): unknown[] =>
    ['coverage.denies', 'coverage.skipped_on_host', 'coverage.lines_wait_since'].map(
      (name) => line?.outputFields[name],
    );
  assert.deepEqual(facts(first), [2, 4, '2026-01-02T00:00:00.000Z']);
  // At its end nothing is denied there any more.
  assert.deepEqual(facts(last), [null, null, null]);
});

test('what was dropped before it was known whose container it is counts as lost', () => {
  const said: Detection[] = [];
  const coverage = new CoverageLines({
    intervalMs: 60_000,
    version: '1',
    rules: () => 1,
    fanOut: { suppressedOf: () => 0, lastLineOf: () => 0 },
    heldDropsOf: (rootCgroupId) => (rootCgroupId === 7 ? 41 : 0),
    say: (line) => void said.push(line),
  });
  coverage.onTick([covered()], 5_000);
  assert.equal(said[0]?.outputFields['coverage.lost'], 42);
});

test('of one that there is no room to watch nothing is said: silence is the truth', () => {
  const { coverage, said } = lines();
  coverage.onTick([covered({ unwatched: true, emitted: 0, dropped: 0 })], 5_000);
  assert.deepEqual(said, []);
});

test('what was lost in a container’s last second is in its last line', () => {
  const { coverage, said } = lines();
  coverage.onTick([covered()], 5_000);
  coverage.onTick([covered({ goneAtMs: 5_500, emitted: 12, dropped: 9 })], 6_000);
  assert.match(said.at(-1)!.output, /12 events seen, 9 lost/);
});

test('an id that comes again for another app, or whose app is not certain any more: each is told its own end', () => {
  const { coverage, said } = lines();
  const of = (guid: string | undefined): Covered => {
    const id = { fullId: 'h', runtime: 'garden' } as const;
    const owned =
      guid === undefined
        ? { ...containerOf(id), app: undefined, doubt: 'Two apps are named.' }
        : containerOf(id, { guid, instance: '0' });
    return covered({ resolution: { state: 'included', container: owned } });
  };
  coverage.onTick([of('app-1')], 60_000);
  coverage.onTick([of('app-2')], 61_000);
  coverage.onTick([of(undefined)], 62_000);
  coverage.onTick([], 63_000);
  const told = said.map(({ outputFields: fields, container: { app } = containerOf() }) => [
    app?.guid,
    fields['coverage.when'],
  ]);
  assert.deepEqual(told, [
    ['app-1', 'start'],
    ['app-2', 'start'],
    ['app-1', 'stop'],
    [undefined, 'start'],
    ['app-2', 'stop'],
    [undefined, 'stop'],
  ]);
});

test('not of what is not watched, or ends at once; of several cgroups the sum', () => {
  const { coverage, said } = lines();
  const pending = { state: 'pending' as const, rootCgroupId: 7, sinceMs: 0 };
  coverage.onTick([covered({ resolution: pending })], 60_000);
  coverage.onTick([covered({ sinceMs: 58_000 })], 60_000);
  coverage.onTick([], 62_000);
  assert.deepEqual(said, []);
  coverage.onTick([covered(), covered({ emitted: 5 })], 60_000);
  assert.deepEqual(facts(said), [['start', 15]]);
});

test('at the agent’s end: that nobody watches from now on', () => {
  const { coverage, said } = lines();
  coverage.onTick([covered()], 5_000);
  coverage.stop();
  coverage.stop();
  assert.deepEqual(facts(said), [
    ['start', 10],
    ['agent stop', 10],
  ]);
  assert.match(said[1]?.output ?? '', /is not watched from now on, and was by varvel/);
});

test('that an app’s own rules are paused is told with its policy', () => {
  const said: Detection[] = [];
  const coverage = new CoverageLines({
    intervalMs: 60_000,
    version: '1.2.3',
    rules: () => 71,
    fanOut: { suppressedOf: () => 0, lastLineOf: () => 0 },
    policyOf: () => 'in force',
    ownRulesPaused: () => true,
    say: (line) => void said.push(line),
  });
  coverage.onTick([covered()], 5_000);
  assert.match(
    said[0]?.output ?? '',
    / \(its own policy is in force, its own rules are paused\): /,
  );
  assert.equal(said[0]?.outputFields['coverage.own_rules_paused'], true);
});
