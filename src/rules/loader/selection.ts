import { compileGlob } from '../compile/glob.ts';
import { PRIORITIES, type Priority } from '../detection.ts';

/** Switches rules on or off over what their files say: by a rule's name, in which `*` and `?` stand for any, or by a tag. */
export interface RuleSelection {
  readonly enable: boolean;
  readonly rule?: string;
  readonly tag?: string;
}

/** A rule as far as selections look at it. */
interface Selectable {
  readonly name: string;
  readonly tags: readonly string[];
  readonly enabled: boolean;
}

/** Whether a rule is one that the selection is about. */
export function selects({ rule = '', tag = '' }: RuleSelection): (one: Selectable) => boolean {
  // Only `*` and `?` are special: a name may hold brackets and backslashes.
  const glob = rule === '' ? () => false : compileGlob(rule.replace(/[[\\]/g, '\\$&')).test;
  return (one) => glob(one.name) || (tag !== '' && one.tags.includes(tag));
}

/** What `fitsAll` looks at: where one is missing, any will do. */
export interface RuleMatch {
  readonly rule?: string;
  readonly tag?: string;
  /** This one and those above. */
  readonly priority?: Priority;
}

/** Whether a rule is one that all of the match fits. */
export function fitsAll({
  rule,
  tag,
  priority,
}: RuleMatch): (one: Selectable & { readonly priority: Priority }) => boolean {
  const isNamed = rule === undefined ? () => true : selects({ enable: true, rule });
  const least = priority === undefined ? PRIORITIES.length : PRIORITIES.indexOf(priority);
  return (one) =>
    isNamed(one) &&
    (tag === undefined || one.tags.includes(tag)) &&
    PRIORITIES.indexOf(one.priority) <= least;
}

/** Goes through the selections in their order: the last one that fits a rule counts, as in Falco's `rules`. */
export function selectRules<Rule extends Selectable>(
  rules: readonly Rule[],
  selections: readonly RuleSelection[],
): Rule[] {
  const isEnabled = enabledBy(selections);
  return rules.map((one) => {
    const enabled = isEnabled(one);
    return enabled === one.enabled ? one : { ...one, enabled };
  });
}

/** The same for one rule at a time. */
export function enabledBy(selections: readonly RuleSelection[]): (one: Selectable) => boolean {
  const tests = selections.map((one) => ({ enable: one.enable, fits: selects(one) }));
  return (one) => tests.findLast(({ fits }) => fits(one))?.enable ?? one.enabled;
}
