import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runCommand } from '../../support/run-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-policy-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const GOOD = `
rules: [{disable: {rule: Package manager*}}]
custom_rules:
  - rule: Converter started
    desc: d
    condition: evt.type in (execve, execveat) and proc.name = convert
    output: converter %proc.cmdline
    priority: WARNING
`;

test('a good policy: what it comes to, by the rules that come with varvel', async () => {
  const path = file('good.yml', GOOD);
  const { code, out, err } = await runCommand('policy', path);
  assert.deepEqual([code, err], [0, '']);
  assert.match(
    out,
    /good\.yml: \d+ rules watch the app, from Debug up\.\nIts own:\n {2}Converter started\n/,
  );
  assert.match(out, /Switched off.*:\n {2}Package manager run in an app container\n/);
  const json = JSON.parse((await runCommand('policy', '--json', path)).out) as {
    ok: boolean;
    own: string[];
    muted: string[];
    cost: { worstEventUs: number; limitUs: number; rules: { rule: string; us: number }[] };
    digest: string;
  };
  assert.deepEqual(
    [json.ok, json.own, json.muted],
    [true, ['Converter started'], ['Package manager run in an app container']],
  );
  assert.match(json.digest, /^[0-9a-f]{64}$/);
  const { worstEventUs, limitUs, rules } = json.cost;
  assert.deepEqual(
    rules.map(({ rule }) => rule),
    ['Converter started'],
  );
  assert.ok(0 < worstEventUs && worstEventUs < limitUs && limitUs === 5000, String(worstEventUs));
  assert.match(
    out,
    /^Cost for the worst event: 0\.\d\d ms of 5\.00 ms, estimated\. The conditions:\n {2}0\.\d\d ms {2}Converter started$/m,
  );
});

test('a bad one: file, line, column and a caret for each mistake, and exit code 1', async () => {
  const path = file('bad.yml', `${GOOD.replace('proc.name', 'proc.nmae')}minimum_priorty: error\n`);
  const { code, out } = await runCommand('policy', path);
  assert.equal(code, 1);
  assert.match(
    out,
    /bad\.yml:9:1: error: unknown key 'minimum_priorty': did you mean 'minimum_priority'\?.*\n.*minimum_priorty.*\n {2}\^{15}/,
  );
  assert.match(
    out,
    /: 1 error: an app with this policy runs with the operator’s rules as they are\.$/m,
  );
  const field = await runCommand(
    'policy',
    file('field.yml', GOOD.replace('proc.name', 'proc.nmae')),
  );
  assert.match(field.out, /field\.yml:6:51: error: .*proc\.nmae: did you mean proc\.name\?/);
  const json = JSON.parse((await runCommand('policy', '--json', path)).out) as {
    ok: boolean;
    errors: { line: number }[];
  };
  assert.deepEqual([json.ok, json.errors.map(({ line }) => line)], [false, [9]]);
});

test('it is checked against the operator’s own rules when they are given', async () => {
  const rules = file(
    'rules.yaml',
    '- rule: Package manager here\n  desc: d\n  condition: evt.type = execve and proc.name = apk\n  output: x\n  priority: ERROR\n',
  );
  const { code, out } = await runCommand('policy', '-r', rules, file('good.yml', GOOD));
  assert.equal(code, 0);
  assert.match(out, /: 1 rule watches the app[\s\S]*Package manager here/);
});

test('what cannot be read is one sentence and exit code 2', async () => {
  const missing = await runCommand('policy', join(folder, 'none.yml'));
  assert.equal(missing.code, 2);
  assert.match(
    missing.err,
    /none\.yml: Cannot read the policy: there is no such file; check the path\.$/m,
  );
  assert.match((await runCommand('policy', folder)).err, /not a regular file/);
});

test('the example in the buildpack’s README has all keys and can be used; the schema is printed', async () => {
  const readme = readFileSync('buildpack/README.md', 'utf8');
  const [, example = ''] = /```yaml\n([^]*?)```/.exec(readme) ?? [];
  const { code, out } = await runCommand('policy', '--json', file('example.yml', example));
  const found = JSON.parse(out) as Record<string, unknown> & { adjusted: string[] };
  assert.deepEqual([code, found['errors'], found['warnings']], [0, [], []]);
  assert.deepEqual(found['own'], ['Converter started']);
  assert.deepEqual(found['excepted'], ['Sensitive file read']);
  assert.deepEqual(found['enabled'], [
    'Connection to a host that the app does not expect',
    'Program that the app does not expect',
    'Process takes the name of a kernel thread',
  ]);
  for (const rule of ['Shell started by an app', 'Secret read by a tool', 'Web shell written']) {
    assert.ok(found.adjusted.includes(rule), rule);
  }
  const schema = await runCommand('policy', '--schema');
  assert.equal(schema.code, 0);
  const { properties } = JSON.parse(schema.out) as { properties: object };
  const keys = example.split('\n').flatMap((line) => /^(\w+):/.exec(line)?.[1] ?? []);
  assert.deepEqual(Object.keys(properties), keys);
});
