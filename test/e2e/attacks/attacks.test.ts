import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAttacks, isGood } from './report.ts';
import { areShort, formatLengths, MOST } from './line-lengths.ts';
import type { AttackRow } from './row.ts';
import { DEFAULT_UPSTREAM, selectRows } from './rows.ts';
import { runAttacks } from './run-attacks.ts';

/** A row that must be reported: nothing is done, so that no rule can fire. */
const NOTHING: AttackRow = {
  action: 'nothing',
  upstream: 'Read sensitive file untrusted',
  file: 'stable',
  ours: 'Sensitive file read',
  does: 'true',
};

// `npm run attacks` has the others too: those that wait for a minute.
test('each attack trips its rules, in its own container', async (t) => {
  const { rows, impossible } = selectRows(/./);
  const quick = rows.filter(({ late }) => late !== true);
  const run = await runAttacks([...quick, NOTHING], DEFAULT_UPSTREAM);
  const control = run.rows.at(-1);
  assert.ok(control?.row === NOTHING);
  assert.deepEqual([control.ours?.fired, control.upstream?.fired], [false, false]);
  assert.ok(!isGood({ rows: [control], problems: [] }), 'what does not fire is noticed');
  const attacks = { ...run, rows: run.rows.slice(0, -1) };
  const report = formatAttacks(attacks, impossible, { colour: false });
  assert.ok(isGood(attacks), `\n${report}`);
  for (const line of report.split('\n').filter((it) => /rules: /.test(it))) t.diagnostic(line);
  const { lengths } = run;
  assert.ok(lengths.lines > 50 && areShort(lengths), formatLengths(lengths));
  for (const long of [
    { ...lengths, text: { ...lengths.text, median: MOST.text.median + 1 } },
    { ...lengths, json: { ...lengths.json, median: MOST.json.median + 1 } },
    { ...lengths, json: { ...lengths.json, longest: MOST.json.longest + 1 } },
  ])
    assert.ok(!areShort(long), 'what is too long is noticed');
});

test('an action that fails is noticed', async () => {
  const failing: AttackRow = { ...NOTHING, action: 'failing', does: 'cat /etc/shadow; false' };
  const run = await runAttacks([failing], undefined);
  assert.equal(run.rows[0]?.ours?.fired, true);
  assert.match(run.rows[0].problems.join(), /the action failed with 1/);
  assert.ok(!isGood(run));
});
