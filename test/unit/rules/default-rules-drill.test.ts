import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kernelPlanFor } from '../../../src/plan/kernel-plan.ts';
import {
  CANARY_FOLDER,
  CANARY_RULE,
  DRILL_FOLDERS,
  DRILL_RULES,
  isDrillRule,
} from '../../../src/shared/drill.ts';
import type { DrillPriority } from '../../../src/shared/drill.ts';
import { names, result, started } from '../../support/default-rules.ts';
import { makeEvent, makeOpen, makeSubject, openForRead } from '../../support/rules-subject.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';

const rules = result.ruleSet?.rules ?? [];

/** An open that the kernel refused. */
const refused = (path: string, errno = 2) =>
  makeEvent('openat', {
    result: -errno,
    open: { ...makeOpen(path), rawPath: path, file: undefined },
  });

describe('the default rules of a drill', () => {
  test('have the names, priorities and paths that varvel drill knows', () => {
    const own = rules.filter(({ name }) => isDrillRule(name));
    assert.deepEqual(
      own.map(({ name, priority }) => [priority, name]).sort(),
      [...Object.entries(DRILL_RULES), ['Informational', CANARY_RULE]].sort(),
    );
    assert.equal(names(refused(`${CANARY_FOLDER}0123456789abcdef0123`))[0], CANARY_RULE);
    for (const [priority, folder] of Object.entries(DRILL_FOLDERS)) {
      const rule = DRILL_RULES[priority as DrillPriority];
      const [first] = names(refused(`${folder}0123456789abcdef0123`));
      assert.equal(first, rule);
    }
  });

  test('say the token, that nothing is wrong, and who may end the alert', () => {
    assert.ok(result.ruleSet);
    const engine = new RuleEngine(result.ruleSet);
    const subject = makeSubject(refused('/varvel-drill/0123456789abcdef0123'), {
      process: started('/bin/dash', ['-c', 'x']),
    });
    const [match] = engine.evaluate(subject);
    assert.ok(match);
    const { output, outputFields, priority } = engine.toDetection(match, subject);
    assert.equal(priority, 'Warning');
    assert.match(output, /this is a drill, nothing is wrong; whoever ordered it may end the alert/);
    assert.match(output, / token=0123456789abcdef0123 /);
    assert.equal(outputFields['fd.filename'], '0123456789abcdef0123');
  });

  test('hide nothing: what succeeds is none, and all other rules come before them', () => {
    assert.deepEqual(
      rules.slice(-3).map(({ name }) => isDrillRule(name)),
      [true, true, true],
    );
    const cat = started('/usr/bin/cat');
    // The passed path is below the drill's folder; the kernel opened another file, by a link or by dots.
    for (const rawPath of ['/varvel-drill/x', '/varvel-drill/../etc/shadow'])
      assert.deepEqual(names(openForRead('/etc/shadow', { rawPath }), cat), [
        'Sensitive file read',
      ]);
    for (const path of ['/varvel-drill', '/varvel-drills/x', '/app/varvel-drill/x'])
      assert.deepEqual(names(refused(path)), [], path);
  });

  test('cost the kernel nothing: it reports no more with them', () => {
    const others = rules.filter(({ name }) => !isDrillRule(name));
    assert.deepEqual(kernelPlanFor({ rules: others }), kernelPlanFor({ rules }));
  });
});
