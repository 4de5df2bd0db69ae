// What is denied while rules change.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { until } from '../../support/e2e-agent.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { BOOT_NS, makeEvent, makeExec } from '../../support/rules-subject.ts';
import { appWith, execs, EXECS, LATER, NONE_DENIED, world } from './verdicts-fixture.ts';

// What waits here keeps no process up.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

test('while the same rules are loaded again, they deny, and no call is filtered', async () => {
  const own = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /own').replace('rule: r', 'rule: own'),
  );
  const denied = new Map([1, 2].map((id) => [id, ['a', 'b', 'own']]));
  const { verdicts, entry, entryOf, tableOf, isFiltered, done } = world({ denied, before: ['a'] });
  const all = [entry(1), entryOf(2, appWith('/x', own)), entry(3)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  // Also the table for containers that nothing is known of.
  await until('all are judged', () => verdicts.isSettled());
  assert.ok([1, 2, 3].every(isFiltered));
  const before = [1, 2].map(tableOf);
  done.length = 0;
  verdicts.leave();
  assert.ok(![1, 2, 3].some(isFiltered), 'the new ones may match anything');
  assert.equal(tableOf(3), undefined);
  assert.deepEqual([1, 2].map(tableOf), before);
  const entered = verdicts.enter(execs());
  assert.notEqual(verdicts.beforeIdentity(9, 2), undefined, 'nor has a new container none');
  // The app's policy is compiled again, too.
  const again = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /own').replace('rule: r', 'rule: own'),
  );
  entryOf(2, appWith('/x', again));
  const renewed = [entry(1), entryOf(2, appWith('/x', again)), entry(3)];
  verdicts.follow(renewed);
  assert.deepEqual([1, 2].map(tableOf), before);
  assert.deepEqual(verdicts.status().denying.rules, ['a', 'b', 'own']);
  await entered;
  await until('all have tables of the new rules', () => verdicts.isSettled());
  assert.ok([1, 2, 3].every(isFiltered));
  assert.ok(!done.some((what) => /^[12] .*: 0$/.test(what)), 'at no time by none');
  assert.deepEqual(verdicts.status().denying.rules, ['a', 'b', 'own']);
});

test('of rules that are loaded again, those that have changed deny nothing until their table is made', async () => {
  const { verdicts, entry, tableOf, done } = world({
    denied: new Map([
      [1, ['a', 'b']],
      [2, ['b']],
    ]),
  });
  await verdicts.enter(EXECS);
  const all = [entry(1), entry(2)];
  verdicts.follow(all);
  await until('both are denied', () => verdicts.status().denying.containers === 2);
  done.length = 0;
  const [a, b] = execs().rules;
  const other = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /other').replace('e: r', 'e: b'),
  );
  assert.ok(a !== undefined && b !== undefined);
  verdicts.leave();
  const entered = verdicts.enter({ rules: [a, ...other.rules] });
  verdicts.follow(all);
  assert.equal(tableOf(2), undefined, 'it was denied by that alone');
  assert.deepEqual(verdicts.status().denying, { ...NONE_DENIED, containers: 1, rules: ['a'] });
  assert.equal(done.filter((what) => what.includes('deny no more')).length, 1);
  await entered;
  await until('they deny as they are now', () => verdicts.status().denying.containers === 2);
  assert.ok(!done.some((what) => /^1 .*: 0$/.test(what)), 'at no time by none');
  assert.deepEqual(verdicts.status().denying.rules, ['a', 'b']);
});

test('where the kernel cannot end one rule alone, nothing is denied until the table is made', async () => {
  const { verdicts, entry, kernel, tableOf } = world({ denied: new Map([[1, ['a', 'b']]]) });
  await verdicts.enter(EXECS);
  verdicts.follow([entry(1)]);
  await until('it is denied', () => verdicts.status().denying.containers === 1);
  const { allowRules } = kernel;
  kernel.allowRules = () => {
    throw new Error('ESRCH');
  };
  const entered = verdicts.enter({ rules: EXECS.rules.slice(0, 1) });
  assert.equal(tableOf(1), undefined);
  kernel.allowRules = allowRules;
  await entered;
  verdicts.follow([entry(1)]);
  await until('it is denied by what is left', () => verdicts.status().denying.containers === 1);
});

test('what is lifted in one app ends there at once, and nothing else, there or in others', async () => {
  const denied = new Map([
    [1, ['a', 'b']],
    [2, ['a', 'b']],
    [3, ['a']],
  ]);
  const { verdicts, entry, tableOf, isFiltered, done } = world({ denied });
  const all = [entry(1), entry(2), entry(3)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  await until('both are denied', () => verdicts.isSettled());
  assert.equal(tableOf(1), tableOf(2));
  const before = tableOf(2);
  done.length = 0;
  denied.set(1, ['b']);
  verdicts.follow(all);
  assert.match(tableOf(1) ?? '', / without 1$/);
  assert.ok(!isFiltered(1), 'the table is one of other rules');
  assert.deepEqual([tableOf(2), isFiltered(2)], [before, true]);
  assert.ok(!done.some((what) => /^[23] /.test(what)), 'the others are told nothing');
  assert.deepEqual([1, 2].map(verdicts.deniesIn.bind(verdicts)), [1, 2]);
  await until('it has a table of its own', () => verdicts.isSettled());
  assert.ok([1, 2].every(isFiltered));
  assert.equal(tableOf(2), before);
  assert.deepEqual([1, 2].map(verdicts.deniesIn.bind(verdicts)), [1, 2]);
  // Back, as when a lift ends.
  denied.set(1, ['a', 'b']);
  verdicts.follow(all);
  await until('both are denied as before', () => verdicts.isSettled());
  assert.deepEqual([tableOf(1), tableOf(2)], [before, before]);
  assert.ok(!done.some((what) => /^[12] .*: 0$/.test(what)), 'at no time by none');
});

test('so it is where the kernel has no memory for that, but for the moment until a table is made', async () => {
  const denied = new Map([1, 2].map((id) => [id, ['a', 'b']]));
  const { verdicts, entry, kernel, tableOf, warned } = world({ denied });
  const all = [entry(1), entry(2)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  await until('both are denied', () => verdicts.isSettled());
  kernel.copies = false;
  denied.set(1, ['b']);
  verdicts.follow(all);
  assert.deepEqual([tableOf(1), verdicts.deniesIn(2)], [undefined, 2]);
  assert.equal(warned.length, 1);
  await until('it has a table of its own', () => verdicts.isSettled());
  assert.deepEqual([1, 2].map(verdicts.deniesIn.bind(verdicts)), [1, 2]);
});

test('what was never denied by the kernel may end without another table', async () => {
  const refused = ruleFile('evt.type = execve and proc.name in (x) and proc.sname = y').replace(
    'e: r',
    'e: c',
  );
  const more = ruleSetOf(refused);
  const denied = new Map([[1, ['a', 'c']]]);
  const { verdicts, entry, tableOf, done } = world({ denied });
  await verdicts.enter({ rules: [...EXECS.rules, ...more.rules] });
  verdicts.follow([entry(1)]);
  await until('it is denied', () => verdicts.isSettled());
  assert.deepEqual(verdicts.status().denying.afterEffect, ['c']);
  const before = tableOf(1);
  done.length = 0;
  denied.set(1, ['a']);
  verdicts.follow([entry(1)]);
  assert.equal(tableOf(1), before);
  assert.ok(!done.some((what) => what.includes('deny no more')));
});

test('while an app’s own rules change, it is denied what it was, and others are filtered anew', async () => {
  const denied = new Map([1, 2].map((id) => [id, ['a']]));
  const { verdicts, entry, entryOf, tableOf, isFiltered, done } = world({ denied });
  const policy = appWith('/x');
  await verdicts.enter(EXECS);
  verdicts.follow([entryOf(1, policy), entryOf(2, policy), entry(3)]);
  await until('all are judged', () => verdicts.status().containers === 3);
  assert.equal(tableOf(1), tableOf(2));
  done.length = 0;
  verdicts.follow([entryOf(1, appWith('/y')), entryOf(2, policy), entry(3)]);
  assert.ok(!isFiltered(1), 'its own rules may match what the table keeps back');
  assert.ok(isFiltered(3));
  await until('both are filtered', () => verdicts.isSettled());
  assert.ok([1, 2, 3].every(isFiltered));
  assert.notEqual(tableOf(1), tableOf(2));
  assert.ok(!done.some((what) => /^[12] .*: 0$/.test(what)), 'at no time by none');
});

test('while other rules are switched off in a flood, what denies is denied all the while', async () => {
  const denied = new Map([
    [1, ['a']],
    [2, ['a', 'b']],
  ]);
  const { verdicts, entry, tableOf, isFiltered, done, time } = world({ denied });
  const all = [entry(1), entry(2)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  await until('both are judged', () => verdicts.status().denying.containers === 2);
  const [before] = [1, 2].map(tableOf);
  done.length = 0;
  const fewer = {
    rules: EXECS.rules.map((rule) => (rule.name === 'b' ? { ...rule, enabled: false } : rule)),
  };
  time.bootNs = LATER;
  // As the agent does when it sheds rules: apps' policies change in between.
  verdicts.endDenyingBut(fewer);
  // Denied before that, and evaluated after it.
  const exec = makeExec();
  const event = makeEvent('execve', { cgroupId: 2, denied: true, exec, bootNs: BOOT_NS });
  assert.equal(verdicts.onDeniedInVain(event, 'none'), false);
  verdicts.follow(all);
  assert.ok([1, 2].every(isFiltered), 'the flood is not let in');
  const entered = verdicts.enter(fewer);
  const cut = done.filter((what) => what.includes('deny no more'));
  assert.equal(cut.length, 1, 'what is off has denied by one table');
  assert.deepEqual(verdicts.status().denying.rules, ['a']);
  // Each second, also before the other rules are in force.
  verdicts.follow(all);
  assert.ok(tableOf(1) === before);
  await entered;
  verdicts.follow(all);
  await until('its table is of the rules that are left', () => verdicts.isSettled());
  assert.ok(!done.some((what) => /^[12] .*: 0$/.test(what)), 'at no time by none');
  assert.deepEqual(verdicts.status().denying.rules, ['a']);
  assert.equal(tableOf(1), tableOf(2));
  // All are on again.
  verdicts.leave();
  const again = verdicts.enter(EXECS);
  verdicts.follow(all);
  assert.ok(!done.some((what) => /^[12] .*: 0$/.test(what)));
  await again;
  verdicts.follow(all);
  await until('both are denied as before', () => verdicts.isSettled());
  assert.deepEqual(verdicts.status().denying.rules, ['a', 'b']);
  assert.ok(!done.some((what) => /^[12] .*: 0$/.test(what)));
});

test('so it is where a rule that is off was the only one to ask what the container is', async () => {
  const asking = 'evt.type = open and app.name = shop and fd.name = /x';
  const { rules } = ruleSetOf(
    [
      ruleFile('evt.type = execve and proc.exepath = /a').replace('rule: r', 'rule: a'),
      ruleFile(asking).replace('rule: r', 'rule: c'),
    ].join('\n'),
  );
  const { verdicts, entry, tableOf, done } = world({ denied: new Map([[1, ['a']]]) });
  const all = [entry(1)];
  await verdicts.enter({ rules });
  verdicts.follow(all);
  await until('it is denied', () => verdicts.status().denying.containers === 1);
  done.length = 0;
  const fewer = {
    rules: rules.map((rule) => (rule.name === 'c' ? { ...rule, enabled: false } : rule)),
  };
  await verdicts.enter(fewer);
  verdicts.follow(all);
  await until('its table is of the rules that are left', () => verdicts.isSettled());
  assert.notEqual(tableOf(1), undefined);
  assert.ok(!done.some((what) => /^1 .*: 0$/.test(what)), 'at no time by none');
});
