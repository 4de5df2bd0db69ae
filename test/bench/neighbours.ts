// npm run bench neighbours [PART]: attacks of a hostile container, as they were found, beside a quiet one: how late that one's
// Critical lines come, what of it is lost, and what the agent takes. Each on an agent that has just begun, whose code V8 has
// yet to compile; and again on one that has met it before. With PART: only those attacks with it in their names, and nothing is
// written.
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import {
  behaviours,
  FULL_COUNTS,
  policiesThatLoad,
  REFUSED_POLICIES,
} from '../support/hostile-attacks.ts';
import { missingSteps, Neighbours, rowOf, type Outcome } from '../support/neighbours.ts';
import type { Latencies } from '../support/quiet-app.ts';
import { machine } from './machine.ts';

/** The quiet app alone, before each attack: 100 lines. */
const USUAL_MS = 5000;
const FILE = 'test/bench/results/neighbours.json';

const rounded = (value: number): number => Math.round(value * 10) / 10;
const latencies = ({ lines, p50, p99, max }: Latencies): Latencies => ({
  lines,
  p50: rounded(p50),
  p99: rounded(p99),
  max: rounded(max),
});
const resultOf = (outcome: Outcome): object => ({
  quiet: {
    usualMs: latencies(outcome.usual),
    meanwhileMs: latencies(outcome.meanwhile),
    recordsLost: outcome.quiet.lost,
    linesMissing: missingSteps(outcome),
    otherLines: outcome.otherInLog,
  },
  hostileRecordsLost: outcome.hostile.reduce((sum, { lost }) => sum + lost, 0),
  agentMib: {
    start: rounded(outcome.startMib),
    peak: rounded(outcome.peakMib),
    end: rounded(outcome.endMib),
  },
  oomKills: outcome.oomKills,
  rulesSwitchedOff: outcome.shed,
  ownRulesPaused: outcome.paused,
});

const [, , part = ''] = process.argv;
const attacks = [
  ...REFUSED_POLICIES,
  ...policiesThatLoad(FULL_COUNTS),
  ...behaviours(FULL_COUNTS),
].filter(({ name }) => name.includes(part));
const quietness = loadavg();
const results: Record<string, object> = {};
const neighbours = await Neighbours.start();
try {
  for (const attack of attacks) {
    for (const again of [false, true]) {
      const name = again ? `${attack.name}, again` : attack.name;
      try {
        const outcome = await neighbours.run([attack], USUAL_MS, undefined, { again });
        results[name] = resultOf(outcome);
        console.log(rowOf(name, outcome));
      } catch (error) {
        // An agent that ended is a result.
        results[name] = { failed: String(error) };
        console.log(`${name} | ${String(error)}`);
        process.exitCode = 1;
      }
    }
  }
} finally {
  await neighbours[Symbol.asyncDispose]();
}
if (part === '') {
  const what = `a quiet app of 20 Critical lines a second beside a hostile one, with the limits of the shipped unit; from the system call to the line in the agent's stdout, in ms`;
  const loadAverage = quietness.map((load) => load.toFixed(1)).join(' ');
  const date = new Date().toISOString().slice(0, 10);
  const all = { date, machine: { ...machine(), loadAverage }, what, results };
  writeFileSync(FILE, `${JSON.stringify(all, null, 2)}\n`);
  console.log(`written to ${FILE}`);
}
