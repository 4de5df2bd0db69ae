import assert from 'node:assert/strict';
import { test } from 'node:test';
import { automatonOf } from '../../../src/plan/verdicts/automaton.ts';
import { CLASSES_MAX, ROW } from '../../../src/plan/verdicts/layout.ts';
import type { PathTest } from '../../../src/plan/verdicts/path-tests.ts';
import { atOnce } from '../../../src/shared/turns.ts';
import type { Pattern } from '../../../src/plan/verdicts/patterns.ts';

/** A text of one byte. */
const only = (byte: number): Pattern => [
  { bytes: Uint8Array.from({ length: 256 }, (_, one) => (one === byte ? 1 : 0)), many: false },
];
/** Tells so many bytes apart, and all others from them. */
const telling = (bytes: number): PathTest => ({
  key: 'x',
  part: 'path',
  machine: 'beginning',
  point: 'end',
  patterns: Array.from({ length: bytes }, (_, byte) => only(byte)),
  negated: false,
  holdsForRoot: false,
});

test('an automaton has no more classes of bytes than a byte of the table can name', () => {
  const most = atOnce(automatonOf([telling(CLASSES_MAX - 1)], 1000));
  assert.equal(most?.classCount, CLASSES_MAX);
  assert.equal(Math.max(...most.classes) + ROW.classes, 255);
  assert.equal(atOnce(automatonOf([telling(CLASSES_MAX)], 1000)), undefined);
});

test('an automaton of more states than there is room for is none', () => {
  // Its beginning, one for each text, and one that leads nowhere.
  assert.equal(atOnce(automatonOf([telling(3)], 5))?.accepted.length, 5);
  assert.equal(atOnce(automatonOf([telling(3)], 4)), undefined);
});
