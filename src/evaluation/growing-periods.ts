/** How long something is off: the first time, the second time, …; the last one from then on. */
const PERIODS_MS = [10_000, 60_000, 600_000, 3_600_000] as const;
/** After so long without trouble the next period is the first one again. */
const GOOD_MS = 3_600_000;

/** Periods that grow with each trouble: 10 s, 1 min, 10 min, then 1 h; the first one again after a good hour. */
export class GrowingPeriods {
  #next = 0;
  #untilMs = -Infinity;

  /** Begins the next period, and returns its length in ms. `nowMs` is any monotonic clock. */
  begin(nowMs: number): number {
    if (nowMs - this.#untilMs >= GOOD_MS) this.#next = 0;
    const periodMs = PERIODS_MS[this.#next] ?? 0;
    this.#next = Math.min(this.#next + 1, PERIODS_MS.length - 1);
    this.#untilMs = nowMs + periodMs;
    return periodMs;
  }

  /** Whether the period that began last still runs. */
  isRunning(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }
}
