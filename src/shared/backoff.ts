/** Waits between attempts, ms: the first, and the most that a wait grows to. */
export interface Waits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** The wait after so many attempts that failed before: it doubles with each. */
export function waitAfter(failures: number, { firstMs, maxMs }: Waits): number {
  return Math.min(firstMs * 2 ** Math.min(failures, 50), maxMs);
}

/** Exponential backoff with jitter: each wait is shortened by a random part, up to half, so that hosts do not retry together. */
export class Backoff {
  readonly #waits: Waits;
  readonly #random: () => number;
  #failures = 0;

  /** `random` gives 0 to 1. */
  constructor(waits: Waits, random: () => number = Math.random) {
    this.#waits = waits;
    this.#random = random;
  }

  /** An attempt failed: ms to wait before the next. */
  nextMs(): number {
    return waitAfter(this.#failures++, this.#waits) * (1 - this.#random() / 2);
  }

  /** An attempt succeeded: waits begin with the first again. */
  reset(): void {
    this.#failures = 0;
  }
}
