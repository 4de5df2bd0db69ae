import type { AgentSnapshot } from '../agent/snapshot.ts';
import { SAMPLED_OF } from '../evaluation/rule-watch.ts';
import { columns } from './columns.ts';

/** Names longer than this are cut: an app may name its rules as it likes. */
const NAME_MAX = 60;

/** What of a snapshot is shown. */
type Costs = Pick<AgentSnapshot, 'ruleCosts' | 'policies' | 'startedAtMs'>;

/** `varvel status --rules --json`: `ruleCosts` and `policies` of the snapshot, and the time since the agent's start. */
export function costsAsJson(
  { ruleCosts, policies, startedAtMs }: Costs,
  nowMs = Date.now(),
): string {
  const upSeconds = (nowMs - startedAtMs) / 1000;
  const rules = ruleCosts.map((cost) => ({
    ...cost,
    corePercent: percent(cost.seconds, upSeconds),
  }));
  return `${JSON.stringify({ upSeconds, sampledOf: SAMPLED_OF, rules, policies }, null, 2)}\n`;
}

/** `varvel status --rules`: tables for people, the costliest first. */
export function costsAsText(
  { ruleCosts, policies, startedAtMs }: Costs,
  nowMs = Date.now(),
): string {
  const upSeconds = (nowMs - startedAtMs) / 1000;
  const total = ruleCosts.reduce((sum, { seconds }) => sum + seconds, 0);
  const lines = [
    `The operator’s rules have taken ${shownPercent(total, upSeconds)} % of a core since the agent’s start ${upSeconds.toFixed(0)} s ago (an estimate: one event in ${SAMPLED_OF} is measured rule by rule).`,
    '',
    ...operators(ruleCosts, upSeconds),
    '',
    ...ofApps(policies, upSeconds),
  ];
  return `${lines.join('\n')}\n`;
}

function operators(costs: AgentSnapshot['ruleCosts'], upSeconds: number): string[] {
  if (costs.length === 0) return ['No rule was measured yet.'];
  const rows = costs.map(({ rule, evaluations, matches, seconds, failures }) => [
    short(rule),
    String(evaluations),
    String(matches),
    mean(seconds, evaluations),
    seconds.toFixed(3),
    shownPercent(seconds, upSeconds),
    String(failures),
  ]);
  const headings = ['RULE', 'EVALUATIONS', 'MATCHES', 'MEAN US', 'SECONDS', 'CORE %', 'FAILED'];
  return columns(headings, rows, headings.slice(1));
}

function ofApps({ containers }: AgentSnapshot['policies'], upSeconds: number): string[] {
  if (containers.length === 0) return ['No app has rules of its own that are run.'];
  const rows = containers.map((one) => [
    one.container,
    short(one.app ?? '-'),
    String(one.rules),
    one.paused ? 'PAUSED' : 'on',
    String(one.events),
    mean(one.cpuMs / 1000, one.events),
    (one.cpuMs / 1000).toFixed(3),
    shownPercent(one.cpuMs / 1000, upSeconds),
    String(one.pauses),
    String(one.failures),
    one.costliest === undefined ? '-' : short(one.costliest.rule),
  ]);
  const headings = [
    'CONTAINER',
    'APP',
    'RULES',
    'STATE',
    'EVENTS',
    'MEAN US',
    'SECONDS',
    'CORE %',
    'PAUSES',
    'FAILED',
    'COSTLIEST RULE',
  ];
  const numbers = headings.filter((heading) => !/CONTAINER|APP|STATE|COSTLIEST/.test(heading));
  return [
    'Apps’ own rules, and rules that they have changed (measured for every event):',
    '',
    ...columns(headings, rows, numbers),
  ];
}

function mean(seconds: number, count: number): string {
  return count === 0 ? '-' : ((seconds / count) * 1e6).toFixed(2);
}

function percent(seconds: number, upSeconds: number): number {
  return upSeconds > 0 ? (seconds / upSeconds) * 100 : 0;
}

function shownPercent(seconds: number, upSeconds: number): string {
  return percent(seconds, upSeconds).toFixed(3);
}

function short(name: string): string {
  return name.length > NAME_MAX ? `${name.slice(0, NAME_MAX)}…` : name;
}
