import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBenign, isQuiet } from './benign-report.ts';
import { rowsMissingInPage } from './benign-table.ts';
import { whyNoDebianImage } from './debian-image.ts';
import { DEFAULT_UPSTREAM } from './rows.ts';
import { runBenign } from './run-benign.ts';
import { WORKLOADS, type Workload } from './workloads.ts';

/** Longer than a program counts as starting up; `npm run attacks` waits for longer, and for what waits itself. */
const LATER_S = 16;

/** Not ordinary at all: it must be reported. */
const INTRUDER: Workload = {
  name: 'intruder',
  image: 'busybox',
  ends: true,
  runs: ['cat', '/etc/shadow'],
};

test('ordinary apps trip no default rule', async (t) => {
  const noDebian = whyNoDebianImage();
  if (noDebian !== undefined) t.diagnostic(`only those in busybox: ${noDebian}`);
  const workloads = WORKLOADS.filter(
    ({ slow, image }) => slow !== true && (image === 'busybox' || noDebian === undefined),
  );
  const outcomes = [...(await runBenign([...workloads, INTRUDER], DEFAULT_UPSTREAM, LATER_S))];
  const intruder = outcomes.pop();
  assert.deepEqual(
    intruder?.ours.map(({ rule }) => rule),
    ['Sensitive file read'],
    'what is not ordinary is noticed',
  );
  const report = formatBenign(outcomes, { colour: false });
  assert.ok(isQuiet(outcomes), `\n${report}`);
  assert.deepEqual(rowsMissingInPage(outcomes), [], 'manifests/COVERAGE.md');
  for (const line of report.split('\n').filter((it) => /rules: /.test(it))) t.diagnostic(line);
});
