import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatDiagnostic } from '../../../src/rules/loader/diagnostics.ts';
import { EXEC, first, found, loadTexts, rule } from '../../support/rules-found.ts';

const WRONG = 'LOAD_ERR_COMPILE_CONDITION filter_check called with nonexistent field a.b';

describe('positions are those of the YAML file', () => {
  const cases: Record<string, readonly [yaml: string, line: number, column: number]> = {
    'plain scalar': ['  condition: a.b = x\n', 5, 14],
    'plain scalar over lines': [`  condition: ${EXEC}\n     and\n       a.b = x\n`, 7, 8],
    'quoted twice': [`  condition: "${EXEC} and \\\n     a.b = x"\n`, 6, 6],
    'escapes before it': [`  condition: "proc.name = '\\x41\\u00e9\\t' and a.b = x"\n`, 5, 46],
    'quoted once': [`  condition: 'proc.name = ''it'' and a.b = x'\n`, 5, 38],
    folded: [`  condition: >\n    ${EXEC}\n\n    and a.b = x\n`, 8, 9],
    'folded, stripped, with a comment': [
      `  condition: >- # why\n      ${EXEC}\n        and (\n      a.b = x)\n`,
      8,
      7,
    ],
    literal: [`  condition: |\n    ${EXEC} and\n    a.b = x\n`, 7, 5],
    'literal with an indent of its own': [
      `  condition: |2\n      ${EXEC} and\n    a.b = x\n`,
      7,
      5,
    ],
    'after a byte that takes two units': [
      `  condition: "proc.name = '\u{1f600}' and a.b = x"\n`,
      5,
      36,
    ],
  };
  for (const [name, [yaml, line, column]] of Object.entries(cases)) {
    test(name, () => {
      assert.equal(
        first(`- rule: r\n  desc: d\n  output: o\n  priority: error\n${yaml}`),
        `${line}:${column} ${WRONG}`,
      );
    });
  }

  test('in a flow map, behind an anchor and through an alias', () => {
    const text = `- {macro: m, condition: &c a.b = x}\n${rule('r', '*c')}`;
    assert.deepEqual(found(text), [`1:28 ${WRONG}`]);
  });

  test('with CRLF', () => {
    const text = rule('r', `>\n    ${EXEC}\n    and a.b = x`).replaceAll('\n', '\r\n');
    assert.deepEqual(found(text), [`7:9 ${WRONG}`]);
  });

  test('in the second document of a file', () => {
    assert.deepEqual(found(`${rule('r', EXEC)}---\n${rule('s', 'a.b = x')}`), [`11:14 ${WRONG}`]);
  });

  test('the output too', () => {
    const text = `- rule: r\n  desc: d\n  priority: error\n  condition: ${EXEC}\n  output: >\n    one %proc.name\n    two %proc.nope\n`;
    assert.deepEqual(found(text), [
      '7:9 LOAD_ERR_COMPILE_OUTPUT nonexistent field proc.nope in the output',
    ]);
  });
});

describe('positions in what is filled in', () => {
  test('of a list: the item, once for all rules', () => {
    const lists = `- list: l\n  items: [execve, "a b", deep]\n- list: empty\n  items: []\n- list: deep\n  items: [empty, open, nonsense]\n`;
    const text = `${lists}${rule('r', 'evt.type in (l)')}${rule('s', 'evt.type in (open, empty,l)')}`;
    assert.deepEqual(found(text.replace('"a b", ', '')), [
      '6:24 LOAD_ERR_COMPILE_CONDITION unknown event type nonsense',
    ]);
    assert.match(first(text), /^2:20 LOAD_ERR_COMPILE_CONDITION unknown event type a b/);
  });

  test('of a macro: in its own text, once for all rules', () => {
    const text = `- macro: m\n  condition: (evt.type = nonsense)\n${rule('a', 'm')}${rule('b', 'm')}`;
    assert.deepEqual(found(text), ['2:26 LOAD_ERR_COMPILE_CONDITION unknown event type nonsense']);
  });

  test('of a macro within a macro, and after a list', () => {
    const text =
      `- list: l\n  items: [a, b]\n- macro: inner\n  condition: proc.name in (l) and a.b = x\n` +
      `- macro: outer\n  condition: (${EXEC} and inner)\n${rule('r', 'outer')}`;
    assert.deepEqual(found(text), [`4:35 ${WRONG}`]);
  });

  test('R13 of an event type that cannot be told, which a macro hides', () => {
    const macros = `- macro: deep\n  condition: proc.name = a or toupper(evt.type) = EXECVE\n- macro: m\n  condition: (${EXEC} and deep)\n`;
    assert.match(
      first(macros + rule('r', 'm')),
      /^2:31 LOAD_ERR_COMPILE_CONDITION .*hides the event's type/,
    );
    assert.match(
      first(macros + rule('r', 'toupper(evt.type) = EXECVE')),
      /^9:14 LOAD_ERR_COMPILE_CONDITION/,
    );
  });

  test('R7 of an appended condition: in the file that appends', () => {
    const { errors } = loadTexts([
      rule('r', EXEC),
      '- rule: r\n  condition: and a.b = x\n  override: {condition: append}\n',
    ]);
    assert.deepEqual(
      errors.map(({ file, line, column }) => [file, line, column]),
      [['b.yaml', 2, 18]],
    );
  });

  test('R12 of an exception: its value, its field', () => {
    const exceptions = (fields: string, values: string) =>
      rule(
        'r',
        EXEC,
        `  exceptions:\n    - name: x\n      fields: ${fields}\n      values:\n        - ${values}\n`,
      );
    assert.match(
      first(exceptions('[proc.name, fd.num]', '[a, b]')),
      /^10:15 LOAD_ERR_COMPILE_CONDITION 'b' is not a whole number/,
    );
    assert.match(
      first(exceptions('[proc.name, fd.nope]', '[a, b]')),
      /^8:27 LOAD_ERR_VALIDATE 'fd.nope' is not a field/,
    );
  });
});

describe('what is shown', () => {
  test('the line and a caret below', () => {
    const [error] = loadTexts(rule('r', `${EXEC} and a.b = x`)).errors;
    assert.ok(error);
    assert.equal(
      formatDiagnostic(error),
      'a.yaml:5:36: error: in rule "r": filter_check called with nonexistent field a.b (LOAD_ERR_COMPILE_CONDITION)\n' +
        `    condition: ${EXEC} and a.b = x\n${' '.repeat(37)}^^^`,
    );
  });

  test('a suggestion where a name is near', () => {
    assert.match(
      first(rule('r', `${EXEC} and proc.nmae = x`)),
      /field proc.nmae: did you mean proc.name\?/,
    );
    assert.match(first(rule('r', 'evt.type = opnat')), /event type opnat: did you mean openat\?/);
    assert.match(
      first(`- macro: shell\n  condition: ${EXEC}\n${rule('r', 'shel')}`),
      /Did you mean 'shell'\?/,
    );
  });

  test('nothing that drives a terminal, be it in a name, a value or the line', () => {
    const text = rule('"a\\e[31m\\u202e"', `"evt.type = 'x\\\\t\\x9b\\n\u2066'"`);
    const [error] = loadTexts(text).errors;
    assert.ok(error);
    assert.doesNotMatch(
      formatDiagnostic(error),
      /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/,
    );
    assert.equal(formatDiagnostic(error).split('\n').length, 3);
  });
});
