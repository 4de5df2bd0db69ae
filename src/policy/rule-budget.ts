import { GrowingPeriods } from '../evaluation/growing-periods.ts';

/** The CPU time that one app's own rules may take on this host. */
export interface BudgetLimits {
  /** Of one core, over BUDGET_WINDOW_MS. */
  readonly cpuPercent: number;
  /** For one event. */
  readonly atOnceMs: number;
}

export const DEFAULT_BUDGET: BudgetLimits = { cpuPercent: 2, atOnceMs: 20 };
export const BUDGET_WINDOW_MS = 10_000;
/** All of a window may not be spent in one go: every other app’s events would wait for as long. Five times the share, in this time. */
export const BURST_WINDOW_MS = 250;
const BURST_FACTOR = 5;

/** What may be spent within BURST_WINDOW_MS: by default 40 ms, twice what one event may take. */
export function burstMs({ cpuPercent, atOnceMs }: BudgetLimits): number {
  return Math.max((BURST_FACTOR * cpuPercent * BURST_WINDOW_MS) / 100, 2 * atOnceMs);
}

/** Why own rules were paused. */
export interface Overrun {
  /** `at once`: one event took too long. `burst`: too much within BURST_WINDOW_MS. */
  readonly limit: 'window' | 'burst' | 'at once';
  /** CPU ms that were spent. */
  readonly spentMs: number;
  readonly periodMs: number;
}

/**
 * What one app's own rules have left, in all its containers on this host: of a window, and of a burst. What may be spent in
 * either may be spent at any moment, and comes back with time: so at most twice that in any one, and the limit on average. Over
 * a limit there is a pause, longer each time.
 */
export class RuleBudget {
  readonly #periods = new GrowingPeriods();
  #spentMs = 0;
  #burstSpentMs = 0;
  #atMs = 0;
  #isPaused = false;
  #overrun: Overrun | undefined;
  /** Containers that share it. */
  containers = 0;

  /** Whose it is, in AppBudgets. */
  readonly key: string;

  constructor(key = '') {
    this.key = key;
  }

  /** Why there is, or was, a pause; undefined before the first. */
  get overrun(): Overrun | undefined {
    return this.#overrun;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Takes CPU time that an event has cost; what it was stopped for, when that is too much. `nowMs` is monotonic.
   * @param atOnceMs for costs of more than one event: none of them is too much by itself
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
    // A cost that has no bound at once (a rule is compiled) is no burst either.
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

  /** Ends a pause whose time has come; whether it did. */
  resume(nowMs: number): boolean {
    if (!this.#isPaused || this.#periods.isRunning(nowMs)) return false;
    this.#isPaused = false;
    this.#atMs = nowMs;
    return true;
  }
}
