import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GenerateOptions } from '../../src/rules/compile/generate.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import type { RuleObserver } from '../../src/rules/engine.ts';
import { isRaced } from '../../src/rules/fields/descriptor.ts';
import { loadRules } from '../../src/rules/loader/load.ts';
import type { Condition } from '../../src/rules/language/ast.ts';
import { print } from '../../src/rules/language/printer.ts';
import type { Subject } from '../../src/rules/subject.ts';
import {
  knownCondition,
  knownConditionWithoutMacros,
  word,
} from '../support/rules-known-conditions.ts';
import {
  CREDENTIALS,
  CONTAINER,
  makeConnect,
  makeRefused,
  makeEvent,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
} from '../support/rules-subject.ts';
import { walk } from '../support/rules-tree-walk.ts';
import { runs } from '../support/runs.ts';

const name = word;
const process = fc
  .tuple(name, name, name, fc.boolean(), fc.boolean(), fc.constantFrom(1, 17), fc.boolean())
  .map(([own, parent, grandparent, hasParent, hasGrandparent, vpid, setup]) =>
    makeProcess({
      vpid,
      setup: setup && own === 'a',
      image: { name: own, args: [grandparent] },
      parent: hasParent
        ? makeProcess({
            pid: 3,
            image: { name: parent },
            parent: hasGrandparent
              ? makeProcess({ pid: 1, image: { name: grandparent } })
              : undefined,
          })
        : undefined,
    }),
  );

const path = fc.stringMatching(/^\/[ab]{0,2}(\/[ab]{1,2}){0,2}$/);
const ip = fc.constantFrom('10.0.0.1', '10.0.0.2', '::1', 'fd00::1', '::ffff:10.0.0.1', '');
const result = fc.constantFrom(-2, -1, 0, 1, 3, 80);

const event = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('open' as const, 'openat' as const),
      path,
      path,
      result,
      fc.boolean(),
      fc.boolean(),
    )
    .map(([type, kernel, raw, code, forWrite, same]) =>
      makeEvent(type, {
        result: code,
        open: makeOpen(kernel, {
          file: code < 0 ? undefined : makeFile(kernel),
          rawPath: same ? kernel : raw,
          forWrite,
          forRead: !forWrite,
        }),
      }),
    ),
  fc.tuple(ip, ip, fc.constantFrom(1, 2, 10), result).map(([localIp, remoteIp, family, code]) =>
    makeEvent('connect', {
      result: code,
      call:
        code < 0
          ? makeRefused(3)
          : makeConnect({ localIp, remoteIp, family, remotePort: 443, localPort: 80 }),
    }),
  ),
  fc
    .constantFrom('execve' as const, 'procexit' as const, 'clone' as const)
    .map((type) => makeEvent(type)),
);

const subject: fc.Arbitrary<Subject> = fc
  .tuple(event, process, fc.boolean(), fc.constantFrom(0, 1, 1000))
  .map(([found, who, known, euid]) =>
    makeSubject(
      { ...found, credentials: { ...CREDENTIALS, euid } },
      { process: who, container: known ? { ...CONTAINER, name: 'ab' } : undefined },
    ),
  );

const yaml = (conditions: readonly string[], macros: readonly string[]): string =>
  macros
    .map((macro, index) => `- macro: m${index}\n  condition: ${JSON.stringify(macro)}\n`)
    .join('') +
  conditions
    .map(
      (condition, index) =>
        `- rule: r${index}\n  desc: d\n  output: o\n  priority: error\n  condition: ${JSON.stringify(condition)}\n`,
    )
    .join('');

const FOLLOW_ALL: RuleObserver = {
  begin: () => undefined,
  isOn: () => true,
  onRun: () => undefined,
  onFailure: (_, error) => assert.fail(String(error)),
};

interface Tally {
  matched: number;
  compared: number;
}

/** Both ways of matching give what the walk gives, for each subject in turn. */
function compare(
  conditions: readonly Condition[],
  macros: readonly Condition[],
  subjects: readonly Subject[],
  options: GenerateOptions,
  tally: Tally,
): void {
  const text = yaml(conditions.map(print), macros.map(print));
  const { ruleSet, errors } = loadRules([{ name: 'r', text }]);
  assert.ok(ruleSet, errors.map((error) => error.message).join('\n'));
  const all = new RuleEngine(ruleSet, options);
  const first = new RuleEngine(ruleSet, { ...options, matching: 'first' });
  for (const one of subjects) {
    const expected: readonly string[] = one.process.setup
      ? []
      : ruleSet.rules
          .filter((rule) => {
            const views = [{ ...one, claimedPath: false }];
            if (isRaced(views[0]!)) views.push({ ...one, claimedPath: true });
            const holds = views.some((view) => walk(rule.condition, view));
            // Event inference may leave no rule out.
            if (holds) assert.ok(rule.events.has(one.event.type), rule.name);
            return holds;
          })
          .map((rule) => rule.name);
    const names = all.evaluate(one).map((match) => match.rule.name);
    assert.deepEqual(names, expected, text);
    assert.deepEqual(
      first.evaluate(one).map((match) => match.rule.name),
      expected.slice(0, 1),
      text,
    );
    // Rule by rule, as costs are measured and own rules are run: the same.
    assert.deepEqual(
      all.evaluateEach(one, FOLLOW_ALL).map((match) => match.rule.name),
      expected,
      text,
    );
    assert.deepEqual(
      first.evaluateEach(one, FOLLOW_ALL).map((match) => match.rule.name),
      expected.slice(0, 1),
      text,
    );
    tally.matched += expected.length;
    tally.compared += ruleSet.rules.length;
  }
}

const someMacros = fc.array(knownConditionWithoutMacros, { minLength: 3, maxLength: 3 });
const someSubjects = fc.array(subject, { minLength: 1, maxLength: 6 });

/** A property over events that never match would show nothing. */
function assertMixed({ matched, compared }: Tally): void {
  assert.ok(matched > compared / 10 && matched < (compared * 9) / 10, `${matched} of ${compared}`);
}

test('the generated code agrees with a walk over the tree, for rules and events of any kind', () => {
  const tally = { matched: 0, compared: 0 };
  fc.assert(
    fc.property(
      fc.array(knownCondition, { minLength: 1, maxLength: 4 }),
      someMacros,
      someSubjects,
      (conditions, macros, subjects) => {
        compare(conditions, macros, subjects, {}, tally);
      },
    ),
    { numRuns: runs(200) },
  );
  assertMixed(tally);
});

test('so it does where the values of fields say which of many rules can match', () => {
  const tally = { matched: 0, compared: 0 };
  fc.assert(
    fc.property(
      fc.array(knownCondition, { minLength: 9, maxLength: 40 }),
      someMacros,
      someSubjects,
      fc.constantFrom(1, 2),
      (conditions, macros, subjects, maskAfter) => {
        // Again and again: the first time a value is seen, the next, and from memory.
        const repeated = [...subjects, ...subjects, ...subjects];
        compare(conditions, macros, repeated, { maskAfter }, tally);
      },
    ),
    { numRuns: runs(50) },
  );
  assertMixed(tally);
});
