import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAttacks, isGood } from './report.ts';
import { DEFAULT_UPSTREAM, selectRows, upstreamFolder } from './rows.ts';
import { runAttacks } from './run-attacks.ts';

const { rows, impossible } = selectRows(/(?:)/);
const folder = upstreamFolder(DEFAULT_UPSTREAM);

test('each action of an intruder that can be done here is noticed by the rule that is about it', async (t) => {
  if (folder === undefined) t.diagnostic('Falco’s rule files are not here: the default rules only');
  const run = await runAttacks(rows, folder);
  const table = formatAttacks(run, impossible, { colour: false });
  assert.ok(isGood(run), table);
  t.diagnostic(table.trimEnd().split('\n').slice(-4).join('; '));
});
