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

/** Why own rules were paused. */
export interface Overrun {
  /** `at once`: one event took too long. */
  readonly limit: 'window' | 'at once';
  /** CPU ms that were spent. */
  readonly spentMs: number;
  readonly periodMs: number;
}

/**
 * What one app's own rules have left, in all its containers on this host. What may be spent in a window may be spent at any moment, and comes back with time:
 * so at most twice that in any one window, and the limit on average. Over the limit there is a pause, longer each time.
 */
export class RuleBudget {
  readonly #periods = new GrowingPeriods();
  #spentMs = 0;
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

  /** Takes CPU time that an event has cost; what it was stopped for, when that is too much. `nowMs` is monotonic. */
  spend(costMs: number, nowMs: number, limits: BudgetLimits): Overrun | undefined {
    const share = limits.cpuPercent / 100;
    this.#spentMs = Math.max(0, this.#spentMs - (nowMs - this.#atMs) * share) + costMs;
    this.#atMs = nowMs;
    const isOverWindow = this.#spentMs > share * BUDGET_WINDOW_MS;
    if (this.#isPaused || !(isOverWindow || costMs > limits.atOnceMs)) return undefined;
    const spentMs = isOverWindow ? this.#spentMs : costMs;
    this.#isPaused = true;
    this.#spentMs = 0;
    const periodMs = this.#periods.begin(nowMs);
    this.#overrun = { limit: isOverWindow ? 'window' : 'at once', spentMs, periodMs };
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
