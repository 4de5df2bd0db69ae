import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LanguageError } from '../../src/rules/language/errors.ts';
import { parse } from '../../src/rules/language/parser.ts';
import { compileGlob } from '../../src/rules/compile/glob.ts';
import { compilePathMatch } from '../../src/rules/compile/path-match.ts';
import { formatDiagnostic } from '../../src/rules/loader/diagnostics.ts';
import { loadRules } from '../../src/rules/loader/load.ts';
import { compileOutput } from '../../src/rules/output/format.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { runs } from '../support/runs.ts';

const fragments = fc.constantFrom(
  '(',
  ')',
  ' and ',
  ' or ',
  'not ',
  'proc.name',
  'proc.aname[',
  ']',
  '=',
  '!=',
  ' in ',
  ' contains ',
  ' exists',
  '"',
  "'",
  '\\',
  ',',
  ' glob ',
  'val(',
  'tolower(',
  ' anyof ',
  '0x',
  '-1',
  '%',
  '*',
  '\n',
  '\0',
  '\ud800',
  'evt.type',
  'openat',
  'm',
);
const noise = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.array(fragments, { maxLength: 60 }).map((parts) => parts.join('')),
  fc.tuple(fragments, fc.nat(3000)).map(([part, times]) => part.repeat(times)),
);

/** An error of the language lies within the text. */
function languageError(read: () => unknown, length: number): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof LanguageError, String(error));
    assert.ok(
      error.span.start >= 0 && error.span.start <= length,
      `${error.span.start} of ${length}`,
    );
    assert.ok(error.span.end >= error.span.start);
  }
}

test('any text is a condition or an error of the language, in little time', () => {
  const tookMs = cpuMs(() =>
    fc.assert(
      fc.property(noise, (text) => languageError(() => parse(text), text.length)),
      { numRuns: runs(1000) },
    ),
  );
  assert.ok(tookMs < 20_000, `${tookMs} ms`);
});

test('any text is an output or an error of the language', () => {
  fc.assert(
    fc.property(noise, (text) => languageError(() => compileOutput(text), text.length)),
    { numRuns: runs(700) },
  );
});

test('any text is a rule file or a list of errors with places', () => {
  const yamlish = fc.array(
    fc.oneof(
      fc.constantFrom(
        '- rule: ',
        '- macro: ',
        '- list: ',
        '\n',
        '  condition: ',
        '  items: [',
        ']',
        '  output: ',
        '  priority: error\n',
        '  desc: ',
        '{',
        '}',
        ': ',
        '>\n',
        '|\n',
        '&a ',
        '*a',
        '---\n',
        '  override: {condition: append}\n',
        '  append: true\n',
        '"',
        "'",
      ),
      noise,
    ),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(yamlish, (parts) => {
      const text = parts.join('');
      const { errors, warnings } = loadRules([{ name: 'f', text }]);
      const lines = text.split('\n').length;
      for (const { line, column } of [...errors, ...warnings]) {
        assert.ok(line >= 1 && line <= lines && column >= 1, `${line}:${column}`);
      }
    }),
    { numRuns: runs(800) },
  );
});

test('any values under any keys are rules or errors and warnings with places', () => {
  const names = fc.constantFrom('a', 'b', 'proc.name', '', 'm', 'in', 'evt.type = open');
  const leaf = fc.oneof(
    names,
    fc.constantFrom('append', 'replace', 'true', '5', 'error', 'syscall', 'x %proc.name', null),
    fc.constantFrom('evt.type = execve and m', 'proc.name in (a, b)', '(', 'm or not n', '0.57.0'),
  );
  const value = fc.oneof(
    leaf,
    fc.array(fc.oneof(leaf, fc.array(leaf, { maxLength: 3 })), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('condition', 'items', 'desc', 'tags', 'name', 'fields'), leaf),
    fc.array(
      fc.record(
        {
          name: leaf,
          fields: fc.oneof(leaf, fc.array(leaf)),
          comps: fc.oneof(leaf, fc.array(leaf)),
          values: fc.oneof(leaf, fc.array(fc.oneof(leaf, fc.array(leaf)))),
          version: leaf,
          alternatives: leaf,
        },
        { requiredKeys: [] },
      ),
      { maxLength: 2 },
    ),
  );
  const key = fc.constantFrom(
    'rule',
    'macro',
    'list',
    'condition',
    'output',
    'desc',
    'priority',
    'items',
    'append',
    'override',
    'exceptions',
    'tags',
    'enabled',
    'source',
    'warn_evttypes',
    'capture',
    'skip-if-unknown-filter',
    'required_engine_version',
    'required_plugin_versions',
    'other',
  );
  const whole = fc.record({
    rule: names,
    condition: leaf,
    output: leaf,
    desc: leaf,
    priority: fc.constant('error'),
    exceptions: value,
  });
  const item = fc.oneof(fc.dictionary(key, value, { maxKeys: 7 }), whole);
  fc.assert(
    fc.property(fc.array(item, { maxLength: 5 }), (items) => {
      const text = JSON.stringify(items, undefined, 1);
      const { errors, warnings, ruleSet } = loadRules([{ name: 'f', text }]);
      assert.equal(ruleSet === undefined, errors.length > 0);
      for (const found of [...errors, ...warnings]) {
        assert.ok(found.offset >= 0 && found.offset <= text.length);
        assert.doesNotMatch(formatDiagnostic(found), /\bundefined\b|\[object/);
      }
    }),
    { numRuns: runs(2000) },
  );
});

test('positions survive folding: a condition in any YAML style points at the same word', () => {
  const words = fc.array(
    fc.constantFrom('proc.name = a', 'fd.num = 3', "proc.name = 'x y'", 'proc.name in (a, b)'),
    { minLength: 1, maxLength: 6 },
  );
  const style = fc.constantFrom('plain', 'folded', 'literal', 'single', 'double');
  fc.assert(
    fc.property(
      words,
      style,
      fc.constantFrom(' ', '\n    ', '\n\n    ', '\n      '),
      (before, how, blank) => {
        const condition = [...before, 'wrong.field = 1'].join(`${blank}and `);
        const scalar = {
          plain: condition,
          folded: `>\n    ${condition}`,
          literal: `|-\n    ${condition}`,
          single: `'${condition.replaceAll("'", "''")}'`,
          double: `"${condition}"`,
        }[how];
        const text = `- rule: r\n  desc: d\n  output: o\n  priority: error\n  condition: ${scalar}\n`;
        const [error] = loadRules([{ name: 'f', text }]).errors;
        assert.ok(error, text);
        const found = text.split('\n')[error.line - 1]?.slice(error.column - 1);
        assert.ok(found?.startsWith('wrong.field'), `${error.line}:${error.column}\n${text}`);
      },
    ),
    { numRuns: runs(500) },
  );
});

test('no pattern is slow', () => {
  const pattern = fc.stringMatching(/^[a*?[\]!\\/-]{0,60}$/);
  fc.assert(
    fc.property(pattern, fc.stringMatching(/^[ab/]{0,60}$/), (glob, value) => {
      compileGlob(glob).test(value);
      compileGlob(glob, true).test(value);
      compilePathMatch([glob])(value);
    }),
    { numRuns: runs(2000) },
  );
  const tookMs = cpuMs(() => void compileGlob(`${'*a'.repeat(127)}b`).test('a'.repeat(4095)));
  assert.ok(tookMs < 500, `${tookMs} ms`);
});
