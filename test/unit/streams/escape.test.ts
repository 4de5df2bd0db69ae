import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeText } from '../../../src/shared/text.ts';
import { escapeJson, escapeText, quoteField, shorten } from '../../../src/streams/escape.ts';

test('text: every hidden class becomes visible, and the backslash stays unambiguous', () => {
  const cases: [string, string][] = [
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\x00\x1b[31m\x7f\x85\x9b', '\\x00\\x1b[31m\\x7f\\u0085\\u009b'],
    ['\u2028\u2029\u202e\u2066\u200e\u061c', '\\u2028\\u2029\\u202e\\u2066\\u200e\\u061c'],
    ['\u200b\u200d\ufeff\u2060\u00ad', '\\u200b\\u200d\\ufeff\\u2060\\u00ad'],
    ['\ud800x\udc00', '\\ud800x\\udc00'],
    [decodeText(Buffer.from('a\xff\x80b', 'latin1')), 'a\\xff\\x80b'],
    ['\u{e0041}\u3164', '\\u{e0041}\\u3164'],
    ['\\n', '\\\\n'],
    ['naïve 日本 😀 "q" [x]', 'naïve 日本 😀 "q" [x]'],
  ];
  for (const [raw, escaped] of cases) assert.equal(escapeText(raw), escaped);
});

test('fields: bare when plain, otherwise quoted so that they end where they seem to', () => {
  assert.equal(quoteField('org/app-1.2_x:8080@h+'), 'org/app-1.2_x:8080@h+');
  assert.equal(quoteField(''), '""');
  assert.equal(quoteField('a b'), '"a b"');
  assert.equal(quoteField('x" rule="y\\'), '"x\\" rule=\\"y\\\\"');
  assert.equal(quoteField('x]'), '"x]"');
  assert.equal(quoteField('a\nb'), '"a\\nb"');
});

test('JSON: hidden characters are \\u escapes and the value survives, but for bytes that are no text', () => {
  const value = 'a\n\x7f\x9b\u202e\udcff\u{e0041}"\\é';
  const json = escapeJson(value);
  assert.equal(json, '"a\\n\\u007f\\u009b\\u202e�\\udb40\\udc41\\"\\\\é"');
  assert.equal(JSON.parse(json), value.replace('\udcff', '\ufffd'));
  assert.equal(escapeJson(['a', '\ud800']), '["a","�"]');
});

test('shorten cuts between characters, marks the cut, and leaves what fits alone', () => {
  assert.deepEqual(shorten('abc', 3, escapeText), { encoded: 'abc', cut: false });
  assert.deepEqual(shorten('abcdefgh', 6, escapeText), { encoded: 'abc…', cut: true });
  assert.deepEqual(shorten('😀😀😀', 8, escapeText), { encoded: '😀…', cut: true });
  assert.deepEqual(shorten('\n\n\n\n', 7, escapeText), { encoded: '\\n\\n…', cut: true });
});
