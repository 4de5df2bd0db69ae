import { Counter, type Registry } from 'prom-client';
import { PRIORITIES, type Detection, type Priority } from '../rules/detection.ts';
import { RecentMap } from '../shared/recent-map.ts';

/** Limit on series; what would need more of them is counted as app and rule `other`. */
export const INCIDENT_SERIES_MAX = 1000;
/** Limit on incidents that are remembered. A line of one that was forgotten counts as one more. */
export const INCIDENTS_MAX = 4096;

interface Labels {
  readonly at_least: Priority;
  readonly rule: string;
  readonly app: string;
  readonly space: string;
  readonly org: string;
}

const OTHER = { rule: 'other', app: 'other', space: '', org: '' };

/**
 * Counts incidents for alerts that page once for each. An incident counts once for each priority that it reaches, in `at_least`:
 * a Critical one for Critical, Error and all below. So an alert needs one value of that label and counts nothing twice, however
 * the incident grows. Rule, app, space and org are those of the line that reached it.
 */
export class IncidentMetrics {
  /** The most severe priority of each so far, as its place in PRIORITIES. */
  readonly #reached = new RecentMap<string, number>(INCIDENTS_MAX);
  readonly #counts = new Map<string, { readonly labels: Labels; count: number }>();

  constructor(registers: Registry[]) {
    const counts = this.#counts;
    new Counter({
      name: 'varvel_incidents_total',
      help: 'Incidents that reached the priority, each once, by rule and app of the line that did.',
      labelNames: ['at_least', 'rule', 'app', 'space', 'org'],
      registers,
      collect() {
        this.reset();
        for (const { labels, count } of counts.values()) this.inc({ ...labels }, count);
      },
    });
  }

  /** A detection was written. What the agent says of itself has no incident, and does not count. */
  count({ incident, rule, priority, container }: CountedLine): void {
    if (incident === undefined) return;
    const level = PRIORITIES.indexOf(priority);
    const before = this.#reached.get(incident) ?? PRIORITIES.length;
    // A long incident is none of those to be forgotten.
    this.#reached.set(incident, Math.min(level, before));
    const { name: app = '', space = '', org = '' } = container?.app ?? {};
    for (const at_least of PRIORITIES.slice(level, before))
      this.#add({ at_least, rule, app, space, org });
  }

  #add(labels: Labels): void {
    const known = this.#counts.get(keyOf(labels));
    const isRoom = known !== undefined || this.#counts.size < INCIDENT_SERIES_MAX;
    const counted = isRoom ? labels : { ...labels, ...OTHER };
    const entry = known ?? this.#counts.get(keyOf(counted)) ?? { labels: counted, count: 0 };
    entry.count++;
    this.#counts.set(keyOf(counted), entry);
  }
}

export type CountedLine = Pick<Detection, 'incident' | 'rule' | 'priority' | 'container'>;

const keyOf = ({ at_least, rule, app, space, org }: Labels): string =>
  JSON.stringify([at_least, rule, app, space, org]);
