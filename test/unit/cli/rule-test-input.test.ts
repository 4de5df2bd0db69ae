import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readTestFile, TestFileError } from '../../../src/rules/testing/test-file.ts';
import { runCommand } from '../../support/run-command.ts';
import { file, folder } from './rule-test-fixture.ts';
import { runs } from '../../support/runs.ts';

describe('varvel test, bad input: exit code 2, a place and what to do', () => {
  const WRONG: readonly (readonly [text: string, place: string, says: RegExp])[] = [
    ['', '1:1', /the file is empty: it needs tests/],
    ['\n', '1:1', /the file is empty/],
    ['- a\n', '1:1', /a test file is written as KEY: VALUE, with rules, enable, fields and tests/],
    ['a: 1\n---\nb: 2\n', '3:1', /a test file is one document/],
    ['tests: *x\n', '1:8', /alias/],
    ['tests: []\n', '1:8', /'tests' has none/],
    ['tests: a\n', '1:8', /'tests' must be a list/],
    ['rules: rules.yaml\n', '1:1', /a test file needs 'tests'/],
    ['rules: []\ntests: [a]\n', '1:8', /'rules' is empty/],
    ['test: []\n', '1:1', /a test file has no key 'test': did you mean 'tests'\?/],
    ['tests: [a]\n', '1:9', /a test is written as KEY: VALUE/],
    ['tests: [{fields: {}}]\n', '1:9', /a test needs a 'name'/],
    ['tests: [{name: "", fields: {}}]\n', '1:16', /'name' must be a text/],
    ['tests: [{name: a}]\n', '1:9', /a test needs 'fields' of an event, or 'events'/],
    ['tests: [{name: a, events: []}]\n', '1:27', /'events' has none/],
    ['tests: [{name: a, fields: {}}]\n', '1:9', /a test needs 'expect' with the rules that fire/],
    [
      'tests: [{name: a, fields: {}, expect: none, excludes: x}]\n',
      '1:55',
      /'expect' says exactly/,
    ],
    ['tests: [{name: a, fields: {}, expect: []}]\n', '1:39', /'expect' is empty: write none/],
    ['tests: [{name: a, fields: {}, includes: none}]\n', '1:41', /none is for 'expect'/],
    ['tests: [{name: a, fields: {}, expect: [r, r]}]\n', '1:43', /rule "r" stands there twice/],
    [
      'tests: [{name: a, fields: {}, expect: {output: r}}]\n',
      '1:39',
      /an expected rule needs 'rule'/,
    ],
    [
      'tests: [{name: a, fields: [], expect: none}]\n',
      '1:27',
      /'fields' are written as NAME: VALUE/,
    ],
    [
      'tests: [{name: a, fields: {fd.num: 1, fd.num: 2}, expect: none}]\n',
      '1:39',
      /'fd\.num' stands there twice/,
    ],
    [
      'tests: [{name: a, fields: {fd.num: {}}, expect: none}]\n',
      '1:36',
      /fd\.num must be a value, a list of values or null/,
    ],
    [
      'tests: [{name: a, fields: {fd.ip: [{}]}, expect: none}]\n',
      '1:36',
      /a value of fd\.ip must be a text or a number/,
    ],
    [
      'tests: [{name: a, fields: {proc.pid: 1}, expect: none}]\n',
      '1:16',
      /an event needs evt\.type/,
    ],
    [
      'tests: [{name: a, fields: {evt.type: opn}, expect: none}]\n',
      '1:28',
      /the name of an event, not "opn": did you mean open\?/,
    ],
    [
      'tests: [{name: a, fields: {evt.type: open, fd.num: x}, expect: none}]\n',
      '1:44',
      /fd\.num needs a whole number/,
    ],
    [
      'tests: [{name: a, fields: {evt.type: open, fd.nam: x}, expect: none}]\n',
      '1:44',
      /no field fd\.nam: did you mean fd\.name\?/,
    ],
    [
      'fields: {fd.nam: x}\ntests: [{name: a, fields: {evt.type: open}, expect: none}]\n',
      '1:10',
      /no field fd\.nam/,
    ],
    [
      'tests: [{name: a, fields: {evt.type: open}, expect: Sensitive file red}]\n',
      '1:53',
      /no rule "Sensitive file red": did you mean "Sensitive file read"\?/,
    ],
    ['tests: [{name: a, fields: {evt.type: open}, excludes: x}]\n', '1:55', /there is no rule "x"/],
    [
      'rules: rules.yaml\ntests: [{name: a, fields: {evt.type: open}, expect: "Off"}]\n',
      '2:53',
      /rule "Off" is disabled and never fires/,
    ],
    [
      'rules: rules.yaml\nenable: Of\ntests: [{name: a, fields: {evt.type: open}, expect: none}]\n',
      '2:9',
      /there is no rule "Of"/,
    ],
    [
      'rules: rules.yaml\ntests: [{name: a, fields: {evt.type: open}, includes: Shell, excludes: Shell}]\n',
      '2:72',
      /is in 'includes' too/,
    ],
    [
      'rules: rules.yaml\ntests: [{name: a, fields: {evt.type: open}, expect: {rule: Shell, output_fields: {fd.num: 1}}}]\n',
      '2:83',
      /the output of rule "Shell" has no field fd\.num: it has evt\.time, proc\.name/,
    ],
    [
      'rules: rules.yaml\ntests: [{name: a, fields: {evt.type: open}, expect: {rule: Shell, output_fields: {proc.pid: x}}}]\n',
      '2:83',
      /proc\.pid needs a whole number/,
    ],
    [
      'rules: nope.yaml\ntests: [{name: a, fields: {evt.type: open}, expect: none}]\n',
      '1:8',
      /nope\.yaml: Cannot read the rule file: there is no such file/,
    ],
    [
      'tests: [{name: a, fields: {evt.type: open}, expect: none}, {name: a, fields: {}, expect: none}]\n',
      '1:67',
      /there are two tests "a"/,
    ],
  ];

  test('each with its place and a caret', async () => {
    for (const [text, place, says] of WRONG) {
      const path = file('wrong.yaml', text);
      const { code, out, err } = await runCommand('test', path);
      assert.deepEqual([code, out], [2, ''], text);
      assert.ok(err.startsWith(`${path}:${place}: error: `), `${text}\n${err}`);
      assert.match(err, says);
      assert.match(err, /\n +\^+\n$/);
    }
  });

  test('the same as JSON', async () => {
    const path = file('wrong.yaml', 'tests: []\n');
    const { code, out } = await runCommand('test', path, '--json');
    assert.equal(code, 2);
    const { error, successful } = JSON.parse(out) as {
      successful: boolean;
      error: { file: string; line: number; column: number; message: string };
    };
    const { file: name, line, column, message } = error;
    assert.deepEqual(
      [successful, name, line, column, message],
      [false, path, 1, 8, "'tests' has none"],
    );
  });

  test('rules that do not load', async () => {
    file(
      'broken.yaml',
      '- rule: r\n  desc: d\n  output: o\n  priority: error\n  condition: evt.type = opn\n',
    );
    const text = 'rules: broken.yaml\ntests: [{name: a, fields: {evt.type: open}, expect: none}]\n';
    const { code, out, err } = await runCommand('test', file('wrong.yaml', text));
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /broken\.yaml:5:25: error: in rule "r": unknown event type opn: did you/);
  });

  test('nothing named, nothing there, nowhere to write to', async () => {
    const nothing = await runCommand('test');
    assert.deepEqual(
      [nothing.code, nothing.err],
      [2, 'varvel: Name at least one test file: varvel test FILE…\n'],
    );
    const missing = await runCommand('test', join(folder, 'nope.yaml'));
    assert.equal(missing.code, 2);
    assert.match(missing.err, /nope\.yaml: Cannot read the test file: there is no such file/);
    const device = await runCommand('test', '/dev/zero');
    assert.match(device.err, /it is not a regular file/);
    mkdirSync(join(folder, 'empty'), { recursive: true });
    assert.equal((await runCommand('test', join(folder, 'empty'))).code, 2);
    const junit = await runCommand('test', 'manifests/rules/tests', '--junit', '/nope/x.xml');
    assert.equal(junit.code, 2);
    assert.match(junit.err, /The file of --junit, \/nope\/x\.xml, cannot be written \(ENOENT\)\./);
  });

  test('whatever the file holds: read, or an error with a place', () => {
    const word = fc.constantFrom(
      'tests',
      'name',
      'fields',
      'expect',
      'a',
      ':',
      '-',
      '{',
      '}',
      '[',
      ']',
      ',',
      '\n',
      ' ',
      '&a',
      '*a',
      '"',
      '|',
    );
    const texts = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 40 }).map((words) => words.join(' ')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          assert.ok(readTestFile({ name: 'f', text }).tests.length > 0);
        } catch (error) {
          assert.ok(error instanceof TestFileError, String(error));
          assert.ok(error.place.start >= 0 && error.place.start <= text.length + 1);
        }
      }),
      { numRuns: runs(500) },
    );
  });

  test('one bad file: nothing is run', async () => {
    const good = file(
      'good.yaml',
      'tests: [{name: a, fields: {evt.type: open}, expect: Sensitive file read}]\n',
    );
    const { code, out } = await runCommand('test', good, file('wrong.yaml', 'tests: []\n'));
    assert.deepEqual([code, out], [2, '']);
  });

  test('bounds: tests, events, bytes, aliases', async () => {
    const one = '- {name: a, fields: {evt.type: open}, expect: none}\n';
    const tests = Array.from({ length: 10_001 }, (_, at) => one.replace('a,', `a${at},`)).join('');
    const many = await runCommand('test', file('many.yaml', `tests:\n${tests}`));
    assert.equal(many.code, 2);
    assert.match(many.err, /many\.yaml:10002:3: error: more than 10000 tests/);
    const events = `tests: [{name: a, fields: {evt.type: open}, expect: none, events: &e [${'{},'.repeat(20_001)}]}]`;
    const flood = await runCommand('test', file('events.yaml', events));
    assert.equal(flood.code, 2);
    assert.match(flood.err, /more than 20000 events/);
    const bomb = [
      'a: &a [x, x]',
      ...'bcdefghijklmnopqrstuvwxyz'.split('').map((c, at) => {
        const before = 'abcdefghijklmnopqrstuvwxyz'[at] ?? '';
        return `${c}: &${c} [*${before}, *${before}, *${before}, *${before}]`;
      }),
    ].join('\n');
    const aliases = await runCommand('test', file('bomb.yaml', `${bomb}\n`));
    assert.equal(aliases.code, 2);
    assert.match(aliases.err, /bomb\.yaml:\d+:\d+: error: /);
  });
});
