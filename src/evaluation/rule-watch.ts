import { CpuClock } from './cpu-clock.ts';
import type { Detection } from '../rules/detection.ts';
import type { RuleObserver } from '../rules/engine.ts';
import { GrowingPeriods } from './growing-periods.ts';
import type { LoadedRule } from '../rules/rule-set.ts';

/** One event of so many, on average, is run rule by rule and measured. */
export const SAMPLED_OF = 256;
/** Rules whose costs are kept by name, those of former rule sets included; the others are one, `other`. */
export const WATCHED_RULES_MAX = 2000;
const OTHER = 'other';

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

export interface RuleWatchOptions {
  /** Called for the first failure of a rule; for further ones after 10 s, 1 min, 10 min, then each hour. */
  readonly onFailure: (failure: RuleFailure) => void;
  readonly clock?: CpuClock;
}

/** Sums of the measured events of one kind. */
interface Measured {
  events: number;
  ms: number;
}

/**
 * Costs of the operator's rules, and which of them throw. Costs are sampled: of 256 events, a random one is run rule by rule
 * and measured, and another one is measured as a whole. The first gives each rule's share, the second the total, since rule by
 * rule takes longer. A field or macro that several rules read is charged to the first of them.
 */
export class RuleWatch implements RuleObserver {
  readonly #options: RuleWatchOptions;
  readonly #clock: CpuClock;
  readonly #costs = new Map<string, Costs>();
  readonly #eventsTold = new GrowingPeriods();
  readonly #whole: Measured = { events: 0, ms: 0 };
  readonly #each: Measured = { events: 0, ms: 0 };
  #eventFailures = 0;
  #untilSample = SAMPLED_OF;
  #isEachNext = false;
  /** Undefined: rules are run one by one for another reason than to measure them. */
  #ratio: number | undefined;

  constructor(options: RuleWatchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? new CpuClock();
  }

  /** Whether this event is to be measured. To be asked once for each. */
  isDue(): boolean {
    if (--this.#untilSample > 0) return false;
    // At random, as events may come in a pattern: 128 on average, for each kind 256.
    this.#untilSample = 1 + Math.floor(Math.random() * (SAMPLED_OF - 1));
    return true;
  }

  /**
   * Measures an event that is due, by one of two ways to run its rules which give the same: `whole`, or `each` with this
   * observer. Throws what `whole` throws.
   */
  sample<Result>(whole: () => Result, each: () => Result): Result {
    const kind = this.#isEachNext ? this.#each : this.#whole;
    this.#isEachNext = !this.#isEachNext;
    // Until both kinds were measured, assumes that both ways take equally long.
    const expected = this.#each.ms * this.#whole.events;
    this.#ratio = expected === 0 ? 1 : Math.min(1, (this.#whole.ms * this.#each.events) / expected);
    this.#clock.start();
    try {
      if (kind === this.#each) return each();
      const result = whole();
      kind.ms += this.#clock.lap();
      return result;
    } finally {
      kind.events++;
      this.#ratio = undefined;
    }
  }

  begin(): void {
    if (this.#ratio !== undefined) this.#clock.lap();
  }

  isOn(): boolean {
    return true;
  }

  onRun(rule: LoadedRule): void {
    if (this.#ratio === undefined) return;
    const ms = this.#clock.lap();
    const costs = this.#of(rule);
    costs.runs++;
    costs.conditionMs += ms * this.#ratio;
    this.#each.ms += ms;
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
    this.#clock.start();
    try {
      return write();
    } catch (error) {
      this.onFailure(rule, error);
      return { unwritten: reasonOf(error) };
    } finally {
      this.#of(rule).outputMs += this.#clock.lap();
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
    const nowMs = this.#clock.now();
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
