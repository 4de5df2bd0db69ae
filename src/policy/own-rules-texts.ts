import { BUDGET_WINDOW_MS, BURST_WINDOW_MS, burstMs } from './rule-budget.ts';
import type { BudgetLimits, Overrun } from './rule-budget.ts';

/** Texts about own rules in an app's log. Rule names are shortened to fit into a line. */
const NAME_MAX = 120;

/** `containers`: number of the app's containers on this host; the window covers all of them. */
export function pausedText(
  { limit, spentMs, periodMs, containers }: Overrun & { readonly containers: number },
  limits: BudgetLimits,
  costliest: { readonly rule: string; readonly ms: number; readonly runs: number } | undefined,
): string {
  const where = containers > 1 ? ` in the ${containers} containers that it has on this host` : '';
  const took = `they took ${shown(spentMs)} ms of CPU time`;
  const over = {
    window: `${took}${where}, more than ${limits.cpuPercent} % of a core over ${BUDGET_WINDOW_MS / 1000} s`,
    burst: `${took}${where} at once, more than the ${burstMs(limits)} ms allowed in ${BURST_WINDOW_MS} ms`,
    'at once': `${took} for one event, more than ${limits.atOnceMs} ms`,
  }[limit];
  const most =
    costliest === undefined
      ? ''
      : ` The rule ${named(costliest.rule)} cost most${containers > 1 ? ' here' : ''}: ${shown(costliest.ms)} ms in ${costliest.runs} runs.`;
  return `The own rules of this app are paused for ${period(periodMs)}: ${over}.${most} The operator’s rules go on without this app’s exceptions and variables; rules that it has switched off stay off`;
}

export function resumedText(): string {
  return 'The own rules of this app run again, with its exceptions and variables';
}

/** @param offMs how long the rule is off; undefined: it stays on */
export function failedText(
  rule: string | undefined,
  reason: string,
  offMs: number | undefined,
): string {
  const off = offMs === undefined ? '' : ` It is off for ${period(offMs)}, having failed again.`;
  return rule === undefined
    ? `The policy of this app failed for an event: ${reason}. The operator’s rules have seen the event`
    : `The rule ${named(rule)} of this app failed: ${reason}.${off} All other rules go on`;
}

function named(rule: string): string {
  return `"${rule.length > NAME_MAX ? `${rule.slice(0, NAME_MAX)}…` : rule}"`;
}

function shown(ms: number): string {
  return ms.toFixed(ms < 10 ? 1 : 0);
}

function period(ms: number): string {
  if (ms >= 3_600_000) return `${ms / 3_600_000} h`;
  return ms >= 60_000 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}
