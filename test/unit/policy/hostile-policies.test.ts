// The agent's own path: the text of a container's label, in the agent's process, for all apps of the host.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { kernelPlanFor } from '../../../src/plan/kernel-plan.ts';
import { compilePolicy } from '../../../src/policy/app-policy.ts';
import { operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { Policies } from '../../../src/policy/policies.ts';
import type { PolicyNews } from '../../../src/policy/policy-news.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import { readRuleFile } from '../../../src/rules/loader/load.ts';
import { HOSTILE_POLICIES } from '../../support/hostile-policies.ts';
import { makeEvent, makeProcess, makeSubject } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const operator = operatorRulesOf([readRuleFile('manifests/rules/varvel_rules.yaml')]);
const WHOLE = JSON.stringify(operator.ruleSet.rules.map(({ name, enabled }) => [name, enabled]));

describe('what a hostile tenant writes is refused in one bounded line, and the operator’s rules hold', () => {
  for (const [what, [text, said]] of Object.entries(HOSTILE_POLICIES)) {
    test(what, () => {
      const told: PolicyNews[] = [];
      const policies = new Policies({
        operator,
        textOf: () => ({ name: 'varvel.policy', text, trust: 'verified' }),
        tell: (news) => told.push(news),
        onChanged: () => undefined,
      });
      const container = containerOf({ fullId: 'a', initPid: 7 });
      policies.finish(container);
      policies.follow([container]);
      const [news] = told;
      assert.ok(news);
      assert.doesNotMatch(news.text, /[\0-\x1f\x7f\u202a-\u202e\u2066-\u2069]/);
      assert.ok(news.text.length < 2000, String(news.text.length));
      const policy = policies.of(container);
      if (policy === undefined) {
        assert.equal(news.state, 'refused');
        assert.match(news.text, said);
      } else {
        // 2^60 references to one comparison, which is made once.
        assert.equal(what, 'macros that multiply');
        kernelPlanFor(policy.ruleSet);
        const process = makeProcess({ image: { name: 'y' } });
        assert.deepEqual(policy.refine([], makeSubject(makeEvent('execve'), { process })), []);
      }
      assert.equal(
        JSON.stringify(operator.ruleSet.rules.map(({ name, enabled }) => [name, enabled])),
        WHOLE,
        'what is the operator’s is as it was',
      );
      assert.equal(({} as Record<string, unknown>)['x'], undefined);
    });
  }
});

test('a policy names no app but its own: no key and no field says whose rules they are', () => {
  const { document } = readPolicy({
    name: 'varvel.yml',
    text: `custom_rules:
  - {rule: Shop, desc: d, output: "x %app.guid", priority: NOTICE, condition: evt.type = execve and app.name = shop}
  - {rule: Others, desc: d, output: x, priority: NOTICE, condition: evt.type = execve and not app.guid = mine}
`,
  });
  assert.ok(document);
  const { policy } = compilePolicy(document, operator, 'verified');
  assert.ok(policy);
  // Conditions can ask for an app's name; what asks is evaluated in containers with this policy alone.
  const policies = new Policies({
    operator,
    textOf: ({ fullId }) =>
      fullId === 'own' ? { name: 'l', text: document.source.text, trust: 'verified' } : undefined,
    tell: () => undefined,
    onChanged: () => undefined,
  });
  policies.finish(containerOf({ fullId: 'own' }));
  policies.follow([containerOf({ fullId: 'own' }), containerOf({ fullId: 'other' })]);
  assert.equal(policies.of(containerOf({ fullId: 'other' })), undefined);
  assert.deepEqual(policies.of(containerOf({ fullId: 'own' }))?.summary.own, ['Shop', 'Others']);
});

test('patterns take steps in proportion to the value: counted, not timed', () => {
  const lengths = [1000, 2000, 4000, 8000, 16_000];
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'test/support/pattern-steps.ts', ...lengths.map(String)],
    { encoding: 'utf8' },
  );
  assert.equal(stderr, '');
  const counts = JSON.parse(stdout) as number[];
  assert.equal(counts.length, lengths.length);
  const [first = 0] = counts;
  assert.ok(first > 1000, 'the code is seen');
  counts.forEach((count, index) => {
    const before = counts[index - 1];
    if (before !== undefined) assert.ok(count <= 2.1 * before, JSON.stringify(counts));
  });
});
