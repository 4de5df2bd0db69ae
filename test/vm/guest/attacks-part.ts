// What an intruder does where the default rules deny: those of the attack suite's own actions that a kernel without trampolines
// answers by killing, in containers of their own. In guests, since it needs a kernel that lets programs change what its functions return.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DeniedRow, DeniedRun } from '../../e2e/attacks/denied.ts';
import { ATTACK_ROWS } from '../../e2e/attacks/rows.ts';
import { runDenied } from '../../e2e/attacks/run-denied.ts';

/** COVERAGE.md is made of it. */
const STORED = 'test/bench/results/denied-trampolines.json';
/** An emulated machine has room for a part of them at a time. */
const PARTS = 2;

/** Tests a part of the attacks, from 0. */
export function testAttacks(part: number): void {
  test('attacks are stopped before their effect, as COVERAGE.md says', async () => {
    const stored = JSON.parse(readFileSync(join(process.cwd(), STORED), 'utf8')) as DeniedRun;
    const own = stored.rows.filter((_, index) => index % PARTS === part);
    const rows = own.map(
      ({ action }) => ATTACK_ROWS.find((row) => row.action === action) ?? assert.fail(action),
    );
    const { rows: found, problems } = await runDenied(rows, release(), 'error');
    const textOf = ({ action, denial }: DeniedRow): string => `${action}: ${denial}`;
    // Together: the one says what is behind the other.
    assert.deepEqual(
      { rows: found.map(textOf), problems },
      { rows: own.map(textOf), problems: [] },
    );
  });
}
