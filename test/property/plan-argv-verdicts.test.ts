// What the kernel says of the words of a program, beside what the rules say.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { verdictOf } from '../../src/plan/verdicts/verdict.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { runs } from '../support/runs.ts';
import { ruleFile, ruleFiles, ruleSetOf } from '../support/rules-load.ts';
import { CONTAINER } from '../support/rules-subject.ts';
import {
  argvCall,
  argvComparison,
  argvCondition,
  isUnknown,
  knownArgv,
  subjectOfArgv,
} from '../support/verdict-argv-cases.ts';
import { assertDeniedWhereMatching, ofExec } from '../support/verdict-denials.ts';
import { verdictTable } from '../support/verdict-table.ts';

test('a program is denied by its words only where the rule that denies it matches', () => {
  assertDeniedWhereMatching({
    condition: argvCondition,
    program: argvCall,
    subjectOf: (one) => subjectOfArgv(one, 'execve'),
    knownOf: (one) => knownArgv(one, 'execve'),
  });
});

test('of a comparison of words the verdict is exact, where they are known', () => {
  let exact = 0;
  fc.assert(
    fc.property(
      argvComparison,
      fc.array(argvCall, { minLength: 4, maxLength: 12 }),
      (text, calls) => {
        const ruleSet = ruleSetOf(ruleFile(ofExec(text)));
        const { bytes, denied } = verdictTable(ruleSet, CONTAINER, new Set(['r']));
        assert.ok(bytes);
        // What no automaton decides, and what always or never holds.
        fc.pre(denied.length === 1 && !/ (glob "\*|iglob "\*|pmatch|exists)/.test(text));
        const engine = new RuleEngine(ruleSet);
        for (const one of calls.filter((one) => !isUnknown(one))) {
          exact++;
          const { failing } = verdictOf(bytes, knownArgv(one, 'execve'));
          assert.equal(
            (failing & 1) === 0,
            engine.evaluate(subjectOfArgv(one, 'execve')).length > 0,
            `${text}: ${JSON.stringify(one)}`,
          );
        }
      },
    ),
    { numRuns: runs(400) },
  );
  assert.ok(exact > runs(200), `${exact}`);
});

test('words of more bytes than the kernel looks at deny nothing', () => {
  const rules = ruleSetOf(ruleFile(ofExec('proc.args contains x')));
  const { bytes, denied } = verdictTable(rules, CONTAINER, new Set(['r']));
  assert.ok(bytes !== undefined && denied.length === 1);
  const failingOf = (isLong: boolean): number =>
    verdictOf(
      bytes,
      knownArgv(
        {
          name: 'node',
          filename: '/bin/tool',
          argv: ['tool', 'x'],
          isLong,
          env: [],
        },
        'execve',
      ),
    ).failing & 1;
  assert.deepEqual([failingOf(false), failingOf(true)], [0, 1]);
});

test('rules that ask for more words than fit are not certain: what does not fit alone, or the last', () => {
  const many = Array.from({ length: 17 }, (_, nth) => `proc.args contains w${nth}`);
  const texts = [many.join(' or '), 'proc.args contains small', 'proc.exepath = /bin/tool'];
  const { denied, bytes } = verdictTable(
    ruleSetOf(ruleFiles(texts.map(ofExec))),
    CONTAINER,
    new Set(['r0', 'r1', 'r2']),
  );
  assert.ok(bytes);
  assert.deepEqual([...denied].sort(), ['r1', 'r2']);

  const half = (from: number): string =>
    Array.from({ length: 9 }, (_, nth) => `proc.args contains w${from + nth}`).join(' or ');
  const two = ruleSetOf(ruleFiles([half(0), half(20)].map(ofExec)));
  const first = verdictTable(two, CONTAINER, new Set(['r0', 'r1']));
  assert.deepEqual(first.denied, ['r0']);
});

test('rules that ask for more variables than fit are not certain, the last ones', () => {
  const asking = (...names: readonly string[]): string =>
    names.map((name) => `proc.env[${name}] = x`).join(' or ');
  const texts = [asking('VAR_A', 'VAR_B'), asking('VAR_B', 'VAR_C', 'VAR_D'), asking('VAR_E')];
  const rules = ruleSetOf(ruleFiles([...texts, 'proc.args = x'].map(ofExec)));
  const { denied, bytes } = verdictTable(rules, CONTAINER, new Set(['r0', 'r1', 'r2', 'r3']));
  assert.ok(bytes);
  assert.deepEqual([...denied].sort(), ['r0', 'r1', 'r3']);
});
