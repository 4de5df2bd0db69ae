import type { Evaluation } from '../evaluation/evaluation.ts';
import type { RuleCost, RuleFailure } from '../evaluation/rule-watch.ts';
import type { Logger } from '../shared/logger.ts';

/** One of the operator's rules in `varvel status --rules`. */
export interface RuleCostStatus extends RuleCost {
  readonly rule: string;
  readonly matches: number;
}

/** What the operator's rules have cost since the agent's start, the costliest first. */
export function ruleCosts(evaluation: Evaluation): readonly RuleCostStatus[] {
  const { detections } = evaluation.engineCounters();
  const costs = [...evaluation.watch.costs()].map(([rule, cost]) => ({
    rule,
    ...cost,
    matches: detections.get(rule) ?? 0,
  }));
  return costs.sort((a, b) => b.seconds - a.seconds);
}

/** Logs that an operator's rule threw or that an event was dropped; the agent continues. */
export function logFailure(logger: Logger, { rule, error, failures }: RuleFailure): void {
  logger.error(
    { rule, failures, error },
    rule === undefined
      ? 'an event could not be evaluated and was given up: this is a defect of varvel, please report it'
      : 'a rule failed for an event: other rules have seen the event. See "varvel check" for the rule; if it is right, this is a defect of varvel, please report it',
  );
}
