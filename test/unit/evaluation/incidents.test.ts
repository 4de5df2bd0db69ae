import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from '../../../src/apps/identity.ts';
import type { Process } from '../../../src/context/process.ts';
import { START_NS } from '../../../src/evaluation/cause.ts';
import {
  EFFECT_MS,
  GAP_MS,
  Incidents,
  MAX_BEGUN,
  MAX_CONTAINERS,
  MAX_MS,
  MAX_ROOTS,
  QUIET_MS,
} from '../../../src/evaluation/incidents.ts';
import { CONTAINER, makeProcess, RUNTIME } from '../../support/rules-subject.ts';
import { appear, appWorld, shadow } from './app-world.ts';

const S = 1_000_000_000n;
const NOW = 5000n * S;

/** Lines of processes of one container; `at` is in ms after an hour or so of its life. */
function world(container: Container = CONTAINER) {
  const incidents = new Incidents('cell-1');
  let pid = 100;
  return {
    incidents,
    process: (parent: Process, startedMs = 0, vpid = ++pid): Process =>
      makeProcess({ pid: ++pid, vpid, parent, startBootNs: NOW + BigInt(startedMs) * 1_000_000n }),
    line: (process: Process, atMs = 0, rule = `Rule ${++pid}`, of = container): string =>
      incidents.of({
        rule,
        process,
        container: of,
        cgroupId: 7,
        bootNs: NOW + BigInt(Math.round(atMs * 1000)) * 1000n,
      }),
  };
}

/** The container's first process, far older than what happens. */
const FIRST = makeProcess({
  pid: CONTAINER.initPid,
  vpid: 1,
  parent: RUNTIME,
  startBootNs: 1000n * S,
});

test('a reverse shell is one incident: its processes, in any order', () => {
  const { line, process } = world();
  const script = process(FIRST, -50);
  const nc = process(script, -40);
  const shell = process(nc, -30);
  const ids = [line(nc), line(shell, 5), line(process(shell, 6), 900), line(script, 1000)];
  assert.equal(new Set(ids).size, 1);
  assert.match(ids[0]!, /^[a-z][0-9a-z]{7}$/);
  const other = process(FIRST, -60);
  assert.notEqual(line(other, 1000), ids[0], 'what only the first process has in common is not');
  assert.notEqual(line(FIRST, 1001), ids[0]);
});

test('a program that has taken over the first process: what it starts then is its doing', () => {
  const { line, process } = world();
  const before = process(FIRST, -11);
  const id = line(FIRST, 0);
  assert.equal(line(FIRST, 40), id);
  const child = process(FIRST, 45);
  assert.equal(line(process(child, 50), 60), id);
  assert.notEqual(line(before, 61), id, 'it ran before');
  assert.notEqual(line(process(FIRST, 41 + EFFECT_MS), 45 + EFFECT_MS), id, 'it came too late');
});

test('what the app starts with stands for nobody but itself', () => {
  const { line, process } = world();
  const server = makeProcess({ pid: 50, vpid: 7, parent: FIRST, startBootNs: 1002n * S });
  const [one, other] = [process(server), process(server)];
  assert.notEqual(line(one), line(other));
  const late = makeProcess({ pid: 51, parent: FIRST, startBootNs: 1000n * S + START_NS });
  assert.equal(line(process(late)), line(process(late)));
});

test('what is put in from outside is a cause of its own, also at the very start', () => {
  const { line, process } = world();
  const shell = makeProcess({ pid: 60, vpid: 40, parent: RUNTIME, startBootNs: 1000n * S });
  assert.equal(line(process(shell)), line(process(shell)));
  assert.notEqual(line(process(shell)), line(process(FIRST)));
});

test('where nobody knows how it came in, the oldest process known stands for nobody else', () => {
  const { line, process } = world();
  const orphan = makeProcess({ pid: 70, vpid: 41, parent: undefined, startBootNs: 1500n * S });
  assert.notEqual(line(process(orphan)), line(process(orphan)));
  const { line: without, process: of } = world({ ...CONTAINER, runtime: 'cgroup' });
  assert.notEqual(without(of(FIRST)), without(of(FIRST)));
});

test('an incident ends by silence, and by its age', () => {
  const { line, process } = world();
  const shell = process(FIRST);
  const id = line(shell);
  assert.equal(line(shell, GAP_MS), id);
  assert.equal(line(shell, GAP_MS - 5), id, 'a line that comes late');
  assert.notEqual(line(shell, 2 * GAP_MS + 1), id);
  const steady = process(FIRST);
  const ids = new Set<string>();
  for (let at = 0; at <= MAX_MS + GAP_MS; at += GAP_MS / 2) ids.add(line(steady, at));
  assert.equal(ids.size, 2);
});

test('a rule begins only so many incidents; what comes then is one, until the rule was silent for long', () => {
  const { line, process } = world();
  const noise = (at: number): string => line(process(FIRST, at - 1), at, 'Noise');
  const ids = Array.from({ length: 50 }, (_, n) => noise(n * 1000));
  assert.equal(new Set(ids).size, MAX_BEGUN + 1);
  assert.equal(new Set(ids.slice(MAX_BEGUN)).size, 1);
  const attacker = process(FIRST, 49_500);
  assert.equal(line(attacker, 49_501, 'Noise'), ids.at(-1));
  const attack = line(attacker, 49_502, 'Another');
  assert.ok(!ids.includes(attack), 'another rule has a page of its own');
  assert.equal(line(attacker, 49_503, 'Noise'), attack);
  assert.ok(![...ids, attack].includes(noise(49_503 + QUIET_MS + 1)));
});

test('containers and hosts share none; two agents of a host give the same line the same', () => {
  const one = world();
  const shell = one.process(FIRST);
  const id = one.line(shell);
  const other = { ...CONTAINER, fullId: 'cd'.repeat(32) };
  assert.notEqual(one.line(shell, 0, 'Rule', other), id);
  const line = { rule: 'Any', process: shell, container: CONTAINER, cgroupId: 7, bootNs: NOW };
  assert.equal(new Incidents('cell-1').of(line), id);
  assert.notEqual(new Incidents('cell-2').of(line), id);
  assert.match(new Incidents('cell-1').of({ ...line, container: undefined }), /^[a-z]/);
});

test('a start that becomes known exactly is the same process', () => {
  const { line } = world();
  const shell = { ...makeProcess({ pid: 80, parent: FIRST }), startBootNs: 4999n * S };
  const id = line(shell);
  assert.equal(line({ ...shell, startBootNs: shell.startBootNs + 9_999_999n }, 1), id);
  assert.notEqual(line({ ...shell, startBootNs: shell.startBootNs + 10_000_000n }, 2), id);
});

test('what is forgotten costs an incident: the longest silent of a container, and of the host', () => {
  const { line, process } = world();
  const shells = Array.from({ length: MAX_ROOTS + 1 }, () => process(FIRST));
  const ids = shells.map((shell) => line(shell));
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(line(shells.at(-1)!, 1), ids.at(-1));
  assert.notEqual(line(shells[0]!, 1), ids[0]);
  const last = line(shells.at(-1)!, 2);
  for (let n = 0; n < MAX_CONTAINERS; n++)
    line(shells[0]!, 3, 'Rule', { ...CONTAINER, fullId: `other ${n}` });
  assert.notEqual(line(shells.at(-1)!, 4), last);
});

test('each line has an incident: those of one process the same one, also where an event waited', () => {
  const { registry, evaluation, delivered, decide } = appWorld();
  appear(registry);
  const shell = makeProcess({ pid: 300 });
  evaluation.onEvent(shadow, shell);
  evaluation.onEvent(shadow, makeProcess({ pid: 301 }));
  decide(true);
  evaluation.onEvent(shadow, shell);
  const [first, other, later] = delivered.map(({ incident }) => incident);
  assert.equal(delivered.length, 3);
  assert.match(first ?? '', /^[a-z][0-9a-z]{7}$/);
  assert.equal(later, first);
  assert.notEqual(other, first);
});
