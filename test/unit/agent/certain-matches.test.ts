import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CertainMatches } from '../../../src/agent/certain-matches.ts';
import { SILENT_LOGGER, type Logger } from '../../../src/shared/logger.ts';
import { makeEvent } from '../../support/rules-subject.ts';

function world() {
  const said: string[] = [];
  const logger: Logger = { ...SILENT_LOGGER, error: (_about, text) => said.push(text) };
  let nowNs = 1000n;
  const matches = new CertainMatches(logger, () => nowNs);
  const at = (bootNs: bigint) => makeEvent('rename', { bootNs });
  return { matches, said, at, setNow: (ns: bigint) => (nowNs = ns) };
}

test('a match that the rules do not confirm is counted, and said once for a set of rules', () => {
  const { matches, said, at, setNow } = world();
  matches.begin();
  matches.compare(at(1000n), true);
  matches.compare(at(1001n), false);
  matches.compare(at(1002n), false);
  assert.deepEqual(matches.counts(), { confirmed: 1, unconfirmed: 2 });
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /certain that a rule matches a call, but none does/);
  matches.end();
  setNow(2000n);
  matches.begin();
  matches.compare(at(2001n), false);
  assert.equal(said.length, 2);
});

test('verdicts of rules that are not in force any more are not compared', () => {
  const { matches, said, at, setNow } = world();
  matches.compare(at(900n), false);
  matches.begin();
  setNow(1500n);
  matches.begin();
  matches.compare(at(999n), false);
  matches.compare(at(1200n), true);
  matches.end();
  matches.compare(at(1300n), false);
  assert.deepEqual(matches.counts(), { confirmed: 1, unconfirmed: 0 });
  assert.deepEqual(said, []);
});
