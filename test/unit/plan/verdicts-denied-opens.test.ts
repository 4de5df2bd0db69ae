// Which opens a rule can refuse, by how they are made.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deniedAccessesAmong } from '../../../src/plan/verdicts/call-kinds.ts';
import { deniedKindsOf } from '../../../src/plan/verdicts/rule-clauses.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { kindsDenied, verdictTable } from '../../support/verdict-table.ts';

const READS = 1;
const WRITES = 2;
const BOTH = 4;
const OPENED = 'evt.type in (open, openat, openat2) and fd.name = /x';

for (const [condition, accesses] of [
  [OPENED, READS | WRITES | BOTH],
  [`${OPENED} and evt.is_open_read = true`, READS | BOTH],
  [`${OPENED} and evt.is_open_write = true`, WRITES | BOTH],
  [`${OPENED} and evt.is_open_read = true and evt.is_open_write = false`, READS],
  [`${OPENED} and evt.rawres >= 0`, READS | WRITES | BOTH],
  [`${OPENED} and evt.failed = false`, READS | WRITES | BOTH],
  ['evt.type = creat and fd.name = /x', READS | WRITES | BOTH],
  // Beside kinds with high numbers.
  [`(${OPENED}) or (evt.type = execve and proc.exepath = /x)`, READS | WRITES | BOTH],
  [`(${OPENED}) or (evt.type = rmdir and evt.arg.path = /x)`, READS | WRITES | BOTH],
  // The number of the descriptor is not known before.
  [`${OPENED} and fd.num = 3`, 0],
  [`${OPENED} and evt.rawres > 3`, 0],
  [`${OPENED} and evt.failed = true`, 0],
  [`${OPENED} and user.name = root`, 0],
  [`${OPENED} and fd.nameraw contains ..`, 0],
  ['evt.type = unlink and evt.arg.path = /x', 0],
  ['evt.type = connect and fd.sip = 10.0.0.1', 0],
] as const)
  test(`${condition}: ${accesses}`, () => {
    const rules = ruleSetOf(ruleFile(condition));
    assert.equal(deniedAccessesAmong(deniedKindsOf(rules.rules[0]!)), accesses);
    const { bytes } = verdictTable(rules, 'docker', new Set(['r']));
    assert.ok(bytes !== undefined);
    assert.equal(deniedAccessesAmong(kindsDenied(bytes)), accesses);
  });
