// What a hostile policy may cost: it is refused, with a place and a figure, or it is within the bounds that policies have.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePolicy } from '../../src/policy/app-policy.ts';
import { operatorRulesOf } from '../../src/policy/check-policy.ts';
import { readPolicy } from '../../src/policy/policy-document.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { readRuleFile } from '../../src/rules/loader/load.ts';
import { hostilePolicy } from '../support/hostile-policy-arbitrary.ts';
import { runs } from '../support/runs.ts';
import { worstViews } from '../support/worst-views.ts';

const operator = operatorRulesOf([readRuleFile('manifests/rules/varvel_rules.yaml')]);
const views = ['a', '\ufffd']
  .flatMap((unit) => worstViews(unit))
  .filter(({ event, claimedPath }) => ['execve', 'openat'].includes(event.type) && !claimedPath);

/** How far over its estimate a policy may be measured: the machine may be busy, and the code not compiled yet. */
const FACTOR = 4;
const SLACK_US = 4000;

/** CPU time of the call in microseconds, the least of so many. */
function leastCpuUs(call: () => void, enoughUs: number, attempts = 6): number {
  let least = Infinity;
  for (let attempt = 0; attempt < attempts && least > enoughUs; attempt++) {
    const before = process.cpuUsage();
    call();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, user + system);
  }
  return least;
}

/** Policies: how many are tried. */
const COUNT = runs(500);

test('hostile policies: each is refused with a place and a figure, or costs no more than the bounds say', () => {
  const counts = { refused: 0, accepted: 0, matched: 0, estimatedUs: 0 };
  const reasons = new Set<string>();
  fc.assert(
    fc.property(hostilePolicy, fc.constantFrom('verified', 'unverified'), (text, trust) => {
      const { document, errors: unread } = readPolicy({ name: 'varvel.yml', text });
      const { policy, errors } =
        document === undefined
          ? { policy: undefined, errors: unread }
          : compilePolicy(document, operator, trust);
      if (policy === undefined) {
        counts.refused += 1;
        assert.ok(errors.length > 0);
        for (const { file, line, column, message, code } of errors) {
          assert.ok(
            file === 'varvel.yml' && line >= 1 && column >= 1,
            `${file}:${line}:${column} ${message}`,
          );
          reasons.add(message.replace(/"[^"]*"|\d[\d.,]*/g, '#').slice(0, 40));
          if (code === 'LOAD_ERR_VALIDATE') assert.match(message, /\d/);
        }
        return;
      }
      counts.accepted += 1;
      const { cost } = policy.summary;
      counts.estimatedUs = Math.max(counts.estimatedUs, cost.worstEventUs);
      assert.ok(cost.worstEventUs <= cost.limitUs);
      const engine = new RuleEngine(policy.ruleSet);
      for (const view of views) {
        const allowedUs = FACTOR * cost.worstEventUs + SLACK_US;
        const tookUs = leastCpuUs(() => {
          const [match] = policy.refine([], view);
          if (match === undefined) return;
          counts.matched += 1;
          const { output } = engine.toDetection(match, view);
          assert.ok(Buffer.byteLength(output) <= 8192);
        }, allowedUs);
        assert.ok(tookUs <= allowedUs, `${tookUs} us, estimated ${cost.worstEventUs} us:\n${text}`);
      }
    }),
    { numRuns: COUNT, seed: 20_261_127, endOnFailure: true },
  );
  assert.ok(counts.refused >= COUNT / 5 && counts.accepted >= COUNT / 5, JSON.stringify(counts));
  assert.ok(counts.matched > COUNT / 5 && counts.estimatedUs > 1000, JSON.stringify(counts));
  for (const what of [
    'for the worst event the condition',
    'for the worst event the app',
    'the output has',
    'a width of',
    'the regular expression could be slow',
  ]) {
    assert.ok(
      [...reasons].some((reason) => reason.startsWith(what)),
      `${what}: ${[...reasons].join('\n')}`,
    );
  }
});
