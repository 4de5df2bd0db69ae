import { PRIORITIES } from '../../rules/detection.ts';
import type { Priority } from '../../rules/detection.ts';
import type { Found } from '../found.ts';

/** Incidents that a report tells apart; lines of more are counted. An app can print any number of them. */
export const MAX_INCIDENTS = 200;

/** Detections that the agent says have one cause. */
export interface IncidentGroup {
  readonly id: string;
  readonly app: Found['app'];
  readonly hostname: string;
  /** The most severe of its lines. */
  readonly priority: Priority;
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** The first line that is shown; undefined where none is. */
  readonly first: Found | undefined;
  /** Its rules with how many lines each has, in the order in which they fired. */
  readonly rules: ReadonlyMap<string, number>;
}

type MutableGroup = { -readonly [K in keyof IncidentGroup]: IncidentGroup[K] } & {
  rules: Map<string, number>;
};

/** Detections by their incident. Lines without one are in none. */
export class IncidentGroups {
  readonly #groups = new Map<string, MutableGroup>();
  /** Lines of incidents beyond the limit. */
  leftOut = 0;

  /** `isShown`: the line is among those of the report. */
  add(found: Found, isShown: boolean): void {
    const { incident, own, app, hostname, priority, rule, atMs } = found;
    if (incident === undefined || own) return;
    const key = JSON.stringify([incident, app?.['guid'] ?? app?.['name'], hostname]);
    let group = this.#groups.get(key);
    if (group === undefined) {
      if (this.#groups.size === MAX_INCIDENTS) {
        this.leftOut++;
        return;
      }
      const times = { firstMs: atMs, lastMs: atMs };
      group = {
        id: incident,
        app,
        hostname,
        priority,
        count: 0,
        ...times,
        first: undefined,
        rules: new Map(),
      };
      this.#groups.set(key, group);
    }
    group.count++;
    if (isShown) group.first ??= found;
    group.firstMs = Math.min(group.firstMs, atMs);
    group.lastMs = Math.max(group.lastMs, atMs);
    if (PRIORITIES.indexOf(priority) < PRIORITIES.indexOf(group.priority))
      group.priority = priority;
    group.rules.set(rule, (group.rules.get(rule) ?? 0) + 1);
  }

  /** The most severe first; of one priority, the one that began first. */
  all(): readonly IncidentGroup[] {
    const severity = ({ priority }: IncidentGroup): number => PRIORITIES.indexOf(priority);
    return [...this.#groups.values()].sort(
      (one, other) => severity(one) - severity(other) || one.firstMs - other.firstMs,
    );
  }
}
