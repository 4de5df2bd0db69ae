import { PRIORITIES } from '../rules/detection.ts';
import type { Priority } from '../rules/detection.ts';
import { RecentMap } from '../shared/recent-map.ts';
import { escapeText } from '../streams/escape.ts';
import type { Found } from './found.ts';

/** Limits on what is counted, and on what is shown of it: incidents, and rules of each. */
const MAX_COUNTED = 10_000;
const MAX_INCIDENTS = 20;
const MAX_RULES = 20;

interface RuleCount {
  readonly rule: string;
  /** Of its most severe detection. */
  priority: Priority;
  count: number;
}

interface Counted extends RuleCount {
  /** Undefined for lines without an incident. */
  readonly incident: string | undefined;
  readonly app: string;
}

/** Counts detections by incident and rule; those without an incident by rule. */
export class RuleSummary {
  readonly #counts = new RecentMap<string, Counted>(MAX_COUNTED);

  /** `app` names whose it is, as it is to be shown. */
  add(
    { incident, rule, priority }: Pick<Found, 'incident' | 'rule' | 'priority'>,
    app: string,
  ): void {
    const key = JSON.stringify(incident === undefined ? [rule] : [rule, incident, app]);
    const known = this.#counts.get(key);
    if (known === undefined) {
      this.#counts.set(key, { incident, app, rule, priority, count: 1 });
      return;
    }
    known.count++;
    if (severity({ priority }) < severity(known)) known.priority = priority;
  }

  /** Lines with their newlines: the most severe incident first, then what has none. `paint` colours a priority. */
  lines(paint: (priority: Priority, text: string) => string): string[] {
    const all = [...this.#counts.entries()].map(([, one]) => one);
    const groups = new Map<string, Counted[]>();
    for (const one of all.filter(({ incident }) => incident !== undefined)) {
      const key = `${one.incident} ${one.app}`;
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    const sorted = [...groups.values()].map((rules) => rules.sort(bySeverity)).sort(byFirst);
    const shown = sorted.slice(0, MAX_INCIDENTS);
    const without = all.filter(({ incident }) => incident === undefined).sort(bySeverity);
    const rest = sorted.length - shown.length;
    return [
      ...shown.flatMap((rules) => [
        `Incident ${escapeText(rules[0]?.incident ?? '')} in ${rules[0]?.app ?? ''}:\n`,
        ...rowsOf(rules, paint),
      ]),
      ...(rest > 0 ? [`and ${rest} more incidents\n`] : []),
      ...(sorted.length > 0 && without.length > 0 ? ['Without an incident:\n'] : []),
      ...rowsOf(without, paint),
    ];
  }
}

const severity = ({ priority }: Pick<RuleCount, 'priority'>): number =>
  PRIORITIES.indexOf(priority);

const bySeverity = (one: RuleCount, other: RuleCount): number =>
  severity(one) - severity(other) || other.count - one.count;

function byFirst([one]: readonly RuleCount[], [other]: readonly RuleCount[]): number {
  return one === undefined || other === undefined ? 0 : severity(one) - severity(other);
}

function rowsOf(
  rules: readonly RuleCount[],
  paint: (priority: Priority, text: string) => string,
): string[] {
  const width = Math.max(...rules.map(({ count }) => String(count).length));
  const rows = rules.slice(0, MAX_RULES).map(({ rule, priority, count }) => {
    const number = `${String(count).padStart(width)} × `;
    return `  ${number}${paint(priority, priority.padEnd(13))} ${escapeText(rule)}\n`;
  });
  const more = rules.length - rows.length;
  return [...rows, ...(more > 0 ? [`  and ${more} more rules\n`] : [])];
}
