import type { Detection } from '../rules/detection.ts';
import type { Match } from '../rules/engine.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import type { Subject } from '../rules/subject.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { Unwritten } from './rule-watch.ts';

/** What one app changes of the rules. Nothing here throws, whatever the app's rules do. */
export interface AppRules {
  /** The matches that count: those of all rules after the app's changes, and those of the app's own rules. */
  refine(matches: readonly Match[], subject: Subject): readonly Match[];
  /** Whether a match from before the app was known counts. */
  counts(match: Match, subject: Subject): boolean;
  /** What the app asks to be done about a detection of this rule; undefined: it is told. */
  responseTo(rule: string): ResponseName | undefined;
  /** Whether its exceptions to the rule were asked in the event of `refine`, or it has none. */
  isAnswered(rule: string): boolean;
  /** Whether the app is charged for the rule in the event of `refine`: its own rule, or an operator's rule that it changed. */
  isOwn(rule: LoadedRule): boolean;
  /** Writes the output of such a rule, for the event of `refine`. Never throws. */
  written(rule: LoadedRule, write: () => Detection): Detection | Unwritten;
  /** The same for an event of before. */
  writtenLater(rule: LoadedRule, write: () => Detection): Detection | Unwritten;
  /** Its own. */
  readonly ruleSet: RuleSet;
  /** They are not evaluated for now. */
  readonly isPaused: boolean;
  /** Some of them were not asked in the event of `refine`. */
  readonly hasSkipped: boolean;
  /** Runs work that delays others' events: all its time is charged to the app's rules. Neither may throw. */
  inFull(work: () => void): void;
}

/** Whether an app's own rules were asked of an event: `none`: it has none; `skipped`: not all of them were. */
export type OwnRulesAsked = 'none' | 'asked' | 'skipped';
