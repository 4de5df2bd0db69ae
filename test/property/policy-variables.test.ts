// What apps' variables do to rules, over conditions and values of any shape.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkPolicy, operatorRulesOf } from '../../src/policy/check-policy.ts';
import { knownVariables } from '../../src/policy/variable-effects.ts';
import type { OperatorRules } from '../../src/policy/app-policy.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { makeEvent, makeProcess, makeSubject } from '../support/rules-subject.ts';
import { runs } from '../support/runs.ts';

const NAMES = ['a', 'b', 'c', 'd'];

const atom = fc.constantFrom(
  'proc.name in (app_x)',
  'proc.name in (a, app_x)',
  'proc.name in (outer)',
  'proc.name startswith anyof (app_x)',
  'proc.name contains allof (app_x)',
  'proc.name endswith oneof (app_x, d)',
  'proc.name intersects (app_x)',
  'proc.cwd pmatch (app_x)',
  'positive',
  'negative',
  'proc.name = b',
  'proc.aname in (app_x)',
);
const { condition } = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    atom,
    tie('condition').map((inner) => `not (${inner})`),
    fc.tuple(tie('condition'), tie('condition')).map(([x, y]) => `(${x}) and (${y})`),
    fc.tuple(tie('condition'), tie('condition')).map(([x, y]) => `(${x}) or (${y})`),
  ),
}));

function operatorWith(text: string, items: readonly string[]): OperatorRules {
  return operatorRulesOf([
    {
      name: 'operator.yaml',
      text: `- list: app_x
  items: ${JSON.stringify(items)}
- list: outer
  items: [c, app_x]
- macro: positive
  condition: (proc.name in (app_x) or proc.pname in (outer))
- macro: negative
  condition: (not proc.name in (outer))
- rule: R
  desc: d
  condition: ${JSON.stringify(`evt.type = execve and (${text})`)}
  output: x
  priority: NOTICE
`,
    },
  ]);
}

const subjects = NAMES.flatMap((name) =>
  NAMES.map((parent) =>
    makeSubject(makeEvent('execve'), {
      process: makeProcess({
        image: { name, cwd: `/${name}` },
        parent: makeProcess({ image: { name: parent } }),
      }),
    }),
  ),
);

test('a rule that a list tightens reports all that it did, whatever is added; pinned and unverified ones are never loosened', () => {
  let tightened = 0;
  let changed = 0;
  fc.assert(
    fc.property(
      condition,
      fc.subarray(NAMES),
      fc.subarray(NAMES),
      fc.boolean(),
      (text, there, added, isPinned) => {
        const operator = operatorWith(text, there);
        const use = knownVariables(operator.definitions).uses.get('app_x')?.get('R');
        const pinned = isPinned ? [{ rule: 'R' }] : [];
        const policyText = JSON.stringify({ variables: { x: added } });
        const { policy, errors } = checkPolicy(
          { name: 'varvel.yml', text: policyText },
          { ...operator, pinned },
        );
        assert.deepEqual(errors, []);
        assert.ok(policy);
        if (use?.loosens === true && !isPinned) return;
        tightened++;
        const engine = new RuleEngine(operator.ruleSet);
        for (const subject of subjects) {
          const before = engine.evaluate(subject);
          const after = policy.refine(before, subject);
          assert.ok(after.length >= before.length, 'it reports less');
          if (after.length > before.length) changed++;
        }
      },
    ),
    { numRuns: runs(600) },
  );
  assert.ok(tightened > runs(100) && changed > runs(20), `${tightened} rules, ${changed} events`);
});

test('an app’s variable comes to what the operator’s list with these items would', () => {
  let different = 0;
  fc.assert(
    fc.property(condition, fc.subarray(NAMES), fc.subarray(NAMES), (text, there, added) => {
      const operator = operatorWith(text, there);
      const { policy, errors } = checkPolicy(
        { name: 'varvel.yml', text: JSON.stringify({ variables: { x: added } }) },
        operator,
      );
      assert.deepEqual(errors, []);
      assert.ok(policy);
      const engine = new RuleEngine(operator.ruleSet);
      const whole = new RuleEngine(operatorWith(text, [...there, ...added]).ruleSet);
      for (const subject of subjects) {
        const before = engine.evaluate(subject);
        const names: string[] = policy.refine(before, subject).map(({ rule }) => rule.name);
        const expected = whole.evaluate(subject).map(({ rule }) => rule.name);
        assert.deepEqual(names, expected);
        if (names.length !== before.length) different++;
        for (const match of before)
          assert.equal(policy.counts(match, subject), expected.length > 0);
      }
    }),
    { numRuns: runs(500) },
  );
  assert.ok(different > runs(200), String(different));
});

test('what is refused as loosening would loosen for some of these lists: the analysis is no blanket refusal', () => {
  const uses = (text: string): string | undefined => {
    const use = knownVariables(operatorWith(text, []).definitions).uses.get('app_x')?.get('R');
    return use === undefined ? undefined : use.loosens ? 'loosens' : 'tightens';
  };
  for (const text of [
    'positive',
    'not not positive',
    'not negative',
    'proc.name in (outer) and proc.name = b',
  ]) {
    assert.equal(uses(text), 'tightens', text);
  }
  for (const text of [
    'negative',
    'not positive',
    'positive and negative',
    'proc.name contains allof (app_x)',
  ]) {
    assert.equal(uses(text), 'loosens', text);
  }
  assert.equal(uses('proc.name = b'), undefined);
});

test('a value that is taken is one constant of the condition, and nothing else', () => {
  const operator = operatorWith('proc.name in (app_x)', []);
  let taken = 0;
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 20 }),
        fc.stringMatching(/^[ -~]{1,20}$/),
        fc.constantFrom(
          'outer',
          'app_x',
          'a) or (evt.type = open',
          "'a'",
          'a,b',
          '(a)',
          '%proc.name',
          '~',
          'null',
          '-5',
        ),
      ),
      (value) => {
        const text = JSON.stringify({ variables: { x: [value] } });
        const { policy, errors } = checkPolicy({ name: 'varvel.yml', text }, operator);
        if (policy === undefined) {
          assert.ok(errors.length > 0 && errors.every(({ column }) => column > 1));
          return;
        }
        taken++;
        const says = (name: string): number => {
          const process = makeProcess({ image: { name } });
          return policy.refine([], makeSubject(makeEvent('execve'), { process })).length;
        };
        assert.equal(says(value), 1, JSON.stringify(value));
        for (const name of NAMES) assert.equal(says(name), name === value ? 1 : 0);
      },
    ),
    { numRuns: runs(500) },
  );
  assert.ok(taken > runs(150), String(taken));
});
