import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { briefOutput, wholeOutput } from '../../src/streams/brief-output.ts';
import { escapeHidden } from '../../src/streams/escape.ts';
import { anySize } from '../support/hostile-text.ts';
import { runs } from '../support/runs.ts';

test('what a long line’s output leaves out is read back from its fields', () => {
  const values = fc.array(
    anySize.map((one) => one.slice(0, 4096).toWellFormed().replaceAll('…', '.')),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(values, fc.integer({ min: -100, max: 20_000 }), (given, excess) => {
      // No value is the start of another one, and none is within another one.
      const fields = Object.fromEntries(given.map((one, n) => [`f${n}`, `<${n}>${one}<${n}/>`]));
      const output = escapeHidden(
        Object.entries(fields)
          .map(([name, one]) => `${name}=${one}`)
          .join(' '),
      );
      const brief = briefOutput(output, fields, excess);
      assert.equal(escapeHidden(brief), brief);
      assert.equal(brief === output, excess <= 0 || !brief.includes('…'));
      assert.equal(wholeOutput(brief, fields), output);
      // Enough is saved, or no value is left to cut.
      const saved = Buffer.byteLength(output) - Buffer.byteLength(brief);
      const longest = Math.max(0, ...brief.split(/ f\d=/).map((one) => one.length));
      assert.ok(saved >= excess || longest <= 700, `${saved} of ${excess}, ${longest}`);
    }),
    { numRuns: runs(400) },
  );
});
