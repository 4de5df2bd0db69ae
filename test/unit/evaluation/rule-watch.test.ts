import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CpuClock } from '../../../src/evaluation/cpu-clock.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { RuleWatch, SAMPLED_OF, WATCHED_RULES_MAX } from '../../../src/evaluation/rule-watch.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { makeImage, makeProcess, makeSubject, openForRead } from '../../support/rules-subject.ts';

function fakeClock() {
  const time = { now: 0 };
  const clock = new CpuClock({ nowMs: () => time.now, cpuMs: () => time.now });
  return { time, clock };
}

test('one event in 256 is run rule by rule, and as many as a whole: how much it is, is known from these', () => {
  const { time, clock } = fakeClock();
  const watch = new RuleWatch({ onFailure: () => assert.fail('nothing fails'), clock });
  const rules =
    ruleFile('evt.type = openat and proc.exepath = /x', 'o').replace('rule: r', 'rule: slow') +
    ruleFile('evt.type = openat and proc.name = node', 'o').replace('rule: r', 'rule: quick');
  const engine = new RuleEngine(ruleSetOf(rules));
  const cost = { ms: 0 };
  const image = makeImage();
  Object.defineProperty(image, 'exePath', { get: () => ((time.now += cost.ms), '/x') });
  const subject = makeSubject(openForRead('/y'), { process: { ...makeProcess(), image } });
  const sampled = { whole: 0, each: 0 };
  for (let event = 0; event < 100 * SAMPLED_OF; event++) {
    if (!watch.isDue()) continue;
    const matches = watch.sample(
      () => {
        sampled.whole++;
        cost.ms = 2;
        return engine.evaluate(subject);
      },
      () => {
        sampled.each++;
        cost.ms = 5;
        return engine.evaluateEach(subject, watch);
      },
    );
    assert.equal(matches.length, 2);
  }
  const { whole, each } = sampled;
  assert.ok(each > 60 && each < 150 && Math.abs(whole - each) <= 1, `${whole} and ${each}`);
  const { slow, quick } = Object.fromEntries(watch.costs());
  assert.equal(slow?.evaluations, each * SAMPLED_OF);
  // The first is taken as it is: 5 ms, of which nobody knows yet that they would have been 2.
  const expected = ((each - 1) * 2 + 5) * SAMPLED_OF;
  assert.ok(Math.abs(slow.seconds - expected / 1000) < 1e-6, `${slow.seconds} s`);
  assert.deepEqual(quick, { evaluations: each * SAMPLED_OF, seconds: 0, failures: 0 });
});

test('each output is measured; rules beyond the bound are one', () => {
  const { time, clock } = fakeClock();
  const watch = new RuleWatch({ onFailure: () => undefined, clock });
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
