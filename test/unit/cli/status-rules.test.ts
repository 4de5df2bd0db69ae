import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentSnapshot } from '../../../src/agent/snapshot.ts';
import { costsAsJson, costsAsText } from '../../../src/cli/status-rules.ts';

const none = { events: 0, cpuMs: 0, pauses: 0, cutEvents: 0, failures: 0, untold: 0 };

/** An agent that has run for 100 s. */
function snapshotOf({
  ruleCosts = [],
  containers = [],
}: {
  ruleCosts?: AgentSnapshot['ruleCosts'];
  containers?: AgentSnapshot['policies']['containers'];
}): Parameters<typeof costsAsText>[0] {
  const policies = { inForce: 0, refused: 0, different: 0, paused: 0, totals: none, containers };
  return { ruleCosts, policies, startedAtMs: 0 };
}
const COSTS = [
  { rule: 'Shell started', evaluations: 256_000, matches: 3, seconds: 0.512, failures: 0 },
  { rule: 'Never \u001b[2Jrun', evaluations: 0, matches: 0, seconds: 0, failures: 2 },
];

test('rules by cost, as a table whose numbers stand below each other', () => {
  const containers = [
    {
      ...none,
      container: 'a'.repeat(12),
      app: 'shop',
      rules: 2,
      paused: true,
      events: 1000,
      cpuMs: 250,
      pauses: 1,
      costliest: { rule: 'Slow', cpuMs: 200 },
    },
  ];
  const text = costsAsText(snapshotOf({ ruleCosts: COSTS, containers }), 100_000);
  const [head, ...lines] = text.split('\n');
  assert.match(head ?? '', /have taken 0\.512 % of a core since the agent’s start 100 s ago/);
  assert.deepEqual(lines, [
    '',
    'RULE           EVALUATIONS  MATCHES  MEAN US  SECONDS  CORE %  FAILED',
    'Shell started       256000        3     2.00    0.512   0.512       0',
    'Never \ufffd[2Jrun            0        0        -    0.000   0.000       2',
    '',
    'Apps’ own rules, and rules that they have changed (measured for every event):',
    '',
    'CONTAINER     APP   RULES  STATE   EVENTS  MEAN US  SECONDS  CORE %  PAUSES  FAILED  COSTLIEST RULE',
    'aaaaaaaaaaaa  shop      2  PAUSED    1000   250.00    0.250   0.250       1       0  Slow',
    '',
  ]);
});

test('nothing measured yet, and the same for machines', () => {
  const text = costsAsText(snapshotOf({}), 100_000);
  assert.match(text, /^No rule was measured yet\.$/m);
  assert.match(text, /^No app has rules of its own that are run\.$/m);
  const { rules, sampledOf } = JSON.parse(
    costsAsJson(snapshotOf({ ruleCosts: COSTS }), 100_000),
  ) as {
    rules: { rule: string; corePercent: number }[];
    sampledOf: number;
  };
  assert.equal(sampledOf, 256);
  assert.equal(rules[0]?.rule, 'Shell started');
  assert.equal(rules[0].corePercent, 0.512);
});
