// What an app's policy makes of the operator's rules, and the table that its containers are judged by.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkPolicy, operatorRulesOf } from '../../src/policy/check-policy.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { runs } from '../support/runs.ts';
import {
  condition,
  isPassed,
  ofPath,
  open,
  path,
  runtime,
  subjectOf,
} from '../support/verdict-cases.ts';
import { verdictTable } from '../support/verdict-table.ts';

const ANY_OPEN = 'evt.type in (open, openat, openat2, creat)';
const PRIORITIES = ['debug', 'notice', 'error'];

const ruleOf = (name: string, text: string, more: object = {}): object => ({
  rule: name,
  desc: 'd',
  condition: `${ANY_OPEN} and (${text})`,
  output: 'x',
  priority: 'NOTICE',
  exceptions: [{ name: 'files', fields: 'fd.name', comps: 'in' }],
  ...more,
});

/** Comparisons with a list that apps can add to. */
const ofList = fc.constantFrom(
  'fd.name in (app_paths)',
  'fd.name startswith anyof (app_paths)',
  'not fd.name in (app_paths)',
  'fd.directory pmatch (app_paths)',
  'fd.name endswith anyof (app_paths)',
);
const operators = fc
  .record({
    first: condition,
    second: condition,
    off: condition,
    ofList,
    paths: fc.array(path, { maxLength: 2 }),
  })
  .map(({ first, second, off, ofList: listed, paths }) =>
    JSON.stringify([
      { list: 'app_paths', items: paths },
      ruleOf('First', first),
      ruleOf('Second', `(${second}) and ${listed}`, { priority: 'ERROR' }),
      ruleOf('Of the list', listed),
      ruleOf('Off', off, { enabled: false, tags: ['app_paths'] }),
    ]),
  );
const policies = fc
  .record(
    {
      minimum_priority: fc.constantFrom(...PRIORITIES),
      variables: fc.record({ paths: fc.array(path, { maxLength: 2 }) }),
      rules: fc.array(
        fc.oneof(
          fc.constantFrom('First', 'Second', 'Of the list').map((rule) => ({ disable: { rule } })),
          fc.constant({ enable: { rule: 'Off' } }),
        ),
        { maxLength: 2 },
      ),
      custom_rules: fc.tuple(fc.oneof(ofPath, condition), path).map(([own, excepted]) => [
        ruleOf('Own', own),
        {
          rule: 'First',
          exceptions: [{ name: 'files', values: [excepted] }],
          override: { exceptions: 'append' },
        },
      ]),
    },
    { requiredKeys: [] },
  )
  .map((policy) => JSON.stringify(policy));

test('an open that is reported to an app passes the verdicts of its rules, and so does one while they are paused', () => {
  const seen = { own: 0, less: 0, kept: 0 };
  fc.assert(
    fc.property(
      operators,
      policies,
      fc.array(open, { minLength: 4, maxLength: 12 }),
      runtime,
      (operatorText, text, opens, type) => {
        const operator = operatorRulesOf([{ name: 'operator.yaml', text: operatorText }]);
        const { policy } = checkPolicy({ name: 'varvel.yml', text }, operator);
        // It may be refused for what it could cost.
        fc.pre(policy !== undefined);
        const { rules } = operator.ruleSet;
        const { bytes } = verdictTable({ rules: [...policy.possibleAmong(rules)] }, type);
        assert.ok(bytes);
        const engine = new RuleEngine(operator.ruleSet, { matching: 'all' });
        for (const one of opens) {
          const subject = subjectOf(one, type);
          const matches = engine.evaluate(subject);
          const reported = policy.refine(matches, subject);
          const paused = policy.withoutMuted(matches);
          const passed = isPassed(bytes, one);
          if (!passed) seen.kept++;
          if (reported.some(({ rule }) => !matches.some((match) => match.rule.name === rule.name)))
            seen.own++;
          if (matches.length > 0 && !passed) seen.less++;
          const is = `${text}: ${JSON.stringify(one)}`;
          assert.ok(passed || reported.length === 0, is);
          assert.ok(passed || paused.length === 0, is);
        }
      },
    ),
    { numRuns: runs(300) },
  );
  // It would hold if everything passed, and if policies changed nothing.
  for (const [what, times] of Object.entries(seen))
    assert.ok(times > runs(20), `${what}: ${times}`);
});
