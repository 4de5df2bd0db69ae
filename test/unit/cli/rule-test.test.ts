import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { runCommand } from '../../support/run-command.ts';
import { file, folder } from './rule-test-fixture.ts';

/** Runs one test over the fixture's rules. */
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
      '  - {name: a, fields: {evt.type: semop, evt.reltime: 1}, expect: none}\n' +
      '  - {name: b, fields: {evt.type: semop, evt.reltime: null}, expect: none}\n';
    const path = file('future.yaml', text);
    const { code, out, err } = await runCommand('test', path);
    assert.deepEqual([code, out], [0, '2 tests in 1 file, 2 events: all passed.\n']);
    assert.equal(
      err,
      `${path}:3:24: warning: semop is not reported by the agent yet\n` +
        `${path}:3:41: warning: evt.reltime is absent in every event of the agent so far\n`,
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
