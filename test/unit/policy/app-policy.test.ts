import type { PolicyTrust } from '../../../src/container-files/policy-text.ts';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compilePolicy } from '../../../src/policy/app-policy.ts';
import type { CompiledPolicy, OperatorRules } from '../../../src/policy/app-policy.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import type { AppPolicy } from '../../../src/policy/policy-in-force.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { loadRules } from '../../../src/rules/loader/load.ts';
import { makeEvent, makeProcess, makeSubject } from '../../support/rules-subject.ts';

const OPERATORS = `
- list: shells
  items: [sh, bash]
- macro: started
  condition: evt.type in (execve, execveat)
- rule: Shell started
  desc: d
  condition: started and proc.name in (shells)
  exceptions:
    - {name: apps, fields: proc.cwd, comps: in, values: [/nowhere/]}
    - {name: pairs, fields: [proc.name, proc.cwd], comps: [=, =]}
  output: shell %proc.name
  priority: NOTICE
  tags: [shell]
- rule: Any program started
  desc: d
  condition: started
  output: program %proc.name
  priority: DEBUG
  enabled: false
- rule: Bash started
  desc: d
  condition: started and proc.name = bash
  output: bash
  priority: ERROR
  tags: [shell, pinned]
`;

function operator(pinned: OperatorRules['pinned'] = []): OperatorRules {
  const { ruleSet, definitions } = loadRules([{ name: 'operator.yaml', text: OPERATORS }]);
  assert.ok(ruleSet);
  return { ruleSet, definitions, minimumPriority: 'Debug', appendOutput: [], pinned };
}

function compile(
  text: string,
  {
    trust = 'verified',
    pinned = [],
  }: { trust?: PolicyTrust; pinned?: OperatorRules['pinned'] } = {},
): CompiledPolicy {
  const { document, errors } = readPolicy({ name: 'varvel.yml', text });
  if (document === undefined) return { policy: undefined, errors, warnings: [] };
  return compilePolicy(document, operator(pinned), trust);
}

function policyOf(...args: Parameters<typeof compile>): AppPolicy {
  const { policy, errors } = compile(...args);
  assert.deepEqual(errors, []);
  assert.ok(policy);
  return policy;
}

const engine = new RuleEngine(operator().ruleSet);

/** The rules that report the start of a program in this app. */
function rulesOf(policy: AppPolicy, name: string, cwd = '/app'): string[] {
  const subject = makeSubject(makeEvent('execve'), {
    process: makeProcess({ image: { name, cwd } }),
  });
  return policy.refine(engine.evaluate(subject), subject).map(({ rule }) => rule.name);
}

const problems = ({ errors, warnings }: CompiledPolicy): string[] =>
  [...errors, ...warnings].map(({ line, column, message }) => `${line}:${column} ${message}`);

test('without a policy file’s words everything is as the operator has it', () => {
  for (const text of ['', '# nothing\n', 'rules:\ncustom_rules:\n']) {
    const policy = policyOf(text);
    assert.deepEqual(rulesOf(policy, 'bash'), ['Shell started', 'Bash started']);
    assert.equal(policy.summary.active, 2);
  }
});

test('rules off by name and by tag, and on again; one that the operator has off is on for this app', () => {
  const off = policyOf('rules: [{disable: {tag: shell}}, {enable: {rule: Bash*}}]');
  assert.deepEqual(rulesOf(off, 'bash'), ['Bash started']);
  assert.deepEqual(off.summary.muted, ['Shell started']);
  const on = policyOf('rules: [{enable: {rule: Any program started}}]');
  assert.deepEqual(rulesOf(on, 'node'), ['Any program started']);
  assert.deepEqual(rulesOf(on, 'sh'), ['Shell started', 'Any program started']);
  assert.deepEqual([on.summary.enabled, on.summary.active], [['Any program started'], 3]);
});

test('a minimum priority leaves out what is less severe, of the app’s own as well, and says so', () => {
  const text = `
minimum_priority: warning
custom_rules:
  - {rule: Mine, desc: d, condition: started, output: x, priority: NOTICE}
  - {rule: Ours, desc: d, condition: started, output: x, priority: WARNING}
`;
  const result = compile(text);
  assert.ok(result.policy);
  assert.deepEqual(rulesOf(result.policy, 'bash'), ['Bash started', 'Ours']);
  assert.deepEqual(result.policy.summary.own, ['Ours']);
  assert.match(
    problems(result).join('\n'),
    /the rule "Mine" is Notice, and the least priority is Warning/,
  );
});

test('rules, macros and lists of its own build on the operator’s', () => {
  const policy = policyOf(`
custom_rules:
  - list: converters
    items: [convert, ffmpeg]
  - macro: converter
    condition: proc.name in (converters)
  - rule: Converter of the shop
    desc: d
    condition: started and converter and not proc.name in (shells)
    output: converter %proc.name
    priority: CRITICAL
    tags: [shop]
`);
  assert.deepEqual(rulesOf(policy, 'convert'), ['Converter of the shop']);
  assert.deepEqual(rulesOf(policy, 'node'), []);
  const subject = makeSubject(makeEvent('execve'), {
    process: makeProcess({ image: { name: 'ffmpeg' } }),
  });
  const [match] = policy.refine([], subject);
  assert.ok(match);
  const detection: Detection = engine.toDetection(match, subject);
  assert.deepEqual(
    [detection.rule, detection.priority, detection.tags],
    ['Converter of the shop', 'Critical', ['shop']],
  );
  assert.match(detection.output, /converter ffmpeg$/);
});

test('exceptions of its own to the operator’s rules, and to no other app’s', () => {
  const before = operator();
  const { document } = readPolicy({
    name: 'varvel.yml',
    text: `
custom_rules:
  - rule: Shell started
    exceptions:
      - {name: apps, values: [/ok/, /fine/]}
      - {name: pairs, values: [[bash, /app/]]}
    override: {exceptions: append}
`,
  });
  assert.ok(document);
  const { policy } = compilePolicy(document, before, 'verified');
  assert.ok(policy);
  assert.deepEqual(rulesOf(policy, 'sh', '/ok'), []);
  assert.deepEqual(rulesOf(policy, 'sh', '/nowhere'), [], 'the operator’s own still hold');
  assert.deepEqual(rulesOf(policy, 'sh', '/app'), ['Shell started']);
  assert.deepEqual(rulesOf(policy, 'bash', '/app'), ['Bash started']);
  assert.deepEqual(policy.summary.excepted, ['Shell started']);
  const again = compilePolicy({ ...document, customRules: undefined }, before, 'verified');
  assert.ok(again.policy);
  assert.deepEqual(rulesOf(again.policy, 'sh', '/ok'), ['Shell started']);
});

test('what the operator has pinned cannot be weakened', () => {
  const pinned = [{ tag: 'pinned' }];
  const result = compile('minimum_priority: alert\nrules: [{disable: {tag: shell}}]', { pinned });
  assert.ok(result.policy);
  assert.deepEqual(rulesOf(result.policy, 'bash'), ['Bash started']);
  assert.deepEqual(problems(result), ['2:9 the operator has pinned "Bash started": this stays on']);
  const excepted = compile(
    'custom_rules:\n  - rule: Bash started\n    exceptions: [{name: x, fields: proc.cwd, values: [/app/]}]\n    override: {exceptions: append}\n',
    { pinned },
  );
  assert.equal(excepted.policy, undefined);
  assert.deepEqual(problems(excepted), [
    '2:5 the operator has pinned the rule "Bash started": no exceptions can be added to it',
  ]);
});

test('a file that may be younger than the app adds, and takes nothing away', () => {
  const text = `minimum_priority: alert
rules: [{disable: {tag: shell}}, {enable: {rule: Any program started}}]
custom_rules:
  - rule: Shell started
    exceptions: [{name: apps, values: [/app/]}]
    override: {exceptions: append}
  - {rule: Mine, desc: d, condition: started, output: x, priority: NOTICE}
`;
  const result = compile(text, { trust: 'unverified' });
  assert.ok(result.policy);
  assert.deepEqual(rulesOf(result.policy, 'bash'), [
    'Shell started',
    'Any program started',
    'Bash started',
    'Mine',
  ]);
  const said = problems(result);
  assert.equal(said.length, 3);
  for (const [at, what] of [
    [0, 'switches rules off'],
    [1, 'asks for fewer lines'],
    [2, 'adds exceptions to "Shell started"'],
  ] as const)
    assert.match(
      said[at] ?? '',
      new RegExp(`older than the app's start, so the part that ${what}`),
    );
});

describe('what is wrong is said with its place, and nothing of it takes effect', () => {
  const own = (item: string): string => `custom_rules:\n  - ${item}\n`;
  const rule = (keys: string): string =>
    own(`{rule: Mine, desc: d, output: x, priority: NOTICE, ${keys}}`);
  const cases: readonly (readonly [text: string, problem: RegExp])[] = [
    [
      '- rule: x',
      /^1:1 a policy has keys: minimum_priority, rules, responses, variables, enforce, custom_rules/,
    ],
    [
      'minimum_prioritty: error',
      /^1:1 unknown key 'minimum_prioritty': did you mean 'minimum_priority'\?/,
    ],
    ['minimum_priority: eror', /^1:19 'eror' is no priority: did you mean 'error'\?/],
    ['rules: {disable: x}', /^1:8 'rules' must be a list/],
    ['rules: [{disable: Shell started}]', /^1:\d+ an entry is \{disable/],
    ['rules: [{mute: {rule: x}}]', /^1:\d+ an entry is \{disable/],
    ['rules: [{disable: {rul: x}}]', /^1:\d+ 'rul' is neither/],
    [
      'rules: [{disable: {rule: Shell startet}}]',
      /^1:9 no rule is called "Shell startet": did you mean "Shell started"\?/,
    ],
    ['rules: []\nrules: []', /^2:1 'rules' is there twice/],
    ['a: 1\n---\nb: 2', /there must be one document/],
    ['rules: [', /^1:/],
    ['custom_rules: 5', /^1:15 'custom_rules' must be a list/],
    [rule('condition: started and prc.name = x'), /^2:\d+ .*prc\.name/],
    [rule('condition: not started2'), /^2:\d+ Undefined macro 'started2'.*Did you mean 'started'/],
    [rule('condition: proc.name = x'), /must say which events it is about/],
    [
      own('{rule: "Varvel: coverage", desc: d, output: x, priority: NOTICE, condition: started}'),
      /names that begin with "Varvel"/,
    ],
    [own('{list: shells, items: [x]}'), /the list "shells" is the operator’s/],
    [
      own('{list: shells, items: [x], override: {items: append}}'),
      /the list "shells" is the operator’s/,
    ],
    [own('{macro: started, condition: evt.type = open}'), /the macro "started" is the operator’s/],
    [
      own('{rule: Bash started, desc: d, output: x, priority: NOTICE, condition: started}'),
      /only exceptions can be added/,
    ],
    [own('{rule: Bash started, enabled: false}'), /only exceptions can be added/],
    [
      own('{rule: Bash started, condition: and false, append: true}'),
      /only exceptions can be added/,
    ],
    [
      own('{rule: Bash started, condition: evt.type = open, override: {condition: replace}}'),
      /only exceptions can be added/,
    ],
    [
      own(
        '{rule: Bash started, exceptions: [], enabled: false, override: {exceptions: append, enabled: replace}}',
      ),
      /only exceptions can be added/,
    ],
    [
      own(
        '{rule: Bash started, exceptions: [{name: x, fields: proc.cwd, values: [/]}], override: {exceptions: replace}}',
      ),
      /only exceptions can be added/,
    ],
    [own('required_engine_version: 0.1.0'), /is for rule files of the operator/],
    [rule(`condition: started and proc.name = ${'x'.repeat(9000)}`), /at most 8192 are taken/],
    [
      `custom_rules:\n${'  - {list: a, items: [b]}\n'.repeat(101)}`,
      /^102:5 at most 100 items are taken of each kind/,
    ],
    [
      own(`{list: a, items: [${'x, '.repeat(2001)}x]}`),
      /at most 2000 items are taken in all lists/,
    ],
    [`rules: [${'{disable: {tag: shell}}, '.repeat(101)}]`, /at most 100 are taken/],
    [`# ${'x'.repeat(70_000)}`, /^1:1 at most 64 KiB are read/],
  ];
  for (const [text, problem] of cases) {
    test(text.slice(0, 70).replaceAll('\n', ' '), () => {
      const result = compile(text);
      assert.equal(result.policy, undefined);
      assert.match(
        result.errors.map(({ line, column, message }) => `${line}:${column} ${message}`)[0] ?? '',
        problem,
      );
    });
  }
});

test('an alias bomb is refused in little time; a pattern that backtracks elsewhere runs in linear time', () => {
  const bomb = Array.from(
    { length: 20 },
    (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`,
  );
  const { errors } = compile(`a0: &a0 [x]\n${bomb.join('\n')}\n`);
  assert.ok(errors.length > 0);
  const policy = policyOf(
    'custom_rules:\n  - {rule: Mine, desc: d, output: x, priority: NOTICE, condition: started and proc.name regex "(a+)+$"}\n',
  );
  assert.deepEqual(rulesOf(policy, `${'a'.repeat(50_000)}b`), []);
  assert.deepEqual(rulesOf(policy, 'aaa'), ['Mine']);
});
