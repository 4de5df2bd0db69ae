import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { RuleWatch, SAMPLED_OF, WATCHED_RULES_MAX } from '../../../src/rules/rule-watch.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { makeImage, makeProcess, makeSubject, openForRead } from '../../support/rules-subject.ts';

test('one event in 256 is measured, rule by rule, and stands for 256', () => {
  const time = { now: 0 };
  const watch = new RuleWatch({
    onFailure: () => assert.fail('nothing fails'),
    nowMs: () => time.now,
  });
  const rules =
    ruleFile('evt.type = openat and proc.exepath = /x', 'o').replace('rule: r', 'rule: slow') +
    ruleFile('evt.type = openat and proc.name = node', 'o').replace('rule: r', 'rule: quick');
  const engine = new RuleEngine(ruleSetOf(rules));
  const image = makeImage();
  Object.defineProperty(image, 'exePath', { get: () => ((time.now += 2), '/x') });
  const subject = makeSubject(openForRead('/y'), { process: { ...makeProcess(), image } });
  const events = 100 * SAMPLED_OF;
  let sampled = 0;
  for (let event = 0; event < events; event++) {
    if (!watch.isDue()) continue;
    sampled++;
    watch.startEvent(true);
    assert.equal(engine.evaluateEach(subject, watch).length, 2);
  }
  assert.ok(sampled > 60 && sampled < 150, String(sampled));
  const { slow, quick } = Object.fromEntries(watch.costs());
  assert.deepEqual(slow, {
    evaluations: sampled * SAMPLED_OF,
    seconds: (sampled * SAMPLED_OF * 2) / 1000,
    failures: 0,
  });
  assert.deepEqual(quick, { evaluations: sampled * SAMPLED_OF, seconds: 0, failures: 0 });
});

test('each output is measured; rules beyond the bound are one', () => {
  const time = { now: 0 };
  const watch = new RuleWatch({ onFailure: () => undefined, nowMs: () => time.now });
  const [rule] = ruleSetOf(ruleFile('evt.type = openat', 'o')).rules;
  assert.ok(rule);
  for (let n = 0; n < WATCHED_RULES_MAX + 2; n++) {
    const one = { ...rule, name: `rule ${n}` };
    watch.written(one, () => {
      time.now += 3;
      throw new Error('no');
    });
  }
  const costs = watch.costs();
  assert.equal(costs.size, WATCHED_RULES_MAX + 1);
  assert.deepEqual(costs.get('rule 1'), { evaluations: 0, seconds: 0.003, failures: 1 });
  assert.deepEqual(costs.get('other'), { evaluations: 0, seconds: 0.006, failures: 2 });
});
