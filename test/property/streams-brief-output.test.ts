import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  briefOutput,
  LONG_LINE_BYTES,
  TOO_LONG_LINE_BYTES,
  wholeOutput,
} from '../../src/streams/brief-output.ts';
import { escapeHidden } from '../../src/streams/escape.ts';
import { anySize } from '../support/hostile-text.ts';
import { runs } from '../support/runs.ts';

const NAMES = ['proc.cmdline', 'fd.name', 'proc.pcmdline', 'proc.acmdline[2]', 'evt.args', 'x'];
const bytesOf = (text: string): number => Buffer.byteLength(text);

test('what a long line’s output leaves out is read back from its fields', () => {
  const start = anySize.map((one) => one.slice(0, 300).toWellFormed().replaceAll('…', '.'));
  const values = fc.array(
    // Some begin alike, as a server and its workers do.
    fc.tuple(
      fc.boolean(),
      anySize.map((one) => one.slice(0, 4096).toWellFormed().replaceAll('…', '.')),
    ),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(start, values, fc.integer({ min: 0, max: 20_000 }), (same, given, lineBytes) => {
      // No value is the start of another one, and none is within another one.
      const fields = Object.fromEntries(
        given.map(([isAlike, one], n) => [
          NAMES[n] ?? '',
          isAlike ? `${same}<${n}>${one}<${n}/>` : `<${n}>${one}<${n}/>`,
        ]),
      );
      const output = escapeHidden(
        Object.entries(fields)
          .map(([name, one]) => `${name}=${one}`)
          .join(' '),
      );
      const brief = briefOutput(output, fields, lineBytes);
      assert.equal(escapeHidden(brief), brief);
      assert.equal(brief === output, lineBytes <= LONG_LINE_BYTES || !brief.includes('…'));
      assert.equal(wholeOutput(brief, fields), output);
      // Enough is saved, or no value is left to cut.
      const left = lineBytes - bytesOf(output) + bytesOf(brief);
      const shown = brief.split(/ (?=(?:proc|fd|evt|x)[\w.]*(?:\[2\])?=)/).map((one) => one.length);
      const longest = Math.max(0, ...shown) - 6 * bytesOf(escapeHidden(same));
      assert.ok(left <= TOO_LONG_LINE_BYTES || longest <= 700, `${left}, ${longest}`);
    }),
    { numRuns: runs(400) },
  );
});
