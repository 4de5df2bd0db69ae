import type { RuleEngineCounters } from '../rules/engine.ts';

/** Rules that are no longer loaded whose detections are kept by name; those of others are one number. */
export const FORMER_RULES_MAX = 1000;

const OTHER = 'other';

/** What the engines of former rule sets have counted: so that no count falls with a reload. */
export class EngineTotals {
  #evaluated = 0;
  #skippedSetup = 0;
  readonly #detections = new Map<string, number>();

  /** An engine has run for the last time. */
  add({ evaluated, skippedSetup, detections }: RuleEngineCounters): void {
    this.#evaluated += evaluated;
    this.#skippedSetup += skippedSetup;
    for (const [rule, count] of detections) {
      if (count === 0) continue;
      const known = this.#detections.has(rule) || this.#detections.size < FORMER_RULES_MAX;
      const name = known ? rule : OTHER;
      this.#detections.set(name, (this.#detections.get(name) ?? 0) + count);
    }
  }

  /** All that was counted, with what the running engine has. */
  with({ evaluated, skippedSetup, detections }: RuleEngineCounters): RuleEngineCounters {
    const sums = new Map(this.#detections);
    for (const [rule, count] of detections) sums.set(rule, (sums.get(rule) ?? 0) + count);
    return {
      evaluated: this.#evaluated + evaluated,
      skippedSetup: this.#skippedSetup + skippedSetup,
      detections: sums,
    };
  }
}
