import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readYaml } from '../../../src/rules/loader/yaml.ts';
import { YamlError } from '../../../src/rules/loader/yaml-node.ts';
import type { YamlNode } from '../../../src/rules/loader/yaml-node.ts';

/** A value as JSON has it; all scalars are texts here. */
function plain(node: YamlNode): unknown {
  if (node.kind === 'scalar') return node.isNull ? null : node.text;
  if (node.kind === 'sequence') return node.items.map(plain);
  return node.entries.map(({ key, value }) => [plain(key), plain(value)]);
}

function read(text: string): unknown {
  try {
    return readYaml({ name: 'f', text }).map(plain);
  } catch (error) {
    assert.ok(error instanceof YamlError, String(error));
    return `${error.place.start}: ${error.message}`;
  }
}

const value = (text: string): unknown => {
  const documents = read(text);
  return Array.isArray(documents) && documents.length === 1 ? (documents[0] as unknown) : documents;
};

// What yaml-cpp 0.8, Falco's reader, makes of the same texts.
describe('YAML as Falco reads it', () => {
  test('plain scalars are what is written, over as many lines as they take', () => {
    const cases: Record<string, unknown> = {
      '- 0x10\n- 010\n- 1e3\n- 1.50\n- true\n- Yes\n- 1_000\n- 2020-01-01\n': [
        '0x10',
        '010',
        '1e3',
        '1.50',
        'true',
        'Yes',
        '1_000',
        '2020-01-01',
      ],
      '- ~\n- null\n- Null\n- NULL\n- nULL\n- ""\n-\n': [null, null, null, null, 'nULL', '', null],
      '- a\n  b\n\n\n  c\n': ['a b\n\nc'],
      '- a #b\n- a#b\n- "a"#b\n': ['a', 'a#b', 'a'],
      '- a\n  # b\n': ['a'],
      '- a:b\n- http://x:80/y\n- -x\n- ?x\n- :x\n- <\n- =\n': [
        'a:b',
        'http://x:80/y',
        '-x',
        '?x',
        ':x',
        '<',
        '=',
      ],
      '- proc.name in (a, b) and c[1]="x"\n': ['proc.name in (a, b) and c[1]="x"'],
    };
    for (const [text, expected] of Object.entries(cases))
      assert.deepEqual(value(text), expected, text);
  });

  test('quoted scalars may go on in any column', () => {
    const cases: Record<string, unknown> = {
      '- "a\nb"\n': ['a b'],
      "- 'a\n\n  b'\n": ['a\nb'],
      "- 'it''s'\n": ["it's"],
      '- "a \\\n   b"\n': ['a b'],
      '- "\\x41\\u00e9\\U0001F600\\t\\n\\"\\\\\\/"\n': ['Aé\u{1f600}\t\n"\\/'],
      '- "  a  "\n': ['  a  '],
      '- "a\r\n  b"\r\n': ['a b'],
    };
    for (const [text, expected] of Object.entries(cases))
      assert.deepEqual(value(text), expected, text);
  });

  test('block scalars', () => {
    const cases: Record<string, unknown> = {
      '- >\n  a\n  b\n': ['a b\n'],
      '- >\n  a\n\n  b\n   c\n  d\n\n': ['a\nb\n c\nd\n'],
      '- >-\n  a\n  b\n\n': ['a b'],
      '- |\n  a\n   b\n\n  # c\n': ['a\n b\n\n# c\n'],
      '- |+\n  a\n\n- b\n': ['a\n\n', 'b'],
      '- |2\n    a\n  b\n': ['  a\nb\n'],
      '- > # why\n  a\n': ['a\n'],
      '- >#why\n  a\n': ['a\n'],
      '- >\n- b\n': ['', 'b'],
      '- >\n\n  a\n': ['\na\n'],
      '- |-\n  null\n': ['null'],
      '- >\n  a\n  b': ['a b'],
      '- a: >\r\n    b\r\n    c\r\n': [[['a', 'b c\n']]],
    };
    for (const [text, expected] of Object.entries(cases))
      assert.deepEqual(value(text), expected, text);
  });

  test('brackets may go on in any column', () => {
    const cases: Record<string, unknown> = {
      '- list: x\n  items: [\n    a,\n    b\n]\n': [
        [
          ['list', 'x'],
          ['items', ['a', 'b']],
        ],
      ],
      '- list: x\n  items: [a,\nb]\n': [
        [
          ['list', 'x'],
          ['items', ['a', 'b']],
        ],
      ],
      '- [a, "b", \'c\', [d], {e: f}, g h,]\n': [['a', 'b', 'c', ['d'], [['e', 'f']], 'g h']],
      '- [a, # c\n  b]\n': [['a', 'b']],
      '- [a,,b]\n': [['a', null, 'b']],
      '- [a: b, c:d, "e":f]\n': [[[['a', 'b']], 'c:d', [['e', 'f']]]],
      '- {a: b, c, d: , e: [f], "g":h}\n': [
        [
          ['a', 'b'],
          ['c', null],
          ['d', null],
          ['e', ['f']],
          ['g', 'h'],
        ],
      ],
      '- []\n- {}\n': [[], []],
      '- [=, <, x=]\n': [['=', '<', 'x=']],
    };
    for (const [text, expected] of Object.entries(cases))
      assert.deepEqual(value(text), expected, text);
  });

  test('a question mark within brackets needs quotes', () => {
    assert.deepEqual(value('- ?x\n- x?\n'), ['?x', 'x?']);
    assert.deepEqual(value('["?x", \'x?\']\n'), ['?x', 'x?']);
    assert.match(String(value('[?x]\n')), /^1: a comma or a closing \] is missing/);
    assert.match(String(value('[x?]\n')), /^2: a comma or a closing \] is missing/);
  });

  test('lists and maps within each other', () => {
    const cases: Record<string, unknown> = {
      '- a: b\n  c:\n  - d\n  - e\n  f: g\n': [
        [
          ['a', 'b'],
          ['c', ['d', 'e']],
          ['f', 'g'],
        ],
      ],
      '- - a\n  - b\n- c\n': [['a', 'b'], 'c'],
      '-\n  a: b\n': [[['a', 'b']]],
      '- a:\n    b: c\n    d: e\n  f: g\n': [
        [
          [
            'a',
            [
              ['b', 'c'],
              ['d', 'e'],
            ],
          ],
          ['f', 'g'],
        ],
      ],
      '- a: b\n  a: c\n': [
        [
          ['a', 'b'],
          ['a', 'c'],
        ],
      ],
      '- a:\n  b:\n': [
        [
          ['a', null],
          ['b', null],
        ],
      ],
      '- "a b": c\n- \'d\' : e\n- f : g\n': [[['a b', 'c']], [['d', 'e']], [['f', 'g']]],
      '- ? a\n  : b\n': [[['a', 'b']]],
      '- a: b\n #c\n  d: e\n': [
        [
          ['a', 'b'],
          ['d', 'e'],
        ],
      ],
    };
    for (const [text, expected] of Object.entries(cases))
      assert.deepEqual(value(text), expected, text);
  });

  test('documents, directives, anchors, tags', () => {
    assert.deepEqual(read('%YAML 1.2\n---\n- a\n---\n- b\n...\n- c\n'), [['a'], ['b'], ['c']]);
    assert.deepEqual(read('- a\nb: c\n'), [['a'], [['b', 'c']]]);
    assert.deepEqual(read('# c\n--- # d\n'), []);
    assert.deepEqual(value('- &x [1]\n- *x\n- a: *x\n- [*x]\n'), [
      ['1'],
      ['1'],
      [['a', ['1']]],
      [['1']],
    ]);
    assert.deepEqual(value('- &x a\n- &x b\n- *x\n'), ['a', 'b', 'b']);
    assert.deepEqual(value('- !t a\n- !!str 5\n- !\n- !!str null\n- [!=]\n'), [
      'a',
      '5',
      '',
      'null',
      [''],
    ]);
    assert.deepEqual(value('- <<: x\n'), [[['<<', 'x']]]);
  });

  test('what is none says where', () => {
    const cases: Record<string, RegExp> = {
      '- rule: a\n desc: b\n': /^11: /,
      '- rule: a\n   desc: b\n': /^17: a map may not begin|^\d+: /,
      '- a: b: c\n':
        /^6: a map may not begin on the line of a key: put a value with ": " in quotes/,
      '- a: "b" c\n': /^9: /,
      '- "a\n': /^2: a closing " is missing/,
      "- 'a\n": /^2: a closing ' is missing/,
      '- [a\n': /^2: a closing \] is missing/,
      '- {a: b\n': /^2: a closing \} is missing/,
      '- [a}\n': /^4: a comma or a closing \] is missing/,
      '- a: %b\n': /^5: a value may not begin with %: put it in quotes/,
      '- a: @b\n': /^5: a value may not begin with @/,
      '- a: - b\n': /^5: a list may not begin on the line of a key/,
      '- a\n  b: c\n': /^7: /,
      '- a: b\n\tc: d\n': /^7: a tab may not be used as indentation/,
      '- a:\n\t- b\n': /^\d+: a tab may not be used as indentation/,
      '- a: b\n  c\n  d: e\n': /^10: a key must be followed by ": "/,
      '- *x\n': /^2: unknown alias \*x/,
      '- &x [*x]\n': /^6: alias \*x stands within the value that it means/,
      '- "\\q"\n': /^3: \\q is no escape/,
      '- "\\xZZ"\n': /^3: \\x needs 2 hexadecimal digits/,
      '- |x\n  a\n': /^3: a line break must follow after \| and >/,
      '- |0\n  a\n': /^3: '0' after \| or >/,
      '- &a &b c\n': /^5: a value may have one anchor and one tag/,
      '%YAML 3.0\n---\n- a\n': /^0: YAML of another major version/,
      '- a: >\n        \n    b\n': /^\d+: /,
    };
    for (const [text, expected] of Object.entries(cases)) {
      assert.match(String(read(text)), expected, text);
    }
  });
});

test('each character of a value knows its place', () => {
  const text = '- a: "x\\ty \n    z"\n  b: >\n    p q\n    r\n  c: u\n    v\n';
  const [document] = readYaml({ name: 'f', text });
  assert.ok(document?.kind === 'sequence' && document.items[0]?.kind === 'map');
  const found = document.items[0].entries.map(({ value: node }) => {
    assert.equal(node.kind, 'scalar');
    const mapped = node.mapped();
    return Array.from(mapped.text, (_, index) => {
      const { start } = mapped.locate({ start: index, end: index + 1 });
      return text.charAt(start);
    }).join('');
  });
  // Escapes and folds are where they begin.
  assert.deepEqual(found, ['x\\y z', 'p q\nr\n', 'u\nv']);
});
