import type { PolicyTrust } from '../../../src/container-files/policy-text.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePolicy, type CompiledPolicy } from '../../../src/policy/app-policy.ts';
import { describeCheck, operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import type { ResponseHost, ResponseOutcome } from '../../../src/responses/response.ts';
import { kill } from '../../../src/responses/kill.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { withResponses } from '../../../src/evaluation/with-response.ts';
import { type ResponseName } from '../../../src/shared/response-names.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf, detectionOf } from '../streams/delivery-fixture.ts';

const OPERATORS = `
- rule: Shell started
  desc: d
  condition: evt.type = execve and proc.name = sh
  output: shell
  priority: NOTICE
  tags: [shell]
- rule: Bash started
  desc: d
  condition: evt.type = execve and proc.name = bash
  output: bash
  priority: ERROR
  tags: [shell]
`;
const OWN =
  'custom_rules: [{rule: Mine, desc: d, condition: evt.type = execve and proc.name = x, output: x, priority: ERROR}]\n';
const rules = operatorRulesOf([{ name: 'operator.yaml', text: OPERATORS }]);

function compile(
  text: string,
  responses: readonly ResponseName[] = ['kill'],
  trust: PolicyTrust = 'verified',
): CompiledPolicy {
  const { document, errors } = readPolicy({ name: 'varvel.yml', text });
  if (document === undefined) return { policy: undefined, errors, warnings: [] };
  return compilePolicy(document, { ...rules, responses }, trust);
}
const killing = ({ policy }: CompiledPolicy): readonly string[] | undefined =>
  policy?.summary.killing;
const said = ({ errors, warnings }: CompiledPolicy): string[] =>
  [...errors, ...warnings].map(({ line, column, message }) => `${line}:${column} ${message}`);

test('rules by name and by tag, the app’s own too; not those that are off', () => {
  const text = `${OWN}rules: [{disable: {rule: Bash started}}]\nresponses: [{kill: {tag: shell}}, {kill: {rule: Mi*}}]\n`;
  const compiled = compile(text);
  assert.deepEqual(killing(compiled), ['Shell started', 'Mine']);
  assert.equal(compiled.policy?.responseTo('Mine'), 'kill');
  assert.equal(compiled.policy.responseTo('Bash started'), undefined);
  assert.match(
    describeCheck('varvel.yml', compiled),
    /Ending the process, where .*\n  Shell started\n  Mine\n/,
  );
});

test('only where the operator allows it, and where the policy is the tenant’s for certain', () => {
  const text = 'responses:\n  - kill: {tag: shell}\n';
  for (const [compiled, why] of [
    [compile(text, []), /^2:5 the operator does not allow 'kill' here/],
    [
      compile(text, ['kill'], 'unverified'),
      /^2:5 it cannot be told .* asks for 'kill' has no effect/,
    ],
  ] as const) {
    assert.deepEqual(killing(compiled), []);
    assert.match(said(compiled).join(), why);
    assert.equal(compiled.errors.length, 0);
  }
});

test('deny counts for more than kill, and both are told apart', () => {
  const text = 'responses: [{deny: {rule: Bash started}}, {kill: {tag: shell}}]\n';
  const compiled = compile(text, ['kill', 'deny']);
  assert.deepEqual(killing(compiled), ['Shell started']);
  assert.deepEqual(compiled.policy?.summary.denying, ['Bash started']);
  assert.equal(compiled.policy.responseTo('Bash started'), 'deny');
  assert.match(describeCheck('varvel.yml', compiled), /Denying, where .*\n  Bash started\n/);
  assert.deepEqual(compile(text).policy?.summary.denying, [], 'where only kill is allowed');
});

test('what is wrong is refused with its place', () => {
  for (const [text, message] of [
    [
      'responses: [{kill: {rule: Shel started}}]',
      /^1:13 no rule is called .*did you mean "Shell started"/,
    ],
    ['responses: [{stop: {rule: x}}]', /^1:13 an entry is \{kill: \{rule: NAME\}\}/],
    ['responses: [{kill: {}}]', /^1:20 an entry is/],
    ['responses: {kill: {rule: x}}', /^1:12 'responses' must be a list/],
    [
      `responses: [${'{kill: {tag: shell}},'.repeat(101)}]`,
      /'responses' has 101 entries: at most 100/,
    ],
  ] as const) {
    const compiled = compile(text);
    assert.equal(compiled.policy, undefined);
    assert.match(said(compiled).join(), message);
  }
});

test('a response is in the line, with what became of it and what it can promise', () => {
  const detection: Detection = detectionOf({ output: 'x', outputFields: { a: 1 } });
  const said = (outcome: ResponseOutcome): Detection =>
    withResponses(detection, [{ name: 'kill', outcome, guarantee: 'after the effect' }]);
  const { output, outputFields } = said('done');
  assert.equal(output, 'x | process killed, after this had happened');
  assert.deepEqual(outputFields, {
    a: 1,
    'varvel.response': 'kill',
    'varvel.response.outcome': 'done',
    'varvel.response.guarantee': 'after the effect',
  });
  assert.match(said('too late').output, /not killed, it had ended/);
  assert.match(said('refused').output, /it needs CAP_KILL/);
  assert.match(said('monitored').output, /x \| process would have been killed/);
  assert.equal(said('limited').outputFields['varvel.response.outcome'], 'limited');
  assert.equal(withResponses(detection, []), detection);
  const both = withResponses(detection, [
    { name: 'kill', outcome: 'too late', guarantee: 'after the effect' },
    { name: 'isolate', outcome: 'done', guarantee: 'after the effect' },
  ]);
  assert.match(both.output, /^x \| process not killed, .* \| container cut off from the network, /);
  assert.equal(both.outputFields['varvel.response'], 'kill, isolate');
  assert.equal(both.outputFields['varvel.response.outcome'], 'too late, done');
});

test('kill names the process by pid and start', () => {
  const killed: number[][] = [];
  const target = {
    process: makeProcess({ pid: 7, startBootNs: 129_999_999n }),
    container: containerOf(),
    cgroupId: 1,
    denied: undefined,
    rule: undefined,
  };
  const hostOf = (killProcess: ResponseHost['killProcess']): ResponseHost => ({
    killProcess,
    isIsolated: () => assert.fail('it is about one process'),
    isolate: () => assert.fail('it is about one process'),
    isPaused: () => assert.fail('it is about one process'),
    pause: () => assert.fail('it is about one process'),
    isEnding: () => assert.fail('it is about one process'),
    isLast: () => assert.fail('it is about one process'),
    endContainer: () => assert.fail('it is about one process'),
  });
  assert.equal(
    kill.apply(
      target,
      hostOf((...args) => void killed.push(args)),
    ),
    'done',
  );
  assert.deepEqual(killed, [[7, 12]]);
  const failing = (code: string) => (): void => {
    throw Object.assign(new Error(code), { code });
  };
  assert.equal(kill.apply(target, hostOf(failing('ESRCH'))), 'too late');
  for (const code of ['EPERM', 'EINVAL'])
    assert.equal(kill.apply(target, hostOf(failing(code))), 'refused');
});

test('apps may not ask to be cut off from the network', () => {
  const compiled = compile('responses: [{isolate: {rule: Shell started}}]\n');
  assert.equal(compiled.policy, undefined);
  assert.deepEqual(said(compiled), ['1:13 an entry is {kill: {rule: NAME}} or {deny: {tag: TAG}}']);
});
