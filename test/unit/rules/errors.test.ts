import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawSnippet, lineAndColumn } from '../../../src/rules/language/errors.ts';
import { nearestWord } from '../../../src/shared/nearest.ts';

test('line and column count from 1', () => {
  assert.deepEqual(lineAndColumn('ab\ncd\n', 0), { line: 1, column: 1 });
  assert.deepEqual(lineAndColumn('ab\ncd\n', 2), { line: 1, column: 3 });
  assert.deepEqual(lineAndColumn('ab\ncd\n', 3), { line: 2, column: 1 });
  assert.deepEqual(lineAndColumn('ab\ncd\n', 99), { line: 3, column: 1 });
});

test('the caret stands under the place and as long as it is', () => {
  assert.equal(drawSnippet('one\ntwo three\nfour', 8, 5), 'two three\n    ^^^^^');
  assert.equal(drawSnippet('one\ntwo', 6, 50), 'two\n  ^');
  assert.equal(drawSnippet('', 0), '\n^');
});

test('long lines are cut around the place', () => {
  const text = `${'a'.repeat(500)}HERE${'b'.repeat(500)}`;
  const [line = '', caret = ''] = drawSnippet(text, 500, 4).split('\n');
  assert.ok(line.length <= 102, String(line.length));
  assert.equal(line.slice(caret.indexOf('^'), caret.lastIndexOf('^') + 1), 'HERE');
  assert.match(line, /^…a+HEREb+…$/);
});

test('a rule file cannot drive the terminal that shows its errors', () => {
  const shown = drawSnippet('a\u001b[31m\u0007\u202eb\u2028c\u009b', 0);
  assert.doesNotMatch(shown, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u2028]/);
});

test('the nearest name, if any is near', () => {
  assert.equal(nearestWord('proc.nmae', ['proc.name', 'fd.name']), 'proc.name');
  assert.equal(nearestWord('condtion', ['condition', 'output']), 'condition');
  assert.equal(nearestWord('zzz', ['condition', 'output']), undefined);
  assert.equal(nearestWord('x'.repeat(10_000), ['y']), undefined);
});
