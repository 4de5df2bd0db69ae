import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideScope, type ScopeMode } from '../../../src/apps/opt-in.ts';

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

test('a cgroup that the operator named is in scope in every mode', () => {
  for (const mode of ['opt-in', 'opt-out', 'always'] as const) {
    assert.equal(decideScope(mode, { runtime: 'cgroup', labels: {} }).inScope, true);
  }
});
