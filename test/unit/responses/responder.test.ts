import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResponseSetting } from '../../../src/config/config.ts';
import { OperatorResponses } from '../../../src/responses/operator-responses.ts';
import { MAX_A_MINUTE, Responder, type Respondable } from '../../../src/responses/responder.ts';
import { load } from '../config/load-fixture.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const settings = (yaml: string): readonly ResponseSetting[] =>
  load(`responses: ${yaml}\n`).config.responses;

function world(yaml: string) {
  const killed: number[] = [];
  const time = { ms: 0 };
  const responder = new Responder({
    host: { killProcess: (pid) => void killed.push(pid) },
    operators: new OperatorResponses(settings(yaml)),
    nowMs: () => time.ms,
  });
  return { killed, responder, time };
}

const detection = (changes: Partial<Respondable> = {}): Respondable => ({
  rule: { name: 'Reverse shell', tags: ['network'], priority: 'Critical', enabled: true },
  container: containerOf({}, { name: 'shop', space: 'production', org: 'acme' }),
  process: makeProcess({ pid: 7 }),
  asked: undefined,
  isAnswered: () => true,
  ...changes,
});

const ENFORCED = '[{match: {rule: Reverse*}, do: kill, mode: enforce}]';

test('an entry that says nothing else only monitors', () => {
  const { killed, responder } = world('[{match: {tag: network}, do: kill}]');
  assert.deepEqual(responder.respond(detection()), {
    name: 'kill',
    outcome: 'monitored',
    guarantee: 'after the effect',
  });
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
    assert.equal(responder.respond(detection())?.outcome, fits ? 'done' : undefined);
    assert.deepEqual(killed, fits ? [7] : []);
  });
}

test('no app fits where one is named and the container has none', () => {
  const { responder } = world('[{match: {rule: "*", app: shop}, do: kill, mode: enforce}]');
  const container = { ...containerOf(), app: undefined };
  assert.equal(responder.respond(detection({ container })), undefined);
});

test('an entry to enforce comes before one to monitor, in whichever order', () => {
  const { killed, responder } = world(
    '[{match: {tag: network}, do: kill}, {match: {app: shop, tag: network}, do: kill, mode: enforce}]',
  );
  assert.equal(responder.respond(detection())?.outcome, 'done');
  const other = containerOf({}, { name: 'blog' });
  assert.equal(responder.respond(detection({ container: other }))?.outcome, 'monitored');
  assert.deepEqual(killed, [7]);
});

test('what the app asks for is done whatever the operator says', () => {
  const { killed, responder } = world('[{match: {tag: network}, do: kill}]');
  assert.equal(responder.respond(detection({ asked: 'kill' }))?.outcome, 'done');
  assert.deepEqual(killed, [7]);
});

test('the operator’s entries are not about rules that an app has added', () => {
  const { killed, responder } = world('[{match: {rule: "*"}, do: kill, mode: enforce}]');
  assert.equal(responder.respond(detection({ rule: undefined })), undefined);
  assert.equal(responder.respond(detection({ rule: undefined, asked: 'kill' }))?.outcome, 'done');
  assert.deepEqual(killed, [7]);
});

test('nothing is done while the app’s exceptions to the rule are not asked', () => {
  const { killed, responder } = world(ENFORCED);
  assert.equal(responder.respond(detection({ isAnswered: () => false }))?.outcome, 'unanswered');
  responder.setOperators(new OperatorResponses(settings('[{match: {rule: Reverse*}, do: kill}]')));
  assert.equal(responder.respond(detection({ isAnswered: () => false }))?.outcome, 'unanswered');
  assert.deepEqual(killed, []);
});

test('a container has at most 60 in a minute, and a host 600; what apps ask for does not count', () => {
  const { killed, responder, time } = world(ENFORCED);
  let pid = 0;
  const times = (count: number, changes: Partial<Respondable>): (string | undefined)[] =>
    Array.from({ length: count }, () => {
      const process = makeProcess({ pid: ++pid });
      return responder.respond(detection({ process, ...changes }))?.outcome;
    });
  const { ofContainer, ofHost } = MAX_A_MINUTE;
  assert.deepEqual([ofContainer, ofHost], [60, 600]);
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
  time.ms += 60_000;
  assert.deepEqual(times(1, {}), ['done']);
  assert.deepEqual(
    responder.counts().map(({ outcome, count }) => [outcome, count]),
    [
      ['done', 701],
      ['limited', 2],
    ],
  );
});

test('what a process did before it was ended counts once, and what was not ended not at all', () => {
  const { killed, responder } = world(ENFORCED);
  for (let n = 0; n < 100; n++) assert.equal(responder.respond(detection())?.outcome, 'done');
  assert.deepEqual(killed, [7]);
  const later = makeProcess({ pid: 7, startBootNs: 99_000_000_000n });
  assert.equal(responder.respond(detection({ process: later }))?.outcome, 'done');
  assert.deepEqual(killed, [7, 7], 'another process of that pid');
  const refusing = new Responder({
    host: {
      killProcess: () => {
        throw Object.assign(new Error('gone'), { code: 'ESRCH' });
      },
    },
    operators: new OperatorResponses(settings(ENFORCED)),
    nowMs: () => 0,
  });
  for (let n = 0; n < 100; n++)
    assert.equal(refusing.respond(detection())?.outcome, 'too late', `${n}`);
});

test('drills and the canary are not answered', () => {
  const { killed, responder } = world('[{match: {rule: "*"}, do: kill, mode: enforce}]');
  for (const name of ['Varvel canary', 'Varvel drill critical']) {
    const rule = { name, tags: [], priority: 'Critical', enabled: true } as const;
    assert.equal(responder.respond(detection({ rule })), undefined);
  }
  assert.deepEqual(killed, []);
});

test('other settings hold from then on', () => {
  const { killed, responder } = world(ENFORCED);
  responder.setOperators(new OperatorResponses(settings('[{match: {rule: Reverse*}, do: kill}]')));
  assert.equal(responder.respond(detection())?.outcome, 'monitored');
  responder.setOperators(new OperatorResponses([]));
  assert.equal(responder.respond(detection()), undefined);
  assert.deepEqual(killed, []);
});
