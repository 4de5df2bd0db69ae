import type { PolicyTrust } from '../../../src/container-files/policy-text.ts';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compilePolicy } from '../../../src/policy/app-policy.ts';
import type { CompiledPolicy, OperatorRules } from '../../../src/policy/app-policy.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { loadRules } from '../../../src/rules/loader/load.ts';
import { makeEvent, makeProcess, makeSubject } from '../../support/rules-subject.ts';

const OPERATORS = `
- list: app_expected_executables
  items: [/usr/bin/git]
- list: app_secret_paths
  items: []
- list: app_folders
  items: []
- list: all_folders
  items: [/x, app_folders]
- macro: started
  condition: evt.type in (execve, execveat)
- macro: expected
  condition: (proc.exepath in (app_expected_executables))
- macro: below
  condition: (proc.cwd pmatch (all_folders))
- rule: Anything started
  desc: d
  condition: started and not expected
  exceptions: [{name: names, fields: proc.name, comps: in}]
  output: x
  priority: NOTICE
- rule: Started in a folder
  desc: d
  condition: started and below
  output: x
  priority: NOTICE
- rule: Both
  desc: d
  condition: started and (below or proc.cwd = /both/) and not expected
  output: x
  priority: NOTICE
- rule: Last
  desc: d
  condition: started
  output: x
  priority: NOTICE
- rule: Asked for
  desc: d
  condition: started and not proc.cwd pmatch (app_folders)
  output: x
  priority: NOTICE
  enabled: false
  tags: [app_folders]
`;

function loadedFrom(text: string): Pick<OperatorRules, 'ruleSet' | 'definitions'> {
  const { ruleSet, definitions, errors } = loadRules([{ name: 'operator.yaml', text }]);
  assert.deepEqual(errors, []);
  assert.ok(ruleSet);
  return { ruleSet, definitions };
}

function operator(more: Partial<OperatorRules> = {}): OperatorRules {
  const base = { ...loadedFrom(OPERATORS), appendOutput: [], pinned: [] };
  return { ...base, minimumPriority: 'Debug', ...more };
}

const BASE = operator();

function compile(
  text: string,
  { rules = BASE, trust = 'verified' }: { rules?: OperatorRules; trust?: PolicyTrust } = {},
): CompiledPolicy {
  const { document, errors } = readPolicy({ name: 'varvel.yml', text });
  if (document === undefined) return { policy: undefined, errors, warnings: [] };
  return compilePolicy(document, rules, trust);
}

/** The rules that report a program's start in an app with this policy. */
function firing(
  { policy, errors }: CompiledPolicy,
  exePath: string,
  cwd = '/app',
  rules = BASE,
): string[] {
  assert.deepEqual(errors, []);
  assert.ok(policy);
  const subject = makeSubject(makeEvent('execve'), {
    process: makeProcess({ image: { exePath, cwd } }),
  });
  const matches = policy.refine(new RuleEngine(rules.ruleSet).evaluate(subject), subject);
  for (const match of matches) assert.ok(policy.counts(match, subject), match.rule.name);
  return matches.map(({ rule }) => rule.name);
}

const problems = ({ errors, warnings }: CompiledPolicy): string[] =>
  [...errors, ...warnings].map(({ line, column, message }) => `${line}:${column} ${message}`);

test('what an app sets is added to the operator’s list, for this app alone, in the rules that refer to it', () => {
  const own = compile('variables: {expected_executables: [/usr/bin/convert]}');
  assert.deepEqual(firing(own, '/usr/bin/convert'), ['Last']);
  assert.deepEqual(firing(own, '/usr/bin/git'), ['Last'], 'the operator’s own stays');
  assert.deepEqual(firing(own, '/usr/bin/curl', '/both'), ['Anything started', 'Both', 'Last']);
  assert.deepEqual(own.policy?.summary.adjusted, ['Anything started', 'Both']);
  assert.deepEqual(own.policy.ruleSet.rules, [], 'nothing to ask the kernel for, and nothing kept');
  assert.equal(own.policy.summary.active, 4);
  const other = compile('variables: {expected_executables: [], secret_paths: }');
  assert.deepEqual(firing(other, '/usr/bin/convert'), ['Anything started', 'Last']);
  assert.deepEqual(other.policy?.ruleSet.rules, []);
});

test('the directories that values are in are for the list beside it', () => {
  const rules = operator(
    loadedFrom(`
- list: app_secret_paths
  items: []
- list: app_secret_paths_above
  items: []
- rule: Above
  desc: d
  condition: evt.type = execve and proc.exepath in (app_secret_paths_above)
  output: x
  priority: NOTICE
`),
  );
  const own = compile('variables: {secret_paths: [/a/b/key, /a/c, /x/*/y/z, /top]}', {
    rules,
  });
  const isAbove = (path: string): boolean => firing(own, path, '/', rules).includes('Above');
  assert.deepEqual(
    ['/a', '/a/b', '/x', '/a/b/key', '/a/c', '/x/*', '/top', '/', '', 'k'].filter(isAbove),
    ['/a', '/a/b', '/x'],
  );
  const unknown = compile('variables: {secret_paths_above: [/a]}', { rules });
  assert.match(problems(unknown).join(), /there is no variable 'secret_paths_above'/);
});

test('through lists in lists and macros; a rule that is off is on with its tag, also with an empty list', () => {
  const own = compile('variables: {folders: [/srv/*]}');
  assert.deepEqual(firing(own, '/bin/a', '/srv/x/y'), [
    'Anything started',
    'Started in a folder',
    'Both',
    'Last',
  ]);
  assert.deepEqual(firing(own, '/bin/a', '/srv'), ['Anything started', 'Last', 'Asked for']);
  assert.deepEqual(own.policy?.summary.enabled, ['Asked for']);
  assert.deepEqual(firing(compile('variables: {folders: []}'), '/usr/bin/git'), [
    'Last',
    'Asked for',
  ]);
  const off = compile('variables: {folders: []}\nrules: [{disable: {rule: Asked for}}]');
  assert.deepEqual(firing(off, '/usr/bin/git'), ['Last']);
});

test('rules of its own can refer to them, exceptions of its own hold beside them', () => {
  const own = compile(`
variables: {expected_executables: [/usr/bin/convert], folders: [/srv]}
custom_rules:
  - {rule: Mine, desc: d, output: x, priority: NOTICE, condition: started and proc.exepath in (app_expected_executables)}
  - rule: Anything started
    exceptions: [{name: names, values: [node]}]
    override: {exceptions: append}
`);
  assert.deepEqual(firing(own, '/usr/bin/convert', '/srv'), [
    'Started in a folder',
    'Last',
    'Mine',
  ]);
  assert.deepEqual(firing(own, '/usr/bin/curl'), ['Last', 'Asked for'], 'its name is node');
});

test('the order of the operator’s rules stays: the first counts where only one does', () => {
  const own = compile('variables: {expected_executables: [/usr/bin/convert]}');
  assert.equal(firing(own, '/usr/bin/curl')[0], 'Anything started');
});

test('pinned rules are loosened by none, and tightened by those that can only tighten', () => {
  const rules = operator({ pinned: [{ rule: 'Anything started' }, { rule: 'Both' }] });
  const own = compile(
    'variables:\n  expected_executables: [/usr/bin/convert]\n  folders: [/srv]\n',
    { rules },
  );
  assert.deepEqual(problems(own), [
    `2:3 the operator has pinned "Anything started", "Both": 'expected_executables' does not reduce what is reported`,
  ]);
  assert.deepEqual(firing(own, '/usr/bin/convert', '/srv', rules), [
    'Anything started',
    'Started in a folder',
    'Both',
    'Last',
  ]);
  assert.deepEqual(own.policy?.summary.adjusted, ['Started in a folder', 'Both']);
  const louder = compile(
    'minimum_priority: alert\nrules: [{disable: {rule: "*"}}]\nvariables: {folders: [/srv]}',
    { rules },
  );
  assert.deepEqual(firing(louder, '/bin/a', '/srv', rules), ['Anything started', 'Both']);
});

test('a file that may be younger than the app tightens only; a rule that it switches on is its own affair', () => {
  const text = `variables: {expected_executables: [/usr/bin/convert], folders: [/srv]}
custom_rules:
  - rule: Started in a folder
    exceptions: [{name: x, fields: proc.exepath, values: [/usr/bin/convert]}]
    override: {exceptions: append}
`;
  const own = compile(text, { trust: 'unverified' });
  assert.deepEqual(firing(own, '/usr/bin/convert', '/srv'), [
    'Anything started',
    'Started in a folder',
    'Both',
    'Last',
  ]);
  assert.deepEqual(firing(own, '/usr/bin/git'), ['Last', 'Asked for']);
  const said = problems(own);
  assert.equal(said.length, 2);
  assert.match(
    said[0] ?? '',
    /^1:13 it cannot be told .* sets 'expected_executables' has no effect$/,
  );
  assert.match(said[1] ?? '', /^3:5 it cannot be told .* adds exceptions to "Started in a folder"/);
  // On for all, it is the operator's.
  const on = operator();
  const all = {
    ...on,
    ruleSet: { rules: on.ruleSet.rules.map((rule) => ({ ...rule, enabled: true })) },
  };
  const held = compile('variables: {folders: [/srv]}', { rules: all, trust: 'unverified' });
  assert.ok(firing(held, '/bin/a', '/srv', all).includes('Asked for'));
  assert.equal(problems(held).length, 1);
});

test('whether a rule with exceptions is on, the deployment says, not the rule file', () => {
  const text =
    'custom_rules:\n  - rule: Last\n    exceptions: [{name: x, fields: proc.cwd, values: [/quiet/]}]\n    override: {exceptions: append}\n';
  const set = (enabled: boolean): OperatorRules => {
    const rules = BASE.ruleSet.rules.map((rule) =>
      rule.name === 'Last' ? { ...rule, enabled } : rule,
    );
    return { ...BASE, ruleSet: { rules } };
  };
  const off = set(false);
  assert.deepEqual(firing(compile(text, { rules: off }), '/usr/bin/git', '/app', off), []);
  const asked = text.replaceAll('Last', 'Asked for');
  const on = {
    ...BASE,
    ruleSet: { rules: BASE.ruleSet.rules.map((rule) => ({ ...rule, enabled: true })) },
  };
  assert.ok(
    firing(compile(asked, { rules: on }), '/usr/bin/git', '/app', on).includes('Asked for'),
  );
  assert.ok(
    !firing(compile(asked, { rules: on }), '/usr/bin/git', '/quiet', on).includes('Asked for'),
  );
});

describe('what is wrong is said with its place', () => {
  const cases: readonly (readonly [text: string, problem: RegExp])[] = [
    ['variables: [a]', /^1:12 'variables' must be a map/],
    ['variables: {secret_paths: /x}', /^1:27 'secret_paths' must be a list/],
    ['variables: {secret_paths: [[/x]]}', /^1:28 'secret_paths' must hold single values/],
    ['variables: {secret_paths: [~]}', /^1:28 'secret_paths' must hold single values/],
    [
      'variables: {secret_pathes: [/x]}',
      /^1:13 there is no variable 'secret_pathes': did you mean 'secret_paths'\?/,
    ],
    [
      'variables: {zzz: [/x]}',
      /^1:13 there is no variable 'zzz': it can be expected_executables, secret_paths, folders/,
    ],
    ['variables: {folders: [], folders: []}', /^1:26 'folders' is there twice/],
    [
      'variables: {expected_executables: [convert]}',
      /^1:36 'convert' is no full path of one program/,
    ],
    [
      'variables: {expected_executables: [/usr/bin/*]}',
      /^1:36 '\/usr\/bin\/\*' is no full path of one/,
    ],
    ['variables: {secret_paths: [/app/../etc]}', /^1:28 .* is no full path/],
    ['variables: {secret_paths: [/app/]}', /^1:28 .* has no "\/" at its end/],
    ['variables: {secret_paths: [/app//x]}', /^1:28 .* is no full path/],
    [
      `variables: {folders: ['a") or (evt.type = open']}`,
      /^1:23 .* is no value: quotes, backslashes/,
    ],
    [String.raw`variables: {folders: ["a\\"]}`, /^1:23 .* is no value: quotes, backslashes/],
    [
      String.raw`variables: {folders: ["a\nb"]}`,
      /^1:23 'a\nb' is no value: quotes, backslashes and control/,
    ],
    [`variables: {folders: [${'x'.repeat(256)}]}`, /^1:23 a value has at most 255 characters/],
    [`variables: {folders: [${'ä'.repeat(200)}]}`, /^1:23 /],
    [`variables: {folders: [${'a, '.repeat(500)}b]}`, /^1:13 'variables' has more than 500 values/],
  ];
  for (const [text, problem] of cases) {
    test(text.slice(0, 70), () => {
      const found = compile(text);
      assert.equal(found.policy, undefined);
      assert.match(problems(found)[0] ?? '', problem);
    });
  }
});

test('a value is one constant, whatever is in it: it is no list, no macro, no condition', () => {
  for (const value of [
    '/z) or (evt.type = open',
    'all_folders',
    'a, b',
    '(x)',
    'val(proc.cwd)',
    'a=b',
  ]) {
    const own = compile(`variables: {folders: [${JSON.stringify(value)}]}`);
    assert.deepEqual(
      firing(own, '/usr/bin/git', '/x'),
      ['Started in a folder', 'Last', 'Asked for'],
      value,
    );
    const there = value.startsWith('/') ? value : `/${value}`;
    assert.deepEqual(firing(own, '/usr/bin/git', there), ['Started in a folder', 'Last'], value);
  }
});
