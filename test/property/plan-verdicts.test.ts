import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RuleEngine } from '../../src/rules/engine.ts';
import { ruleFile, ruleFiles, ruleSetOf } from '../support/rules-load.ts';
import { CONTAINER } from '../support/rules-subject.ts';
import { runs } from '../support/runs.ts';
import { EXEC_EVENTS } from '../../src/plan/verdicts/call-kinds.ts';
import {
  anyPathCall,
  deniedBy,
  judgedCall,
  pathCall,
  pathCondition,
  subjectOfCall,
  subjectOfExec,
} from '../support/verdict-path-cases.ts';
import {
  connectCall,
  connectCondition,
  judgedConnect,
  ofWhere,
  subjectOfConnect,
} from '../support/verdict-connect-cases.ts';
import {
  condition,
  isPassed,
  judged,
  ofPath,
  open,
  runtime,
  subjectOf,
} from '../support/verdict-cases.ts';
import { verdictTable } from '../support/verdict-table.ts';

test('what a rule matches passes, and what certainly matches does: match ⇒ passes, must ⇒ match', () => {
  let matched = 0;
  let kept = 0;
  let certain = 0;
  fc.assert(
    fc.property(
      fc.array(condition, { minLength: 1, maxLength: 3 }),
      fc.array(open, { minLength: 4, maxLength: 12 }),
      runtime,
      (texts, opens, type) => {
        const ruleSet = ruleSetOf(
          texts
            .map((text, index) =>
              ruleFile(`evt.type in (open, openat, openat2, creat) and (${text})`).replace(
                'rule: r',
                `rule: r${index}`,
              ),
            )
            .join('\n'),
        );
        const { bytes } = verdictTable(ruleSet, { ...CONTAINER, runtime: type });
        assert.ok(bytes);
        const engine = new RuleEngine(ruleSet);
        for (const one of opens) {
          const matches = engine.evaluate(subjectOf(one, type)).length > 0;
          const said = judged(bytes, one);
          if (matches) matched++;
          if (!said.passes) kept++;
          if (said.matches) certain++;
          const is = `${texts.join(' | ')}: ${JSON.stringify(one)}`;
          assert.ok(!matches || said.passes, is);
          assert.ok(matches || !said.matches, is);
        }
      },
    ),
    { numRuns: runs(400) },
  );
  // The property would hold for a table that passes everything, and for rules that match nothing.
  assert.ok(matched > runs(100), `only ${matched} matches`);
  assert.ok(kept > runs(100), `only ${kept} opens kept back`);
  assert.ok(certain > runs(100), `only ${certain} certain matches`);
});

test('of a comparison of the path the verdict is exact: no open passes that does not match', () => {
  fc.assert(
    fc.property(ofPath, fc.array(open, { minLength: 4, maxLength: 12 }), (text, opens) => {
      const ruleSet = ruleSetOf(ruleFile(`evt.type in (open, openat, openat2, creat) and ${text}`));
      const { bytes, leftOut, widened } = verdictTable(ruleSet);
      assert.ok(bytes);
      assert.deepEqual([leftOut, widened], [[], []]);
      const engine = new RuleEngine(ruleSet);
      // A glob that begins with a star is left to user space.
      fc.pre(!/glob "\*/.test(text));
      for (const one of opens)
        assert.equal(
          isPassed(bytes, one),
          engine.evaluate(subjectOf(one)).length > 0,
          `${text}: ${JSON.stringify(one)}`,
        );
    }),
    { numRuns: runs(400) },
  );
});

test('the same of renames, removals and other calls with paths', () => {
  const counts = { matched: 0, kept: 0, certain: 0, placed: 0 };
  fc.assert(
    fc.property(
      fc.array(pathCondition, { minLength: 1, maxLength: 3 }),
      fc.array(pathCall, { minLength: 4, maxLength: 12 }),
      (texts, calls) => {
        const ruleSet = ruleSetOf(ruleFiles(texts.map((text) => `${anyPathCall} and (${text})`)));
        const { bytes } = verdictTable(ruleSet, CONTAINER);
        assert.ok(bytes);
        const engine = new RuleEngine(ruleSet);
        for (const one of calls) {
          const matches = engine.evaluate(subjectOfCall(one)).length > 0;
          const said = judgedCall(bytes, one);
          if (matches) counts.matched++;
          if (!said.passes) counts.kept++;
          if (said.matches) counts.certain++;
          if (matches && texts.some((text) => text.includes('fs.path.placed'))) counts.placed++;
          const is = `${texts.join(' | ')}: ${JSON.stringify(one)}`;
          assert.ok(!matches || said.passes, is);
          assert.ok(matches || !said.matches, is);
        }
      },
    ),
    { numRuns: runs(1000) },
  );
  for (const [what, times] of Object.entries(counts))
    assert.ok(times > runs(50), `${what}: ${times}`);
});

test('the same of connects', () => {
  const counts = { matched: 0, kept: 0, certain: 0 };
  fc.assert(
    fc.property(
      fc.array(connectCondition, { minLength: 1, maxLength: 3 }),
      fc.array(connectCall, { minLength: 4, maxLength: 12 }),
      (texts, calls) => {
        const rules = texts.map((text, index) =>
          ruleFile(`evt.type in (connect, openat) and (${text})`).replace(
            'rule: r',
            `rule: r${index}`,
          ),
        );
        const ruleSet = ruleSetOf(rules.join('\n'));
        const { bytes } = verdictTable(ruleSet);
        assert.ok(bytes);
        const engine = new RuleEngine(ruleSet);
        for (const one of calls) {
          const matches = engine.evaluate(subjectOfConnect(one)).length > 0;
          const said = judgedConnect(bytes, one);
          if (matches) counts.matched++;
          if (!said.passes) counts.kept++;
          if (said.matches) counts.certain++;
          const is = `${texts.join(' | ')}: ${JSON.stringify(one)}`;
          assert.ok(!matches || said.passes, is);
          assert.ok(matches || !said.matches, is);
        }
      },
    ),
    { numRuns: runs(300) },
  );
  for (const [what, times] of Object.entries(counts))
    assert.ok(times > runs(50), `${what}: ${times}`);
});

test('of a comparison of where a connect goes the verdict is exact', () => {
  fc.assert(
    fc.property(ofWhere, fc.array(connectCall, { minLength: 4, maxLength: 12 }), (text, calls) => {
      const ruleSet = ruleSetOf(ruleFile(`evt.type = connect and ${text}`));
      const { bytes } = verdictTable(ruleSet);
      assert.ok(bytes);
      const engine = new RuleEngine(ruleSet);
      for (const one of calls) {
        const { passes } = judgedConnect(bytes, one);
        const is = `${text}: ${JSON.stringify(one)}`;
        assert.equal(passes, engine.evaluate(subjectOfConnect(one)).length > 0, is);
      }
    }),
    { numRuns: runs(400) },
  );
});

/** Conditions of rules about programs that are run, also of such that are about other calls too. */
const OF_EXECS = [
  (text: string) => `evt.type in (execve, execveat) and (${text})`,
  (text: string) => `evt.type = execve and evt.rawres = 0 and (${text})`,
  (text: string) => `evt.type in (execveat, open, rename) and (${text})`,
  (text: string) => `(evt.type = execve and (${text})) or (evt.type = open and fd.name = /x)`,
  (text: string) => `evt.type in (execve, execveat) and container.type = docker and (${text})`,
];

test('a program is denied only where the rule that denies it matches', () => {
  const counts = { denied: 0, matched: 0 };
  fc.assert(
    fc.property(
      fc.array(pathCondition, { minLength: 1, maxLength: 2 }),
      fc.array(pathCall, { minLength: 4, maxLength: 12 }),
      fc.constantFrom(...OF_EXECS),
      fc.constantFrom(...EXEC_EVENTS),
      (texts, calls, ofExecs, event) => {
        const ruleSet = ruleSetOf(ruleFiles(texts.map((text) => ofExecs(text))));
        const names = new Set(texts.map((_, index) => `r${index}`));
        const { bytes, denied } = verdictTable(ruleSet, CONTAINER, names);
        assert.ok(bytes);
        const engine = new RuleEngine(ruleSet, { matching: 'all' });
        for (const one of calls) {
          const matching = engine.evaluate(subjectOfExec(one, event)).map(({ rule }) => rule.name);
          if (matching.length > 0) counts.matched++;
          for (const name of deniedBy(bytes, denied, one, event)) {
            counts.denied++;
            assert.ok(matching.includes(name), `${texts.join(' | ')}: ${JSON.stringify(one)}`);
          }
        }
      },
    ),
    { numRuns: runs(600) },
  );
  for (const [what, times] of Object.entries(counts))
    assert.ok(times > runs(50), `${what}: ${times}`);
});
