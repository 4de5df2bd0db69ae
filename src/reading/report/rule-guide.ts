import { NOTICE_RULES } from '../../streams/notice-rules.ts';

/** What is known of a rule besides its lines. */
export interface RuleAdvice {
  readonly why: string;
  /** Undefined where its description does not say. */
  readonly todo: string | undefined;
}

/** By the rule's name. */
export type RuleGuide = ReadonlyMap<string, RuleAdvice>;

/** What a rule file says of its rules: why one matters, and after "What to do:" what to do. */
export function ruleGuide(
  rules: readonly { readonly name: string; readonly description: string }[],
): RuleGuide {
  return new Map(
    rules.map(({ name, description }) => {
      const text = description.trim().replace(/\s+/g, ' ');
      const [why = '', todo] = text.split(/\s*\bWhat to do: */i, 2);
      return [name, { why, todo: todo === '' ? undefined : todo }];
    }),
  );
}

/** What the agent says of itself, and what it means for whoever reads this. */
export const NOTICE_ADVICE: ReadonlyMap<string, string> = new Map(
  NOTICE_RULES.map(({ name, means }) => [name, means]),
);
