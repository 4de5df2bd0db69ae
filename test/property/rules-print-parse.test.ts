import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from '../../src/rules/language/parser.ts';
import { print } from '../../src/rules/language/printer.ts';
import { anyCondition, withoutSpans } from '../support/rules-arbitraries.ts';
import { runs } from '../support/runs.ts';

test('parse(print(condition)) is the condition', () => {
  fc.assert(
    fc.property(anyCondition, (condition) => {
      const text = print(condition);
      assert.deepEqual(withoutSpans(parse(text)), withoutSpans(condition), text);
    }),
    { numRuns: runs(600) },
  );
});

test('printing is stable: print(parse(print(condition))) is print(condition)', () => {
  fc.assert(
    fc.property(anyCondition, (condition) => {
      const text = print(condition);
      assert.equal(print(parse(text)), text);
    }),
    { numRuns: runs(200) },
  );
});

test('a span is where the node stands: the text of a top operand parses to it', () => {
  fc.assert(
    fc.property(anyCondition, (condition) => {
      const text = print(condition);
      const parsed = parse(text);
      if (parsed.kind !== 'and' && parsed.kind !== 'or') return;
      for (const operand of parsed.operands) {
        if (operand.kind === 'and' || operand.kind === 'or') continue;
        const own = text.slice(operand.span.start, operand.span.end);
        assert.deepEqual(withoutSpans(parse(own)), withoutSpans(operand), own);
      }
    }),
    { numRuns: runs(200) },
  );
});
