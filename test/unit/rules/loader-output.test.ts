import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AppendOutput } from '../../../src/rules/loader/append-output.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { formatOutput } from '../../../src/rules/output/format.ts';
import { codes, EXEC, first, found, loadTexts, rule } from '../../support/rules-found.ts';
import { makeEvent, makeSubject } from '../../support/rules-subject.ts';

const subject = makeSubject(makeEvent('execve'));
const view = { ...subject, claimedPath: false };
const FILE =
  rule('a', EXEC, '  tags: [x, y]\n').replace('output: o', 'output: ran %proc.name') +
  rule('b', EXEC, '  tags: [x]\n');
const textsOf = (...appendOutput: AppendOutput[]): (string | undefined)[] =>
  (loadTexts(FILE, { appendOutput }).ruleSet?.rules ?? []).map(
    ({ output }) => formatOutput(output, view).text,
  );

describe('O4 append_output', () => {
  test('extra_output follows after a blank, in the order of the entries', () => {
    assert.deepEqual(textsOf(), ['ran node', 'o']);
    assert.deepEqual(textsOf({ extraOutput: 'as %user.uid' }, { extraOutput: 'end' }), [
      'ran node as 1000 end',
      'o as 1000 end',
    ]);
  });

  test('only for rules that fit all of match', () => {
    const add = (match: AppendOutput['match']) => textsOf({ match: match ?? {}, extraOutput: '+' });
    assert.deepEqual(add({}), ['ran node +', 'o +']);
    assert.deepEqual(add({ rule: 'b' }), ['ran node', 'o +']);
    assert.deepEqual(add({ tags: ['x'] }), ['ran node +', 'o +']);
    assert.deepEqual(add({ tags: ['y', 'x'] }), ['ran node +', 'o']);
    assert.deepEqual(add({ source: 'syscall', rule: 'a' }), ['ran node +', 'o']);
    assert.deepEqual(add({ source: 'k8s_audit' }), ['ran node', 'o']);
    assert.deepEqual(add({ rule: 'b', tags: ['y'] }), ['ran node', 'o']);
  });

  test('extra_fields: a field as it is, and texts', () => {
    const appendOutput: AppendOutput[] = [
      { extraFields: ['proc.pid', { who: '%user.name did', 'proc.name': 'x' }] },
      { match: { rule: 'b' }, extraFields: [{ who: 'later counts' }] },
    ];
    const rules = loadTexts(FILE, { appendOutput }).ruleSet?.rules ?? [];
    assert.deepEqual(
      rules.map(({ extraFields }) =>
        extraFields?.map(({ key, raw, format }) => [key, raw, format.literals]),
      ),
      [
        [
          ['proc.pid', true, ['', '']],
          ['who', false, ['', ' did']],
          ['proc.name', false, ['x']],
        ],
        [
          ['proc.pid', true, ['', '']],
          ['who', false, ['later counts']],
          ['proc.name', false, ['x']],
        ],
      ],
    );
    const result = loadTexts(FILE, { appendOutput });
    assert.ok(result.ruleSet);
    const engine = new RuleEngine(result.ruleSet);
    const [match] = engine.evaluate(subject);
    assert.ok(match);
    const { output, outputFields } = engine.toDetection(match, subject);
    assert.equal(output, 'ran node');
    assert.equal(typeof outputFields['proc.pid'], 'number');
    assert.equal(outputFields['proc.name'], 'x');
    assert.match(String(outputFields['who']), /\S did$/);
  });

  test('suggested_output: who and where', () => {
    const [text = ''] = textsOf({ suggestedOutput: true });
    assert.match(text, /^ran node container_id=\S+ container_name=\S+ container_image_repository=/);
  });

  test('errors stand in the entry, for every rule that it is for', () => {
    const { errors } = loadTexts(FILE, {
      appendOutput: [{ match: { rule: 'a' }, extraOutput: 'x %nope.x' }],
    });
    assert.deepEqual(
      errors.map(({ file, line, column, code }) => [file, line, column, code]),
      [['append_output', 1, 3, 'LOAD_ERR_COMPILE_OUTPUT']],
    );
    assert.deepEqual(
      codes(FILE, { appendOutput: [{ extraFields: [{ a: '100%' }] }] })[0],
      'LOAD_ERR_COMPILE_OUTPUT',
    );
    assert.deepEqual(
      codes(FILE, { appendOutput: [{ extraFields: ['nope.x'] }] })[0],
      'LOAD_ERR_COMPILE_OUTPUT',
    );
  });

  test('%container.info is deprecated and prints nothing', () => {
    const text = rule('r', EXEC).replace(
      'output: o',
      'output: a (%container.info) %container.info b',
    );
    assert.deepEqual(
      found(text).map((line) => line.split(' ').slice(0, 2)),
      [['3:14', 'LOAD_DEPRECATED_ITEM']],
    );
    assert.deepEqual(loadTexts(text).ruleSet?.rules[0]?.output.literals, ['a ()  b']);
    // Errors after it keep their place.
    assert.match(first(text.replace(' b', ' %nope.x')), /^3:47 LOAD_ERR_COMPILE_OUTPUT/);
  });
});

describe('switching rules on and off', () => {
  const FILE_OF_THREE =
    rule('Shell in app', EXEC, '  tags: [shell, app]\n') +
    rule('Shell in build', EXEC, '  tags: [shell]\n') +
    rule('Other', EXEC, '  enabled: false\n');
  const enabled = (...selection: readonly { enable: boolean; rule?: string; tag?: string }[]) =>
    loadTexts(FILE_OF_THREE, { selection })
      .ruleSet?.rules.filter((one) => one.enabled)
      .map(({ name }) => name);

  test('by name, by pattern, by tag; the last that fits counts', () => {
    assert.deepEqual(enabled(), ['Shell in app', 'Shell in build']);
    assert.deepEqual(enabled({ enable: false, rule: 'Shell*' }), []);
    assert.deepEqual(enabled({ enable: false, rule: 'Shell' }), ['Shell in app', 'Shell in build']);
    assert.deepEqual(enabled({ enable: false, rule: '*' }, { enable: true, tag: 'app' }), [
      'Shell in app',
    ]);
    assert.deepEqual(enabled({ enable: true, tag: 'app' }, { enable: false, rule: '*' }), []);
    assert.deepEqual(enabled({ enable: true, rule: 'Othe?' }), [
      'Shell in app',
      'Shell in build',
      'Other',
    ]);
    assert.deepEqual(enabled({ enable: false, tag: 'ap*' }), ['Shell in app', 'Shell in build']);
  });

  test('a name with brackets and backslashes is itself', () => {
    const text = rule('"Shell [app] \\\\o/?"', EXEC);
    const runs = (name: string) =>
      loadTexts(text, { selection: [{ enable: false, rule: name }] }).ruleSet?.rules[0]?.enabled;
    assert.equal(runs('Shell [app] \\o/?'), false);
    assert.equal(runs('Shell [*] \\*'), false);
    assert.equal(runs('Shell [[]app] \\o/?'), true);
    assert.equal(runs('Shell a \\o/?'), true);
  });
});
