// What is denied in containers of which it is not known yet whose they are.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import { followedScope } from '../../../src/agent/scope.ts';
import type { KernelVerdicts } from '../../../src/agent/verdicts.ts';
import { until } from '../../support/e2e-agent.ts';
import { makeEvent, makeExec } from '../../support/rules-subject.ts';
import { EXECS, LATER, NONE_DENIED, RULES, world } from './verdicts-fixture.ts';

// What waits here keeps no process up.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

const PENDING = { resolution: { state: 'pending', sinceMs: 0 } } as Partial<RegistryEntry>;

/** Resolves when the table for such containers is there. */
const untilReady = (verdicts: KernelVerdicts): Promise<unknown> =>
  until('its table is there', () => verdicts.beforeIdentity(1000, 2) !== undefined);

test('by default nothing is denied there, and no table is made for it', async () => {
  const { verdicts, entry, tableOf } = world({ denied: new Map([[2, ['a']]]) });
  await verdicts.enter(EXECS);
  verdicts.follow([entry(1, PENDING), entry(2)]);
  await until('the other is judged', () => verdicts.status().containers === 1);
  assert.equal(tableOf(1), undefined);
  assert.equal(verdicts.beforeIdentity(3, 2), undefined);
});

test('a container has the table from the moment that the agent knows its cgroup', async () => {
  const { verdicts, entry, kernel, tableOf, done } = world({ before: ['a'] });
  await verdicts.enter(EXECS);
  // Its table is there before the first of them.
  verdicts.follow([]);
  await untilReady(verdicts);
  const scope = followedScope(() => ({
    probe: {
      scope: {
        set: (cgroupId, state, _level, table = 0) => {
          done.push(`${cgroupId} ${state} ${table}`);
          kernel.told.set(cgroupId, table);
        },
        delete: () => undefined,
        get: () => undefined,
        entries: () => [],
      },
    },
    attachment: { onScoped: () => undefined, onUnscoped: () => undefined },
    report: { forgetCgroup: () => undefined },
    losses: { forget: () => undefined },
    verdicts,
  }));
  scope.set(1, 'pending', 2);
  scope.set(2, 'excluded', 2);
  assert.notEqual(tableOf(1), undefined);
  assert.equal(tableOf(2), undefined, 'one that is out of scope');
  // It still has it when containers are looked at, and so has one whose app is known, but not its policy.
  const { entryOf, ...second } = world({ before: ['a'] });
  await second.verdicts.enter(EXECS);
  second.verdicts.follow([second.entry(1, PENDING), entryOf(2, undefined)]);
  await until('both are judged', () => second.verdicts.status().containers === 2);
  assert.equal(second.tableOf(1), second.tableOf(2));
  assert.deepEqual(second.verdicts.status().denying, {
    ...NONE_DENIED,
    containers: 2,
    rules: ['a'],
  });
  assert.deepEqual(verdicts.denied().containers, [], 'nobody knows of which app');
  assert.equal(entry(1).cgroupId, 1);
});

test('it filters nothing: an app’s own rules may be about any call', async () => {
  const { verdicts, entry, tableOf } = world({ before: ['a'] });
  const only = world({ denied: new Map([[1, ['a']]]) });
  await verdicts.enter(EXECS);
  await only.verdicts.enter(EXECS);
  verdicts.follow([entry(1, PENDING)]);
  only.verdicts.follow([only.entry(1)]);
  await until('both are judged', () =>
    [verdicts, only.verdicts].every((one) => one.status().containers === 1),
  );
  assert.notEqual(tableOf(1), only.tableOf(1));
});

test('a container keeps the table until its own is made, if that denies as much; else it has none until then', async () => {
  const { verdicts, entry, kernel, tableOf } = world({
    before: ['a'],
    denied: new Map([
      [1, ['a', 'b']],
      [2, ['b']],
    ]),
  });
  await verdicts.enter(EXECS);
  verdicts.follow([entry(1, PENDING), entry(2, PENDING)]);
  await until('both are judged', () => verdicts.status().containers === 2);
  const before = tableOf(1);
  verdicts.follow([entry(1), entry(2)]);
  assert.equal(tableOf(1), before);
  assert.equal(tableOf(2), undefined, 'to this one a is not denied');
  await until('both have their own', () => tableOf(1) !== before && tableOf(2) !== undefined);
  assert.notEqual(kernel.told.get(1), kernel.told.get(2));
  // Out of scope after all.
  verdicts.follow([
    entry(1, { resolution: { state: 'excluded', reason: 'it did not ask' } }),
    entry(2),
  ]);
  assert.equal(tableOf(1), undefined);
});

test('a container keeps the table, too, if its app is known before containers are looked at', async () => {
  const { verdicts, entry, kernel, tableOf } = world({
    before: ['a'],
    denied: new Map([[1, ['a', 'b']]]),
  });
  /** As the scope map is told of new containers. */
  const appears = (cgroupId: number): number =>
    kernel.told.set(cgroupId, verdicts.beforeIdentity(cgroupId, 2) ?? 0).get(cgroupId) ?? 0;
  await verdicts.enter(EXECS);
  verdicts.follow([]);
  await untilReady(verdicts);
  assert.notEqual(appears(1), 0);
  const before = tableOf(1);
  verdicts.follow([entry(1)]);
  assert.equal(tableOf(1), before);
  await until('it has its own', () => tableOf(1) !== before);
  assert.notEqual(tableOf(1), undefined);
  // Other rules come before it is looked at.
  assert.notEqual(appears(2), 0);
  verdicts.leave();
  assert.notEqual(kernel.told.get(2), 0, 'it is denied until it is known what they are');
  void verdicts.enter(RULES);
  assert.equal(kernel.told.get(2), 0);
});

test('what no rule matches there is given up there only, and not if the app’s own rules let it pass', async () => {
  const { verdicts, entry, tableOf, time } = world({
    before: ['a'],
    denied: new Map([[2, ['a']]]),
  });
  await verdicts.enter(EXECS);
  const all = [entry(1, PENDING), entry(2)];
  verdicts.follow(all);
  await until('both are judged', () => verdicts.status().containers === 2);
  time.bootNs = LATER;
  const event = makeEvent('execve', { cgroupId: 1, denied: true, exec: makeExec() });
  assert.equal(verdicts.onDeniedInVain(event, 'asked'), false);
  assert.equal(verdicts.status().denying.inVain, 0);
  assert.equal(verdicts.onDeniedInVain(event, 'none'), true);
  verdicts.follow(all);
  await until('the other is denied it again', () => verdicts.status().denying.containers === 1);
  assert.equal(tableOf(1), undefined);
  assert.notEqual(tableOf(2), undefined);
  assert.equal(verdicts.status().denying.inVain, 1);
});

test('what no rule in force denies is not denied there any more, and of rules that can deny nothing there is no table', async () => {
  const { verdicts, entry, tableOf } = world({ before: ['a', 'r'] });
  await verdicts.enter(EXECS);
  verdicts.follow([entry(1, PENDING)]);
  await until('it is judged', () => verdicts.status().containers === 1);
  const entered = verdicts.enter(RULES);
  assert.equal(tableOf(1), undefined);
  assert.equal(verdicts.beforeIdentity(2, 2), undefined);
  await entered;
  verdicts.follow([entry(1, PENDING)]);
  assert.equal(
    verdicts.beforeIdentity(2, 2),
    undefined,
    'r is about opens, which nothing refuses here',
  );
});
