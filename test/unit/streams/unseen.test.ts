import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unseenNotice } from '../../../src/streams/notices.ts';
import { UnseenEvents, type Unseen } from '../../../src/streams/unseen.ts';
import { containerOf } from './delivery-fixture.ts';

const S = 1_000_000_000n;

function textOf(...all: readonly Omit<Unseen, 'container'>[]): string {
  const unseen = new UnseenEvents();
  for (const one of all) unseen.add({ container: containerOf(), ...one });
  const [sum, ...more] = unseen.take();
  assert.ok(sum !== undefined && more.length === 0);
  assert.deepEqual(unseen.take(), []);
  return unseenNotice(sum).output;
}

test('a container that floods is told so, with the times of its own losses in any order of telling', () => {
  const text = textOf(
    { reasons: { ownShare: 5 }, firstNs: 20n * S, lastNs: 30n * S },
    { reasons: { ownShare: 2 }, firstNs: 10n * S, lastNs: 12n * S },
  );
  assert.equal(
    text,
    '7 events were not seen from 1970-01-01T00:00:10.000000000Z to 1970-01-01T00:00:30.000000000Z: this container makes more of them than the host can look at. What happened in them is not known',
  );
});

test('the agent’s own lateness is said as its own, and blames no container', () => {
  const late = { firstNs: S, lastNs: S, lateNs: 4_200_000_000 };
  const text = textOf({ reasons: { agentLate: 1 }, ...late });
  assert.match(text, /^1 event was not seen .*: the agent was up to 4.2 s late\. What/);
});

test('a container that lost events to others is told so in neutral words', () => {
  const text = textOf({ reasons: { noRoom: 3 }, firstNs: S, lastNs: S });
  assert.match(
    text,
    /: there was no room for them, and this container had not used up its share\./,
  );
});

test('several reasons are told with their numbers', () => {
  const text = textOf({ reasons: { noRoom: 3, agentLate: 2 }, firstNs: S, lastNs: S, lateNs: 1e9 });
  assert.match(
    text,
    /^5 events .*: 2 because the agent was up to 1.0 s late, 3 because there was no room/,
  );
});

test('what was dropped before it was known whose container it is', () => {
  const text = textOf({ reasons: { unknown: 3 }, firstNs: S, lastNs: S });
  assert.match(text, /: it was not known yet whose container this is, and no more could be kept\./);
});
