import {
  COVERAGE_RULE,
  GAP_RULE,
  LOST_RULE,
  OWN_RULES_RULE,
  POLICY_RULE,
  SHED_RULE,
  STATE_RULE,
  SUPPRESSED_RULE,
  NO_ROOM_RULE,
  UNSEEN_RULE,
  UNWATCHED_RULE,
} from '../../streams/notices.ts';

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
export const NOTICE_ADVICE: ReadonlyMap<string, string> = new Map([
  [
    SUPPRESSED_RULE,
    'More of the same was detected than is written: what is here is not all of it.',
  ],
  [LOST_RULE, 'Lines are missing in this log; the operator’s copy may have them.'],
  [UNSEEN_RULE, 'What happened in these events nobody knows.'],
  [NO_ROOM_RULE, 'Nothing that happens in this container is seen.'],
  [GAP_RULE, 'Numbers may be missing here although no line was lost since.'],
  [SHED_RULE, 'Meanwhile what these rules look for was not seen.'],
  [COVERAGE_RULE, 'What was watched, every five minutes: silence means something then.'],
  [UNWATCHED_RULE, 'What happened in these times nobody knows: no agent was there.'],
  [STATE_RULE, 'The host’s disk does not take what the agent keeps for its next start.'],
  [POLICY_RULE, 'The app’s own rules and exceptions.'],
  [
    OWN_RULES_RULE,
    'While they are paused, what the app’s own rules look for was not seen, and its exceptions had no effect.',
  ],
]);
