import { GrowingPeriods } from '../evaluation/growing-periods.ts';

/** The CPU time that one app's own rules may take on this host. */
export interface BudgetLimits {
  /** Percent of one core, over BUDGET_WINDOW_MS. */
  readonly cpuPercent: number;
  /** For one event. */
  readonly atOnceMs: number;
}

export const DEFAULT_BUDGET: BudgetLimits = { cpuPercent: 2, atOnceMs: 20 };
export const BUDGET_WINDOW_MS = 10_000;
/**
 * A whole window must not be spent in one go: all other apps' events would wait. So the limit within this time is five times the share, or
 * twice the limit for one event if that is more.
 */
export const BURST_WINDOW_MS = 250;
const BURST_FACTOR = 5;

/** Limit on the time spent within BURST_WINDOW_MS: by default 40 ms, twice the limit for one event. */
export function burstMs({ cpuPercent, atOnceMs }: BudgetLimits): number {
  return Math.max((BURST_FACTOR * cpuPercent * BURST_WINDOW_MS) / 100, 2 * atOnceMs);
}

/** Why own rules were paused. */
export interface Overrun {
  /** `at once`: one event took too long. `burst`: too much within BURST_WINDOW_MS. `window`: too much within BUDGET_WINDOW_MS. */
  readonly limit: 'window' | 'burst' | 'at once';
  /** CPU ms that were spent. */
  readonly spentMs: number;
  readonly periodMs: number;
}

/**
 * The remaining budget of one app's own rules, over all its containers on this host: for a window, and for a burst. Each may be
 * spent at any moment and refills over time. So any one window or burst sees at most twice the limit, and the average keeps to
 * it. Exceeding a limit causes a pause, longer each time.
 */
export class RuleBudget {
  readonly #periods = new GrowingPeriods();
  #spentMs = 0;
  #burstSpentMs = 0;
  #atMs = 0;
  #isPaused = false;
  #overrun: Overrun | undefined;
  /** Number of containers that share it. */
  containers = 0;

  /** Its key in AppBudgets. */
  readonly key: string;

  constructor(key = '') {
    this.key = key;
  }

  /** The reason for the current or last pause; undefined before the first. */
  get overrun(): Overrun | undefined {
    return this.#overrun;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Charges the CPU time of an event; returns the overrun if that causes a pause. `nowMs` is monotonic.
   * @param atOnceMs Infinity for costs of several events, of which no single one is too much
   */
  spend(
    costMs: number,
    nowMs: number,
    limits: BudgetLimits,
    atOnceMs = limits.atOnceMs,
  ): Overrun | undefined {
    const share = limits.cpuPercent / 100;
    const passedMs = nowMs - this.#atMs;
    this.#spentMs = Math.max(0, this.#spentMs - passedMs * share) + costMs;
    // A cost without a limit at once (compiling a rule) does not count as a burst either.
    const mostMs = burstMs(limits);
    if (mostMs < Infinity) {
      const back = (passedMs * mostMs) / BURST_WINDOW_MS;
      this.#burstSpentMs = Math.max(0, this.#burstSpentMs - back) + costMs;
    }
    this.#atMs = nowMs;
    if (this.#isPaused) return undefined;
    const over =
      this.#spentMs > share * BUDGET_WINDOW_MS
        ? ({ limit: 'window', spentMs: this.#spentMs } as const)
        : costMs > atOnceMs
          ? ({ limit: 'at once', spentMs: costMs } as const)
          : this.#burstSpentMs > mostMs
            ? ({ limit: 'burst', spentMs: this.#burstSpentMs } as const)
            : undefined;
    if (over === undefined) return undefined;
    this.#isPaused = true;
    this.#spentMs = 0;
    this.#burstSpentMs = 0;
    this.#overrun = { ...over, periodMs: this.#periods.begin(nowMs) };
    return this.#overrun;
  }

  /** Ends a pause that has expired; returns whether it did. */
  resume(nowMs: number): boolean {
    if (!this.#isPaused || this.#periods.isRunning(nowMs)) return false;
    this.#isPaused = false;
    this.#atMs = nowMs;
    return true;
  }
}
