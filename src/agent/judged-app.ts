import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';

/**
 * An app's effect on the rules: given the operator's `rules`, returns rules of which one must match whenever anything is reported for the
 * app: some of these, and the app's own.
 */
export interface JudgedApp {
  possibleAmong(rules: readonly LoadedRule[]): Iterable<LoadedRule>;
  /** Those of `rules` that are on for the app and that it does not change. */
  unchangedAmong(rules: readonly LoadedRule[]): readonly LoadedRule[];
  /** The app's own rules. */
  readonly ruleSet: RuleSet;
}

/** Stands for the app of a container of which it is not known yet, or of which the policy is not: anything may be reported of it. */
export const BEFORE_IDENTITY: JudgedApp = {
  possibleAmong: (rules) => rules,
  unchangedAmong: (rules) => rules,
  ruleSet: { rules: [] },
};
