import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { loadConfiguredRules } from '../../../src/rules/configured-rules.ts';
import type { ConfiguredRules } from '../../../src/rules/configured-rules.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { makeEvent, makeOpen, makeSubject } from '../../support/rules-subject.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-configured-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const configFile = join(folder, 'varvel.yaml');
mkdirSync(join(folder, 'rules.d'));

const rule = (name: string, tags: string, more = ''): string =>
  `- rule: ${name}\n  desc: d\n  priority: notice\n  tags: [${tags}]\n  condition: evt.type = openat\n  output: ${name} %fd.name\n${more}`;
// A byte order mark and a byte that is no UTF-8: the digest is of the bytes, not of the text.
const FILES: Readonly<Record<string, Buffer>> = {
  'b.yaml': Buffer.from(rule('Shell opened', 'shell, network')),
  'a.yaml': Buffer.concat([
    Buffer.from(`\ufeff${rule('Name looked up', 'network')}# `),
    Buffer.from([0xff, 0x0a]),
    Buffer.from(rule('Off by itself', 'file', '  enabled: false\n')),
  ]),
};
for (const [name, bytes] of Object.entries(FILES)) {
  writeFileSync(join(folder, 'rules.d', name), bytes);
}

function configured(yaml: string, allowNone = true): Promise<ConfiguredRules> {
  const last = `rules_allow_none: ${allowNone}`;
  writeFileSync(configFile, `rules_files: [rules.d]\n${yaml}\n${last}\n`);
  return loadConfiguredRules(loadConfig({ file: configFile, env: {} }).config);
}

async function failure(yaml: string, allowNone = true): Promise<string> {
  try {
    await configured(yaml, allowNone);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.toDisplay().replaceAll(`${folder}/`, '');
  }
  return assert.fail('it should not load');
}

const enabled = ({ ruleSet }: ConfiguredRules): string[] =>
  ruleSet.rules.filter((one) => one.enabled).map(({ name }) => name);

test('the digest is that of the files’ bytes in the order of loading, as sha256sum prints it', async () => {
  const { files, digest, warnings } = await configured('');
  assert.deepEqual(files, [join(folder, 'rules.d/a.yaml'), join(folder, 'rules.d/b.yaml')]);
  const { stdout } = spawnSync('sh', ['-c', 'cat "$@" | sha256sum', 'sh', ...files], {
    encoding: 'utf8',
  });
  assert.equal(`${digest}  -\n`, stdout);
  assert.deepEqual(warnings, []);
});

const SELECTIONS: readonly (readonly [rules: string, left: readonly string[]])[] = [
  ['[]', ['Name looked up', 'Shell opened']],
  ['[{disable: {rule: "*"}}]', []],
  ['[{disable: {rule: "*"}}, {enable: {tag: network}}]', ['Name looked up', 'Shell opened']],
  ['[{disable: {tag: network}}, {enable: {rule: Shell*}}]', ['Shell opened']],
  ['[{enable: {rule: "*"}}]', ['Name looked up', 'Off by itself', 'Shell opened']],
  ['[{disable: {rule: "Name*", tag: shell}}]', []],
  // Not as a part of the name, as a whole.
  ['[{disable: {rule: Shell}}]', ['Name looked up', 'Shell opened']],
];
for (const [rules, left] of SELECTIONS) {
  test(`rules: ${rules}`, async () => {
    assert.deepEqual(enabled(await configured(`rules: ${rules}\n`)), left);
  });
}

test('an entry of "rules" that is about nothing is warned of, where it is written', async () => {
  const { warnings } = await configured(
    'rules:\n  - disable: {rule: Shell open}\n  - enable: {tag: netwrk}\n  - enable: {tag: network}\n',
  );
  assert.deepEqual(
    warnings.map((text) => text.replaceAll(`${folder}/`, '')),
    [
      'varvel.yaml:3:14: This entry of "rules" disables nothing: no loaded rule is called "Shell open". Did you mean "Shell opened"?',
      'varvel.yaml:4:13: This entry of "rules" enables nothing: no loaded rule has the tag "netwrk". Did you mean "network"?',
    ],
  );
});

test('a response to no rule is warned of, where it is written', async () => {
  const { warnings } = await configured(
    'responses:\n  - {match: {rule: Shell open}, do: kill}\n  - {match: {rule: Shell*, tag: shel}, do: kill}\n  - {match: {priority: CRITICAL}, do: kill}\n  - {match: {tag: shell, priority: info}, do: kill}\n',
  );
  assert.deepEqual(
    warnings.map((text) => text.replaceAll(`${folder}/`, '')),
    [
      'varvel.yaml:3:5: This entry of "responses" answers nothing: no loaded rule is called "Shell open". Did you mean "Shell opened"?',
      'varvel.yaml:4:5: This entry of "responses" answers nothing: no loaded rule has the tag "shel". Did you mean "shell"?',
      'varvel.yaml:5:5: This entry of "responses" answers nothing: no enabled rule fits all of its match.',
    ],
  );
});

test('minimum_priority and append_output take effect', async () => {
  assert.equal((await configured('minimum_priority: warning\n')).ruleSet.rules.length, 0);
  const { ruleSet } = await configured(
    'append_output: [{match: {tags: [shell]}, extra_output: type=%evt.type, extra_fields: [evt.num, {team: "%evt.type!"}]}]\n',
  );
  const subject = makeSubject(makeEvent('openat', { open: makeOpen('/x') }));
  const engine = new RuleEngine(ruleSet);
  const [first, second] = engine
    .evaluate(subject)
    .map((match) => engine.toDetection(match, subject));
  assert.equal(first?.output, 'Name looked up /x');
  assert.equal(second?.output, 'Shell opened /x type=openat');
  assert.deepEqual(second.outputFields, {
    'fd.name': '/x',
    'evt.type': 'openat',
    'evt.num': subject.event.num,
    team: 'openat!',
  });
});

test('O4 an output that does not compile is told of where the configuration has it', async () => {
  assert.equal(
    await failure(
      'append_output:\n  - suggested_output: true\n  - extra_output: on %evt.hostnam\n',
    ),
    'varvel.yaml:4:5: append_output: in "on %evt.hostnam": nonexistent field evt.hostnam in the output. "varvel fields" lists the fields.',
  );
  assert.match(
    await failure('append_output: [{extra_fields: [evt.time, {a: "%"}]}]\n'),
    /^varvel\.yaml:2:17: append_output: in "%": /,
  );
});

test('what does not load is told with its places, at most ten of them', async () => {
  const bad = Array.from({ length: 12 }, (_, index) =>
    rule(`R${index}`, 'x').replace('evt.type =', 'evt.tipe ='),
  );
  const file = join(folder, 'rules.d/c.yaml');
  writeFileSync(file, bad.join(''));
  try {
    const said = await failure('');
    assert.match(said, /^The rules do not load:\nrules\.d\/c\.yaml:5:14: error: .*evt\.tipe/);
    assert.match(said, /\n2 more errors: "varvel check" shows all\.$/);
  } finally {
    rmSync(file);
  }
});

test('files without an enabled rule are refused, unless that is asked for', async () => {
  for (const none of ['minimum_priority: critical', 'rules: [{disable: {rule: "*"}}]']) {
    const said = await failure(none, false);
    assert.match(said, /rules\.d\/a\.yaml, .*b\.yaml contain .*: the agent would watch nothing\./);
    assert.match(said, /set rules_allow_none: true\.$/);
    const { ruleSet } = await configured(none);
    assert.equal(ruleSet.rules.filter(({ enabled }) => enabled).length, 0);
  }
});
