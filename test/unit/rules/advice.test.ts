import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LanguageError } from '../../../src/rules/language/errors.ts';
import { parse } from '../../../src/rules/language/parser.ts';
import { loadRules } from '../../../src/rules/loader/load.ts';

/** What the condition is refused with, and where. */
function refusal(condition: string): { readonly message: string; readonly at: number } {
  try {
    parse(condition);
  } catch (error) {
    assert.ok(error instanceof LanguageError);
    return { message: error.message, at: error.span.start };
  }
  return assert.fail(`it is taken: ${condition}`);
}

const CASES: readonly (readonly [condition: string, place: string, advice: string])[] = [
  ['proc.name=a && fd.name=b', '&&', "Write 'and'."],
  ['proc.name=a || fd.name=b', '||', "Write 'or'."],
  ['(proc.name=a || fd.name=b)', '||', "Write 'or'."],
  ['!proc.name=a', '!', "Write 'not'."],
  ['proc.name=a and !(fd.name=b)', '!', "Write 'not'."],
  ['proc.name=a AND fd.name=b', 'AND', "Write 'and', in small letters."],
  ['NOT proc.name=a', 'proc', "Write 'not', in small letters."],
  ['proc.name IN (a, b)', 'IN', "Write 'in', in small letters."],
  ['evt.latency > 5s', 's', 'Durations are numbers of nanoseconds: write 5000000000.'],
  [
    'evt.latency > 1.5ms and proc.name=a',
    'ms',
    'Durations are numbers of nanoseconds: write 1500000.',
  ],
  ['my-macro', '-macro', "Names of macros have letters, digits and '_': my_macro."],
  ['evt.type=open and a-b-c', '-b-c', "Names of macros have letters, digits and '_': a_b_c."],
  ['proc.name in x, y', ', y', 'Put brackets around a list: (a, b).'],
  ['proc.name startswith (a, b)', '(a, b)', 'For several values: startswith anyof (a, b).'],
  ['proc.name = (a, b)', '(a, b)', "Write 'in' before a list: FIELD in (a, b)."],
  ['proc.name like x', 'like', "Write 'glob' (with * and ?), or 'contains'."],
  ['proc.name matches x', 'matches', "Write 'regex'."],
  ['proc.name =~ x', 'x', "Write 'regex'."],
  ['proc.name ~ x', '~ x', "Write 'regex'."],
  ['proc.name not in (a, b)', 'not', "Write 'not' before the field: not FIELD in (a, b)."],
];

for (const [condition, place, advice] of CASES) {
  test(`${condition}: it says what to write`, () => {
    const { message, at } = refusal(condition);
    assert.equal(condition.slice(at, at + place.length), place);
    assert.ok(message.endsWith(`. ${advice}`), message);
  });
}

test('where nothing is known to be meant, nothing is said', () => {
  for (const condition of ['proc.name = a b', 'proc.name', 'evt.latency > 5x', 'proc.name = a )'])
    assert.doesNotMatch(refusal(condition).message, /\. [A-Z]/);
});

test('a name after "or" that may have been meant as a value', () => {
  const rule = (condition: string): string =>
    `- {rule: R, desc: d, output: o, priority: NOTICE, condition: '${condition}'}`;
  const said = (condition: string): string =>
    loadRules([{ name: 'r.yaml', text: rule(condition) }]).errors[0]?.message ?? '';
  assert.equal(
    said('evt.type = open and (proc.name = x or y)'),
    "Undefined macro 'y' used in filter. If it is another value of proc.name, write: proc.name in (x, y).",
  );
  assert.equal(said('evt.type = open and y'), "Undefined macro 'y' used in filter.");
});
