// Policies of apps on a cell: the droplet comes when Garden's container is there already, the app later still.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  PLAIN,
  DROPLET,
  START_TICKS,
  START_NS,
  INIT_NS,
  world,
  found,
  garden,
  BEGUN_NS,
} from './policy-files-fixture.ts';

const staged = (policy: string): string => JSON.stringify({ format: 1, policy });

test('Garden: the droplet comes after the first process; it is verified if it was there before any other program', () => {
  const { policies, put, begin, cell, answered } = world();
  cell([]);
  begin(2, INIT_NS, 1, 8);
  assert.equal(policies.lookInto(garden, [8], true), 'empty', 'it may still come');
  put(DROPLET, staged('rules: []'), BEGUN_NS - 21_000_000n);
  cell([9]);
  begin(2, BEGUN_NS, 20);
  assert.deepEqual(answered, ['garden h']);
  assert.deepEqual(policies.textOf(garden), {
    name: 'varvel.yml',
    text: 'rules: []',
    trust: 'verified',
  });
});

test('Garden: what its runtime runs in the container’s cgroup, before there is a pid namespace, is no program of the app', () => {
  const { policies, put, begin, cell, answered } = world();
  cell([]);
  // Where it was not seen to come into the container: its number is that of the host.
  begin(2, INIT_NS - 1n, 4711, 4711);
  begin(2, INIT_NS, 1, 8);
  put(DROPLET, staged('rules: []'), BEGUN_NS - 21_000_000n);
  cell([9]);
  begin(2, BEGUN_NS, 20);
  assert.deepEqual(answered, ['garden h']);
  assert.equal(found(policies.textOf(garden))?.trust, 'verified');
});

test('Garden: what the app’s first program changes at once is not verified', () => {
  for (const [changedNs, why] of [
    [BEGUN_NS - 19_000_000n, /changed 19 ms before the app started: 20 ms are within/],
    [BEGUN_NS + 7_000_000n, /changed 7 ms after the app had started$/],
  ] as const) {
    const { policies, put, begin, cell } = world();
    cell([9]);
    put(DROPLET, staged('rules: []'), changedNs);
    begin(2, BEGUN_NS, 20);
    const text = found(policies.textOf(garden));
    assert.equal(text?.trust, 'unverified', String(changedNs));
    assert.match(text.note ?? '', why);
  }
});

test('Garden: the first program counts, also where the file is found later', () => {
  for (const [changedNs, trust] of [
    [BEGUN_NS - 30_000_000n, 'verified'],
    [BEGUN_NS + 30_000_000n, 'unverified'],
  ] as const) {
    const { policies, put, begin, cell, time } = world();
    cell([9]);
    begin(2, BEGUN_NS, 20);
    assert.equal(policies.answerOf(garden), undefined);
    begin(2, BEGUN_NS * 2n, 21);
    put(DROPLET, staged('rules: []'), changedNs);
    time.bootNs = BEGUN_NS * 3n;
    assert.equal(policies.lookInto(garden, [9, 8], false), 'answered');
    assert.equal(found(policies.textOf(garden))?.trust, trust);
  }
});

test('Garden: where the first program may have been missed, nothing is verified', () => {
  const late = world();
  late.cell([9], 'not seen');
  late.put(DROPLET, staged('rules: []'));
  late.begin(2, BEGUN_NS, 20);
  const notSeen = found(late.policies.textOf(garden));
  assert.equal(notSeen?.trust, 'unverified');
  assert.equal(notSeen.note, 'unverified, as the start of the container itself was not seen');

  const lost = world();
  lost.cell([9]);
  lost.put(DROPLET, staged('rules: []'));
  lost.policies.onProcessRecordsLost(2);
  lost.begin(2, BEGUN_NS, 20);
  assert.equal(lost.policies.lookInto(garden, [9, 8], false), 'answered');
  const lostText = found(lost.policies.textOf(garden));
  assert.equal(lostText?.trust, 'unverified');
  assert.equal(lostText.note, 'unverified, as records of when its programs started were lost');

  const never = world();
  never.cell([9]);
  never.put(DROPLET, staged('rules: []'));
  assert.equal(never.policies.lookInto(garden, [9, 8], false), 'empty', 'its record is on its way');
  never.time.bootNs += 3_000_000_001n;
  for (let look = 1; look < 40; look++)
    assert.equal(never.policies.lookInto(garden, [9, 8], false), 'empty');
  assert.equal(never.policies.lookInto(garden, [9, 8], false), 'answered');
  const text = found(never.policies.textOf(garden));
  assert.equal(text?.trust, 'unverified');
  assert.equal(text.note, 'unverified, as no program of the app was seen to start');
});

test('Garden: a host that gives the agent no time for long takes no trust: the first program’s record comes before 40 more looks', () => {
  const { policies, put, begin, cell, time } = world();
  cell([9]);
  put(DROPLET, staged('rules: []'));
  assert.equal(policies.lookInto(garden, [9, 8], false), 'empty', 'its record is on its way');
  time.bootNs += 60_000_000_000n;
  // Timers come first when the agent runs again, then the ring.
  assert.equal(policies.lookInto(garden, [9, 8], false), 'empty', 'it still is');
  begin(2, BEGUN_NS, 20);
  assert.equal(found(policies.textOf(garden))?.trust, 'verified');
});

test('Garden: where many containers wait, so that a look comes once in many turns, three in 15 s are enough', () => {
  const { policies, put, cell, time } = world();
  cell([9]);
  put(DROPLET, staged('rules: []'));
  assert.equal(policies.lookInto(garden, [9, 8], false), 'empty');
  for (const seconds of [7, 7]) {
    time.bootNs += BigInt(seconds) * 1_000_000_000n;
    assert.equal(policies.lookInto(garden, [9, 8], false), 'empty');
  }
  time.bootNs += 1_000_000_000n;
  assert.equal(policies.lookInto(garden, [9, 8], false), 'answered');
  assert.equal(found(policies.textOf(garden))?.trust, 'unverified');
});

test('Garden: a sidecar’s image says nothing of the app, and takes nothing away', () => {
  const { policies, put, begin, cell, sidecars, time } = world();
  cell([9]);
  sidecars.add(9);
  assert.equal(policies.isWanted(2), false, 'nobody looks through what the runtime sets up');
  put(PLAIN, 'rules: []');
  policies.lookAtSetup(2, 9, START_TICKS);
  assert.equal(policies.answerOf(garden), undefined);
  begin(2, BEGUN_NS, 1);
  time.bootNs += 60_000_000_000n;
  assert.equal(policies.lookInto(garden, [9, 8], true), 'empty', 'the app has not begun');
});

test('Garden: half of a droplet is not read', () => {
  const { policies, put, begin, cell, time } = world();
  cell([9]);
  put(DROPLET, '{"format":1,"pol', time.bootNs - 999_000_000n);
  assert.equal(policies.lookInto(garden, [8, 9], false), 'empty');
  put(DROPLET, staged('rules: []'), time.bootNs - 999_000_000n);
  begin(2, BEGUN_NS, 20);
  assert.equal(found(policies.textOf(garden))?.trust, 'verified');
});

test('Garden: once the app has run for a second without a file there is none', () => {
  const { policies, cell, begin, time } = world();
  cell([9]);
  assert.equal(policies.lookInto(garden, [8, 9], false), 'empty');
  begin(2, BEGUN_NS, 20);
  assert.equal(policies.lookInto(garden, [8, 9], false), 'empty');
  time.bootNs = START_NS + 1_000_000_000n;
  assert.equal(policies.lookInto(garden, [8, 9], false), 'answered');
  assert.equal(policies.answerOf(garden), 'none');
});

test('Garden: verified stays verified for the next agent, whatever the file says by then', () => {
  const { policies, put, begin, cell, folder } = world();
  cell([9]);
  put(DROPLET, staged('rules: []'));
  begin(2, BEGUN_NS, 20);
  assert.equal(found(policies.textOf(garden))?.trust, 'verified');
  for (const seen of ['seen', 'not seen'] as const) {
    const next = world({ folder });
    next.cell([9], seen);
    next.put(DROPLET, staged('rules: [] # other'), START_NS * 9n);
    assert.equal(next.policies.lookInto(garden, [8, 9], false), 'answered');
    const { text, trust, note } = found(next.policies.textOf(garden)) ?? {};
    assert.deepEqual([text, trust], ['rules: []', 'verified']);
    assert.match(note ?? '', /another now than when the app started/);
  }
  const next = world({ folder });
  next.cell([9], 'not seen');
  next.begin(2, BEGUN_NS * 2n, 21);
  assert.equal(found(next.policies.textOf(garden))?.trust, 'verified', 'found by a program');
});

test('a handle of Garden’s that is another container’s now has no pin, and no answer', () => {
  const { policies, put, begin, cell, folder } = world();
  cell([9]);
  put(DROPLET, staged('rules: []'));
  begin(2, BEGUN_NS, 20);
  assert.equal(found(policies.textOf(garden))?.trust, 'verified');
  policies.forget('garden', 'h');
  assert.equal(policies.answerOf(garden), undefined);
  begin(2, BEGUN_NS, 20);
  assert.ok(policies.textOf(garden));
  const other = world({ folder, bootId: 'after the boot' });
  other.cell([]);
  assert.equal(other.policies.lookInto(garden, [8], false), 'empty');
  const same = world({ folder });
  same.cell([]);
  assert.equal(same.policies.lookInto(garden, [8], false), 'answered');
});
