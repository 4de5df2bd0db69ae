import { PRIORITIES } from '../../rules/detection.ts';
import type { Found } from '../found.ts';
import { bySeverity, MAX_DETECTIONS, MAX_OF_A_RULE, MAX_UNKNOWN_RULES } from './incident.ts';
import type { RuleGroup } from './incident.ts';
import { NOTICE_ADVICE } from './rule-guide.ts';

type MutableGroup = { -readonly [K in keyof RuleGroup]: RuleGroup[K] } & { shown: Found[] };

/** Detections by their rule: of each as many as a report can show, and all counted. */
export class Groups {
  readonly #knownRules: ReadonlySet<string>;
  readonly #groups = new Map<string, MutableGroup>();
  readonly leftOut = { ofARule: 0, unknownRules: 0, detections: 0 };
  #unknown = 0;
  #shown = 0;

  constructor(knownRules: ReadonlySet<string>) {
    this.#knownRules = knownRules;
  }

  /** Counts it; undefined when it is not to be shown. */
  add(found: Found): Found | undefined {
    const group = this.#groupOf(found);
    if (group === undefined) {
      this.leftOut.unknownRules++;
      return undefined;
    }
    group.count++;
    if (found.atMs < group.first.atMs) group.first = found;
    if (found.atMs >= group.last.atMs) group.last = found;
    if (PRIORITIES.indexOf(found.priority) < PRIORITIES.indexOf(group.priority))
      group.priority = found.priority;
    if (group.shown.length === MAX_OF_A_RULE) this.leftOut.ofARule++;
    else if (this.#shown === MAX_DETECTIONS) this.leftOut.detections++;
    else {
      this.#shown++;
      group.shown.push(found);
      return found;
    }
    return undefined;
  }

  all(): { readonly groups: readonly RuleGroup[]; readonly notices: readonly RuleGroup[] } {
    const all = [...this.#groups.values()].sort(bySeverity);
    return { groups: all.filter(({ own }) => !own), notices: all.filter(({ own }) => own) };
  }

  #groupOf(found: Found): MutableGroup | undefined {
    const { rule, own, priority, tags } = found;
    const key = JSON.stringify([own, rule]);
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    if (!(own ? NOTICE_ADVICE : this.#knownRules).has(rule)) {
      if (this.#unknown === MAX_UNKNOWN_RULES) return undefined;
      this.#unknown++;
    }
    const group = { rule, own, priority, count: 0, first: found, last: found, tags, shown: [] };
    this.#groups.set(key, group);
    return group;
  }
}
