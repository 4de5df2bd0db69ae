import type { EventName } from '../events/table.gen.ts';
import type { Checked } from './compile/checked.ts';
import type { Priority } from './detection.ts';
import type { OutputFormat } from './output/format.ts';

/** A rule as loaded: names resolved, types checked, output compiled. */
export interface LoadedRule {
  readonly name: string;
  readonly description: string;
  readonly priority: Priority;
  readonly tags: readonly string[];
  /** A disabled rule was checked like the others, but never runs. */
  readonly enabled: boolean;
  readonly condition: Checked;
  readonly output: OutputFormat;
  /** The events it can match. */
  readonly events: ReadonlySet<EventName>;
  /** Where it is defined. */
  readonly file: string;
  readonly line: number;
}

/** What a set of rule files amounts to: in the order of their definition, which `first` matching goes by. */
export interface RuleSet {
  readonly rules: readonly LoadedRule[];
}

/** The events that the enabled rules can match: what the plan has to attach. */
export function ruleNeeds(ruleSet: RuleSet): ReadonlySet<EventName> {
  return new Set(ruleSet.rules.filter((rule) => rule.enabled).flatMap((rule) => [...rule.events]));
}
