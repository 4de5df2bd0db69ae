import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelPlanFor } from '../../../src/plan/kernel-plan.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';

const hooksOf = (condition: string, output?: string): readonly string[] =>
  kernelPlanFor(ruleSetOf(ruleFile(`evt.type = procexit and ${condition}`, output))).hooks;

test('what changes a process without a program is reported where rules look at it', () => {
  assert.deepEqual(hooksOf('proc.name = sh'), []);
  for (const field of ['proc.sname', 'proc.vpgid.name', 'proc.pgid.exe']) {
    assert.deepEqual(hooksOf(`${field} = sh`), ['sys_setpgid', 'sys_setsid'], field);
  }
  assert.deepEqual(hooksOf('proc.is_sid_leader = true'), ['sys_setpgid', 'sys_setsid']);
  assert.deepEqual(hooksOf('proc.name = sh', '%proc.sid'), ['sys_setpgid', 'sys_setsid']);
  assert.deepEqual(hooksOf('proc.name = sh', '%proc.cwd'), ['sys_chdir', 'sys_fchdir']);
});
