import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codes, EXEC, first, found, matching, rule } from '../../support/rules-found.ts';

describe('R10 lists are filled in between delimiters', () => {
  const LISTS =
    '- list: ab\n  items: [a, node]\n- list: none\n  items: []\n- list: all\n  items: [ab, later]\n- list: later\n  items: ["x y", 5]\n' +
    '- list: one\n  items: [node]\n- list: hollow\n  items: [none, node, none]\n';
  const m = (condition: string) =>
    matching(LISTS + rule('r', JSON.stringify(`${EXEC} and ${condition}`))).length > 0;

  test('blanks, parentheses, commas and equal signs', () => {
    for (const condition of [
      'proc.name in (ab)',
      'proc.name in(ab)',
      'proc.name in (b,ab , c)',
      'proc.name in (\n  ab\t)',
      'proc.name in (all)',
      'proc.name =one',
      'proc.name = one',
      'proc.name = anyof (ab)',
    ]) {
      assert.equal(m(condition), true, condition);
    }
    for (const condition of [
      'proc.name in (abc, xab, ab.c, ab-c)',
      'proc.name = "ab"',
      'proc.name in ("ab", x)',
      `proc.name = 'one'`,
    ]) {
      assert.equal(m(condition), false, condition);
    }
  });

  test('an empty list takes one comma with it', () => {
    for (const condition of [
      'proc.name in (none, node)',
      'proc.name in (node, none)',
      'proc.name in (b, none, node)',
      'proc.name in (none,node,none)',
      'proc.name in (hollow)',
    ]) {
      assert.equal(m(condition), true, condition);
    }
    for (const condition of [
      'proc.name in (none)',
      'proc.name in (none, none)',
      'proc.name in ( none )',
    ]) {
      assert.equal(m(condition), false, condition);
    }
  });

  test('items with blanks are quoted unless they are', () => {
    const named = (items: string) =>
      matching(
        `- list: q\n  items: ${items}\n${rule('r', `${EXEC} and not proc.name in (q) and proc.name in (node)`)}`,
      );
    assert.deepEqual(named(`['"(systemd)"', "a b", it's c, "'d e'"]`), ['r']);
    // Other signs are the author's to quote.
    assert.match(
      first(`- list: q\n  items: ["a(b"]\n${rule('r', `${EXEC} and proc.name in (q)`)}`),
      /LOAD_ERR_COMPILE_CONDITION/,
    );
    assert.match(
      first(`- list: q\n  items: [a, ""]\n${rule('r', `${EXEC} and proc.name in (q)`)}`),
      /LOAD_ERR_COMPILE_CONDITION/,
    );
  });

  test('items that are no single values are refused', () => {
    for (const items of ['a', '{a: b}', '[[a]]', '[a, ~]', '[a, ]\n  items2: x', '']) {
      const [code] = codes(
        `- list: q\n  items: ${items}\n${rule('r', `${EXEC} and proc.name in (q)`)}`,
      );
      assert.equal(
        code,
        items.startsWith('[a, ]') ? 'LOAD_UNKNOWN_KEY' : 'LOAD_ERR_YAML_VALIDATE',
        items,
      );
    }
    assert.match(first('- list: q\n'), /LOAD_ERR_YAML_VALIDATE a list needs 'items'/);
  });

  test('S15 lists in lists, wherever they are defined; one in a ring stays a word', () => {
    const chain = `- list: c\n  items: [b]\n- list: b\n  items: [a, x]\n- list: a\n  items: [node]\n`;
    assert.deepEqual(matching(chain + rule('r', `${EXEC} and proc.name in (c)`)), ['r']);
    assert.deepEqual(found(chain + rule('r', `${EXEC} and proc.name in (c)`)), []);
    const ring = `- list: a\n  items: [b, node]\n- list: b\n  items: [a]\n- list: self\n  items: [self]\n`;
    assert.deepEqual(
      matching(ring + rule('r', `${EXEC} and proc.name in (a) and not proc.name in (self)`)),
      ['r'],
    );
  });

  test('S16 empty lists are legal; without parentheses only one item is a list', () => {
    assert.equal(m('not proc.name in ()'), true);
    assert.equal(m('proc.name in one'), true);
    assert.match(
      first(`${LISTS}${rule('r', `${EXEC} and proc.name in ab`)}`),
      /LOAD_ERR_COMPILE_CONDITION/,
    );
  });

  test('LOAD_INVALID_LIST_NAME', () => {
    assert.deepEqual(
      codes(`- list: "a b"\n  items: [node]\n${rule('r', `${EXEC} and proc.name in (a b)`)}`),
      ['LOAD_INVALID_LIST_NAME'],
    );
    for (const name of ["it's", 'a(b', 'a=b', '"a,b"', '"a\\tb"']) {
      assert.equal(codes(`- list: ${name}\n  items: []\n`)[0], 'LOAD_INVALID_LIST_NAME', name);
    }
    for (const name of ['a-b', 'a.b', '5', 'ä']) {
      assert.deepEqual(codes(`- list: ${name}\n  items: []\n`), ['LOAD_UNUSED_LIST'], name);
    }
  });
});

describe('R11 macros', () => {
  const m = (macros: string, condition = 'm') => found(macros + rule('r', condition));

  test('S15 rules see all of them, macros those before them', () => {
    assert.deepEqual(found(`${rule('r', 'm')}- macro: m\n  condition: ${EXEC}\n`), []);
    assert.deepEqual(m(`- macro: a\n  condition: ${EXEC}\n- macro: m\n  condition: a\n`), []);
    assert.match(
      m(`- macro: m\n  condition: later\n- macro: later\n  condition: ${EXEC}\n`)[0] ?? '',
      /^2:14 LOAD_ERR_VALIDATE Undefined macro 'later' used in filter\. It is defined after/,
    );
    // Touched again after that, it sees it.
    const touched = `- macro: m\n  condition: ${EXEC}\n- macro: later\n  condition: proc.name = node\n`;
    assert.deepEqual(m(`${touched}- macro: m\n  condition: ${EXEC} and later\n`), []);
    assert.deepEqual(
      m(`${touched}- macro: m\n  condition: and later\n  override: {condition: append}\n`),
      [],
    );
    // A redefinition keeps its place: those between see it.
    const between = `- macro: a\n  condition: ${EXEC}\n- macro: m\n  condition: a\n- macro: a\n  condition: evt.type = open\n`;
    assert.deepEqual(m(between), []);
    assert.deepEqual(matching(between + rule('r', 'm')), []);
  });

  test('that do not exist', () => {
    assert.deepEqual(m(''), [`5:14 LOAD_ERR_VALIDATE Undefined macro 'm' used in filter.`]);
    assert.match(m(`- macro: mm\n  condition: ${EXEC}\n`)[0] ?? '', /Did you mean 'mm'\?/);
    // Also where no rule refers to the macro that refers to them.
    assert.match(
      first('- macro: m\n  condition: nope\n'),
      /^2:14 LOAD_ERR_VALIDATE Undefined macro 'nope'/,
    );
    assert.match(
      first([rule('r', 'm'), `- macro: m\n  condition: ${EXEC}\n`]),
      /Undefined macro 'm' used in filter\. It is defined in a later file: each file must load with those before it/,
    );
    assert.deepEqual(found([`- macro: m\n  condition: ${EXEC}\n`, rule('r', 'm')]), []);
  });

  test('S14 words that are no operators are macros that do not exist', () => {
    assert.match(first(rule('r', '(not)')), /LOAD_ERR_VALIDATE Undefined macro 'not'/);
    for (const condition of [
      `${EXEC} AND proc.name = a`,
      `NOT ${EXEC}`,
      `${EXEC} && proc.name = a`,
      `"!${EXEC}"`,
    ]) {
      assert.match(first(rule('r', condition)), /LOAD_ERR_(COMPILE_CONDITION|VALIDATE)/, condition);
    }
  });

  test('that refer to themselves', () => {
    const loop =
      /LOAD_ERR_VALIDATE Undefined macro '\w+' used in filter\. \(reference loop in macro\)/;
    assert.match(m('- macro: m\n  condition: m\n')[0] ?? '', loop);
    const ring = `- macro: m\n  condition: ${EXEC}\n- macro: n\n  condition: m\n- macro: m\n  condition: n\n`;
    assert.match(m(ring)[0] ?? '', loop);
    assert.match(first(ring), loop);
  });

  test('are conditions of their own: what is around them does not change them', () => {
    const either = '- macro: m\n  condition: proc.name = node or proc.name = x\n';
    assert.deepEqual(matching(either + rule('r', 'evt.type = open and m')), []);
    assert.deepEqual(matching(either + rule('r', `${EXEC} and not m`)), []);
    assert.match(
      first(`- macro: m\n  condition: ${EXEC} and\n${rule('r', 'm')}`),
      /^2:\d+ LOAD_ERR_COMPILE_CONDITION/,
    );
  });

  test('an error of types is one only where a rule refers to the macro', () => {
    const macro = '- macro: m\n  condition: a.b = 1\n';
    assert.deepEqual(codes(macro), ['LOAD_UNUSED_MACRO']);
    assert.deepEqual(codes(macro + rule('r', `${EXEC} and m`)), ['LOAD_ERR_COMPILE_CONDITION']);
    // Nor where a rule is left out before its condition is looked at.
    assert.deepEqual(codes(macro + rule('r', 'm', '  source: aws\n')), [
      'LOAD_UNKNOWN_SOURCE',
      'LOAD_UNUSED_MACRO',
    ]);
  });

  test('LOAD_INVALID_MACRO_NAME', () => {
    for (const name of ['a-b', 'a.b', '5', '_a', '"a b"']) {
      assert.deepEqual(
        codes(`- macro: ${name}\n  condition: ${EXEC}\n`),
        ['LOAD_INVALID_MACRO_NAME', 'LOAD_UNUSED_MACRO'],
        name,
      );
    }
    assert.deepEqual(codes(`- macro: a_5\n  condition: ${EXEC}\n${rule('r', 'a_5')}`), []);
  });
});
