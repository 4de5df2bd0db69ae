import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { EVENT_TABLE, KINDS } from '../../src/events/table.gen.ts';
import { TOPICS } from '../support/kernel-calls.ts';

/** Whose tests are older, or of more than params. */
const ELSEWHERE = new Map([['connect', 'connect.test.ts']]);

test('every call of the table has a test that asserts all its params', () => {
  const calls = Object.entries(EVENT_TABLE)
    .filter(([, { kind }]) => kind === KINDS.call)
    .map(([event]) => event);
  const tested = [...Object.values(TOPICS).flat(), ...ELSEWHERE.keys()];
  assert.deepEqual([...tested].sort(), calls.sort());
  assert.equal(new Set(tested).size, tested.length);
  const files = [
    ...Object.keys(TOPICS).map((topic) => `calls-${topic}.test.ts`),
    ...ELSEWHERE.values(),
  ];
  for (const file of files) {
    assert.ok(existsSync(new URL(file, import.meta.url)), `test/kernel/${file} is missing`);
  }
});
