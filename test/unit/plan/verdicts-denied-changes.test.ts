// Of which changes of names, modes and owners a rule can be certain before they are made.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deniesChangesAmong } from '../../../src/plan/verdicts/call-kinds.ts';
import { deniedKindsOf } from '../../../src/plan/verdicts/rule-clauses.ts';
import { verdictOf } from '../../../src/plan/verdicts/verdict.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { kindsDenied, verdictTable } from '../../support/verdict-table.ts';

for (const [condition, denies] of [
  ['evt.type = unlink and evt.arg.path = /x', true],
  ['evt.type = unlink and evt.arg.path = /x and evt.rawres = 0', true],
  ['evt.type = unlink and evt.arg.path = /x and evt.failed = false', true],
  ['evt.type in (rename, renameat, renameat2) and evt.arg.newpath startswith /x/', true],
  // By one of the two paths.
  ['evt.type = rename and (evt.arg.newpath = /x or evt.arg.oldpath = /x)', true],
  ['evt.type in (symlink, symlinkat) and evt.arg.linkpath = /x', true],
  // A link's target is a text that the kernel does not resolve.
  ['evt.type = symlink and evt.arg.target = /x', false],
  ['evt.type = mkdir and fs.path.name startswith /x', true],
  ['evt.type in (fchmod, fchown) and fd.name = /x', true],
  ['evt.type = chmod and evt.arg.filename = /x and not evt.arg.mode contains S_ISUID', true],
  ['evt.type = chmod and evt.arg.filename = /x and evt.arg.mode contains S_ISUID', false],
  ['evt.type = unlink and evt.arg.path = /x and evt.failed = true', false],
  ['evt.type = unlink and evt.arg.path = /x and user.name = root', false],
  ['evt.type = mknod and evt.arg.path = /x', false],
  ['evt.type = openat and fd.name = /x', false],
  ['evt.type = connect and fd.sip = 10.0.0.1', false],
] as const)
  test(`${condition}: ${denies ? 'can be refused' : 'cannot be refused'}`, () => {
    const rules = ruleSetOf(ruleFile(condition));
    assert.equal(deniesChangesAmong(deniedKindsOf(rules.rules[0]!)), denies);
    const { bytes } = verdictTable(rules, 'docker', new Set(['r']));
    if (bytes === undefined) {
      assert.ok(!denies);
      return;
    }
    assert.equal(deniesChangesAmong(kindsDenied(bytes)), denies);
  });

test('by the path that the rule asks for, whatever the other one is', () => {
  const judge = (condition: string, first: string, second: string): boolean => {
    const rules = ruleSetOf(ruleFile(`evt.type in (rename, link) and ${condition}`));
    const { bytes } = verdictTable(rules, 'docker', new Set(['r']));
    const [denied = 0, deniedToo = 0] = [first, second].map(
      (path, which) =>
        verdictOf(bytes ?? assert.fail('no table'), {
          event: 'rename',
          which: which === 0 ? 0 : 1,
          failed: false,
          directory: false,
          layer: 'none',
          path: Buffer.from(path),
        }).denies,
    );
    return (denied & deniedToo) !== 0;
  };
  assert.ok(judge('evt.arg.newpath = /x', '/a', '/x'));
  assert.ok(!judge('evt.arg.newpath = /x', '/x', '/a'));
  assert.ok(judge('evt.arg.oldpath = /x', '/x', '/a'));
  assert.ok(!judge('evt.arg.oldpath = /x', '/a', '/x'));
  assert.ok(judge('evt.arg.oldpath = /x and evt.arg.newpath = /y', '/x', '/y'));
  assert.ok(!judge('evt.arg.oldpath = /x and evt.arg.newpath = /y', '/x', '/x'));
  for (const either of [
    '(evt.arg.oldpath = /x or evt.arg.newpath = /x)',
    '(fs.path.source = /x or fs.path.target = /x)',
    'not (not evt.arg.oldpath = /x and evt.arg.newpath != /x)',
  ]) {
    assert.ok(judge(either, '/x', '/a'), either);
    assert.ok(judge(either, '/a', '/x'), either);
    assert.ok(!judge(either, '/a', '/b'), either);
  }
  const both = '(evt.arg.oldpath = /x or evt.arg.newpath = /x) and not evt.arg.newpath = /y';
  assert.ok(judge(both, '/a', '/x'));
  assert.ok(!judge(both, '/x', '/y'));
});
