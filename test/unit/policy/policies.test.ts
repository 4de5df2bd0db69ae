import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { OperatorRules } from '../../../src/policy/app-policy.ts';
import { operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { Policies } from '../../../src/policy/policies.ts';
import type { PolicyNews } from '../../../src/policy/policy-news.ts';
import type { RuleSet } from '../../../src/rules/rule-set.ts';
import { makeEvent, makeSubject } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const operator = (name: string): OperatorRules =>
  operatorRulesOf([
    {
      name: 'operator.yaml',
      text: `- macro: ${name}\n  condition: evt.type = execve\n- rule: Started\n  desc: d\n  condition: ${name}\n  output: x\n  priority: NOTICE\n`,
    },
  ]);
const OWN =
  'custom_rules: [{rule: Mine, desc: d, condition: started and proc.name = x, output: x, priority: ERROR}]';
const container = (id: string, policy?: string) =>
  containerOf({
    fullId: id,
    initPid: 7,
    labels: policy === undefined ? {} : { 'varvel.policy': policy },
  });

function world() {
  const told: PolicyNews[] = [];
  const changes: (readonly RuleSet[])[] = [];
  const policies = new Policies({
    operator: operator('started'),
    textOf: ({ labels }) => {
      const text = labels['varvel.policy'];
      return text === undefined ? undefined : { name: 'varvel.policy', text, trust: 'verified' };
    },
    tell: (news) => told.push(news),
    onChanged: (sets) => changes.push(sets),
  });
  return { policies, told, changes };
}

test('a container without a policy has none, one with a policy has its own, and both are told', () => {
  const { policies, told, changes } = world();
  const [plain, own] = [container('a'), container('b', OWN)];
  policies.finish(plain);
  policies.finish(own);
  assert.equal(policies.of(plain), undefined);
  assert.deepEqual(policies.of(own)?.summary.own, ['Mine']);
  const starting = { ...own, initPid: 0 };
  policies.follow([plain, starting]);
  assert.equal(told.length, 0, 'there is no log yet');
  for (let look = 0; look < 3; look++) policies.follow([plain, own]);
  assert.deepEqual(
    told.map(({ container: { fullId }, state }) => [fullId, state]),
    [['b', 'in force']],
  );
  assert.match(
    told[0]?.text ?? '',
    /^The policy \(varvel\.policy, verified\) of this app is in force: 2 rules from Debug up, 1 of its own/,
  );
  assert.deepEqual(
    changes.map((sets) => sets.length),
    [1],
  );
});

test('a policy stays as it was first read; the same text is one policy, until its last container is gone', () => {
  const { policies, told, changes } = world();
  const [first, second] = [container('a', OWN), container('b', OWN)];
  policies.finish(first);
  policies.finish(second);
  assert.equal(policies.of(first), policies.of(second));
  assert.deepEqual(policies.counts(), { inForce: 2, refused: 0, different: 1 });
  policies.follow([first, second]);
  policies.finish(container('a', 'rules: []'));
  assert.deepEqual(policies.of(first)?.summary.own, ['Mine']);
  policies.forget('a');
  policies.forget('a');
  assert.deepEqual(policies.counts(), { inForce: 1, refused: 0, different: 1 });
  assert.deepEqual(policies.of(second)?.summary.own, ['Mine']);
  policies.follow([second]);
  assert.equal(policies.counts().inForce, 1);
  policies.follow([]);
  assert.deepEqual(policies.counts(), { inForce: 0, refused: 0, different: 0 });
  assert.deepEqual(changes.at(-1), []);
  assert.equal(told.length, 2);
});

test('one that is wrong is refused in a bounded line that says where, and the operator’s rules hold', () => {
  const { policies, told } = world();
  const wrong = container('a', `rulez: []\n${'x'.repeat(3000)}: 1\n`);
  policies.finish(wrong);
  assert.equal(policies.of(wrong), undefined);
  policies.follow([wrong]);
  const [news] = told;
  assert.equal(news?.state, 'refused');
  assert.match(
    news.text,
    /is refused, .*: varvel\.policy:1:1: error: unknown key 'rulez': did you mean 'rules'\?/,
  );
  assert.ok(news.text.length < 2000 && !news.text.includes('\n'));
});

test('the operator’s new rules: each policy is compiled anew, and who is refused now, or no more, is told', async () => {
  const { policies, told, changes } = world();
  const [own, other] = [container('a', OWN), container('b', 'minimum_priority: error')];
  policies.finish(own);
  policies.finish(other);
  policies.follow([own, other]);
  told.length = 0;
  const apply = await policies.prepare(operator('begun'));
  assert.deepEqual(policies.of(own)?.summary.own, ['Mine'], 'not before the rules are');
  const late = container('c', 'rules: [{enable: {rule: Started}}]');
  policies.finish(late);
  policies.follow([own, other, late]);
  apply();
  policies.follow([own, other, late]);
  assert.equal(policies.of(late)?.summary.active, 1);
  assert.equal(policies.of(own), undefined);
  assert.deepEqual(policies.of(other)?.summary.muted, ['Started']);
  assert.deepEqual(
    told.map(({ container: { fullId }, state }) => [fullId, state]),
    [
      ['c', 'in force'],
      ['a', 'refused'],
    ],
  );
  assert.deepEqual(changes.at(-1), []);
  (await policies.prepare(operator('started')))();
  policies.follow([own, other, late]);
  assert.deepEqual(policies.of(own)?.summary.own, ['Mine']);
  assert.deepEqual(
    told.map(({ state }) => state),
    ['in force', 'refused', 'in force'],
  );
  assert.deepEqual(policies.counts(), { inForce: 3, refused: 0, different: 3 });
  policies.forget('c');
  policies.forget('a');
  policies.forget('b');
  assert.equal(policies.counts().different, 0, 'counted anew with the new rules');
});

test('one without a policy is asked for once, and one that is not known yet again', () => {
  const asked: string[] = [];
  const policies = new Policies({
    operator: operator('started'),
    textOf: ({ fullId }) => {
      asked.push(fullId);
      return fullId === 'a' ? 'none' : undefined;
    },
    tell: () => undefined,
    onChanged: () => undefined,
  });
  const [none, unknown] = [container('a'), container('b')];
  for (let time = 0; time < 3; time++) for (const one of [none, unknown]) policies.of(one);
  assert.deepEqual(asked, ['a', 'b', 'b', 'b']);
});

test('a policy that breaks the compiler is refused, with what broke, and ends nothing', () => {
  const { policies, told } = world();
  const good = container('a', OWN);
  policies.finish(good);
  const broken = new Policies({
    // What the compiler reads of the operator's rules throws, as a stack that is used up would.
    operator: {
      ...operator('started'),
      get minimumPriority(): never {
        throw new RangeError('Maximum call stack size exceeded');
      },
    },
    textOf: () => ({ name: 'varvel.policy', text: OWN, trust: 'verified' }),
    tell: (news) => told.push(news),
    onChanged: () => undefined,
  });
  broken.finish(good);
  broken.follow([good]);
  assert.equal(broken.rulesOf(good), undefined);
  assert.match(
    told[0]?.text ?? '',
    /is refused, .*: it cannot be compiled \(Maximum call stack size exceeded\)$/,
  );
});

test('what own rules have cost is kept when their container goes', () => {
  const { policies } = world();
  const own = container('a', OWN);
  policies.finish(own);
  policies.follow([own]);
  const rules = policies.rulesOf(own);
  rules?.refine([], makeSubject(makeEvent('execve')));
  const before = policies.status();
  assert.deepEqual([before.totals.events, before.containers.length], [1, 1]);
  assert.ok(before.totals.cpuMs > 0);
  policies.follow([]);
  const after = policies.status();
  assert.deepEqual([after.totals, after.containers], [before.totals, []]);
});

test('where apps have no policies, one that has a policy is told so once, and again after each change', async () => {
  const { policies, told } = world();
  const [plain, own] = [container('a'), container('b', OWN)];
  const states = (): unknown[] =>
    told.splice(0).map(({ container: of, state }) => [of.fullId, state]);
  policies.follow([plain, own]);
  policies.finish(own);
  policies.follow([plain, own]);
  assert.deepEqual(states(), [['b', 'in force']]);
  (await policies.prepare(undefined))();
  policies.follow([plain, { ...own, initPid: 0 }]);
  assert.deepEqual(states(), [], 'there is no log yet');
  policies.follow([plain, own]);
  assert.match(
    told[0]?.text ?? '',
    /^The policy \(varvel\.policy\) of this app is refused, .*: here apps have no policies \(policies\.enabled is false\): ask the platform’s operator$/,
  );
  policies.follow([plain, own]);
  assert.deepEqual(states(), [['b', 'refused']]);
  assert.equal(policies.stateOf(own), undefined, 'the operator’s denials hold');
  policies.follow([plain]);
  const second = container('c', 'no: policy');
  for (let look = 0; look < 5; look++) policies.follow([{ ...second, initPid: 0 }]);
  assert.deepEqual(states(), [['c', 'refused']], 'its first process stays unknown');
  (await policies.prepare(operator('started')))();
  policies.follow([own]);
  policies.finish(own);
  policies.follow([own]);
  assert.deepEqual(states(), [['b', 'in force']]);
});

const NAMES = Array.from({ length: 40 }, (_, n) => `name-${n}-`);
/** A policy that takes many turns to compile. */
const LARGE = `custom_rules: [${Array.from(
  { length: 90 },
  (_, n) =>
    `{rule: Mine ${n}, desc: d, condition: 'started and proc.name in (${NAMES.map((name) => `${name}${n}`).join(', ')}) and not proc.cwd startswith /c${n}', output: x, priority: ERROR}`,
).join(', ')}]`;

function waitingWorld() {
  const made = world();
  const ready: string[] = [];
  const policies = new Policies({
    operator: operator('started'),
    textOf: ({ labels }) => {
      const text = labels['varvel.policy'];
      return text === undefined ? undefined : { name: 'varvel.policy', text, trust: 'verified' };
    },
    tell: (news) => made.told.push(news),
    onChanged: (sets) => made.changes.push(sets),
    onReady: ({ fullId }) => ready.push(fullId),
  });
  return { ...made, policies, ready };
}

test('a large policy is compiled in turns: until then its containers wait, and others do not', async () => {
  const { policies, ready } = waitingWorld();
  const [first, second, plain] = [container('a', LARGE), container('b', LARGE), container('c')];
  assert.equal(policies.isReady(first), false);
  assert.equal(policies.isReady(second), false);
  assert.equal(policies.isReady(plain), true);
  assert.equal(policies.of(first), undefined);
  assert.equal(policies.inForceFor(first), undefined, 'not known yet');
  let turns = 0;
  while (!policies.isReady(first)) {
    await nextTurn();
    turns++;
  }
  assert.ok(turns > 1, `${turns} turns`);
  assert.deepEqual(ready, ['a', 'b']);
  assert.equal(policies.of(first)?.summary.own.length, 90);
  assert.equal(policies.of(second), policies.of(first));
  assert.equal(policies.isReady(container('d', LARGE)), true, 'the same text is compiled already');
});

test('what is being compiled ends at once when it must, when its container goes, and when apps have no policies', async () => {
  const { policies, ready } = waitingWorld();
  const [must, goes, last] = ['a', 'b', 'c'].map((id) => container(id, `${LARGE}\n# ${id}`));
  for (const one of [must!, goes!, last!]) assert.equal(policies.isReady(one), false);
  policies.finish(must!);
  assert.deepEqual(ready, ['a']);
  assert.equal(policies.of(must!)?.summary.own.length, 90);
  policies.forget('b');
  assert.deepEqual(ready, ['a', 'b']);
  assert.equal(policies.stateOf(goes!), undefined);
  (await policies.prepare(undefined))();
  assert.deepEqual(ready, ['a', 'b', 'c']);
  assert.equal(policies.isReady(last!), true);
});

test('what is being compiled while the operator’s rules change comes to what it is by the new ones', async () => {
  for (const before of ['prepare', 'swap'] as const) {
    const { policies, ready } = waitingWorld();
    const one = container('a', LARGE);
    if (before === 'prepare') assert.equal(policies.isReady(one), false);
    const swap = await policies.prepare(operator('begun'));
    if (before === 'swap') assert.equal(policies.isReady(one), false);
    swap();
    while (!policies.isReady(one)) await nextTurn();
    assert.deepEqual(ready, ['a']);
    assert.equal(policies.stateOf(one), 'refused', 'there is no macro "started" now');
  }
});

test('what has come to its end is finished once, whoever asks', async () => {
  const told: PolicyNews[] = [];
  const policies = new Policies({
    operator: operator('started'),
    // A file that is refused has nothing to compile.
    textOf: () => ({ name: 'varvel.yml', text: '', trust: 'verified', refusal: 'it is no file' }),
    tell: (news) => told.push(news),
    onChanged: () => undefined,
  });
  const one = container('a');
  policies.isReady(one);
  policies.finish(one);
  policies.finish(one);
  await nextTurn();
  assert.equal(policies.isReady(one), true);
  assert.deepEqual(policies.counts(), { inForce: 0, refused: 1, different: 1 });
  policies.follow([one]);
  assert.match(told[0]?.text ?? '', /it is no file/);
});

test('what throws when a policy comes into force ends nothing, and its containers are ready', () => {
  let calls = 0;
  const policies = new Policies({
    operator: operator('started'),
    textOf: () => ({ name: 'varvel.policy', text: OWN, trust: 'verified' }),
    tell: () => undefined,
    onChanged: () => {
      calls++;
      throw new Error('no room');
    },
  });
  const one = container('a');
  policies.finish(one);
  assert.ok(calls > 0);
  assert.equal(policies.isReady(one), true);
  policies.forget('b');
});
