// The fast ways of testing patterns against slow ones that are plainly right.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { compileGlob } from '../../src/rules/compile/glob.ts';
import { lowerAscii, upperAscii } from '../../src/rules/compile/letters.ts';
import { compilePathMatch } from '../../src/rules/compile/path-match.ts';
import { compileRegex, writtenOutSize } from '../../src/rules/compile/regex.ts';
import { anyNetContains, netContains, parseIp, parseNet } from '../../src/rules/fields/ip.ts';
import { includesText } from '../../src/rules/compile/search.ts';
import { decodeText, encodeText } from '../../src/shared/text.ts';
import { runs } from '../support/runs.ts';

const RUNS = { numRuns: runs(3000) };

const atom = fc.constantFrom(
  'a',
  'b',
  'ab',
  '.',
  '[ab]',
  '[^a]',
  '[a-cé]',
  '\\n',
  '^',
  '$',
  '(^a|b$)',
  'é',
  '😀',
  '[^😀]',
  '\\.',
  '[[:alpha:]]',
  '[Aa]',
  '(a|ab)',
  '()',
  '\\x41',
  '\ufffd',
  '[\\n-b]',
);
const repetition = fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{0,3}', '{1,}');
const part = fc.tuple(atom, repetition).map(([one, times]) => `(${one})${times}`);
const regex = fc
  .array(
    fc.oneof(
      part,
      fc.array(part, { minLength: 2, maxLength: 3 }).map((all) => `(${all.join('|')})*`),
    ),
    {
      minLength: 1,
      maxLength: 5,
    },
  )
  .map((parts) => parts.join(''));
const value = fc
  .array(fc.constantFrom('a', 'b', 'c', 'A', '\n', 'é', '😀', '\ufffd', '.', '\ud83d', '\ude00'), {
    maxLength: 8,
  })
  .map((chars) => chars.join(''));

test('a regular expression’s table finds what the library finds', () => {
  let tables = 0;
  let matches = 0;
  fc.assert(
    fc.property(regex, fc.array(value, { minLength: 1, maxLength: 8 }), (pattern, values) => {
      const compiled = compileRegex(pattern);
      assert.ok(typeof compiled !== 'string', pattern);
      assert.ok(compiled.table);
      tables += 1;
      const library = RE2JS.compile(pattern, RE2JS.MULTILINE);
      for (const text of values) {
        const expected = library.matcher(text).matches();
        if (expected) matches += 1;
        assert.equal(compiled.test(text), expected, JSON.stringify([pattern, text]));
      }
    }),
    RUNS,
  );
  assert.ok(tables === RUNS.numRuns && matches > RUNS.numRuns / 4, `${tables} ${matches}`);
});

/** Recursive, by definition: exponential, so for short patterns only. Each part and each char is of one byte. */
function globHolds(pattern: readonly string[], chars: readonly string[]): boolean {
  const [part, ...rest] = pattern;
  if (part === undefined) return chars.length === 0;
  const [char, ...others] = chars;
  if (part === '*') {
    return globHolds(rest, chars) || (char !== undefined && globHolds(pattern, others));
  }
  if (char === undefined) return false;
  const set = /^\[(!?)(?:(.)-(.)|([^-]+))\]$/s.exec(part);
  const [, negated, from = '', to = '', members = ''] = set ?? [];
  const holds =
    set === null
      ? part === '?' || part === char
      : ((char >= from && char <= to) || members.includes(char)) !== (negated === '!');
  return holds && globHolds(rest, others);
}

const bytes = (text: string): string[] => Array.from(encodeText(text).toString('latin1'));
const partsOf = (parts: readonly string[]): string[] =>
  parts.flatMap((one) => (one.startsWith('[') ? [bytes(one).join('')] : bytes(one)));

const globValue = fc
  .array(fc.constantFrom('a', 'b', 'c', 'A', '\n', 'é', '😀', '\udcf0', '\udca9'), { maxLength: 8 })
  .map((chars) => decodeText(encodeText(chars.join(''))));
const globPart = fc.constantFrom(
  '*',
  '*',
  '?',
  'a',
  'b',
  'é',
  '😀',
  '[a]',
  '[!a]',
  '[a-c]',
  '[!a-z]',
  '[😀]',
  '\udcf0',
);

test('a glob finds what its definition finds', () => {
  let matches = 0;
  fc.assert(
    fc.property(
      fc.array(globPart, { minLength: 1, maxLength: 6 }),
      // More than a word of bits before, between and after.
      fc.constantFrom('', 'a'.repeat(31), 'b'.repeat(40)),
      fc.array(globValue, { minLength: 1, maxLength: 8 }),
      (parts, long, values) => {
        const compiled = compileGlob(`${long}${parts.join('')}${long}`);
        const folded = compileGlob(`${long}${parts.join('')}${long}`, true);
        for (const text of values) {
          const expected = globHolds(partsOf(parts), bytes(text));
          if (expected) matches += 1;
          const shown = JSON.stringify([parts, text]);
          const whole = `${long}${text}${long}`;
          assert.equal(compiled.test(whole), expected, shown);
          const lower = globHolds(partsOf(parts), bytes(lowerAscii(text)));
          assert.equal(folded.test(upperAscii(whole)), lower, shown);
        }
      },
    ),
    RUNS,
  );
  assert.ok(matches > RUNS.numRuns / 8, String(matches));
});

test('a long text is found where the engine finds it', () => {
  let found = 0;
  const long = fc.stringMatching(/^[ab]{0,3}$/).map((unit) => unit.repeat(130));
  fc.assert(
    fc.property(long, long, long, fc.nat({ max: 6 }), (before, wanted, after, cut) => {
      const text = `${before}${wanted.slice(cut)}${after}`;
      if (text.includes(wanted)) found += 1;
      assert.equal(includesText(text, wanted), text.includes(wanted));
    }),
    RUNS,
  );
  assert.ok(found > RUNS.numRuns / 4 && found < RUNS.numRuns, String(found));
});

test('only ASCII letters change their case', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const each = (change: (char: string) => string): string =>
        text.replace(/[A-Za-z]/g, (char) => change(char));
      assert.equal(
        lowerAscii(text),
        each((char) => char.toLowerCase()),
      );
      assert.equal(
        upperAscii(text),
        each((char) => char.toUpperCase()),
      );
    }),
    RUNS,
  );
});

test('pmatch finds what its definition finds, whatever paths stand together', () => {
  const component = fc.constantFrom('a', 'b', 'ab', '*', 'a*', '?', '[ab]', '');
  const path = fc.array(component, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
  const components = (text: string): string[] => text.split('/').filter((part) => part !== '');
  const below = (text: string, prefix: string): boolean => {
    const [parts, wanted] = [components(text), components(prefix)];
    return (
      wanted.length <= parts.length &&
      wanted.every((one, at) =>
        /[?*[]/.test(one) ? compileGlob(one).test(parts[at]!) : one === parts[at],
      )
    );
  };
  let matches = 0;
  fc.assert(
    fc.property(
      fc.array(path, { maxLength: 6 }),
      fc.array(path, { minLength: 1, maxLength: 8 }),
      (paths, values) => {
        const test = compilePathMatch(paths);
        for (const text of values) {
          const expected = paths.some((prefix) => below(text, prefix));
          if (expected) matches += 1;
          assert.equal(test(text), expected, JSON.stringify([paths, text]));
        }
      },
    ),
    RUNS,
  );
  assert.ok(matches > RUNS.numRuns / 4, String(matches));
});

test('many networks find what each of them finds', () => {
  const word = fc.constantFrom(0, 1, 127, 128, 254, 255);
  const v4 = fc.tuple(word, word, word, word).map((bytes) => bytes.join('.'));
  const v6 = fc
    .tuple(word, word, word, word)
    .map((groups) => `2001:db8:${groups.map((one) => (one * 257).toString(16)).join(':')}::1`);
  const net = fc.oneof(
    fc.tuple(v4, fc.integer({ min: 0, max: 32 })).map((parts) => parts.join('/')),
    fc.tuple(v6, fc.integer({ min: 1, max: 128 })).map((parts) => parts.join('/')),
  );
  let matches = 0;
  fc.assert(
    fc.property(
      fc.array(net, { minLength: 9, maxLength: 40 }),
      fc.array(fc.oneof(v4, v6), { minLength: 1, maxLength: 8 }),
      (texts, addresses) => {
        const nets = texts.map((text) => parseNet(text)!);
        const contain = anyNetContains(nets);
        for (const address of addresses.map((text) => parseIp(text)!)) {
          const expected = nets.some((one) => netContains(one, address));
          if (expected) matches += 1;
          assert.equal(contain(address), expected);
        }
      },
    ),
    RUNS,
  );
  assert.ok(matches > RUNS.numRuns / 4, String(matches));
});

test('a pattern’s size is that of the pattern without repetitions of numbers, and bounds its program', () => {
  /** A pattern, and the same with its repetitions written out. */
  interface Pair {
    readonly short: string;
    readonly long: string;
  }
  const leaf = fc
    .constantFrom('a', '.', '[ab]', '\\.', '[^]a]', '\\x41')
    .map((text) => ({ short: text, long: text }));
  const times = fc
    .tuple(fc.nat(4), fc.nat(3))
    .chain(([least, more]) =>
      fc.constantFrom<readonly [string, number]>(
        [`{${least}}`, least],
        [`{${least},${least + more}}`, least + more],
        [`{${least},}`, least + 1],
        ['*', 1],
        ['', 1],
      ),
    );
  const { pair } = fc.letrec<{ pair: Pair }>((tie) => ({
    pair: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc
        .tuple(fc.array(tie('pair'), { minLength: 1, maxLength: 3 }), times)
        .map(([parts, [text, count]]) => ({
          short: `(${parts.map(({ short }) => short).join('')})${text}`,
          long: `(${parts.map(({ long }) => long).join('')})`.repeat(Math.max(1, count)),
        })),
    ),
  }));
  fc.assert(
    fc.property(pair, ({ short, long }) => {
      const size = writtenOutSize(short);
      assert.equal(size, long.match(/\\x41|\\.|\[\^?\]?[^\]]*\]|[^)]/gu)?.length ?? 0, short);
      const compiled = compileRegex(short);
      assert.ok(typeof compiled !== 'string', short);
      assert.ok(compiled.instructions <= 4 * size + 8, `${short}: ${compiled.instructions}`);
    }),
    RUNS,
  );
});

test('a pattern’s size bounds its program, however its repetitions stand on each other', () => {
  const times = fc.constantFrom('*', '+', '?', '{1}', '{0,1}', '{2}', '{1,3}', '{2,}', '{0}');
  const { part } = fc.letrec<{ part: string }>((tie) => ({
    part: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom('a', '.', '[ab]', '()', '^', '(a|b)'),
      fc
        .tuple(fc.array(tie('part'), { maxLength: 3 }), fc.array(times, { maxLength: 5 }))
        .map(([parts, stacked]) => `(${parts.join('')})${stacked.join('')}`),
    ),
  }));
  fc.assert(
    fc.property(part, (pattern) => {
      const size = writtenOutSize(pattern);
      // What is taken of apps.
      fc.pre(size <= 2048);
      const compiled = compileRegex(pattern);
      assert.ok(typeof compiled !== 'string', pattern);
      assert.ok(compiled.instructions <= 4 * size + 8, `${pattern}: ${compiled.instructions}`);
    }),
    RUNS,
  );
});
