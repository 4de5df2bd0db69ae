// What the kernel says of the ancestors and standard descriptors of a program, beside what the rules say.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { verdictOf } from '../../src/plan/verdicts/verdict.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { runs } from '../support/runs.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import {
  ancestorCall,
  ancestorComparison,
  ancestorCondition,
  knownAncestorCall,
  knownOpen,
  knownRemoval,
  IN_GARDEN,
  ofFile,
  subjectOfAncestors,
  subjectOfOpen,
  subjectOfRemoval,
} from '../support/verdict-ancestor-cases.ts';
import { assertDeniedWhereMatching, ofExec } from '../support/verdict-denials.ts';
import { verdictTable } from '../support/verdict-table.ts';

test('a program is denied by its ancestors and descriptors only where the rule that denies it matches', () => {
  assertDeniedWhereMatching({
    condition: ancestorCondition,
    program: ancestorCall,
    subjectOf: subjectOfAncestors,
    knownOf: knownAncestorCall,
    container: IN_GARDEN,
  });
});

for (const [what, subjectOf, knownOf] of [
  ['opened', subjectOfOpen, knownOpen],
  ['removed', subjectOfRemoval, knownRemoval],
] as const)
  test(`a file is not ${what} by what has such ancestors only where the rule that denies it matches`, () => {
    assertDeniedWhereMatching({
      ruleOf: ofFile,
      condition: ancestorCondition,
      program: ancestorCall,
      subjectOf,
      knownOf,
      container: IN_GARDEN,
    });
  });

test('of the ancestors of the container the verdict is exact, where all are known', () => {
  const exact = { matching: 0, not: 0 };
  fc.assert(
    fc.property(
      ancestorComparison,
      fc.array(ancestorCall, { minLength: 4, maxLength: 12 }),
      (text, calls) => {
        // Of other fields an ancestor out of scope counts. What no automaton decides comes after.
        fc.pre(
          /^proc\.(container_(aname|aexepath)|std)/.test(text) &&
            !/ (glob "\*|iglob "\*|exists|contains ":")/.test(text),
        );
        // With != one that differs is enough.
        fc.pre(!/^proc\.container_a(name|exepath) (!=|pmatch)/.test(text));
        for (const condition of [text, `not ${text}`]) {
          const ruleSet = ruleSetOf(ruleFile(ofExec(condition)));
          const { bytes, denied } = verdictTable(ruleSet, IN_GARDEN, new Set(['r']));
          assert.ok(bytes);
          const engine = new RuleEngine(ruleSet);
          for (const call of calls) {
            const complete = { ...call, known: call.inside.length + 1 };
            const matches = engine.evaluate(subjectOfAncestors(complete)).length > 0;
            const isCertain: boolean =
              denied.length === 1 &&
              (verdictOf(bytes, knownAncestorCall(complete)).failing & 1) === 0;
            // That no ancestor makes it true is known; that one does is not looked for.
            const isOneWay = condition === text && /^proc\.container_a(name|exepath) /.test(text);
            if (isOneWay) assert.ok(!isCertain || matches);
            else {
              assert.equal(isCertain, matches, `${condition}: ${JSON.stringify(complete)}`);
              exact[matches ? 'matching' : 'not']++;
            }
          }
        }
      },
    ),
    { numRuns: runs(400) },
  );
  for (const [what, times] of Object.entries(exact))
    assert.ok(times > runs(100), `${what}: ${times}`);
});

test('that no ancestor has a variable LD_* is known where none has any', () => {
  const rules = ruleSetOf(ruleFile(ofExec('not proc.container_aenv[LD_PRELOAD] contains /etc')));
  const { bytes, denied } = verdictTable(rules, IN_GARDEN, new Set(['r']));
  assert.ok(bytes !== undefined && denied.length === 1);
  const counts = { certain: 0, not: 0 };
  fc.assert(
    fc.property(ancestorCall, (call) => {
      const complete = { ...call, known: call.inside.length + 1 };
      const mayLoad = complete.inside.some(
        ({ env, loadsKnown }) => !loadsKnown || env.some((word) => word.startsWith('LD_')),
      );
      const isCertain = (verdictOf(bytes, knownAncestorCall(complete)).failing & 1) === 0;
      assert.equal(isCertain, !mayLoad);
      counts[isCertain ? 'certain' : 'not']++;
    }),
    { numRuns: runs(200) },
  );
  assert.ok(Math.min(counts.certain, counts.not) > runs(200) / 20, JSON.stringify(counts));
});
