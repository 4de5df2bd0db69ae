import assert from 'node:assert/strict';
import { test } from 'node:test';

import { denialMatrix, matrixText } from '../../../src/cli/doctor/denial-matrix.ts';
import { checkDenial } from '../../../src/cli/doctor/denial.ts';
import type { AgentConfig } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { DenialOutcome, DenialTrial } from '../../../src/plan/denial-test.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { ALL_DENIED, WORKS } from '../../support/denial-findings.ts';

const configOf = (...settings: string[]): AgentConfig =>
  loadConfig({ env: {}, settings, defaultFile: '/nonexistent' }).config;

test('denial: tried, in vain, or not to be tried; that is worse where it is asked for', () => {
  const asked = configOf('policies.responses=deny');
  const found = (value: DenialOutcome, trial: DenialTrial = 'program') =>
    checkDenial(asked, trial, { status: 'fulfilled', value });
  assert.match(found('denied').says, /can be denied .* one was ended before its first instruction/);
  assert.match(
    found('denied', 'connection').says,
    /^Connections can be denied .* one was refused before it was made/,
  );
  assert.equal(found('denied').state, 'ok');
  for (const trial of ['program', 'connection', 'unix', 'call', 'memory', 'namespace'] as const)
    for (const outcome of ['not denied', 'untold', 'not tried'] as const) {
      assert.equal(found(outcome, trial).state, 'warn');
      assert.ok(found(outcome, trial).advice);
    }
  assert.match(
    found('not denied').says,
    /may not be denied .*: in a test a program ran although it was to be denied\.$/,
  );
  const refused = { status: 'rejected', reason: new UserError('Cannot: EPERM.') } as const;
  assert.equal(checkDenial(asked, 'program', refused).state, 'warn');
  const plain = checkDenial(configOf(), 'program', refused);
  assert.equal(plain.state, 'note');
  assert.equal(
    plain.says,
    'It was not tried whether programs can be denied (the response deny): Cannot: EPERM.',
  );
  assert.equal(checkDenial(configOf(), 'program', undefined).state, 'note');
  const off = checkDenial(configOf('probe.kernel_verdicts=false'), 'program', WORKS);
  assert.deepEqual([off.state, /probe\.kernel_verdicts is off/.test(off.says)], ['note', true]);
});

test('what deny does here is told from what was tried', () => {
  const refused = { status: 'rejected', reason: new UserError('Cannot: EPERM.') } as const;
  const failed = { status: 'fulfilled', value: 'not denied' } as const;
  const guarantees = (...args: Parameters<typeof denialMatrix>): string[] =>
    denialMatrix(...args).map(({ guarantee }) => guarantee);
  const late = 'killed after the effect';
  assert.deepEqual(guarantees(configOf(), ALL_DENIED), [
    'killed before the effect',
    ...Array<string>(7).fill('prevented'),
    late,
  ]);
  const found = {
    ...ALL_DENIED,
    program: failed,
    unix: failed,
    file: refused,
    call: refused,
    namespace: refused,
  };
  const rows = denialMatrix(configOf(), found);
  assert.deepEqual(
    rows.map(({ guarantee }) => guarantee),
    [late, 'prevented', late, late, 'prevented', late, 'prevented', late, late],
  );
  assert.match(
    matrixText(rows),
    /^ {2}open or change a file +killed after the effect {2}SIGKILL by the agent \(fmod_ret or lsm \(file_open, path_\*\) does not work here\)$/m,
  );
  assert.deepEqual(
    guarantees(configOf('probe.kernel_verdicts=false'), ALL_DENIED),
    Array(9).fill(late),
  );
});
