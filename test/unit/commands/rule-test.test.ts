import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { loadRules, readRuleFile } from '../../../src/rules/loader/load.ts';
import fc from 'fast-check';
import { GivenFields } from '../../../src/rules/given/given-fields.ts';
import { Reasons } from '../../../src/rules/given/reasons.ts';
import { RulesUnderTest } from '../../../src/rules/testing/rules-under-test.ts';
import { readTestFile, TestFileError } from '../../../src/rules/testing/test-file.ts';
import { runCommand } from '../../support/run-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-test-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

file(
  'rules.yaml',
  `
- list: shells
  items: [bash, sh]
- macro: started
  condition: (evt.type in (execve, execveat) and proc.name in (shells))
- rule: Shell
  desc: d
  condition: started and not proc.pname startswith apt
  output: shell %proc.name by %proc.pname (%proc.pid) %fd.types
  priority: NOTICE
- rule: Any start
  desc: d
  condition: evt.type = execve
  output: "%evt.time"
  priority: NOTICE
- rule: Off
  desc: d
  condition: evt.type = open
  output: o
  priority: NOTICE
  enabled: false
`,
);

/** Runs one test over the rules above. */
const run = (text: string, ...more: string[]) =>
  runCommand(
    'test',
    file('t.yaml', `rules: rules.yaml\ntests:\n  - name: t\n    ${text}\n`),
    ...more,
  );

const path = join(folder, 't.yaml');

async function passes(text: string): Promise<void> {
  const { code, out, err } = await run(text);
  assert.deepEqual([code, out, err], [0, '1 test in 1 file, 1 event: all passed.\n', ''], text);
}

async function fails(text: string, report: string): Promise<void> {
  const { code, out, err } = await run(text);
  assert.equal(err, '');
  assert.equal(
    out,
    `FAILED ${path}:3:11: t\n${report}\n1 test in 1 file, 1 event: 1 failed.\n`,
    text,
  );
  assert.equal(code, 1);
}

describe('the tests of the rules that come with varvel', () => {
  const tests = 'manifests/rules/tests';

  test('all pass', async () => {
    const { code, out, err } = await runCommand('test', tests);
    assert.deepEqual([code, err], [0, ''], out);
  });

  test('each rule has its file: it fires, with an output, and it does not fire', () => {
    const { ruleSet } = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')]);
    const slug = (name: string): string => `${name.toLowerCase().replaceAll(' ', '-')}.yaml`;
    const names = (ruleSet?.rules ?? []).map(({ name }) => name);
    assert.deepEqual(readdirSync(tests).sort(), names.map(slug).sort());
    for (const name of names) {
      const path = join(tests, slug(name));
      const own = readTestFile({ name: path, text: readFileSync(path, 'utf8') }).tests;
      const firing = own.flatMap(({ fires }) => fires.filter(({ rule }) => rule.value === name));
      assert.ok(
        firing.some(({ output, outputFields }) => output !== undefined || outputFields.length > 0),
        `${name}: output`,
      );
      assert.ok(
        own.some(({ exactly, fires }) => exactly && fires.length === 0),
        `${name}: does not fire`,
      );
    }
  });
});

test('a rule alone comes to what it comes to among all others', () => {
  const given = new GivenFields();
  const { ruleSet } = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')], {
    fieldSource: given.source,
  });
  const alone = (ruleSet?.rules ?? []).map((rule) => ({
    rule,
    reasons: new Reasons(rule.condition),
  }));
  const rules = new RulesUnderTest([readRuleFile('manifests/rules/varvel_rules.yaml')]);
  let events = 0;
  for (const name of readdirSync('manifests/rules/tests')) {
    const text = readFileSync(join('manifests/rules/tests', name), 'utf8');
    for (const event of readTestFile({ name, text }).tests.flatMap((one) => one.events)) {
      events += 1;
      rules.show(event);
      given.give(Object.fromEntries(event.fields.map(({ key, value }) => [key, value])));
      const expected = rules.fired().map((rule) => rule.name);
      const found = alone.filter(({ reasons }) => reasons.outcome().holds);
      assert.deepEqual(
        found.map(({ rule }) => rule.name),
        expected,
        name,
      );
      for (const { reasons } of alone) assert.ok(reasons.outcome().decidedBy.length > 0);
    }
  }
  assert.ok(events > 100);
});

describe('varvel test', () => {
  test('what passes', async () => {
    await passes('fields: {evt.type: execveat, proc.name: bash}\n    expect: Shell');
    await passes('fields: {evt.type: execve, proc.name: sh}\n    expect: [Any start, Shell]');
    await passes('fields: {evt.type: openat, proc.name: sh}\n    expect: none');
    await passes('fields: {evt.type: execve, proc.name: sh}\n    includes: Shell');
    await passes(
      'fields: {evt.type: execve}\n    includes: [{rule: Any start}]\n    excludes: [Shell]',
    );
    await passes('fields: {evt.type: execve}\n    excludes: Shell');
    await passes(
      'fields: {evt.type: execveat, proc.name: sh, proc.pid: 7}\n' +
        '    expect: {rule: Shell, output: shell sh by <NA> (7) <NA>,' +
        ' output_fields: {proc.pid: 7, proc.name: sh, proc.pname: null}}',
    );
    await passes(
      'fields: {evt.type: execve, evt.rawtime: 1764033409123456789}\n' +
        '    expect: {rule: Any start, output_fields: {evt.time: 1764033409123456789}}',
    );
  });

  test('a missing rule, and what decided that it is false', async () => {
    await fails(
      'fields: {evt.type: execveat, proc.name: zsh}\n    expect: Shell',
      '  - missing: "Shell", which is false because of\n' +
        '      false  proc.name in (bash, sh)   proc.name is "zsh"\n' +
        '  fired: none\n',
    );
    await fails(
      'fields: {evt.type: openat, proc.name: bash}\n    includes: Shell',
      '  - missing: "Shell"\n' +
        '      it is not run for openat, only for execve, execveat\n' +
        '  fired: none\n',
    );
  });

  test('an unexpected rule, and what decided that it is true', async () => {
    const report =
      '  + unexpected: "Shell", which is true because of\n' +
      '      true   evt.type in (execve, execveat)   evt.type is "execveat"\n' +
      '      true   proc.name in (bash, sh)   proc.name is "sh"\n' +
      '      false  proc.pname startswith apt   proc.pname is absent\n' +
      '  fired: "Shell"\n';
    await fails('fields: {evt.type: execveat, proc.name: sh}\n    expect: none', report);
    await fails('fields: {evt.type: execveat, proc.name: sh}\n    excludes: Shell', report);
  });

  test('another output', async () => {
    await fails(
      'fields: {evt.type: execveat, proc.name: sh, proc.pid: 7}\n' +
        '    expect: {rule: Shell, output: shell sh by init (7) <NA>,' +
        ' output_fields: {proc.pid: 8, proc.name: null}}',
      '  ! output of "Shell":\n' +
        '      expected: shell sh by init (7) <NA>\n' +
        '      but it is: shell sh by <NA> (7) <NA>\n' +
        '                             ^\n' +
        '  ! proc.pid in the output of "Shell":\n' +
        '      expected: "8"\n' +
        '      but it is: 7\n' +
        '  ! proc.name in the output of "Shell":\n' +
        '      expected: absent\n' +
        '      but it is: "sh"\n' +
        '  fired: "Shell"\n',
    );
  });

  test('several events: each must come to the same; inner fields win', async () => {
    const { code, out } = await run(
      'fields: {evt.type: execveat, proc.name: bash, proc.pname: init}\n' +
        '    events:\n' +
        '      - fields: {proc.name: sh}\n' +
        '      - fields: {proc.pname: apt-get}\n' +
        '      - fields: {proc.pname: null}\n' +
        '    expect: Shell',
    );
    assert.equal(code, 1);
    assert.equal(
      out,
      `FAILED ${path}:3:11: t\n` +
        '  event 2 of 3, line 7:\n' +
        '  - missing: "Shell", which is false because of\n' +
        '      true   proc.pname startswith apt   proc.pname is "apt-get"\n' +
        '  fired: none\n\n1 test in 1 file, 3 events: 1 failed.\n',
    );
  });

  test('fields of all tests, and a disabled rule that is switched on', async () => {
    const text =
      'rules: [rules.yaml]\nenable: "O?f"\nfields: {evt.type: open}\n' +
      'tests:\n  - {name: a, fields: {fd.num: 3}, expect: "Off"}\n' +
      '  - {name: b, fields: {evt.type: creat}, expect: none}\n';
    const { code, out } = await runCommand('test', file('enabled.yaml', text));
    assert.deepEqual([code, out], [0, '2 tests in 1 file, 2 events: all passed.\n']);
  });

  test('without rules: those that come with varvel', async () => {
    const text =
      'tests: [{name: a, fields: {evt.type: connect, fd.sip: 169.254.169.254}, ' +
      'expect: Cloud metadata service contacted}]';
    assert.equal((await runCommand('test', file('own.yaml', text))).code, 0);
  });

  test('a folder, and a file of rules that build on each other', async () => {
    mkdirSync(join(folder, 'more', 'rules'), { recursive: true });
    file('more/rules/1.yaml', '- list: names\n  items: [a]\n');
    file(
      'more/rules/2.yaml',
      '- rule: r\n  desc: d\n  output: o\n  priority: error\n' +
        '  condition: evt.type = open and proc.name in (names)\n',
    );
    for (const name of ['a', 'b']) {
      const expect = name === 'a' ? 'r' : 'none';
      file(
        `more/${name}.yaml`,
        `rules: rules\ntests: [{name: t, fields: {evt.type: open, proc.name: ${name}}, expect: ${expect}}]\n`,
      );
    }
    const { code, out } = await runCommand('test', join(folder, 'more'));
    assert.deepEqual([code, out], [0, '2 tests in 2 files, 2 events: all passed.\n']);
  });

  test('what the agent does not produce is said, once', async () => {
    const text =
      'rules: rules.yaml\ntests:\n' +
      '  - {name: a, fields: {evt.type: ptrace, fd.name_changed: true}, expect: none}\n' +
      '  - {name: b, fields: {evt.type: ptrace, fd.name_changed: null}, expect: none}\n';
    const path = file('future.yaml', text);
    const { code, out, err } = await runCommand('test', path);
    assert.deepEqual([code, out], [0, '2 tests in 1 file, 2 events: all passed.\n']);
    assert.equal(
      err,
      `${path}:3:24: warning: ptrace is not reported by the agent yet\n` +
        `${path}:3:42: warning: fd.name_changed is absent in every event of the agent so far\n`,
    );
    const { out: json } = await runCommand('test', path, '--json');
    const document = JSON.parse(json) as { files: { warnings: object[] }[] };
    assert.equal(document.files[0]?.warnings.length, 2);
  });

  test('given fields need not agree, however many rules there are and however often', async () => {
    const rules = Array.from(
      { length: 12 },
      (_, at) =>
        `- rule: r${at}\n  desc: d\n  output: o\n  priority: error\n` +
        `  condition: evt.type = open and (fd.name = /f${at} or fd.filename = f${at} or fd.directory = /f${at})\n`,
    );
    file('paths.yaml', rules.join(''));
    const tests = Array.from({ length: 24 }, (_, at) => {
      const field = at % 2 === 0 ? `fd.filename: f${at / 2}` : `fd.directory: /f${(at - 1) / 2}`;
      return `  - {name: t${at}, fields: {${field}}, expect: r${Math.floor(at / 2)}}\n`;
    });
    const text = `rules: paths.yaml\nfields: {evt.type: open, fd.name: /other/path}\ntests:\n${tests.join('')}`;
    const { code, out } = await runCommand('test', file('paths-test.yaml', text));
    assert.deepEqual([code, out], [0, '24 tests in 1 file, 24 events: all passed.\n']);
  });

  test('as JSON', async () => {
    const { code, out } = await run(
      'fields: {evt.type: execveat, proc.name: zsh}\n    expect: Shell',
      '--json',
    );
    assert.equal(code, 1);
    assert.deepEqual(JSON.parse(out), {
      successful: false,
      tests: 1,
      failed: 1,
      files: [
        {
          name: path,
          warnings: [],
          tests: [
            {
              name: 't',
              line: 3,
              column: 11,
              passed: false,
              events: 1,
              failures: [
                {
                  event: 1,
                  line: 3,
                  column: 11,
                  fired: [],
                  differences: [
                    {
                      kind: 'missing',
                      rule: 'Shell',
                      eventType: 'execveat',
                      runFor: ['execve', 'execveat'],
                      decidedBy: [
                        {
                          condition: 'proc.name in (bash, sh)',
                          holds: false,
                          values: { 'proc.name': 'zsh' },
                        },
                      ],
                    },
                  ],
                },
              ],
            },
          ],
        },
      ],
    });
  });

  test('as JUnit XML, whatever is in the names', async () => {
    const junit = join(folder, 'junit.xml');
    const text =
      'rules: rules.yaml\ntests:\n' +
      '  - {name: "<a> & \\"b\\" \\x01", fields: {evt.type: execveat, proc.name: "<&>"}, expect: Shell}\n' +
      '  - {name: b, fields: {evt.type: open}, expect: none}\n';
    const path = file('junit.yaml', text);
    const { code } = await runCommand('test', path, '--junit', junit);
    assert.equal(code, 1);
    const xml = readFileSync(junit, 'utf8').replace(/ time="[\d.]+"/g, '');
    assert.equal(
      xml,
      `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="varvel test" tests="2" failures="1" errors="0" skipped="0">
  <testsuite name="${path}" tests="2" failures="1" errors="0" skipped="0">
    <testcase name="&lt;a&gt; &amp; &quot;b&quot; \ufffd" classname="${path}" file="${path}" line="3">
      <failure message="missing: Shell">FAILED ${path}:3:12: &lt;a&gt; &amp; &quot;b&quot; \ufffd
  - missing: &quot;Shell&quot;, which is false because of
      false  proc.name in (bash, sh)   proc.name is &quot;&lt;&amp;&gt;&quot;
  fired: none</failure>
    </testcase>
    <testcase name="b" classname="${path}" file="${path}" line="4"/>
  </testsuite>
</testsuites>
`,
    );
  });
});

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
      { numRuns: 500 },
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
