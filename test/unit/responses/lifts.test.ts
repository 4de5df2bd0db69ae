import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerLift, liftQuery } from '../../../src/agent/lift-request.ts';
import type { AppIdentity } from '../../../src/apps/identity.ts';
import { Lifts, LIFTS_MAX } from '../../../src/responses/lifts.ts';
import { OperatorResponses } from '../../../src/responses/operator-responses.ts';
import { load } from '../config/load-fixture.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const ruleOf = (name: string) => ({ name, tags: [], priority: 'Error', enabled: true }) as const;
const appOf = (name: string): AppIdentity | undefined => containerOf({}, { name }).app;

test('a lift is about an app, a rule, both or all', () => {
  const lifts = new Lifts(() => 0);
  const lifted = (rule: string | undefined, app: string): boolean =>
    lifts.isLifted(rule === undefined ? undefined : ruleOf(rule), appOf(app));
  assert.equal(lifted('a', 'shop'), false);
  lifts.add({ app: 'shop', rule: 'New*' });
  assert.deepEqual(
    [lifted('New program', 'shop'), lifted('New program', 'blog'), lifted('Other', 'shop')],
    [true, false, false],
  );
  assert.equal(lifted(undefined, 'shop'), false, 'an app’s own rule has no name here');
  lifts.add({ app: 'shop' });
  assert.deepEqual([lifted('Other', 'shop'), lifted(undefined, 'shop')], [true, true]);
  assert.equal(lifts.isLifted(ruleOf('Other'), undefined), false);
  lifts.add({});
  assert.equal(lifts.isLifted(ruleOf('Other'), undefined), true);
  assert.equal(lifts.end({ app: 'shop' }), 1);
  assert.equal(lifts.end({ app: 'shop' }), 0);
  assert.equal(lifts.end({}), 2, 'all');
  assert.deepEqual(lifts.status(), []);
});

test('a lift ends with its time; the same again has the time of the latest', () => {
  let nowMs = 0;
  const lifts = new Lifts(() => nowMs);
  lifts.add({}, 1000);
  lifts.add({ app: 'shop' }, 1000);
  lifts.add({ app: 'shop' }, 5000);
  nowMs = 999;
  assert.equal(lifts.expire(), false);
  nowMs = 1000;
  assert.equal(lifts.expire(), true);
  assert.equal(lifts.expire(), false);
  assert.deepEqual(lifts.status(), [{ app: 'shop', rule: undefined, by: 'command', leftMs: 4000 }]);
  lifts.add({ app: 'shop' });
  nowMs = 1e9;
  assert.equal(lifts.expire(), false, 'until it is ended');
});

test('lifts are bounded, and one that is there can be changed even then', () => {
  const lifts = new Lifts(() => 0);
  for (let n = 0; n < LIFTS_MAX; n++) assert.ok(lifts.add({ app: `a${n}` }));
  assert.equal(lifts.add({ app: 'more' }), false);
  assert.ok(lifts.add({ app: 'a0' }, 1));
  assert.equal(lifts.status().length, LIFTS_MAX);
});

test('what is lifted is as in monitor mode, and denies nothing', () => {
  const lifts = new Lifts(() => 0);
  const { responses } = load(
    'responses: [{match: {rule: "*"}, do: deny, mode: enforce}, {match: {rule: "*"}, do: kill, mode: enforce}]\n',
  ).config;
  const operators = new OperatorResponses(responses, lifts);
  const rules = [ruleOf('a'), ruleOf('b')];
  const shop = appOf('shop');
  const modes = (name: string): string[] =>
    operators.of(ruleOf(name), shop).map(({ response, mode }) => `${response} ${mode}`);
  assert.deepEqual(operators.deniedAmong(rules, shop), rules);
  lifts.add({ rule: 'a' });
  operators.forget();
  assert.deepEqual(operators.deniedAmong(rules, shop), rules.slice(1));
  assert.deepEqual(modes('a'), ['deny monitor', 'kill monitor']);
  assert.deepEqual(modes('b'), ['deny enforce', 'kill enforce']);
});

test('what the command asks for is done, or refused in a sentence', () => {
  const lifts = new Lifts(() => 0);
  const responding = {
    lifts,
    lift: (of: object, leftMs: number | undefined) => lifts.add(of, leftMs),
    endLifts: (of: object) => lifts.end(of),
  };
  const liftable = { rules: [ruleOf('r1')], containers: [containerOf({}, { name: 'here' })] };
  const ask = (more: object) =>
    answerLift(new URLSearchParams(liftQuery({ end: false, ...more })), responding, liftable);
  const odd = 'a & b=c?#\n';
  assert.deepEqual(ask({ app: odd, rule: 'r*', forMs: 60_000 }), {
    refused: undefined,
    ended: 0,
    note: `No container of an app ${JSON.stringify(odd)} is watched here.`,
    lifts: [{ app: odd, rule: 'r*', by: 'command', leftMs: 60_000 }],
  });
  assert.match(ask({ app: 'other', end: true }).refused ?? '', /no such lift/);
  const ended = { refused: undefined, ended: 1, note: undefined, lifts: [] };
  assert.deepEqual(ask({ end: true }), ended);
  assert.equal(ask({ app: 'here' }).note, undefined);
  assert.deepEqual(ask({ app: 'here', end: true }), ended);
  assert.match(
    ask({ rule: 'misspelled' }).refused ?? '',
    /^No rule in force is named "misspelled"/,
  );
  for (const empty of [{ app: '' }, { rule: '' }])
    assert.match(ask(empty).refused ?? '', /is empty/);
  for (const forMs of [0, -1, NaN, Infinity])
    assert.match(ask({ forMs }).refused ?? '', /number of milliseconds/);
  for (const query of ['ap=shop', 'end=true'])
    assert.notEqual(
      answerLift(new URLSearchParams(query), responding, liftable).refused,
      undefined,
    );
  assert.deepEqual(lifts.status(), [], 'none of these lifts anything');
  for (let n = 0; n < LIFTS_MAX; n++) ask({ app: `a${n}` });
  assert.match(ask({ app: 'more' }).refused ?? '', /64 lifts already/);
});

test('the file lifts everything as long as it is there, and is no part of the others', () => {
  let nowMs = 0;
  const lifts = new Lifts(() => nowMs);
  for (let n = 0; n < LIFTS_MAX; n++) lifts.add({ app: `a${n}` }, 1000);
  assert.equal(lifts.setFile(false), false);
  assert.equal(lifts.setFile(true), true);
  assert.equal(lifts.setFile(true), false);
  assert.equal(lifts.isLifted(undefined, undefined), true);
  assert.deepEqual(lifts.status()[0], { by: 'file' });
  nowMs = 2000;
  lifts.expire();
  lifts.end({});
  assert.equal(lifts.isLifted(undefined, appOf('shop')), true);
  lifts.add({ app: 'shop' });
  assert.equal(lifts.setFile(false), true);
  assert.equal(lifts.isLifted(undefined, appOf('shop')), true, 'by the command');
  assert.equal(lifts.isLifted(undefined, appOf('blog')), false);
});
