import type { Detection } from './detection.ts';
import type { RuleObserver } from './engine.ts';
import { GrowingPeriods } from './growing-periods.ts';
import type { LoadedRule } from './rule-set.ts';

/** One event of so many, on average, is run rule by rule and measured. */
export const SAMPLED_OF = 256;
/** Rules whose costs are kept by name, those of former rule sets included; the others are one, `other`. */
export const WATCHED_RULES_MAX = 2000;
const OTHER = 'other';
/** Readings of the clock by which the cost of one is found. */
const READINGS = 1000;

/** What a rule has cost since the agent's start. */
export interface RuleCost {
  /** An estimate: SAMPLED_OF times the runs that were measured. */
  readonly evaluations: number;
  /** The same of the time of its condition; with that of its outputs, of which each is measured. */
  readonly seconds: number;
  /** How often its condition or its output threw. */
  readonly failures: number;
}

/** Why an output is missing, for the line that goes out without it. */
export interface Unwritten {
  readonly unwritten: string;
}

/** Something that threw, for the log. */
export interface RuleFailure {
  /** Undefined: no rule, but what is done for every event. */
  readonly rule: string | undefined;
  readonly error: unknown;
  /** Of this rule, since the agent's start. */
  readonly failures: number;
}

interface Costs {
  runs: number;
  conditionMs: number;
  outputMs: number;
  failures: number;
  readonly told: GrowingPeriods;
}

/** Options of `RuleWatch`. */
export interface RuleWatchOptions {
  /** Called for the first failure of a rule; for further ones after 10 s, 1 min, 10 min, then each hour. */
  readonly onFailure: (failure: RuleFailure) => void;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
}

/**
 * What the operator's rules cost, and which of them throw. Costs are sampled: one event of 256, at random, is run rule by
 * rule with the clock read after each; the others pay nothing. A field or macro that several rules read is a cost of the first.
 */
export class RuleWatch implements RuleObserver {
  readonly #options: RuleWatchOptions;
  readonly #nowMs: () => number;
  readonly #readingMs: number;
  readonly #costs = new Map<string, Costs>();
  readonly #eventsTold = new GrowingPeriods();
  #eventFailures = 0;
  #untilSample = SAMPLED_OF;
  #sampling = false;
  #lastMs = 0;

  constructor(options: RuleWatchOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#readingMs = readingMs(this.#nowMs);
  }

  /** Whether this event is one of those that are measured. To be asked once for each. */
  isDue(): boolean {
    if (--this.#untilSample > 0) return false;
    // At random: events may come in a pattern.
    this.#untilSample = 1 + Math.floor(Math.random() * (2 * SAMPLED_OF - 1));
    return true;
  }

  /** What follows is one of the sampled events, or the repetition of one in which a rule threw. */
  startEvent(sampling: boolean): void {
    this.#sampling = sampling;
  }

  begin(): void {
    this.#lastMs = this.#nowMs();
  }

  isOn(): boolean {
    return true;
  }

  onRun(rule: LoadedRule): void {
    if (!this.#sampling) return;
    const nowMs = this.#nowMs();
    const costs = this.#of(rule);
    costs.runs++;
    costs.conditionMs += Math.max(0, nowMs - this.#lastMs - this.#readingMs);
    this.#lastMs = nowMs;
  }

  onFailure(rule: LoadedRule, error: unknown): void {
    const costs = this.#of(rule);
    this.#tell(costs.told, { rule: rule.name, error, failures: ++costs.failures });
  }

  /** An event was given up: something threw that is no rule's. */
  onEventFailure(error: unknown): void {
    this.#tell(this.#eventsTold, { rule: undefined, error, failures: ++this.#eventFailures });
  }

  /** Events that were given up. Monotonic. */
  get eventFailures(): number {
    return this.#eventFailures;
  }

  /** Writes the output of a match: measured, and a failure is the rule's. */
  written(rule: LoadedRule, write: () => Detection): Detection | Unwritten {
    const startedMs = this.#nowMs();
    try {
      return write();
    } catch (error) {
      this.onFailure(rule, error);
      return { unwritten: reasonOf(error) };
    } finally {
      this.#of(rule).outputMs += Math.max(0, this.#nowMs() - startedMs - this.#readingMs);
    }
  }

  /** By the rule's name, for every rule that was measured or has failed. */
  costs(): ReadonlyMap<string, RuleCost> {
    return new Map(
      [...this.#costs].map(([rule, { runs, conditionMs, outputMs, failures }]) => [
        rule,
        {
          evaluations: runs * SAMPLED_OF,
          seconds: (conditionMs * SAMPLED_OF + outputMs) / 1000,
          failures,
        },
      ]),
    );
  }

  #tell(told: GrowingPeriods, failure: RuleFailure): void {
    const nowMs = this.#nowMs();
    if (told.isRunning(nowMs)) return;
    told.begin(nowMs);
    this.#options.onFailure(failure);
  }

  #of({ name }: LoadedRule): Costs {
    const key = this.#costs.has(name) || this.#costs.size < WATCHED_RULES_MAX ? name : OTHER;
    let costs = this.#costs.get(key);
    if (costs === undefined) {
      costs = { runs: 0, conditionMs: 0, outputMs: 0, failures: 0, told: new GrowingPeriods() };
      this.#costs.set(key, costs);
    }
    return costs;
  }
}

/** What an error says, without its stack, in a length that a line can bear. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, 200);
}

/** What reading the clock costs, so that a rule of 50 ns is not shown as one of 90. */
function readingMs(nowMs: () => number): number {
  const startMs = nowMs();
  let lastMs = startMs;
  for (let reading = 0; reading < READINGS; reading++) lastMs = nowMs();
  return (lastMs - startMs) / READINGS;
}
