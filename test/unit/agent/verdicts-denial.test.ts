// What the kernel is told to deny, and for which containers.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { LIMITS } from '../../../src/events/table.gen.ts';
import { until } from '../../support/e2e-agent.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { BOOT_NS, makeEvent, makeExec } from '../../support/rules-subject.ts';
import { appWith, execs, EXECS, LATER, NONE_DENIED, world } from './verdicts-fixture.ts';

// What waits here keeps no process up.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

test('containers whose app is denied other programs have tables of their own', async () => {
  const denied = new Map([
    [1, ['a']],
    [2, ['a', 'b']],
  ]);
  const { verdicts, entry, entryOf, tableOf } = world({ denied });
  const policied = entryOf(4, appWith('/x'));
  const all = [entry(1), entry(2), entry(3), policied];
  await verdicts.enter(EXECS);
  const follow = async (): Promise<void> => {
    verdicts.follow(all);
    await until('all are judged', () => verdicts.status().containers === 4);
  };
  await follow();
  assert.equal(new Set([1, 2, 3].map(tableOf)).size, 3);
  assert.deepEqual(verdicts.status().denying, {
    ...NONE_DENIED,
    containers: 2,
    rules: ['a', 'b'],
  });
  denied.delete(2);
  await follow();
  assert.deepEqual(verdicts.status().denying, { ...NONE_DENIED, containers: 1, rules: ['a'] });
  assert.equal(tableOf(2), tableOf(3));
});

test('to an app with a policy it is denied by rules that the policy leaves as they are, and by its own', async () => {
  const own = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /own').replace('rule: r', 'rule: own'),
  );
  const names = ['a', 'b', 'own'];
  const { verdicts, entryOf, tableOf } = world({
    denied: new Map([1, 2, 3].map((id) => [id, names])),
  });
  const all = [
    entryOf(1, appWith('', own)),
    entryOf(2, appWith('', own, ['a'])),
    entryOf(3, appWith('', { rules: [] }, ['a', 'b'])),
  ];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  await until('all are judged', () => verdicts.status().containers === 3);
  assert.equal(new Set([1, 2, 3].map(tableOf)).size, 3);
  assert.deepEqual(verdicts.status().denying, { ...NONE_DENIED, containers: 2, rules: names });
});

test('what is denied in vain to an app with rules of its own changes nothing for others', async () => {
  const own = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /own').replace('rule: r', 'rule: own'),
  );
  const policy = appWith('', own);
  const names = ['a', 'own'];
  const { verdicts, entry, entryOf, tableOf } = world({
    denied: new Map([1, 2, 3].map((id) => [id, names])),
  });
  // Two apps with the same policy, and one without.
  const all = [entryOf(1, policy), entryOf(2, policy), entry(3)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  const denying = () => verdicts.status().denying;
  await until('all are denied', () => denying().containers === 3);
  const exec = makeExec();
  const inVain = (cgroupId: number, asked: 'asked' | 'skipped'): boolean =>
    verdicts.onDeniedInVain(makeEvent('execve', { cgroupId, denied: true, exec }), asked);
  assert.equal(inVain(1, 'skipped'), false, 'they may be paused');
  assert.equal(inVain(99, 'asked'), false, 'nobody knows whose they are');
  assert.deepEqual([1, 2, 3].map(tableOf).includes(undefined), false);
  assert.deepEqual(denying(), { ...NONE_DENIED, containers: 3, rules: names, inVain: 1 });

  assert.equal(inVain(1, 'asked'), true);
  assert.notEqual(tableOf(3), undefined);
  verdicts.follow(all);
  await until('the operator’s rule denies everywhere', () => denying().containers === 3);
  assert.notEqual(tableOf(1), tableOf(2), 'the other app keeps its own');
  assert.deepEqual(denying().givenUp, ['own']);
  // Without it, it was the operator's.
  assert.equal(inVain(1, 'asked'), true);
  verdicts.follow(all);
  await until('only the own rule of the other is left', () => denying().containers === 1);
  assert.deepEqual(denying().rules, ['own']);
  await verdicts.enter(execs());
  verdicts.follow(all);
  await until('all are denied again', () => denying().containers === 3);
  assert.deepEqual(denying().givenUp, []);
});

test('of what rules of before have denied, those of now give up nothing', async () => {
  const own = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /own').replace('rule: r', 'rule: own'),
  );
  const denied = new Map([
    [1, ['a', 'own']],
    [2, ['a']],
  ]);
  const { verdicts, entry, entryOf, time } = world({ denied });
  const all = [entryOf(1, appWith('', own)), entry(2)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  const denying = () => verdicts.status().denying;
  await until('both are denied', () => denying().containers === 2);
  // Its own rules are paused: a program that they denied may be evaluated only now.
  denied.set(1, ['a']);
  time.bootNs = LATER;
  verdicts.follow(all);
  await until('it is denied by others', () => !denying().rules.includes('own'));
  const exec = makeExec();
  const inVain = (bootNs: bigint): boolean =>
    verdicts.onDeniedInVain(
      makeEvent('execve', { cgroupId: 1, denied: true, exec, bootNs }),
      'asked',
    );
  assert.equal(inVain(BOOT_NS), false);
  assert.deepEqual([denying().givenUp, denying().inVain], [[], 0]);
  assert.equal(inVain(LATER), true);
  assert.deepEqual([denying().givenUp, denying().inVain], [['a'], 1]);
});

test('an app’s own rules do not take the place of what the operator denies', async () => {
  const many = Array.from({ length: 40 }, (_, n) =>
    ruleFile(`evt.type = execve and proc.exepath = /own${n}`).replace('rule: r', `rule: own${n}`),
  );
  const own = ruleSetOf(many.join('\n'));
  const long = ruleSetOf(
    ruleFile(
      'evt.type in (execve, execveat) and evt.rawres = 0 and proc.exepath startswith /x and not proc.exepath in (/xa, /xb)',
    ),
  );
  const names = ['r', ...own.rules.map(({ name }) => name)];
  const { verdicts, entryOf } = world({ denied: new Map([[1, names]]) });
  await verdicts.enter(long);
  verdicts.follow([entryOf(1, appWith('', own))]);
  await until('it is denied', () => verdicts.status().denying.containers === 1);
  const { rules, afterEffect } = verdicts.status().denying;
  assert.ok(rules.includes('r'), rules.join());
  assert.equal(rules.length, LIMITS.VERDICT_CERTAIN);
  assert.equal(afterEffect.length, 41 - LIMITS.VERDICT_CERTAIN);
});

test('a program was denied that no rule matches: its rules deny nothing until they are loaded again', async () => {
  const { verdicts, entry, tableOf } = world({
    denied: new Map([
      [1, ['a']],
      [2, ['b']],
    ]),
  });
  const all = [entry(1), entry(2)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  const denying = () => verdicts.status().denying;
  await until('both are judged', () => denying().containers === 2);
  const inVain = (cgroupId: number): boolean =>
    verdicts.onDeniedInVain(
      makeEvent('execve', { cgroupId, denied: true, exec: makeExec() }),
      'none',
    );
  inVain(1);
  assert.equal(tableOf(1), undefined, 'at once');
  verdicts.follow(all);
  // From before that, as records come later.
  inVain(1);
  await until('the other is denied again', () => denying().containers === 1);
  assert.deepEqual(denying(), {
    containers: 1,
    rules: ['b'],
    afterEffect: [],
    givenUp: ['a'],
    inVain: 2,
    tooYoung: 0,
  });
  // The same rules once more, as after a reload that was refused, or when some were shed.
  await verdicts.enter({ rules: EXECS.rules.map((rule) => ({ ...rule })) });
  verdicts.follow(all);
  await until('the other is denied again', () => denying().containers === 1);
  assert.deepEqual(denying().givenUp, ['a']);
  await verdicts.enter(execs());
  verdicts.follow(all);
  await until('both are denied again', () => denying().containers === 2);
  assert.deepEqual(denying().givenUp, []);
});

test('of a program in a cgroup inside a container, or of one that is gone, all rules that deny are given up', async () => {
  const { verdicts, entry } = world({ denied: new Map([[1, ['a', 'b']]]) });
  await verdicts.enter(EXECS);
  verdicts.follow([entry(1)]);
  await until('it is judged', () => verdicts.status().denying.containers === 1);
  const exec = makeExec();
  const inside = makeEvent('execve', { cgroupId: 99, denied: true, exec });
  verdicts.onDeniedInVain(inside, 'none');
  assert.deepEqual(verdicts.status().denying.givenUp, ['a', 'b']);
});

test('of a program that no rule matches, rules about ancestors are given up for its app alone', async () => {
  const { verdicts, entry } = world({
    denied: new Map([
      [1, ['a', 'b']],
      [2, ['a', 'b']],
    ]),
  });
  const [a] = EXECS.rules;
  const ofParent = 'evt.type = execve and proc.exepath = /b and proc.pname = sh';
  const b = ruleSetOf(ruleFile(ofParent).replace('e: r', 'e: b')).rules;
  await verdicts.enter({ rules: [...(a === undefined ? [] : [a]), ...b] });
  verdicts.follow([entry(1), entry(2)]);
  await until('both are judged', () => verdicts.status().denying.containers === 2);
  verdicts.onDeniedInVain(
    makeEvent('execve', { cgroupId: 1, denied: true, exec: makeExec() }),
    'none',
  );
  verdicts.follow([entry(1), entry(2)]);
  await until('the other is denied still', () => verdicts.status().denying.containers === 1);
  assert.deepEqual(verdicts.status().denying.rules, ['a', 'b']);
});

test('rules that should deny, but of which the kernel is not certain, are named', async () => {
  const { verdicts, entry, warned } = world({ denied: new Map([[1, ['a', 'b', 'other']]]) });
  const rules = [
    ...EXECS.rules.slice(0, 1),
    ...ruleSetOf(
      ruleFile('evt.type = execve and proc.exepath = /b and user.uid = 7').replace('e: r', 'e: b'),
    ).rules,
    ...ruleSetOf(ruleFile('evt.type = open').replace('e: r', 'e: other')).rules,
  ];
  await verdicts.enter({ rules });
  verdicts.follow([entry(1)]);
  await until('it is judged', () => verdicts.status().denying.containers === 1);
  const { denying } = verdicts.status();
  assert.deepEqual(denying, { ...NONE_DENIED, containers: 1, rules: ['a'], afterEffect: ['b'] });
  assert.deepEqual(warned, [{ rules: ['b'] }]);
  // Not again for each table.
  verdicts.follow([]);
  verdicts.follow([entry(1)]);
  await until('it is judged again', () => verdicts.status().denying.containers === 1);
  assert.equal(warned.length, 1);
});

test('until it is known whether the kernel can deny, nothing is said of it; nor when tables are given up', async () => {
  const { verdicts, entry, kernel } = world({ denied: new Map([[1, ['a']]]) });
  const entered = verdicts.enter(EXECS);
  verdicts.follow([entry(1)]);
  assert.deepEqual(verdicts.status().denying, NONE_DENIED);
  await entered;
  verdicts.follow([entry(1)]);
  assert.deepEqual(verdicts.status().denying, NONE_DENIED);
  await until('it is judged', () => verdicts.status().denying.containers === 1);
  kernel.refuses = true;
  verdicts.endDenying();
  assert.deepEqual(verdicts.status().denying, NONE_DENIED);
});

test('rules that deny with the same condition are told apart by their names', async () => {
  const { verdicts, entry } = world({
    denied: new Map([
      [1, ['a']],
      [2, ['same']],
    ]),
  });
  const [a] = EXECS.rules;
  assert.ok(a);
  await verdicts.enter({ rules: [a, { ...a, name: 'same' }] });
  verdicts.follow([entry(1)]);
  await until('it is judged', () => verdicts.status().denying.containers === 1);
  verdicts.follow([entry(2)]);
  await until('the other is', () => verdicts.status().denying.rules.join() === 'same');
});

test('a connection that was refused in vain: only its app is denied less, and nothing if the process is not known for certain', async () => {
  const { verdicts, entry } = world({
    denied: new Map([
      [1, ['a']],
      [2, ['a']],
    ]),
  });
  const all = [entry(1), entry(2)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  const denying = () => verdicts.status().denying;
  await until('both are denied', () => denying().containers === 2);
  const refused = makeEvent('connect', { cgroupId: 1, denied: true });
  assert.equal(verdicts.onDeniedInVain(refused, 'none', false), false);
  assert.deepEqual([denying().containers, denying().inVain], [2, 1]);
  assert.equal(verdicts.onDeniedInVain(refused, 'none', true), true);
  verdicts.follow(all);
  await until('the other is denied', () => denying().containers === 1);
  assert.deepEqual(denying().givenUp, ['a']);
});
