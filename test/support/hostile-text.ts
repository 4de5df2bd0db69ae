// Texts of any size of what breaks lines, hides, or is no text.
import fc from 'fast-check';

export const nasty = fc.constantFrom(
  '\n',
  '\r',
  '\x1b[31m',
  '\x00',
  '\u202e',
  '\u2066',
  '\u200b',
  '\ufeff',
  '\u2028',
  '\ud800',
  '\udfff',
  '"',
  '\\',
  '\\n',
  ']',
  '[FALCO/0]',
  ' rule=x',
  '","rule":"x',
  '\u{e0041}',
  '😀',
  '\x9b',
  '…',
  '\x7f',
);
export const text = (maxLength = 40): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof(nasty, fc.string({ unit: 'binary', maxLength: 8 })), { maxLength })
    .map((parts) => parts.join(''));
/** Of any size, up to far beyond every bound. */
export const anySize = fc.oneof(
  { weight: 3, arbitrary: text() },
  {
    weight: 1,
    arbitrary: fc
      .tuple(text(4), fc.integer({ min: 1, max: 4000 }))
      .map(([part, count]) => part.repeat(count).slice(0, 40_000)),
  },
);
