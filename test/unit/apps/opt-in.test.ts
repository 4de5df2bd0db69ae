import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asksByFile, decideScope, type ScopeMode } from '../../../src/apps/opt-in.ts';

function docker(value?: string) {
  const labels: Record<string, string> = value === undefined ? {} : { 'varvel.enable': value };
  return { runtime: 'docker' as const, labels };
}

test('modes against labels', () => {
  const table: [ScopeMode, string | undefined, boolean][] = [
    ['opt-in', undefined, false],
    ['opt-in', 'true', true],
    ['opt-in', ' TRUE ', true],
    ['opt-in', 'false', false],
    ['opt-in', 'yes', false],
    ['opt-in', '', false],
    ['opt-out', undefined, true],
    ['opt-out', 'true', true],
    ['opt-out', 'false', false],
    ['opt-out', 'no', true],
    ['always', undefined, true],
    ['always', 'false', true],
  ];
  for (const [mode, value, inScope] of table) {
    const decision = decideScope(mode, docker(value));
    assert.equal(decision.inScope, inScope, `${mode} ${value}`);
    assert.match(decision.reason, /^[A-Z].*\.$/, 'a sentence');
  }
});

test('each reason says which', () => {
  assert.match(decideScope('opt-in', docker()).reason, /no label varvel\.enable=true/);
  assert.match(decideScope('opt-in', docker('x'.repeat(1e6))).reason, /neither "true" nor "false"/);
  assert.match(decideScope('opt-out', docker('false')).reason, /is "false"/);
  assert.match(decideScope('always', docker()).reason, /"always"/);
});

test('the buildpack opts in, a label refuses', () => {
  assert.equal(decideScope('opt-in', docker(), { file: 'enabled' }).inScope, true);
  assert.equal(decideScope('opt-in', docker('false'), { file: 'enabled' }).inScope, false);
});

test('a policy in a label asks like the file, whatever is in it; a label that refuses wins', () => {
  const labelled = (policy: string, enable?: string, runtime: 'docker' | 'cri' = 'docker') => ({
    runtime,
    labels: { 'varvel.policy': policy, ...docker(enable).labels },
  });
  for (const policy of ['minimum_priority: error', 'no: policy', ''])
    for (const runtime of ['docker', 'cri'] as const)
      assert.deepEqual(decideScope('opt-in', labelled(policy, undefined, runtime)), {
        inScope: true,
        reason: 'It has a policy (label varvel.policy).',
      });
  for (const enable of ['false', ' False '])
    for (const mode of ['opt-in', 'opt-out'] as const) {
      const decision = decideScope(mode, labelled('a: b', enable));
      assert.deepEqual(decision, {
        inScope: false,
        reason: 'Its label varvel.enable is "false".',
      });
    }
  assert.equal(decideScope('opt-in', labelled('a: b', 'perhaps')).inScope, true);
  assert.match(decideScope('opt-in', labelled('a: b', 'true')).reason, /varvel\.enable is "true"/);
});

test('only where nothing else decides, the policy file is waited for', () => {
  assert.equal(asksByFile('opt-in', docker()), true);
  assert.equal(asksByFile('opt-in', docker('false')), false);
  const labels = { 'varvel.policy': 'a: b' };
  assert.equal(asksByFile('opt-in', { runtime: 'docker', labels }), false);
});

test('a cgroup that the operator named is in scope in every mode', () => {
  for (const mode of ['opt-in', 'opt-out', 'always'] as const) {
    assert.equal(decideScope(mode, { runtime: 'cgroup', labels: {} }).inScope, true);
  }
});
