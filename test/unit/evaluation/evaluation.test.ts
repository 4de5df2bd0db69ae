import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Process } from '../../../src/context/process.ts';
import type { KernelEvent } from '../../../src/events/event.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import type { AppRules } from '../../../src/evaluation/app-rules.ts';
import type { RuleFailure } from '../../../src/evaluation/rule-watch.ts';
import { ContainerTurns } from '../../../src/evaluation/container-turns.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { makeEvent, makeExec, makeImage, makeProcess } from '../../support/rules-subject.ts';
import { appear, appWorld, CGROUP, ID, outputs, rulesOfApp, shadow } from './app-world.ts';

/** Turns that the test gives, where each look at the clock is 100 ms later: the first of a container takes all of its share. */
function slowTurns() {
  const given: (() => void)[] = [];
  let looks = 0;
  const turns = new ContainerTurns({
    schedule: (turn) => void given.push(turn),
    nowMs: () => looks++ * 100,
  });
  return { turns, given };
}

test('an event that waits is evaluated with the image that its process had', () => {
  const { registry, evaluation, delivered, decide } = appWorld();
  appear(registry);
  const process: { -readonly [Key in keyof Process]: Process[Key] } = makeProcess({
    image: { name: 'cat' },
  });
  evaluation.onEvent(shadow, process);
  process.image = makeImage({ name: 'innocent' });
  assert.equal(delivered.length, 0);
  decide(true);
  assert.deepEqual(outputs(delivered), ['name=cat container=web']);
  evaluation.onEvent(shadow, process);
  assert.deepEqual(outputs(delivered).slice(1), ['name=innocent container=web']);
});

test('a container that did not opt in: what waited and what comes is nobody’s', () => {
  const { registry, evaluation, delivered, decide } = appWorld();
  appear(registry);
  evaluation.onEvent(shadow, makeProcess());
  decide(false);
  evaluation.onEvent(shadow, makeProcess());
  evaluation.stop();
  assert.equal(delivered.length, 0);
});

test('after the hold time a match waits for the name of its container, and gets it', () => {
  const { time, registry, evaluation, delivered, decide } = appWorld();
  appear(registry);
  evaluation.onEvent(shadow, makeProcess());
  time.nowMs = 6000;
  evaluation.onEvent(shadow, makeProcess());
  assert.equal(evaluation.counters().detections.held, 2);
  assert.equal(delivered.length, 0);
  decide(true);
  assert.deepEqual(outputs(delivered), ['name=node container=web', 'name=node container=web']);
  assert.deepEqual(
    delivered.map(({ container }) => container?.fullId),
    [ID, ID],
  );
});

test('at the end, what has no container goes out without one, once', () => {
  const { registry, evaluation, delivered } = appWorld();
  appear(registry);
  evaluation.onEvent(shadow, makeProcess());
  evaluation.stop();
  assert.equal(delivered.length, 1);
  assert.equal(delivered[0]?.container, undefined);
});

test('events that no rule can match do not wait; a swap of the engine changes which', () => {
  const { registry, evaluation, delivered, decide } = appWorld();
  appear(registry);
  const connect = makeEvent('connect', { cgroupId: CGROUP });
  evaluation.onEvent(connect, makeProcess());
  assert.equal(evaluation.counters().events.held, 0);
  evaluation.swapEngine(new RuleEngine(ruleSetOf(ruleFile('evt.type = connect', 'c'))));
  evaluation.onEvent(connect, makeProcess());
  assert.equal(evaluation.counters().events.held, 1);
  decide(true);
  assert.deepEqual(outputs(delivered), ['c']);
});

test('an app’s own rules: they refine what all rules say, also of what waited for the app’s name', () => {
  const own = new RuleEngine(ruleSetOf(ruleFile('evt.type = connect', 'own')));
  const appRules = rulesOfApp({
    refine: (matches, subject) => [...matches.slice(1), ...own.evaluate(subject)],
    counts: () => false,
    ruleSet: own.ruleSet,
  });
  const { time, registry, evaluation, delivered, decide } = appWorld(appRules);
  const connect = makeEvent('connect', { cgroupId: CGROUP });
  appear(registry);
  evaluation.onEvent(connect, makeProcess());
  assert.equal(evaluation.counters().events.held, 0, 'nobody asks for it');
  evaluation.setAppRules([own.ruleSet]);
  evaluation.onEvent(shadow, makeProcess());
  time.nowMs = 6000;
  evaluation.onEvent(shadow, makeProcess());
  assert.equal(evaluation.counters().detections.held, 2, 'evaluated before the app is known');
  decide(true);
  assert.deepEqual(outputs(delivered), [], 'the app does not want it');
  evaluation.onEvent(shadow, makeProcess());
  evaluation.onEvent(connect, makeProcess());
  assert.deepEqual(outputs(delivered), ['own']);
  evaluation.setAppRules([]);
  evaluation.onEvent(connect, makeProcess());
  assert.equal(delivered.length, 1);
});

test('with the first match only, the first that the app wants counts', () => {
  const two =
    ruleFile('evt.type = openat', 'one') +
    ruleFile('evt.type = openat', 'two').replace('rule: r', 'rule: s');
  const appRules = rulesOfApp({
    refine: (matches) => matches.filter(({ rule }) => rule.name !== 'r'),
  });
  const { registry, evaluation, delivered, decide } = appWorld(appRules);
  evaluation.swapEngine(new RuleEngine(ruleSetOf(two), { matching: 'first' }));
  appear(registry);
  decide(true);
  evaluation.onEvent(shadow, makeProcess());
  assert.deepEqual(outputs(delivered), ['two']);
});

test('with the first match only, a later one that the app’s policy answers is told as well', () => {
  const three = ['r', 's', 't']
    .map((name) => ruleFile('evt.type = openat', name).replace('rule: r', `rule: ${name}`))
    .join('');
  const appRules = rulesOfApp({ responseTo: (rule) => (rule === 't' ? 'kill' : undefined) });
  const { registry, evaluation, delivered, decide } = appWorld(appRules);
  evaluation.swapEngine(new RuleEngine(ruleSetOf(three), { matching: 'first' }));
  appear(registry);
  decide(true);
  evaluation.onEvent(shadow, makeProcess());
  assert.deepEqual(outputs(delivered), ['r', 't']);
});

test('with the first match only, all are told of a program that was denied: another rule may have denied it', () => {
  const two =
    ruleFile('evt.type = execve', 'one') +
    ruleFile('evt.type = execve', 'two').replace('rule: r', 'rule: s');
  const { registry, evaluation, delivered, decide } = appWorld(undefined);
  evaluation.swapEngine(new RuleEngine(ruleSetOf(two), { matching: 'first' }));
  appear(registry);
  decide(true);
  const run = (denied: boolean): KernelEvent =>
    makeEvent('execve', { cgroupId: CGROUP, denied, exec: makeExec() });
  evaluation.onEvent(run(false), makeProcess());
  assert.deepEqual(outputs(delivered.splice(0)), ['one']);
  evaluation.onEvent(run(true), makeProcess());
  assert.deepEqual(outputs(delivered), ['one', 'two']);
});

/** Two rules that read a value, of which one cannot be read, and a third. */
const FAILING = [
  ruleFile('evt.type = openat and proc.exepath = /bin/x', 'one').replace('rule: r', 'rule: reads'),
  ruleFile('evt.type = openat', 'two %proc.exepath').replace('rule: r', 'rule: writes'),
  ruleFile('evt.type = openat', 'three').replace('rule: r', 'rule: other'),
].join('');
function failingProcess(): Process {
  const image = makeImage();
  Object.defineProperty(image, 'exePath', {
    get: () => {
      throw new RangeError('Invalid string length');
    },
  });
  return { ...makeProcess(), image };
}

test('an operator’s rule or output that throws: all others are told, it is counted by rule and told at intervals', () => {
  const failures: RuleFailure[] = [];
  const { registry, evaluation, delivered, decide } = appWorld(undefined, (one) =>
    failures.push(one),
  );
  evaluation.swapEngine(new RuleEngine(ruleSetOf(FAILING)));
  appear(registry);
  decide(true);
  for (let round = 0; round < 3; round++) evaluation.onEvent(shadow, failingProcess());
  assert.deepEqual(
    delivered.slice(0, 2).map(({ rule, output }) => [rule, output]),
    [
      ['writes', 'The output of this rule is missing: Invalid string length'],
      ['other', 'three'],
    ],
  );
  assert.equal(delivered.length, 6);
  assert.deepEqual(
    failures.map(({ rule, failures: count }) => [rule, count]),
    [
      ['reads', 1],
      ['writes', 1],
    ],
  );
  const costs = evaluation.watch.costs();
  assert.deepEqual([costs.get('reads')?.failures, costs.get('writes')?.failures], [3, 3]);
  evaluation.onEvent(shadow, makeProcess());
  assert.equal(delivered.at(-2)?.output, 'two /usr/local/bin/node', 'nothing remains of it');
});

test('what throws and is no rule’s costs the event, not the agent', () => {
  const failures: RuleFailure[] = [];
  const appRules = rulesOfApp({
    refine: () => {
      throw new Error('broken');
    },
  });
  const { registry, evaluation, decide } = appWorld(appRules, (one) => failures.push(one));
  appear(registry);
  decide(true);
  for (let round = 0; round < 3; round++) evaluation.onEvent(shadow, makeProcess());
  assert.equal(evaluation.watch.eventFailures, 3);
  assert.deepEqual(
    failures.map(({ rule, error }) => [rule, String(error)]),
    [[undefined, 'Error: broken']],
  );
});

test('what waits to be written has the event and the image of its time, and is written at the end', () => {
  const { turns, given } = slowTurns();
  const { registry, evaluation, delivered, decide } = appWorld(undefined, undefined, {
    turns,
  });
  appear(registry);
  decide(true);
  const process: { -readonly [Key in keyof Process]: Process[Key] } = makeProcess({
    image: { name: 'cat' },
  });
  evaluation.onEvent(shadow, process);
  evaluation.onEvent(shadow, process);
  evaluation.onEvent(shadow, process);
  process.image = makeImage({ name: 'innocent' });
  assert.deepEqual(outputs(delivered), ['name=cat container=web']);
  given.shift()?.();
  assert.deepEqual(outputs(delivered).slice(1), ['name=cat container=web']);
  evaluation.onEvent(shadow, process);
  evaluation.stop();
  assert.deepEqual(outputs(delivered).slice(2), [
    'name=cat container=web',
    'name=innocent container=web',
  ]);
});

test('whose a rule is, and who its ancestors were, is as it was when it matched', () => {
  const { turns, given } = slowTurns();
  let isOwn = true;
  const wrote: string[] = [];
  const appRules = rulesOfApp({
    isOwn: () => isOwn,
    written: (_, write) => (wrote.push('at once'), write()),
    writtenLater: (_, write) => (wrote.push('later'), write()),
  });
  const output = 'parent=%proc.pname';
  const rule = ruleFile('evt.type = openat and fd.name = /etc/shadow', output);
  const { registry, evaluation, delivered, decide } = appWorld(
    appRules,
    undefined,
    { turns },
    rule + rule.replace('rule: r', 'rule: s'),
  );
  appear(registry);
  decide(true);
  const parent: { -readonly [Key in keyof Process]: Process[Key] } = makeProcess({
    image: { name: 'intruder' },
  });
  const process = { ...makeProcess(), parent };
  evaluation.onEvent(shadow, process);
  assert.deepEqual(wrote, ['at once']);
  isOwn = false;
  parent.image = makeImage({ name: 'innocent' });
  given.shift()?.();
  assert.deepEqual(wrote, ['at once', 'later']);
  assert.deepEqual(outputs(delivered), ['parent=intruder', 'parent=intruder']);
});

test('an event that waits for its turn is evaluated by the rules of its time, with the ancestors of its time', () => {
  const { turns } = slowTurns();
  let refined = 0;
  const appRules = rulesOfApp({
    refine: (matches) => (refined++, matches),
  });
  let asked = 0;
  const condition = 'evt.type = openat and fd.name = /etc/shadow and proc.pname = intruder';
  const { registry, evaluation, delivered, decide } = appWorld(
    appRules,
    undefined,
    { turns, appRulesOf: () => (asked++ < 2 ? appRules : undefined) },
    ruleFile(condition, 'parent=%proc.pname'),
  );
  appear(registry);
  decide(true);
  const parent: { -readonly [Key in keyof Process]: Process[Key] } = makeProcess({
    image: { name: 'intruder' },
  });
  const process = { ...makeProcess(), parent };
  evaluation.onEvent(shadow, process);
  evaluation.onEvent(shadow, process);
  assert.equal(refined, 1, 'the second waits');
  parent.image = makeImage({ name: 'innocent' });
  registry.remove(CGROUP);
  evaluation.stop();
  assert.equal(refined, 2);
  assert.deepEqual(outputs(delivered), ['parent=intruder', 'parent=intruder']);
  assert.deepEqual(
    delivered.map(({ container }) => container?.fullId),
    [ID, ID],
  );
});

test('a container that moves to another cgroup while detections wait keeps their order', () => {
  const { turns } = slowTurns();
  const { registry, evaluation, delivered, decide } = appWorld(undefined, undefined, {
    turns,
  });
  appear(registry);
  registry.found(CGROUP + 1, `/system.slice/docker-${ID}.scope`);
  decide(true);
  const opens = (name: string, cgroupId: number): void =>
    evaluation.onEvent({ ...shadow, cgroupId }, makeProcess({ image: { name } }));
  opens('first', CGROUP);
  opens('second', CGROUP);
  opens('third', CGROUP + 1);
  evaluation.stop();
  assert.deepEqual(
    outputs(delivered),
    ['first', 'second', 'third'].map((name) => `name=${name} container=web`),
  );
});

test('once the app’s rules are paused, what waits is evaluated in order, and nothing waits any more', () => {
  let nowMs = 0;
  const done: number[] = [];
  let isPaused = false;
  const appRules: AppRules = {
    ...rulesOfApp({
      refine(_, { process }) {
        done.push(process.pid);
        nowMs += 20;
        return [];
      },
    }),
    get isPaused() {
      return isPaused;
    },
  };
  const turns = new ContainerTurns({ schedule: () => undefined, nowMs: () => nowMs });
  const { registry, evaluation, decide } = appWorld(appRules, undefined, { turns });
  appear(registry);
  decide(true);
  for (let pid = 0; pid < 5; pid++) evaluation.onEvent(shadow, makeProcess({ pid }));
  assert.deepEqual([turns.waiting, done], [4, [0]]);
  isPaused = true;
  for (let pid = 5; pid < 8; pid++) evaluation.onEvent(shadow, makeProcess({ pid }));
  assert.deepEqual([turns.waiting, done], [0, [0, 1, 2, 3, 4, 5, 6, 7]]);
});

test('while an app’s rules are paused, what the operator’s detect takes turns as everybody’s', () => {
  let nowMs = 0;
  const turns = new ContainerTurns({ schedule: () => undefined, nowMs: () => nowMs });
  const appRules = rulesOfApp({
    isPaused: true,
    isOwn: () => true,
    written: (_, write) => ((nowMs += 2), write()),
  });
  const { registry, evaluation, delivered, decide } = appWorld(appRules, undefined, { turns });
  appear(registry);
  decide(true);
  for (let n = 0; n < 100; n++) evaluation.onEvent(shadow, makeProcess());
  assert.deepEqual([delivered.length, turns.waiting], [3, 97], 'for a turn');
});

test('what waits for its turn is for the rules of its time', () => {
  let nowMs = 0;
  const turns = new ContainerTurns({ schedule: () => undefined, nowMs: () => nowMs });
  const appRules = rulesOfApp({ refine: (matches) => ((nowMs += 20), matches) });
  const { registry, evaluation, delivered, decide } = appWorld(appRules, undefined, { turns });
  appear(registry);
  decide(true);
  evaluation.onEvent(shadow, makeProcess({ image: { name: 'first' } }));
  evaluation.onEvent(shadow, makeProcess({ image: { name: 'second' } }));
  evaluation.swapEngine(new RuleEngine(ruleSetOf(ruleFile('evt.type = openat', 'new %proc.name'))));
  evaluation.onEvent(shadow, makeProcess({ image: { name: 'third' } }));
  evaluation.stop();
  assert.deepEqual(outputs(delivered), [
    'name=first container=web',
    'name=second container=web',
    'new third',
  ]);
});
