// Texts that no cache knows: what a search of them says against what their tests say.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { someTest } from '../../src/rules/compile/checked.ts';
import type { Read } from '../../src/rules/compile/checked.ts';
import { MaskCache } from '../../src/rules/compile/mask-cache.ts';
import { Possibilities } from '../../src/rules/compile/possible.ts';
import { WitnessSearch } from '../../src/rules/compile/witness-search.ts';
import type { Wanted } from '../../src/rules/compile/witness-search.ts';
import { load } from '../support/rules-load.ts';
import { runs } from '../support/runs.ts';

const RUNS = { numRuns: runs(1000) };

const letters = fc
  .array(fc.constantFrom('a', 'b', '/', '.', 'é'), { maxLength: 5 })
  .map((chars) => chars.join(''));
const value = fc
  .array(fc.constantFrom('a', 'b', '/', '/', '.', 'é', '\udcff', '\0'), { maxLength: 10 })
  .map((chars) => chars.join(''));

const wanted = fc.record({
  text: fc.stringMatching(/^[ab/.]{1,4}$/),
  atStart: fc.boolean(),
  atEnd: fc.boolean(),
  bits: fc.integer({ min: 0, max: 31 }).map((bit) => 1 << bit),
});

function isIn(text: string, { text: part, atStart, atEnd }: Wanted): boolean {
  if (atStart && atEnd) return text === part;
  if (atStart) return text.startsWith(part);
  return atEnd ? text.endsWith(part) : text.includes(part);
}

test('a search finds what is in a text, at its start or at its end', () => {
  fc.assert(
    fc.property(fc.array(wanted, { maxLength: 40 }), fc.array(value), (all, values) => {
      const search = WitnessSearch.of(all);
      assert.ok(search);
      for (const text of values) {
        const expected = all
          .filter((one) => isIn(text, one))
          .reduce((bits, one) => bits | one.bits, 0);
        assert.equal(search.find(text), expected, JSON.stringify(text));
      }
    }),
    RUNS,
  );
});

test('a search that would be too large is not made', () => {
  const texts = Array.from({ length: 5000 }, (_, index) => `${index}${'x'.repeat(20)}`);
  assert.equal(
    WitnessSearch.of(texts.map((text) => ({ text, atStart: true, atEnd: false, bits: 1 }))),
    undefined,
  );
});

const quoted = (text: string): string => JSON.stringify(text);
const field = fc.constantFrom('fd.name', 'fd.name', 'fd.directory', 'fd.filename');
const comparison = fc.oneof(
  fc
    .tuple(
      field,
      fc.constantFrom('=', '!=', 'contains', 'icontains', 'startswith', 'endswith', '<'),
      letters,
    )
    .map(([name, operator, text]) => `${name} ${operator} ${quoted(text)}`),
  fc
    .tuple(
      field,
      fc
        .array(fc.constantFrom('a', 'b', '/', '*', '?', '[ab]', '[^a]', '.'), { maxLength: 5 })
        .map((parts) => parts.join('')),
    )
    .map(([name, pattern]) => `${name} glob ${quoted(pattern)}`),
  fc
    .tuple(
      field,
      fc.constantFrom('in', 'pmatch'),
      fc.array(letters, { minLength: 1, maxLength: 3 }),
    )
    .map(([name, operator, texts]) => `${name} ${operator} (${texts.map(quoted).join(', ')})`),
  field.map((name) => `${name} exists`),
  fc.constant('proc.name = x'),
);
const { condition } = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    comparison,
    tie('condition').map((one) => `not (${one})`),
    fc
      .tuple(tie('condition'), fc.constantFrom('and', 'or'), tie('condition'))
      .map(([one, joint, other]) => `((${one}) ${joint} (${other}))`),
  ),
}));

const NAMED = 'fd.name exists';

test('what a search of a text rules out, its tests rule out', () => {
  let ruledOut = 0;
  fc.assert(
    fc.property(condition, fc.array(value, { minLength: 5, maxLength: 20 }), (text, values) => {
      // The second rule is there to read the field.
      const { ruleSet } = load(
        [text, NAMED]
          .map(
            (one, index) =>
              `- rule: r${index}\n  desc: d\n  output: o\n  priority: ERROR\n  condition: ${quoted(`evt.type = openat and (${one})`)}\n`,
          )
          .join(''),
      );
      // Some comparisons are refused, such as one with an empty pattern.
      const [rule, named] = ruleSet?.rules ?? [];
      fc.pre(rule !== undefined && named !== undefined);
      let name: Read | undefined;
      someTest(named.condition, ({ left }) => {
        if (left.key === 'fd.name') name = left;
        return false;
      });
      assert.ok(name);
      const possibilities = new Possibilities(name, ['openat']);
      const possible = possibilities.of(rule.condition);
      const search = possibilities.search();
      if (possible === undefined || search === undefined) return;
      for (const one of values) {
        if (possible.ofFound(search.find(one))) continue;
        ruledOut += 1;
        assert.equal(possible.of(one), false, `${text} of ${quoted(one)}`);
      }
    }),
    RUNS,
  );
  // A property that rules nothing out would show nothing.
  assert.ok(ruledOut > RUNS.numRuns / 20, `${ruledOut} ruled out`);
});

test('a cache that meets new texts only leaves the rules that a search does', () => {
  const search = WitnessSearch.of([{ text: 'x', atStart: false, atEnd: false, bits: 1 }]);
  const possible = {
    of: (text: unknown) => String(text).includes('x'),
    ofFound: (found: number) => found === 1,
  };
  const cache = new MaskCache([possible], 3, () => search);
  const masks = Array.from({ length: 10_000 }, (_, index) => cache.maskOf(`new ${index}`)[0]);
  // The first are looked up, before it is known that most are new.
  assert.ok(masks.slice(0, 1000).every((mask) => mask === 1));
  assert.ok(masks.slice(-1000).every((mask) => mask === 0));
  assert.equal(cache.maskOf('box')[0], 1);
});
