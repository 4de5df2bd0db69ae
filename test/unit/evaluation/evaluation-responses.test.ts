// Who is asked for a response to a detection, and what it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppRules } from '../../../src/evaluation/app-rules.ts';
import { ruleFile } from '../../support/rules-load.ts';
import { makeConnect, makeEvent, makeExec, makeProcess } from '../../support/rules-subject.ts';
import { appear, appWorld, CGROUP, rulesOfApp, shadow } from './app-world.ts';

test('who responds is given the operator’s rule, however the app has changed it, and none for one that it has added', () => {
  const asked: unknown[] = [];
  const appRules = rulesOfApp({
    refine: (matches) =>
      matches.flatMap((match) => [
        { ...match, rule: { ...match.rule, priority: 'Debug', tags: ['mine'] } },
        { ...match, rule: { ...match.rule, name: 'Added' } },
      ]),
  });
  const { registry, evaluation, delivered, decide } = appWorld(appRules, undefined, {
    respond: ({ rule }) => {
      asked.push(rule && [rule.priority, rule.tags]);
      return [];
    },
  });
  appear(registry);
  decide(true);
  evaluation.onEvent(shadow, makeProcess());
  const { priority, tags } = evaluation.engine.ruleSet.rules[0]!;
  assert.notDeepEqual([priority, tags], ['Debug', ['mine']]);
  assert.deepEqual(asked, [[priority, tags], undefined]);
  assert.deepEqual(
    delivered.map((one) => one.priority),
    ['Debug', priority],
  );
});

test('whether an app’s exceptions were asked: by its rules, or while there are none by what is known of its policy', () => {
  const answers: boolean[] = [];
  let isPolicyKnown = false;
  let appRules: AppRules | undefined;
  const { registry, evaluation, decide } = appWorld(undefined, undefined, {
    appRulesOf: () => appRules,
    isPolicyKnown: () => isPolicyKnown,
    respond: ({ isAnswered }) => {
      answers.push(isAnswered());
      return [];
    },
  });
  appear(registry);
  decide(true);
  evaluation.onEvent(shadow, makeProcess());
  isPolicyKnown = true;
  evaluation.onEvent(shadow, makeProcess());
  for (const isAnswered of [true, false]) {
    appRules = rulesOfApp({ isAnswered: () => isAnswered });
    evaluation.onEvent(shadow, makeProcess());
  }
  assert.deepEqual(answers, [false, true, true, false]);
});

test('of a program that is denied in vain it is told whether an app’s own rules were asked', () => {
  const told: unknown[] = [];
  let appRules: AppRules | undefined;
  const { registry, evaluation, decide } = appWorld(
    undefined,
    undefined,
    {
      appRulesOf: () => appRules,
      onDeniedInVain: (event, asked) => told.push([event.type, asked]),
    },
    ruleFile('evt.type = execve and proc.name = nobody'),
  );
  appear(registry);
  decide(true);
  const denied = makeEvent('execve', { cgroupId: CGROUP, denied: true, exec: makeExec() });
  const run = (): void => evaluation.onEvent(denied, makeProcess());
  run();
  appRules = rulesOfApp({});
  run();
  appRules = rulesOfApp({ hasSkipped: true });
  run();
  evaluation.onEvent({ ...denied, denied: false }, makeProcess());
  assert.deepEqual(told, [
    ['execve', 'none'],
    ['execve', 'asked'],
    ['execve', 'skipped'],
  ]);
});

test('a detection that is counted is not written out; what is done to its process is', () => {
  const counted: unknown[] = [];
  const done: string[] = [];
  let written = 0;
  let isCounted = false;
  const appRules = rulesOfApp({
    responseTo: () => 'kill',
    isOwn: () => true,
    written: (_, write) => {
      written++;
      return write();
    },
  });
  const { registry, evaluation, delivered, decide } = appWorld(appRules, undefined, {
    admit: ({ rule, priority, timeNs, container }) => {
      counted.push([rule, priority, timeNs, container?.name]);
      return isCounted ? 'counted' : 'admitted';
    },
    respond: ({ asked, container }) => {
      done.push(`${asked} in ${container.name}`);
      return [{ name: 'kill', outcome: 'done', guarantee: 'after the effect' }];
    },
  });
  appear(registry);
  decide(true);
  evaluation.onEvent(shadow, makeProcess());
  assert.deepEqual([written, delivered.length, done], [1, 1, ['kill in web']]);
  isCounted = true;
  evaluation.onEvent(shadow, makeProcess());
  assert.deepEqual([written, delivered.length, done.length], [1, 1, 2]);
  const { rule, priority, timeNs } = delivered[0]!;
  assert.deepEqual(counted, [
    [rule, priority, timeNs, 'web'],
    [rule, priority, timeNs, 'web'],
  ]);
});

test('a refused connection is judged as if it had been made, and told as it was', () => {
  const { registry, evaluation, delivered, decide } = appWorld(
    undefined,
    undefined,
    {
      respond: ({ denied }) => [
        { name: 'deny', outcome: 'prevented', guarantee: 'before the effect', denied: denied! },
      ],
    },
    ruleFile('evt.type = connect and evt.failed = false and fd.sip = 192.0.2.1', '%evt.res'),
  );
  appear(registry);
  decide(true);
  const call = makeConnect({ remoteIp: '192.0.2.1', remotePort: 9 });
  const made = makeEvent('connect', { cgroupId: CGROUP, call });
  const refused = { ...made, result: -1 };
  evaluation.onEvent(refused, makeProcess());
  assert.deepEqual(delivered, [], 'it failed for another reason');
  evaluation.onEvent({ ...refused, denied: true, judged: made }, makeProcess());
  assert.deepEqual(
    delivered.map(({ output }) => output),
    ['EPERM | connection refused before it was made (EPERM)'],
  );
});
