// What an app's policy may cost: over a bound it is refused, at a place, with the figure and the bound.
import type { PolicyTrust } from '../../../src/container-files/policy-text.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePolicy } from '../../../src/policy/app-policy.ts';
import type { CompiledPolicy } from '../../../src/policy/app-policy.ts';
import { operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import { readRuleFile } from '../../../src/rules/loader/load.ts';

const operator = operatorRulesOf([readRuleFile('manifests/rules/varvel_rules.yaml')]);

function compiled(text: string, trust: PolicyTrust = 'verified'): CompiledPolicy {
  const { document, errors } = readPolicy({ name: 'varvel.yml', text });
  assert.ok(document, errors[0]?.message);
  return compilePolicy(document, operator, trust);
}

const rule = (condition: string, output = 'x', name = 'Mine'): string =>
  `  - ${JSON.stringify({ rule: name, desc: 'd', output, priority: 'NOTICE', condition: `evt.type = execve and ${condition}` })}\n`;
const rules = (...all: readonly string[]): string => `custom_rules:\n${all.join('')}`;
const copies = (count: number, of: (at: number) => string): string[] =>
  Array.from({ length: count }, (_, at) => of(at));

function refused(text: string, message: RegExp, trust: PolicyTrust = 'verified'): void {
  const { policy, errors } = compiled(text, trust);
  assert.equal(policy, undefined);
  const [error] = errors;
  assert.ok(error);
  assert.match(`${error.file}:${error.line}:${error.column}: ${error.message}`, message);
}

const taken = (text: string, trust: PolicyTrust = 'verified'): void => {
  assert.deepEqual(compiled(text, trust).errors, []);
};

test('a regular expression whose states explode is refused where it stands', () => {
  for (const pattern of [
    '[a-z]+ -c true ((a?a?a?a?a?){20}){10}bN',
    '(.*a.{0,990}[cd]|.*b.{0,990}[cd])',
    '(a?){1000}',
  ]) {
    const text = rules(rule(`proc.cmdline regex "${pattern}"`));
    refused(text, /^varvel\.yml:2:\d+: the regular expression could be slow: .* 16384 cells/);
  }
});

test('one that is large is refused before it is compiled', () => {
  for (const [pattern, size] of [
    ['(.*a.{0,990}x|.*b.{0,990}x|.*c.{0,990}x)', 2982],
    ['((a?b){100}){100,}', 30_401],
    ['(((a{1,900}){1,900}){1,900}){1,900}', 656_829_810_900],
  ] as const) {
    const text = rules(rule(`proc.cmdline regex "${pattern}"`));
    refused(text, new RegExp(`^varvel\\.yml:2:\\d+: .* it has ${size} characters, sets`));
  }
});

test('one in a macro or in an exception is refused there', () => {
  const pattern = '.*a.{30}b';
  refused(
    `custom_rules:\n  - {macro: m, condition: 'proc.cmdline regex "${pattern}"'}\n${rule('m')}`,
    /^varvel\.yml:2:\d+: the regular expression could be slow/,
  );
  refused(
    `custom_rules:\n  - {rule: Shell started by an app, exceptions: [{name: e, fields: [proc.cmdline], comps: [regex], values: [['"${pattern}"']]}], override: {exceptions: append}}\n`,
    /^varvel\.yml:2:\d+: the regular expression could be slow/,
  );
});

test('regular expressions that need too many tables together are refused', () => {
  const pattern = (at: number): string => `.*[^a-z]{1,40}x${at}`;
  taken(rules(...copies(3, (at) => rule(`proc.name regex "${pattern(at)}"`, 'x', `r${at}`))));
  refused(
    rules(...copies(20, (at) => rule(`proc.name regex "${pattern(at)}"`, 'x', `r${at}`))),
    /:\d+:\d+: the regular expression is one too many: .* at most 65536 are taken/,
  );
});

test('a condition over its time is refused with what costs most', () => {
  refused(
    rules(rule('proc.acmdline contains x')),
    /^varvel\.yml:2:\d+: for the worst event the condition takes 1\d\.\d\d ms, and at most 2\.00 ms are taken for one rule; proc\.acmdline contains x alone takes .*: use fewer/,
  );
  refused(
    rules(rule(`proc.cmdline glob anyof (${copies(40, (at) => `"*a?${at}*"`).join(', ')})`)),
    /at most 2\.00 ms are taken for one rule/,
  );
});

test('rules that are fine each may be too much together', () => {
  const glob = (at: number): string => rule(`proc.cmdline glob "*a?b${at}*"`, 'x', `r${at}`);
  taken(rules(...copies(5, glob)));
  refused(
    rules(...copies(60, glob)),
    /^varvel\.yml:\d+:\d+: for the worst event the app's rules take \d+\.\d\d ms together, and at most 5\.00 ms are taken/,
  );
});

test('a list that many comparisons use counts with each', () => {
  const list = `  - {list: l, items: [${copies(1900, (at) => `n${at}`).join(', ')}]}\n`;
  refused(
    `custom_rules:\n${list}${copies(8, (at) => rule(`proc.name in (l, x${at})`, 'x', `r${at}`)).join('')}`,
    /have 1902 values, .*: at most 10000 are taken/,
  );
});

test('an output is bounded in fields, widths and length', () => {
  const of = (output: string): string => rules(rule('proc.pid = 1', output));
  refused(of('%proc.tty '.repeat(65)), /:2:\d+: the output has 65 fields: at most 64 are taken/);
  refused(of('ab %99999evt.num'), /:2:\d+: a width of 99999 is asked for: at most 64 is taken/);
  refused(of('%proc.aargs'.repeat(5880)), /:2:\d+: this output has 64680 characters: at most 4096/);
  refused(of('%proc.aargs'), /the app's rules take 8\.\d\d ms together/);
  taken(of('%64proc.name %proc.cmdline %proc.aname[2]'));
});

test('an unverified policy has a quarter', () => {
  const glob = (at: number): string => rule(`proc.cmdline glob "*a?b${at}*"`, 'x', `r${at}`);
  taken(rules(...copies(2, glob)), 'unverified');
  taken(rules(...copies(8, glob)));
  refused(rules(...copies(8, glob)), /at most 1\.25 ms are taken/, 'unverified');
  const plain = (at: number): string => rule(`proc.pid = ${at}`, 'x', `r${at}`);
  taken(rules(...copies(26, plain)));
  refused(rules(...copies(26, plain)), /at most 25 items are taken/, 'unverified');
  const fields = rules(rule('proc.pid = 1', '%proc.tty '.repeat(17)));
  taken(fields);
  refused(fields, /has 17 fields: at most 16 are taken/, 'unverified');
});

test('ordinary policies are far from the bounds', () => {
  const text = rules(
    rule(
      'proc.cmdline regex ".*(curl|wget) .*(http|https)://.*" and not proc.pname in (npm, node)',
      'download %proc.cmdline of %proc.pcmdline',
      'a',
    ),
    rule(
      'fd.name startswith /app/secrets and proc.aname in (sh, bash)',
      'read %fd.name by %proc.cmdline',
      'b',
    ),
    rule('proc.name in (nmap, nc) and user.uid = 0', 'tool %proc.cmdline user=%user.name', 'c'),
  );
  const { policy } = compiled(text);
  assert.ok(policy);
  const { worstEventUs, limitUs, rules: costs } = policy.summary.cost;
  assert.ok(worstEventUs > 0 && worstEventUs < limitUs / 2, String(worstEventUs));
  assert.deepEqual(costs.map((one) => one.rule).sort(), ['a', 'b', 'c']);
  taken(text, 'unverified');
});

test('values of variables cost only what they add', () => {
  taken(`variables: {code_paths: [${copies(100, (at) => `/srv/code${at}`).join(', ')}]}\n`);
});
