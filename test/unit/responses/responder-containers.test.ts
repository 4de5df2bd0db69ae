// Responses that meet a whole container: it is isolated, or restarted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppIdentity, Container } from '../../../src/apps/identity.ts';
import type { Resolution } from '../../../src/apps/resolution.ts';
import { withResponses } from '../../../src/evaluation/with-response.ts';
import { isLastInstance } from '../../../src/responses/last-instance.ts';
import type { Respondable } from '../../../src/responses/responder.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf, detectionOf } from '../streams/delivery-fixture.ts';
import { detection, outcomeOf, world } from './responder-fixture.ts';

const BOTH =
  '[{match: {tag: network}, do: kill, mode: enforce}, {match: {tag: network}, do: isolate, mode: enforce}]';

test('a detection may have several responses, one of each', () => {
  const { isolated, killed, responder } = world(BOTH);
  const outcomes = (changes: Partial<Respondable> = {}): readonly string[] =>
    responder.respond(detection(changes)).map(({ name, outcome }) => `${name} ${outcome}`);
  assert.deepEqual(outcomes(), ['kill done', 'isolate done']);
  assert.deepEqual([killed, isolated], [[7], [70]]);
  assert.deepEqual(outcomes({ asked: 'kill' }), ['kill done', 'isolate done'], 'once more');
  assert.deepEqual([killed, isolated], [[7], [70]]);
});

test('an app that asks for a kill is isolated all the same where the operator enforces it', () => {
  const { isolated, killed, responder } = world(
    '[{match: {tag: network}, do: isolate, mode: enforce}]',
  );
  const found = responder.respond(detection({ asked: 'kill' }));
  assert.deepEqual(
    found.map(({ name, outcome }) => [name, outcome]),
    [
      ['kill', 'done'],
      ['isolate', 'done'],
    ],
  );
  assert.deepEqual([killed, isolated], [[7], [70]]);
});

test('two instances of an app are isolated in ten minutes, and ten containers of a host', () => {
  const { isolated, responder, time } = world(
    '[{match: {tag: network}, do: isolate, mode: enforce}]',
  );
  let cgroupId = 0;
  const isolate = (app: string): string | undefined => {
    const container = containerOf({ fullId: `c${++cgroupId}` }, { name: app });
    return outcomeOf(responder, detection({ container, cgroupId }));
  };
  assert.deepEqual([isolate('a'), isolate('a'), isolate('a')], ['done', 'done', 'limited']);
  const again = detection({ container: containerOf({ fullId: 'c1' }, { name: 'a' }), cgroupId: 1 });
  assert.equal(outcomeOf(responder, again), 'done', 'what is in force uses up nothing');
  for (const app of ['b', 'c', 'd', 'e']) {
    assert.deepEqual([isolate(app), isolate(app)], ['done', 'done']);
    time.ms += 60_000;
  }
  assert.equal(isolate('f'), 'limited');
  assert.equal(isolated.length, 10);
  time.ms += 6 * 60_000;
  assert.equal(isolate('f'), 'done');
  assert.equal(isolate('a'), 'done');
});

test('a container is paused once, also if its process is killed for the same detection, and within the limits', () => {
  const { killed, paused, responder } = world(BOTH.replace('isolate', 'pause'));
  const outcomes = (of: Respondable): readonly string[] =>
    responder.respond(of).map(({ name, outcome }) => `${name} ${outcome}`);
  for (let n = 0; n < 2; n++) assert.deepEqual(outcomes(detection()), ['kill done', 'pause done']);
  assert.deepEqual([killed, paused], [[7], [70]]);
  const instance = (cgroupId: number): readonly string[] =>
    outcomes(detection({ cgroupId, process: makeProcess({ pid: cgroupId }) }));
  assert.deepEqual(instance(71), ['kill done', 'pause done']);
  assert.deepEqual(instance(72), ['kill done', 'pause limited']);
  assert.deepEqual(paused, [70, 71]);
});

const RESTART = '[{match: {tag: network}, do: restart, mode: enforce}]';

test('a restart kills the process at once, and others that are detected until the container ends', () => {
  const { ending, killed, responder } = world(RESTART);
  assert.equal(outcomeOf(responder, detection()), 'done');
  assert.deepEqual([ending, killed], [[70], [7]]);
  const next = makeProcess({ pid: 8 });
  assert.equal(outcomeOf(responder, detection({ process: next })), 'done');
  assert.deepEqual([ending, killed], [[70], [7, 8]]);
});

test('a restart leaves the first process to the end of the container: its line would be lost', () => {
  const { ending, killed, responder } = world(RESTART);
  const first = makeProcess({ pid: 7, vpid: 1 });
  assert.equal(outcomeOf(responder, detection({ process: first })), 'done');
  // In the host's pid namespace it has another number.
  const container = { ...containerOf(), initPid: 8 };
  const other = { process: makeProcess({ pid: 8, vpid: 8 }), container, cgroupId: 71 };
  assert.equal(outcomeOf(responder, detection(other)), 'done');
  assert.deepEqual([ending, killed], [[70, 71], []]);
});

test('what cannot be ended is not killed either', () => {
  const { killed, problems, responder } = world(RESTART);
  problems.end = 'ENOTSUP';
  assert.equal(outcomeOf(responder, detection()), 'refused');
  problems.end = 'ESRCH';
  assert.equal(outcomeOf(responder, detection()), 'too late');
  assert.deepEqual(killed, []);
});

test('an app’s last instance is spared, unless the entry says otherwise; that uses up no limit', () => {
  for (const name of ['isolate', 'pause', 'restart'] as const) {
    const entry = `match: {tag: network}, do: ${name}, mode: enforce`;
    const { problems, responder } = world(`[{${entry}}]`);
    problems.isLast = true;
    for (let again = 0; again < 5; again++) {
      const done = responder.respond(detection());
      assert.deepEqual(done, [
        { name, outcome: 'limited', guarantee: 'after the effect', sparesLast: true },
      ]);
      const { output } = withResponses(detectionOf({ output: 'x' }), done);
      assert.match(output, /^x \| container not .*, it is the last instance of the app that is up/);
    }
    problems.isLast = false;
    assert.equal(outcomeOf(responder, detection()), 'done');
    problems.isLast = true;
    assert.equal(outcomeOf(responder, detection()), 'done', 'it is in force already');

    const also = world(`[{${entry}, last_instance: true}]`);
    also.problems.isLast = true;
    assert.equal(outcomeOf(also.responder, detection()), 'done');
  }
  const kill = world('[{match: {tag: network}, do: kill, mode: enforce}]');
  kill.problems.isLast = true;
  assert.equal(outcomeOf(kill.responder, detection()), 'done', 'the app goes on');
});

test('the last instance: of the same app and process type, with another number, and not cut off', () => {
  const all: (Resolution & { readonly cgroupId: number })[] = [];
  const out = new Set<number>();
  const included = (cgroupId: number, app: Partial<AppIdentity>): Container => {
    const container = containerOf({ fullId: `c${cgroupId}` }, app);
    all.push({ cgroupId, state: 'included', container });
    return container;
  };
  const registry = {
    live: () => all.map(({ cgroupId }) => ({ cgroupId, path: '' })),
    resolve: (id: number): Resolution =>
      all.find(({ cgroupId }) => cgroupId === id) ?? { state: 'unknown' },
  };
  const isLast = (container: Container): boolean =>
    isLastInstance({ container }, registry, (cgroupId) => out.has(cgroupId));
  const shop = included(1, { name: 'shop' });
  included(2, { name: 'blog' });
  included(3, { name: 'shop', processType: 'worker' });
  included(4, { name: 'shop', workload: 'task' });
  all.push({ cgroupId: 5, state: 'pending', sinceMs: 0 });
  assert.equal(isLast(shop), true);
  included(6, { name: 'shop' });
  assert.equal(isLast(shop), false);
  out.add(6);
  assert.equal(isLast(shop), true, 'the other serves nobody');
  // Numbers: the same number is the same instance, of before and after a restart.
  const first = included(7, { name: 'numbered', instance: '0' });
  included(8, { name: 'numbered', instance: '0' });
  assert.equal(isLast(first), true);
  included(9, { name: 'numbered', instance: '1' });
  assert.equal(isLast(first), false);
  assert.equal(isLast(containerOf({}, { name: 'numbered', workload: 'task' })), false);
  const nobodys = { ...containerOf(), app: undefined };
  assert.equal(isLast(nobodys), true);
});
