// What `npm test` says of a machine: before its tests, and after them.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { LONG_FILES } from '../../support/long-tests.mjs';
import { examine, LAYERS, tableOf } from '../../support/machine.mjs';
import { summaryOf } from '../../support/summary.mjs';

test('each layer runs here or says what it lacks; unit and property tests run wherever this does', () => {
  const rows = examine();
  assert.deepEqual(
    rows.map(({ layer }) => layer),
    LAYERS.map(({ layer }) => layer),
  );
  for (const { layer, lacks } of rows) {
    if (['unit', 'property', 'fuzz', 'scale'].includes(layer)) assert.equal(lacks, undefined);
    else assert.ok(lacks === undefined || lacks.length > 5, layer);
  }
});

test('the table has a line for each layer, with the reason where it is left out', () => {
  assert.deepEqual(
    tableOf([
      { layer: 'unit' },
      { layer: 'kernel', lacks: 'not root' },
      { layer: 'disk', part: 'full disks', lacks: 'no right to mount' },
    ]),
    [
      '  unit    runs',
      '  kernel  LEFT OUT: not root',
      '  disk    LEFT OUT (full disks): no right to mount',
    ],
  );
});

test('the end tells what ran, what was skipped and why, and what has not passed as it was not run', () => {
  const table = 'runs\tunit\t\nout\tkernel\tnot root\n';
  const counted = {
    layers: 'unit property',
    passed: 7,
    skipped: { 'needs root': 2 },
    filesLeftOut: 3,
  };
  assert.equal(
    summaryOf(table, `${JSON.stringify(counted)}\n`),
    `Passed, and nothing is left behind:
  unit property: 7 ran
    SKIPPED 2: needs root
Long tests are left to "npm run test:all": 3 files.
NOT RUN, because this machine cannot: 1 of 2 layers:
  kernel: not root
What was not run has not passed. "npm test -- --require all" makes it a failure.`,
  );
  assert.doesNotMatch(summaryOf('runs\tunit\t\n', ''), /NOT RUN|Long/);
});

test('each long test is a file', () => {
  assert.ok(LONG_FILES.length > 0);
  assert.deepEqual(
    LONG_FILES.filter((path) => !existsSync(path)),
    [],
  );
});
