import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Condition } from '../../../src/rules/language/ast.ts';
import { LanguageError } from '../../../src/rules/language/errors.ts';
import { DEFAULT_LIMITS } from '../../../src/rules/language/operand-parser.ts';
import { parse } from '../../../src/rules/language/parser.ts';
import { print } from '../../../src/rules/language/printer.ts';

/** The tree in the shape of a condition with all groups written out. */
function shape(text: string): string {
  const write = (node: Condition): string => {
    switch (node.kind) {
      case 'and':
      case 'or':
        return `(${node.operands.map(write).join(` ${node.kind} `)})`;
      case 'not':
        return `!${write(node.operand)}`;
      default:
        return print(node);
    }
  };
  return write(parse(text));
}

function errorAt(text: string): string {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof LanguageError, String(error));
    return `${error.span.start}: ${error.message}`;
  }
  return 'parsed';
}

/** The right side of a single comparison. */
function right(text: string): unknown {
  const node = parse(text);
  assert.ok(node.kind === 'compare');
  return node.right.kind === 'list'
    ? node.right.items.map((item) => item.value)
    : node.right.kind === 'text'
      ? node.right.value
      : node.right.kind === 'number'
        ? node.right.text
        : node.right.kind;
}

describe('parser', () => {
  test('G1 or binds least, then and, then not; chains are one node', () => {
    assert.equal(shape('a or b and not c'), '(a or (b and !c))');
    assert.equal(shape('a and b and c'), '(a and b and c)');
    assert.equal(shape('a or b or c'), '(a or b or c)');
    assert.equal(shape('(a or b) and c'), '((a or b) and c)');
    assert.equal(shape('(a and b) and c'), '((a and b) and c)');
    assert.equal(shape('not not a'), 'a');
    assert.equal(shape('not not not a'), '!a');
    assert.equal(shape('not (not a)'), '!!a');
    assert.equal(shape('not(a)and(b)or(c)'), '((!a and b) or c)');
    assert.equal(errorAt('a orb'), "4: expected blank or '(' after 'or'");
    assert.equal(errorAt('a andb'), "5: expected blank or '(' after 'and'");
  });

  test('G1 names that begin with a keyword are names', () => {
    assert.equal(shape('nothing'), 'nothing');
    assert.equal(shape('order and android'), '(order and android)');
    // S14
    assert.equal(shape('(not)'), 'not');
  });

  test('G2 blanks', () => {
    assert.equal(shape('\n a\t\b and \r\n b '), '(a and b)');
  });

  test('G3 fields and their arguments', () => {
    const node = parse('proc.aname[2] exists');
    assert.ok(node.kind === 'exists' && node.left.kind === 'field');
    assert.deepEqual([node.left.name, node.left.argument], ['proc.aname', '2']);
    const quoted = parse('container.label["a b]"] exists');
    assert.ok(quoted.kind === 'exists' && quoted.left.kind === 'field');
    assert.equal(quoted.left.argument, 'a b]');
    assert.equal(errorAt('proc.aname[2 exists'), "12: expected ']'");
    assert.equal(errorAt('proc.aname[] exists'), "11: expected an argument after '['");
  });

  test('G4 bare strings and numbers', () => {
    assert.equal(right('proc.name = runc:[0:PARENT]'), 'runc:[0:PARENT]');
    assert.equal(right('proc.name=/a/b-c*'), '/a/b-c*');
    assert.equal(right('fd.num >= -1'), '-1');
    assert.equal(right('fd.num < 0x1F'), '0x1F');
    assert.equal(right('fd.num < 1.5'), '1.5');
    assert.equal(right('fd.num < 1e+4'), '1e+4');
    assert.equal(errorAt('fd.num > "5"'), '9: expected a number');
    assert.match(errorAt('fd.num > 1e3'), /^10: expected 'and'/);
  });

  test('G5 operators, with and without blanks', () => {
    assert.equal(shape('proc.name==x'), 'proc.name == x');
    assert.equal(shape('proc.name!=x'), 'proc.name != x');
    assert.deepEqual(right('proc.name in(a,b)'), ['a', 'b']);
    assert.deepEqual(right('proc.name intersects (a)'), ['a']);
    assert.deepEqual(right('fd.name pmatch (/etc, /usr)'), ['/etc', '/usr']);
    for (const word of [
      'glob',
      'iglob',
      'contains',
      'icontains',
      'bcontains',
      'startswith',
      'bstartswith',
      'endswith',
      'regex',
    ]) {
      assert.equal(right(`proc.name ${word} x`), 'x', word);
      assert.equal(errorAt(`proc.name ${word}x`), '10: expected an operator', word);
    }
    assert.equal(errorAt('proc.name'), '9: expected an operator');
    // Falco reads this as `in side`.
    assert.match(errorAt('proc.name inside (a)'), /^17: expected 'and'/);
  });

  test('G6 modifiers, and the same words as values', () => {
    const node = parse('proc.name startswith anyof (a, b)');
    assert.ok(node.kind === 'compare');
    assert.equal(node.modifier, 'anyof');
    assert.equal(right('proc.name = anyof'), 'anyof');
    assert.equal(shape('proc.name = allof and a'), '(proc.name = "allof" and a)');
    assert.deepEqual(right('proc.name = oneof x'), ['x']);
    // Blanks on both sides make it a modifier; a word that joins conditions is no list's name.
    assert.equal(right('proc.name =anyof'), 'anyof');
    assert.match(errorAt('proc.name =anyof (a)'), /^17: expected 'and'/);
    assert.match(errorAt('proc.name = anyof(a)'), /^17: expected 'and'/);
    assert.equal(shape('proc.name = anyof or a'), '(proc.name = "anyof" or a)');
    assert.match(errorAt('proc.name = anyof not a'), /^18: expected 'and'/);
    assert.match(errorAt('proc.name = anyof (a, tolower(fd.name))'), /^29: expected ',' or '\)'/);
  });

  test('G7 lists', () => {
    assert.deepEqual(right('proc.name in ()'), []);
    assert.deepEqual(right('proc.name in ( a , "b c" )'), ['a', 'b c']);
    assert.deepEqual(right('proc.name in x'), ['x']);
    assert.equal(errorAt('proc.name in (a,)'), '16: expected a value in the list');
    assert.equal(errorAt('proc.name in (a b)'), "16: expected ',' or ')' in the list");
    assert.equal(errorAt('proc.name in (,)'), '14: expected a value in the list');
    assert.equal(errorAt('proc.name in'), "12: expected a list such as (a, b) after 'in'");
    assert.equal(errorAt('proc.name in /etc'), "13: expected a list such as (a, b) after 'in'");
    assert.equal(errorAt('proc.name in "a"'), "13: expected a list such as (a, b) after 'in'");
    // A list has values only.
    assert.match(errorAt('proc.name in (a, val(fd.name))'), /^20: expected ',' or '\)'/);
  });

  test('G8 transformers on both sides', () => {
    const node = parse('toupper(basename(proc.exepath)) = val(proc.name)');
    assert.ok(node.kind === 'compare' && node.left.kind === 'transformer');
    assert.equal(node.left.name, 'toupper');
    assert.equal(node.right.kind, 'val');
    assert.equal(
      print(parse('join("-", (proc.name, \'x\', proc.pname)) = concat("a", proc.name)')),
      'join("-", (proc.name, "x", proc.pname)) = concat("a", proc.name)',
    );
    assert.equal(
      print(parse('getopt(proc.args, "ab:")[a] exists')),
      'getopt(proc.args, "ab:")[a] exists',
    );
    assert.equal(print(parse('len(()) > 3')), 'len(()) > 3');
    assert.equal(
      print(parse('join("", (1, -2.5, 0x1f)) exists')),
      'join("", ("1", "-2.5", "0x1f")) exists',
    );
    assert.equal(
      errorAt('tolower(proc.name)[a] = x'),
      '18: tolower() takes no argument in brackets',
    );
    assert.equal(errorAt('fd.name = val(proc.name)[a]'), '24: val() takes no argument in brackets');
    for (const text of [
      // val stands on the right only, over a field only
      'val(proc.name) = a',
      'tolower(val(proc.name)) = a',
      'proc.name = val(tolower(proc.name))',
      'proc.name = val(proc.name, fd.name)',
      // an operand is no bare word, and a list in a list is none
      'concat(a, proc.name) = x',
      'join("-", (proc.name, ("x"))) = x',
      'join() = x',
      // no blank before the parenthesis
      'tolower (proc.name) = a',
      'proc.name = tolower (fd.name)',
      'proc.name = (tolower(fd.name))',
      'tolower(proc.name = a',
      'unknown(proc.name) = a',
    ]) {
      assert.notEqual(errorAt(text), 'parsed', text);
    }
    assert.equal(shape('fd.name = b64 and(a)'), '(fd.name = b64 and a)');
  });

  test('G9 escapes', () => {
    assert.equal(right(String.raw`proc.name = "a\"\\\/\n\t\x41\xc3\xa9"`), 'a"\\/\n\tA\u00e9');
    assert.equal(right(String.raw`proc.name = 'it\'s'`), "it's");
    assert.equal(right(String.raw`proc.name = "a\ b"`), 'a\\b');
    assert.equal(
      errorAt(String.raw`proc.name = "a\'b"`),
      String.raw`14: invalid escape sequence '\'' in a string`,
    );
    assert.equal(
      errorAt(String.raw`proc.name = "a\d"`),
      String.raw`14: invalid escape sequence '\d' in a string`,
    );
    assert.equal(
      errorAt(String.raw`proc.name = "\x4"`),
      String.raw`13: expected two hexadecimal digits after \x`,
    );
    assert.equal(errorAt('proc.name = "abc'), '12: expected a closing "');
    assert.match(errorAt(String.raw`proc.name = "\x4g"`), /^13: expected two hexadecimal digits/);
    assert.match(errorAt(String.raw`proc.name = "\xa" or a = "1"`), /^13: expected two hex/);
    // A quote after any backslash does not close, be the backslash escaped itself (as Falco reads it).
    assert.equal(right(String.raw`proc.name = 'a \' b \\''`), String.raw`a ' b \'`);
    assert.match(errorAt(String.raw`proc.name = "a\\"`), /^12: expected a closing " that no/);
    assert.equal(right(String.raw`proc.name = "a\x5c"`), 'a\\');
    assert.equal(right('proc.name = ""'), '');
  });

  test('S12 \\xHH is a byte; what is not UTF-8 is no text of an event', () => {
    assert.equal(right(String.raw`fd.name = "\xc3\xa9"`), 'é');
    assert.equal(right(String.raw`fd.name = "\xffa\xc3"`), '\udcffa\udcc3');
    assert.equal(right(String.raw`fd.name = "\xef\xbf\xbd"`), '\ufffd');
    assert.equal(print(parse(String.raw`fd.name = "\xff\xc3\xa9"`)), String.raw`fd.name = "\xffé"`);
  });

  test('G10 limits, empty conditions and what follows one', () => {
    assert.equal(errorAt(''), '0: the condition is empty');
    assert.equal(errorAt('  '), '2: the condition is empty');
    assert.equal(errorAt('a b'), "2: expected 'and', 'or' or the end of the condition");
    assert.equal(errorAt('a)'), "1: expected 'and', 'or' or the end of the condition");
    assert.equal(errorAt('(a'), "2: expected ')'");
    const nested = (depth: number): string => '('.repeat(depth) + 'a' + ')'.repeat(depth);
    // Five productions a pair of parentheses, four for the name; the limit is the loader's, 1000.
    assert.equal(shape(nested(199)), 'a');
    assert.match(errorAt(nested(200)), /^200: exceeded max depth limit of 1000/);
    assert.match(errorAt('('.repeat(100_000)), /exceeded max depth limit of 1000/);
    assert.match(errorAt('tolower('.repeat(5000)), /exceeded max depth limit of 1000/);
    assert.match(errorAt('not('.repeat(5000)), /exceeded max depth limit of 1000/);
    assert.throws(() => parse(nested(19), { ...DEFAULT_LIMITS, maxDepth: 99 }), /limit of 99/);
    assert.throws(() => parse('a or b', { ...DEFAULT_LIMITS, maxLength: 5 }), /longer than 5/);
    assert.equal(shape(`${'not '.repeat(60_001)}a`), '!a');
    const chain = parse(Array(100_000).fill('a').join(' or '));
    assert.ok(chain.kind === 'or' && chain.operands.length === 100_000);
  });

  test('G5 exists needs no blank after it', () => {
    assert.equal(shape('fd.name existsand a'), '(fd.name exists and a)');
    assert.match(errorAt('fd.name exists a'), /^15: expected 'and'/);
    assert.match(errorAt('fd.name = a = b'), /^12: expected 'and'/);
    assert.match(errorAt('a > 12'), /^2: expected 'and'/);
  });

  test('a lone surrogate of the source is U+FFFD: bytes are written as escapes only', () => {
    assert.equal(print(parse('a.b = "x\udcff\ud800"')), print(parse('a.b = "x\ufffd\ufffd"')));
    assert.notEqual(print(parse('a.b = "\\xff"')), print(parse('a.b = "\udcff"')));
  });

  test('S14 other spellings of the operators are errors', () => {
    for (const text of ['a AND b', 'a && b', '!a', 'NOT a']) {
      assert.notEqual(errorAt(text), 'parsed', text);
    }
  });

  test('spans cover what they name', () => {
    const text = '  a and proc.name = "x y"';
    const node = parse(text);
    assert.ok(node.kind === 'and');
    assert.deepEqual(
      node.operands.map((operand) => text.slice(operand.span.start, operand.span.end)),
      ['a', 'proc.name = "x y"'],
    );
  });
});
