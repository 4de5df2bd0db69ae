import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codes, EXEC, first, loadTexts, matching, rule } from '../../support/rules-found.ts';
import { makeEvent, makeProcess, makeSubject } from '../../support/rules-subject.ts';

/** A rule with one exception, in YAML's flow style. */
const one = (exception: string, condition = EXEC): string =>
  rule('r', condition, `  exceptions:\n    - {name: x, ${exception}}\n`);
/** Does the rule still match an execve of node whose command line is `node server.js --token=x`? */
const holds = (text: string): boolean => matching(text).length > 0;
const wrong = (exception: string): string => first(one(exception));

describe('R12 exceptions with several fields', () => {
  test('compare field by field, with = unless comps say otherwise', () => {
    assert.equal(
      holds(one('fields: [proc.name, proc.pname], values: [[node, x], [x, node]]')),
      true,
    );
    assert.equal(
      holds(one('fields: [proc.name, evt.type], values: [[x, open], [node, execve]]')),
      false,
    );
    assert.equal(holds(one('fields: [proc.name], values: [[node]]')), false);
    assert.equal(
      holds(one('fields: [proc.name, evt.type], comps: [startswith, "!="], values: [[no, open]]')),
      false,
    );
    assert.equal(
      holds(one('fields: [proc.name, evt.type], comps: [startswith, "="], values: [[no, open]]')),
      true,
    );
    // `and not` binds to the whole condition.
    assert.equal(
      holds(one('fields: [proc.name], values: [[node]]', `evt.type = open or ${EXEC}`)),
      false,
    );
  });

  test('lists as values, with and without parentheses of their own', () => {
    for (const value of ['[a, node]', '"(a, node)"', 'node', '[names]', 'names', '(names)']) {
      const lists = '- list: names\n  items: [b, node]\n';
      const text =
        lists +
        one(
          `fields: [proc.name, evt.type], comps: [in, "="], values: [[${value.startsWith('(') ? `"${value}"` : value}, execve]]`,
        );
      assert.equal(holds(text), false, value);
    }
    assert.equal(
      holds(one('fields: [proc.name], comps: [startswith oneof], values: [[[a, no]]]')),
      false,
    );
    assert.equal(
      holds(one('fields: [proc.name], comps: [" endswith anyof "], values: [[de]]')),
      false,
    );
  });

  test('values with blanks are quoted, also in lists', () => {
    const spaced = makeSubject(makeEvent('execve'), {
      process: makeProcess({ image: { name: 'a b' } }),
    });
    assert.deepEqual(matching(one('fields: [proc.name], values: [[a b]]'), spaced), []);
    assert.deepEqual(
      matching(one('fields: [proc.name], comps: [in], values: [[[c, a b]]]'), spaced),
      [],
    );
    assert.deepEqual(matching(one(`fields: [proc.name], values: [["'a b'"]]`), spaced), []);
    assert.match(
      wrong('fields: [proc.name], comps: [in], values: [["a b"]]'),
      /LOAD_ERR_COMPILE_CONDITION/,
    );
  });

  test('the left side may be a transformer, the right one too', () => {
    assert.equal(holds(one('fields: ["toupper(proc.name)"], values: [[NODE]]')), false);
    assert.equal(holds(one('fields: ["toupper( proc.name )"], values: [[NODE]]')), false);
    assert.equal(holds(one('fields: [proc.name], values: [[tolower(proc.name)]]')), false);
    assert.equal(holds(one('fields: [proc.name], values: [[val(proc.name)]]')), false);
    assert.deepEqual(codes(one('fields: [proc.name], values: [[proc.pname]]')), [
      'LOAD_COMPILE_CONDITION',
    ]);
  });

  test('lengths must be equal', () => {
    for (const bad of [
      'fields: [proc.name, fd.name], comps: [=], values: [[a, b]]',
      'fields: [proc.name], comps: ["=", "="], values: [[a]]',
      'fields: [proc.name], comps: "=", values: [[a]]',
      'fields: [proc.name, fd.name], values: [[a]]',
      'fields: [proc.name, fd.name], values: [[a, b, c]]',
      'fields: [proc.name], values: [a]',
      'fields: [proc.name], values: [[]]',
    ]) {
      assert.match(wrong(bad), /LOAD_ERR_VALIDATE exception 'x' has/, bad);
    }
  });
});

describe('R12 exceptions with one field', () => {
  test('compare with all values at once', () => {
    assert.equal(holds(one('fields: proc.name, values: [a, node]')), false);
    assert.equal(holds(one('fields: proc.name, comps: in, values: [a, b]')), true);
    assert.equal(holds(one('fields: proc.name, comps: startswith oneof, values: [a, no]')), false);
    assert.equal(holds(one('fields: proc.exepath, comps: pmatch, values: [/usr]')), false);
    assert.equal(holds(one('fields: proc.name, comps: intersects, values: [node]')), false);
    assert.equal(
      holds(`- list: names\n  items: [node]\n${one('fields: proc.name, values: [names]')}`),
      false,
    );
    assert.equal(holds(one('fields: "toupper(proc.name)", values: [NODE]')), false);
  });

  test('S17 take only operators over lists', () => {
    for (const bad of [
      '=',
      'contains',
      'in oneof',
      'frobulate',
      'oneof',
      'startswith  oneof',
      '>= anyof',
      'exists',
    ]) {
      assert.match(
        wrong(`fields: proc.name, comps: "${bad}", values: [a]`),
        /LOAD_ERR_VALIDATE .*is not for an exception with one field/,
        bad,
      );
    }
    assert.match(
      wrong('fields: proc.name, comps: [in], values: [a]'),
      /LOAD_ERR_VALIDATE .*'comps' must be one operator/,
    );
    assert.match(
      wrong('fields: proc.name, values: [[a]]'),
      /LOAD_ERR_VALIDATE .*its values must be single ones/,
    );
    assert.match(wrong('fields: [proc.name], values: [a]'), /LOAD_ERR_VALIDATE/);
  });
});

describe('R12 what exceptions need', () => {
  test('a shape', () => {
    for (const bad of [
      'x',
      '{name: x}',
      '[x]',
      '[{fields: proc.name}]',
      '[{name: "", fields: proc.name}]',
      '[{name: [x], fields: proc.name}]',
      '[{name: x}]',
      '[{name: x, fields: ""}]',
      '[{name: x, fields: [""]}]',
      '[{name: x, fields: proc.name, comps: ""}]',
      '[{name: x, fields: proc.name, values: a}]',
      '[{name: x, fields: proc.name, values: [""]}]',
      '[{name: x, fields: proc.name, values: }]',
    ]) {
      assert.equal(
        codes(rule('r', EXEC, `  exceptions: ${bad}\n`))[0],
        'LOAD_ERR_YAML_VALIDATE',
        bad,
      );
    }
    for (const fine of [
      '',
      '[]',
      '[{name: x, fields: proc.name}]',
      '[{name: x, fields: [proc.name, fd.name]}]',
      '[{name: x, fields: proc.name, values: []}]',
    ]) {
      assert.deepEqual(matching(rule('r', EXEC, `  exceptions: ${fine}\n`)), ['r'], fine);
    }
  });

  test('fields and operators that exist', () => {
    for (const bad of [
      'fields: []',
      'fields: ',
      'fields: {a: b}',
      'fields: a.b',
      'fields: [proc.name, a.b]',
      'fields: [[proc.name]]',
      'fields: "proc.name or fd.name"',
      'fields: m',
      'fields: "tolower(fd.num)"',
      'fields: [proc.name], comps: [frobulate]',
      'fields: [proc.name], comps: [in oneof]',
      'fields: [proc.name], comps: [oneof]',
      'fields: [proc.name], comps: [">= oneof"]',
      'fields: [proc.name], comps: [~]',
    ]) {
      assert.equal(codes(one(bad))[0], 'LOAD_ERR_VALIDATE', bad);
    }
    // Where the source is unknown, so are its fields.
    assert.deepEqual(codes(`${one('fields: ka.verb, values: [get]')}  source: k8s_audit\n`), [
      'LOAD_UNKNOWN_SOURCE',
    ]);
  });

  test('names of their own', () => {
    const twice = rule(
      'r',
      EXEC,
      '  exceptions:\n    - {name: x, fields: proc.name, values: [a]}\n    - {name: x, fields: proc.name, values: [node]}\n',
    );
    assert.deepEqual(codes(twice), ['LOAD_EXCEPTION_NAME_NOT_UNIQUE']);
    assert.deepEqual(matching(twice), []);
  });
});

describe('R12 R7 exceptions of an earlier rule', () => {
  const BASE = one('fields: [proc.name, evt.type], comps: [in, "="], values: [[a, execve]]');
  const more = (exception: string, how = 'override: {exceptions: append}') =>
    `${BASE}- rule: r\n  exceptions:\n    - {name: ${exception}}\n  ${how}\n`;

  test('get more values', () => {
    assert.equal(holds(BASE), true);
    assert.equal(holds(more('x, values: [[node, execve]]')), false);
    assert.equal(holds(more('x, values: [[[b, node], execve]]', 'append: true')), false);
    assert.deepEqual(codes(more('x')), ['LOAD_APPEND_NO_VALUES']);
    assert.equal(holds(more('x')), true);
  });

  test('get no other fields', () => {
    assert.match(
      first(more('x, fields: [proc.name, evt.type], values: [[a, b]]')),
      /LOAD_ERR_VALIDATE exception 'x' is there already: only values can be appended to it, not fields/,
    );
    assert.match(
      first(more('x, comps: [in, in], values: [[a, b]]')),
      /LOAD_ERR_VALIDATE .*not comps/,
    );
  });

  test('are joined by new ones, which need everything', () => {
    assert.equal(holds(more('y, fields: proc.name, values: [node]')), false);
    assert.match(
      first(more('y, values: [node]')),
      /LOAD_ERR_VALIDATE there is no exception 'y' yet: a new one needs 'fields'/,
    );
    assert.match(
      first(more('y, fields: proc.name, values: []')),
      /LOAD_ERR_VALIDATE there is no exception 'y' yet: a new one needs 'values'/,
    );
    assert.match(
      first(more('y, fields: a.b, values: [node]')),
      /LOAD_ERR_VALIDATE 'a.b' is not a field/,
    );
  });

  test('are replaced', () => {
    const replace = 'override: {exceptions: replace}';
    assert.equal(holds(more('y, fields: proc.name, values: [node]', replace)), false);
    assert.equal(codes(more('x, values: [[node, execve]]', replace))[0], 'LOAD_ERR_YAML_VALIDATE');
    const none = `${one('fields: proc.name, values: [node]')}- rule: r\n  exceptions:\n  ${replace}\n`;
    assert.equal(holds(none), true);
  });
});

test('R12 many exceptions are no matter', () => {
  const values = Array.from({ length: 5000 }, (_, index) => `[n${index}, open]`).join(', ');
  assert.deepEqual(loadTexts(one(`fields: [proc.name, evt.type], values: [${values}]`)).errors, []);
});
