import type { RunbookEntry } from '../../rules/loader/runbook.ts';
import { NOTICE_RULES } from '../../streams/notice-rules.ts';

/** What is known of a rule besides its lines. */
export interface RuleAdvice {
  readonly why: string;
  /** What the runbook beside its file says; undefined without an entry. */
  readonly runbook: RunbookEntry | undefined;
  /** What its description says to do, for rules without a runbook; undefined where it does not say. */
  readonly todo: string | undefined;
}

/** By the rule's name. */
export type RuleGuide = ReadonlyMap<string, RuleAdvice>;

/**
 * What is written of rules: why one matters, from its description, and what to do, from the runbook beside its file. Without
 * an entry there, what the description says after "What to do:".
 */
export function ruleGuide<Rule extends { readonly name: string; readonly description: string }>(
  rules: readonly Rule[],
  runbookOf: (rule: Rule) => RunbookEntry | undefined = () => undefined,
): RuleGuide {
  return new Map(
    rules.map((rule) => {
      const text = rule.description.trim().replace(/\s+/g, ' ');
      const [why = '', todo] = text.split(/\s*\bWhat to do: */i, 2);
      return [rule.name, { why, runbook: runbookOf(rule), todo: todo === '' ? undefined : todo }];
    }),
  );
}

/** What the agent says of itself, and what it means for whoever reads this. */
export const NOTICE_ADVICE: ReadonlyMap<string, string> = new Map(
  NOTICE_RULES.map(({ name, means }) => [name, means]),
);
