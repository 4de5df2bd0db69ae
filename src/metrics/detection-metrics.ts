import { Counter, type Registry } from 'prom-client';
import type { Priority } from '../rules/detection.ts';

/** Rules that have series of their own; the others are counted as `other`. */
export const RULE_SERIES_MAX = 1000;

/** Counts detections by rule and priority. */
export class DetectionMetrics {
  /** Since the last scrape: the library's counters are slow for a thousand calls a second. */
  readonly #rules = new Map<string, Map<Priority, number>>();

  constructor(registers: Registry[]) {
    const rules = this.#rules;
    new Counter({
      name: 'varvel_detections_total',
      help: 'Detections, by rule.',
      labelNames: ['rule', 'priority'],
      registers,
      collect() {
        for (const [rule, counts] of rules) {
          for (const [priority, count] of counts) this.inc({ rule, priority }, count);
          counts.clear();
        }
      },
    });
  }

  count(rule: string, priority: Priority): void {
    let counts = this.#rules.get(rule);
    if (counts === undefined) {
      const name = this.#rules.size < RULE_SERIES_MAX ? rule : 'other';
      counts = this.#rules.get(name) ?? new Map<Priority, number>();
      this.#rules.set(name, counts);
    }
    counts.set(priority, (counts.get(priority) ?? 0) + 1);
  }
}
