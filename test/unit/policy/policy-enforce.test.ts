import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { PolicyTrust } from '../../../src/container-files/policy-text.ts';
import { canDeny } from '../../../src/plan/verdicts/rule-clauses.ts';
import { compilePolicy, type CompiledPolicy } from '../../../src/policy/app-policy.ts';
import { operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import type { ResponseName } from '../../../src/shared/response-names.ts';
import {
  CONTAINER,
  makeEvent,
  makeExec,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
} from '../../support/rules-subject.ts';

const DEFAULT_RULES = 'manifests/rules/varvel_rules.yaml';
const rules = operatorRulesOf([{ name: DEFAULT_RULES, text: readFileSync(DEFAULT_RULES, 'utf8') }]);
const UNEXPECTED = 'Program that the app does not expect';
const HOSTS = 'Connection to a host that the app does not expect';
const SECRETS = 'Secret opened by a program that the app does not list';
const CODE = 'Change in a directory that the app does not change';

function compile(
  text: string,
  responses: readonly ResponseName[] = ['kill', 'deny'],
  trust: PolicyTrust = 'verified',
): CompiledPolicy {
  const { document, errors } = readPolicy({ name: 'varvel.yml', text });
  if (document === undefined) return { policy: undefined, errors, warnings: [] };
  return compilePolicy(document, { ...rules, responses }, trust);
}

const said = ({ errors, warnings }: CompiledPolicy): string[] =>
  [...errors, ...warnings].map(({ line, column, message }) => `${line}:${column} ${message}`);

const PROGRAMS = 'variables: {expected_executables: [/usr/bin/node, /bin/dash]}\n';
const ENFORCED = `${PROGRAMS}enforce: [expected_executables]\n`;

describe('an app enforces what it said of itself', () => {
  /** Names of the rules that a started program meets. */
  const found = ({ policy }: CompiledPolicy, path: string): string[] => {
    const exec = makeExec({ file: makeFile(path), filename: path });
    const process = makeProcess({ image: { exePath: path } });
    const event = makeEvent('execve', { exec });
    const subject = makeSubject(event, { process, container: CONTAINER });
    return policy?.refine([], subject).map(({ rule }) => rule.name) ?? [];
  };

  test('programs that it does not list are denied, and the kernel can be certain of them', () => {
    const compiled = compile(ENFORCED);
    assert.deepEqual(said(compiled), []);
    const { policy } = compiled;
    assert.ok(policy);
    assert.deepEqual(policy.summary.denying, [UNEXPECTED]);
    assert.deepEqual(policy.summary.enabled, [UNEXPECTED]);
    assert.equal(policy.responseTo(UNEXPECTED), 'deny');
    assert.deepEqual(found(compiled, '/usr/bin/curl'), [UNEXPECTED]);
    assert.deepEqual(found(compiled, '/usr/bin/node'), []);
    const own = policy.ruleSet.rules.find(({ name }) => name === UNEXPECTED);
    assert.ok(own?.enabled);
    assert.ok(canDeny(own));
  });

  test('the variable alone denies nothing, and nothing is denied where the operator does not allow it', () => {
    assert.deepEqual(compile(PROGRAMS).policy?.summary.enabled, []);
    const reported = compile(ENFORCED, ['kill']);
    assert.deepEqual(reported.policy?.summary.denying, []);
    assert.deepEqual(found(reported, '/usr/bin/curl'), [UNEXPECTED]);
    assert.match(said(reported).join(), /^2:11 the operator does not allow 'deny' here/);
    const unverified = compile(ENFORCED, ['deny'], 'unverified');
    assert.deepEqual(unverified.policy?.summary.denying, []);
    assert.match(said(unverified).join(), /asks for 'deny' has no effect/);
  });

  test('it is said where the rule is below the least priority', () => {
    const silent = compile(`minimum_priority: error\n${ENFORCED}`);
    assert.deepEqual(silent.policy?.summary.denying, []);
    assert.match(
      said(silent).join(),
      /^3:11 this is not enforced, as the least priority is above that of the rule .*WARNING/i,
    );
  });

  test('a rule that asks for a domain name denies nothing: the name may not be looked up yet', () => {
    const { policy } = compile(
      `custom_rules: [{rule: Mine, desc: d, condition: evt.type = execve and (proc.exepath = /x or fd.sip.name = a.example), output: x, priority: ERROR}, {rule: Plain, desc: d, condition: evt.type = execve and proc.exepath = /x, output: x, priority: ERROR}]\nresponses: [{deny: {rule: '*n*'}}]\n`,
    );
    assert.equal(policy?.responseTo('Mine'), 'deny');
    assert.deepEqual([policy.denies('Mine'), policy.denies('Plain')], [false, true]);
  });

  test('connections to other hosts are refused, where a domain name need not be looked up', () => {
    const enforcing = (hosts: string) =>
      compile(`variables: {outbound_hosts: [${hosts}]}\nenforce: [outbound_hosts]\n`).policy;
    const networks = enforcing('10.0.0.0/8');
    assert.deepEqual([networks?.summary.denying, networks?.summary.killing], [[HOSTS], []]);
    assert.equal(networks?.denies(HOSTS), true);
    const own = networks.ruleSet.rules.find(({ name }) => name === HOSTS);
    assert.ok(own && canDeny(own));
    const named = enforcing('10.0.0.0/8, db.example');
    assert.deepEqual(named?.summary.denying, [HOSTS]);
    assert.equal(named.denies(HOSTS), false, 'the process is killed');
  });

  test('where the operator allows only kill, the process that connects to another host is killed', () => {
    const { policy } = compile(
      'variables: {outbound_hosts: [10.0.0.0/8]}\nenforce: [outbound_hosts]\n',
      ['kill'],
    );
    assert.deepEqual([policy?.summary.denying, policy?.summary.killing], [[], [HOSTS]]);
  });

  /** Names of the rules that an open meets. */
  const openedBy = ({ policy }: CompiledPolicy, path: string, program: string, flags = 0) => {
    const forWrite = flags !== 0;
    const process = makeProcess({ image: { exePath: program } });
    const open = makeOpen(path, { flags, forWrite, forRead: !forWrite });
    const event = makeEvent('openat', { open, result: 5 });
    const subject = makeSubject(event, { process, container: CONTAINER });
    return policy?.refine([], subject).map(({ rule }) => rule.name) ?? [];
  };
  const O_WRONLY = 1;

  test('secrets are opened by the listed programs alone, and the kernel can be certain of the others', () => {
    const compiled = compile(
      'variables: {secret_paths: [/app/tls.key, /app/secrets], secret_readers: [/usr/local/bin/node]}\nenforce: [secret_paths]\n',
    );
    assert.deepEqual(said(compiled), []);
    const { policy } = compiled;
    assert.deepEqual([policy?.summary.denying, policy?.denies(SECRETS)], [[SECRETS], true]);
    const own = policy?.ruleSet.rules.find(({ name }) => name === SECRETS);
    assert.ok(own && canDeny(own));
    const opened = (path: string, program: string, flags?: number) =>
      openedBy(compiled, path, program, flags).includes(SECRETS);
    assert.ok(opened('/app/secrets/db', '/bin/sh'));
    assert.ok(opened('/app/tls.key', '/usr/bin/python3', O_WRONLY));
    assert.ok(!opened('/app/tls.key', '/usr/local/bin/node'));
    assert.ok(!opened('/app/tls.pub', '/bin/sh'));
  });

  test('code is not written in the directories that the app lists, which are not those of all apps', () => {
    const compiled = compile('variables: {code_paths: [/data/site]}\nenforce: [code_paths]\n');
    assert.deepEqual(said(compiled), []);
    const { policy } = compiled;
    assert.deepEqual([policy?.summary.denying, policy?.denies(CODE)], [[CODE], true]);
    const own = policy?.ruleSet.rules.find(({ name }) => name === CODE);
    assert.ok(own && canDeny(own));
    const written = (path: string, flags = O_WRONLY) =>
      openedBy(compiled, path, '/usr/local/bin/node', flags).includes(CODE);
    assert.ok(written('/data/site/a/b.php'));
    assert.ok(!written('/data/site/a/b.php', 0), 'it is read');
    assert.ok(!written('/app/cache/x'));
    const killing = compile('variables: {code_paths: [/data/site]}\nenforce: [code_paths]\n', [
      'kill',
    ]);
    assert.deepEqual(killing.policy?.summary.killing, [CODE]);
  });

  test('what is wrong is refused with its place', () => {
    for (const [text, message] of [
      ['enforce: [expected_executables]', /^1:11 'expected_executables' can be enforced only if/],
      [
        'variables: {expected_executables: []}\nenforce: [expected_executables]',
        /^2:11 'expected_executables' can be enforced only if .* with at least one value/,
      ],
      ['enforce: [outbound_hosts]', /^1:11 .* only if it is listed under variables$/],
      [
        'variables: {secret_paths: [/x]}\nenforce: [secret_paths]',
        /^2:11 'secret_paths' can be enforced only if 'secret_readers' under variables says which programs open them$/,
      ],
      [
        'variables: {secret_paths: [/x], secret_readers: []}\nenforce: [secret_paths]',
        /^2:11 'secret_paths' can be enforced only if 'secret_readers'/,
      ],
      ['variables: {code_paths_own: [/x]}', /there is no variable 'code_paths_own'/],
      ['enforce: [expected_executable]', /^1:11 .* did you mean 'expected_executables'\?/],
      ['enforce: [constructor]', /^1:11 'constructor' is nothing that can be enforced: it can be/],
      ['enforce: [[x]]', /^1:11 '' is nothing that can be enforced/],
      ['enforce: all', /^1:10 'enforce' must be a list/],
    ] as const) {
      const compiled = compile(text);
      assert.equal(compiled.policy, undefined, text);
      assert.match(said(compiled).join(), message);
    }
    const none = compile('variables: {outbound_hosts: []}\nenforce: [outbound_hosts]');
    assert.deepEqual(none.policy?.summary.denying, [HOSTS], 'no host at all');
    for (const nothing of ['enforce:', 'enforce: []'])
      assert.deepEqual(compile(nothing).policy?.summary.denying, []);
  });
});
