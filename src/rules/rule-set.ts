import type { EventName } from '../events/table.gen.ts';
import type { Checked } from './compile/checked.ts';
import type { Priority } from './detection.ts';
import { isEventName } from './fields/events.ts';
import type { ExtraOutputField, OutputFormat } from './output/format.ts';

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
  /** More keys for `output_fields` than the output has, by a deployment's wish (O4). */
  readonly extraFields?: readonly ExtraOutputField[];
  /** The events it can match, by Falco's names; those that the probe does not report come with no event. */
  readonly events: ReadonlySet<string>;
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
  const needed = ruleSet.rules.filter((rule) => rule.enabled).flatMap((rule) => [...rule.events]);
  return new Set(needed.filter(isEventName));
}
