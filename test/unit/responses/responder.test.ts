import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lifts } from '../../../src/responses/lifts.ts';
import { OperatorResponses } from '../../../src/responses/operator-responses.ts';
import { Responder, type Respondable } from '../../../src/responses/responder.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { detection, ENFORCED, outcomeOf, REVERSE, settings, world } from './responder-fixture.ts';

test('an entry that says nothing else only monitors', () => {
  const { killed, responder } = world('[{match: {tag: network}, do: kill}]');
  const response = { name: 'kill', outcome: 'monitored', guarantee: 'after the effect' };
  assert.deepEqual(responder.respond(detection()), [response]);
  assert.deepEqual(killed, []);
});

const MATCHES: readonly (readonly [match: string, fits: boolean])[] = [
  ['{rule: Reverse shell}', true],
  ['{rule: Reverse*}', true],
  ['{rule: Reverse}', false],
  ['{tag: network}', true],
  ['{tag: netwrk}', false],
  ['{priority: critical}', true],
  ['{priority: warning}', true],
  ['{priority: alert}', false],
  ['{rule: Reverse*, tag: files}', false],
  ['{rule: Reverse*, app: shop, space: production, org: acme}', true],
  ['{rule: Reverse*, app: blog}', false],
  ['{rule: Reverse*, space: staging}', false],
  ['{rule: Reverse*, org: other}', false],
];
for (const [match, fits] of MATCHES) {
  test(`${match} ${fits ? 'fits' : 'does not fit'}`, () => {
    const { killed, responder } = world(`[{match: ${match}, do: kill, mode: enforce}]`);
    assert.equal(outcomeOf(responder, detection()), fits ? 'done' : undefined);
    assert.deepEqual(killed, fits ? [7] : []);
  });
}

test('no app fits where one is named and the container has none', () => {
  const { responder } = world('[{match: {rule: "*", app: shop}, do: kill, mode: enforce}]');
  const container = { ...containerOf(), app: undefined };
  assert.deepEqual(responder.respond(detection({ container })), []);
});

test('an entry to enforce comes before one to monitor, in whichever order', () => {
  const { killed, responder } = world(
    '[{match: {tag: network}, do: kill}, {match: {app: shop, tag: network}, do: kill, mode: enforce}]',
  );
  assert.equal(outcomeOf(responder, detection()), 'done');
  const other = containerOf({}, { name: 'blog' });
  assert.equal(outcomeOf(responder, detection({ container: other })), 'monitored');
  assert.deepEqual(killed, [7]);
});

test('what the app asks for is done whatever the operator says', () => {
  const { killed, responder } = world('[{match: {tag: network}, do: kill}]');
  assert.equal(outcomeOf(responder, detection({ asked: 'kill' })), 'done');
  assert.deepEqual(killed, [7]);
});

test('the operator’s entries are not about rules that an app has added', () => {
  const { killed, responder } = world('[{match: {rule: "*"}, do: kill, mode: enforce}]');
  assert.deepEqual(responder.respond(detection({ rule: undefined })), []);
  assert.equal(outcomeOf(responder, detection({ rule: undefined, asked: 'kill' })), 'done');
  assert.deepEqual(killed, [7]);
});

test('nothing is done while the app’s exceptions to the rule are not asked', () => {
  const { killed, responder } = world(ENFORCED);
  assert.equal(outcomeOf(responder, detection({ isAnswered: () => false })), 'unanswered');
  responder.setOperators(new OperatorResponses(settings('[{match: {rule: Reverse*}, do: kill}]')));
  assert.equal(outcomeOf(responder, detection({ isAnswered: () => false })), 'unanswered');
  assert.deepEqual(killed, []);
});

test('a container has at most 60 in a minute, and a host 600; what apps ask for does not count', () => {
  const { killed, responder, time } = world(ENFORCED);
  let pid = 0;
  const times = (count: number, changes: Partial<Respondable>): (string | undefined)[] =>
    Array.from({ length: count }, () => {
      const process = makeProcess({ pid: ++pid });
      return outcomeOf(responder, detection({ process, ...changes }));
    });
  times(100, { asked: 'kill' });
  const one = times(61, {});
  assert.deepEqual(
    [one.filter((outcome) => outcome === 'done').length, one.at(-1)],
    [60, 'limited'],
  );
  const others = Array.from({ length: 10 }, (_, n) => containerOf({ fullId: `c${n}` }));
  for (const container of others.slice(0, 9)) times(60, { container });
  assert.deepEqual(times(1, { container: others[9]! }), ['limited']);
  assert.equal(killed.length, 700);
  time.ms += 59_999;
  assert.deepEqual(times(1, {}), ['limited'], 'any minute counts, not each by the clock');
  time.ms += 1;
  assert.deepEqual(times(1, {}), ['done']);
  assert.deepEqual(
    responder.counts().map(({ outcome, count }) => [outcome, count]),
    [
      ['done', 701],
      ['limited', 3],
    ],
  );
});

test('what a process did before it was ended counts once, and what was not ended not at all', () => {
  const { killed, responder } = world(ENFORCED);
  for (let n = 0; n < 100; n++) assert.equal(outcomeOf(responder, detection()), 'done');
  assert.deepEqual(killed, [7]);
  const later = makeProcess({ pid: 7, startBootNs: 99_000_000_000n });
  assert.equal(outcomeOf(responder, detection({ process: later })), 'done');
  assert.deepEqual(killed, [7, 7], 'another process of that pid');
  const refusing = new Responder({
    host: {
      killProcess: () => {
        throw Object.assign(new Error('gone'), { code: 'ESRCH' });
      },
      isIsolated: () => assert.fail('nobody asks'),
      isolate: () => assert.fail('nobody asks'),
      isPaused: () => assert.fail('nobody asks'),
      pause: () => assert.fail('nobody asks'),
      isEnding: () => assert.fail('nobody asks'),
      isLast: () => assert.fail('nobody asks'),
      endContainer: () => assert.fail('nobody asks'),
    },
    operators: new OperatorResponses(settings(ENFORCED)),
    nowMs: () => 0,
  });
  for (let n = 0; n < 100; n++) assert.equal(outcomeOf(refusing, detection()), 'too late', `${n}`);
});

test('drills and the canary are not answered', () => {
  const { killed, responder } = world('[{match: {rule: "*"}, do: kill, mode: enforce}]');
  for (const name of ['Varvel canary', 'Varvel drill critical']) {
    const rule = { name, tags: [], priority: 'Critical', enabled: true } as const;
    assert.deepEqual(responder.respond(detection({ rule })), []);
  }
  assert.deepEqual(killed, []);
});

test('other settings hold from then on', () => {
  const { killed, responder } = world(ENFORCED);
  responder.setOperators(new OperatorResponses(settings('[{match: {rule: Reverse*}, do: kill}]')));
  assert.equal(outcomeOf(responder, detection()), 'monitored');
  responder.setOperators(new OperatorResponses([]));
  assert.deepEqual(responder.respond(detection()), []);
  assert.deepEqual(killed, []);
});

test('deny: what the kernel has prevented is said so and uses up no limit; the rest is killed', () => {
  const { killed, responder } = world('[{match: {rule: Reverse*}, do: deny, mode: enforce}]');
  const prevented = {
    name: 'deny',
    outcome: 'prevented',
    guarantee: 'before the effect',
    denied: 'program',
  };
  for (let times = 0; times < 100; times++)
    assert.deepEqual(responder.respond(detection({ denied: 'program' })), [prevented]);
  // Although the app's exceptions cannot be asked: it has happened.
  assert.deepEqual(responder.respond(detection({ denied: 'program', isAnswered: () => false })), [
    prevented,
  ]);
  assert.deepEqual(killed, []);
  assert.deepEqual(responder.respond(detection()), [
    { name: 'deny', outcome: 'done', guarantee: 'after the effect' },
  ]);
  assert.deepEqual(killed, [7]);
});

test('deny: where the app’s own has ended, what the operator asks for counts', () => {
  const { app } = detection().container;
  const asked = detection({ asked: 'deny' });
  const alone = world('[]');
  assert.ok(alone.responder.operators.endDenying(app, 'x', true));
  assert.equal(outcomeOf(alone.responder, asked), 'monitored');
  const kept = world('[{match: {rule: Reverse*}, do: deny, mode: enforce, fall_back: false}]');
  assert.ok(kept.responder.operators.endDenying(app, 'x', true));
  assert.equal(outcomeOf(kept.responder, asked), 'done');
  assert.deepEqual(kept.killed, [7]);
  const fallen = world('[{match: {rule: Reverse*}, do: deny, mode: enforce}]');
  assert.ok(fallen.responder.operators.endDenying(app, 'x'));
  assert.equal(outcomeOf(fallen.responder, asked), 'monitored');
});

test('with the guarantee "before the effect", what was not prevented is only reported', () => {
  const entry = '{match: {rule: Reverse*}, do: deny, mode: enforce, guarantee: before the effect}';
  const { responder, killed } = world(`[${entry}]`);
  const [late] = responder.respond(detection());
  assert.deepEqual(late, { name: 'deny', outcome: 'reported', guarantee: 'after the effect' });
  assert.deepEqual(killed, []);
  const [early] = responder.respond(detection({ denied: 'file' }));
  assert.deepEqual(early, {
    name: 'deny',
    outcome: 'prevented',
    guarantee: 'before the effect',
    denied: 'file',
  });
  assert.deepEqual(
    responder.counts().map(({ outcome, count }) => [outcome, count]),
    [
      ['reported', 1],
      ['prevented', 1],
    ],
  );
  // Another entry for the same rule that kills is another response.
  const both = world(`[${entry}, ${ENFORCED.slice(1, -1)}]`);
  assert.deepEqual(
    both.responder.respond(detection()).map(({ name, outcome }) => [name, outcome]),
    [
      ['deny', 'reported'],
      ['kill', 'done'],
    ],
  );
});

test('an entry for a share of the instances is in monitor mode in the others', () => {
  const outcomes = (percent: number, instances: readonly (string | undefined)[]) =>
    instances.map((instance) => {
      const { responder } = world(
        `[{match: {rule: Reverse*}, do: kill, mode: enforce, percent: ${percent}}]`,
      );
      const container = containerOf({}, { name: 'shop', instance });
      return outcomeOf(responder, detection({ container })) === 'done' ? instance : '-';
    });
  const ten = Array.from({ length: 10 }, (_, n) => String(n));
  assert.deepEqual(
    outcomes(10, [...ten, '10', '20']).filter((one) => one !== '-'),
    ['0', '10', '20'],
  );
  assert.deepEqual(
    outcomes(50, ten).filter((one) => one !== '-'),
    ['0', '2', '4', '6', '8'],
  );
  assert.equal(outcomes(34, ten).filter((one) => one !== '-').length, 4);
  assert.deepEqual(
    outcomes(1, ten).filter((one) => one !== '-'),
    ['0'],
  );
  assert.deepEqual(outcomes(99, [undefined, '', 'x', '-1', '1e3']), ['-', '-', '-', '-', '-']);
  assert.deepEqual(outcomes(100, [undefined, 'x']), [undefined, 'x']);
});

test('a lift of a rule is one of an app’s own rules, too', () => {
  const operators = new OperatorResponses([], {
    isLifted: (rule) => rule?.name === 'Own',
    isLiftedSomewhere: () => false,
  });
  const { responder, killed } = world('[]');
  responder.setOperators(operators);
  const own = { ...REVERSE, name: 'Own' };
  const of = detection({ rule: undefined, matched: own, asked: 'kill' });
  assert.equal(outcomeOf(responder, of), 'monitored');
  assert.equal(outcomeOf(responder, { ...of, matched: { ...own, name: 'Other' } }), 'done');
  assert.deepEqual(killed, [7]);
});

test('deny, where it is not known whose the container is: by entries for all instances of all apps', () => {
  const lifts = new Lifts(() => 0);
  const operators = new OperatorResponses(
    settings(`[
      {match: {rule: All, app: shop}, do: deny, mode: enforce},
      {match: {rule: Space, space: x}, do: deny, mode: enforce},
      {match: {rule: Org, org: x}, do: deny, mode: enforce},
      {match: {rule: Share}, do: deny, mode: enforce, percent: 50},
      {match: {rule: Killed}, do: kill, mode: enforce},
      {match: {rule: Monitored}, do: deny},
      {match: {rule: Falls}, do: deny, mode: enforce},
      {match: {rule: Stays}, do: deny, mode: enforce, fall_back: false},
    ]`),
    lifts,
  );
  const rules = ['All', 'Space', 'Org', 'Share', 'Killed', 'Monitored', 'Falls', 'Stays'].map(
    (name) => ({ ...REVERSE, name }),
  );
  const denied = (): readonly string[] => operators.deniedInAny(rules).map(({ name }) => name);
  assert.deepEqual(denied(), ['Falls', 'Stays']);
  // It may be the app in which this is lifted, or in which denial has ended.
  lifts.add({ app: 'shop', rule: 'Fall*' });
  assert.deepEqual(denied(), ['Stays']);
  lifts.add({ app: 'blog' });
  assert.deepEqual(denied(), []);
  lifts.end({});
  assert.ok(operators.endDenying(detection({}).container.app, 'it was harmed'));
  assert.deepEqual(denied(), ['Stays']);
  lifts.setFile(true);
  assert.deepEqual(denied(), []);
});

test('deny: the rules that deny are those that an entry to enforce names, by app', () => {
  const operators = new OperatorResponses(
    settings(
      '[{match: {rule: A*, app: shop}, do: deny, mode: enforce}, {match: {rule: B}, do: deny}, {match: {tag: t}, do: deny, mode: enforce}]',
    ),
  );
  const ruleOf = (name: string, tags: string[] = []) =>
    ({ name, tags, priority: 'Critical', enabled: true }) as const;
  const rules = [ruleOf('A1'), ruleOf('B'), ruleOf('C', ['t']), ruleOf('D')];
  const deniedOf = (name: string): string[] =>
    operators.deniedAmong(rules, containerOf({}, { name }).app).map((rule) => rule.name);
  assert.deepEqual(deniedOf('shop'), ['A1', 'C']);
  assert.deepEqual(deniedOf('blog'), ['C']);
  const none = new OperatorResponses(settings('[{match: {tag: t}, do: kill, mode: enforce}]'));
  assert.deepEqual(none.deniedAmong(rules, undefined), []);
  const all = new OperatorResponses(settings('[{match: {tag: t}, do: deny, mode: enforce}]'));
  const drills = [ruleOf('Varvel canary', ['t']), ruleOf('C', ['t'])];
  for (let times = 0; times < 2; times++)
    assert.deepEqual(all.deniedAmong(drills, undefined), drills.slice(1), 'nor does a drill');
  assert.deepEqual(all.deniedAmong(rules, undefined), [rules[2]], 'of other rules others');
});

test('deny: each detection of a program that was denied says so, whatever else is to be done about it', () => {
  const prevented = (name: string) => ({
    name,
    outcome: 'prevented',
    denied: 'program',
    guarantee: 'before the effect',
  });
  const late = (name: string, outcome: string) => ({
    name,
    outcome,
    guarantee: 'after the effect',
  });
  const both = world(
    '[{match: {rule: Reverse*}, do: deny, mode: enforce}, {match: {rule: Reverse*}, do: kill, mode: enforce}]',
  );
  const denied = detection({ denied: 'program' });
  assert.deepEqual(both.responder.respond(denied), [prevented('deny'), prevented('kill')]);
  assert.deepEqual(both.killed, []);

  // Another rule denies it: this one has none, or one in monitor mode, or ends the container.
  const none = world('[{match: {rule: Other}, do: deny, mode: enforce}]');
  assert.deepEqual(none.responder.respond(denied), [prevented('deny')]);
  assert.deepEqual(none.responder.counts(), [], 'it counts for the rule that denies');
  const monitor = world('[{match: {rule: Reverse*}, do: deny}]');
  assert.deepEqual(monitor.responder.respond(denied), [
    late('deny', 'monitored'),
    prevented('deny'),
  ]);
  const restart = world('[{match: {rule: Reverse*}, do: restart, mode: enforce}]');
  assert.deepEqual(restart.responder.respond(denied), [late('restart', 'done'), prevented('deny')]);
  // An app asks for a kill.
  const asked = world('[]');
  assert.deepEqual(asked.responder.respond(detection({ denied: 'program', asked: 'kill' })), [
    prevented('kill'),
  ]);
  assert.deepEqual(asked.killed, []);
});

test('deny: of a refused connection only the denial is done; the process goes on, and may be killed', () => {
  const denied = detection({ denied: 'connection' });
  const prevented = {
    name: 'deny',
    outcome: 'prevented',
    guarantee: 'before the effect',
    denied: 'connection',
  };
  const deny = world('[{match: {rule: Reverse*}, do: deny, mode: enforce}]');
  for (let times = 0; times < 100; times++)
    assert.deepEqual(deny.responder.respond(denied), [prevented]);
  assert.deepEqual(deny.killed, []);
  assert.deepEqual(deny.responder.respond(detection({ denied: 'connection', asked: 'deny' })), [
    prevented,
  ]);
  const kill = world('[{match: {rule: Reverse*}, do: kill, mode: enforce}]');
  assert.deepEqual(
    kill.responder.respond(denied).map(({ name, outcome }) => [name, outcome]),
    [
      ['kill', 'done'],
      ['deny', 'prevented'],
    ],
  );
  assert.equal(kill.killed.length, 1);
  // One that was not refused, as its table was not in the kernel yet.
  assert.equal(outcomeOf(deny.responder, detection()), 'done');
});
