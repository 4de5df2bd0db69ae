const MIN_MS = 250;
/** Low: containers that start before we are back have their first detections held that long. */
const MAX_MS = 2_000;
/** A connection that ends sooner counts as another failed attempt. */
const STABLE_MS = 10_000;

/**
 * How long to wait before a runtime is connected to again: 250 ms, twice as long each time, 2 s at most, of which a random
 * half is left out. It begins anew only after a connection that held for 10 s.
 */
export class Backoff {
  readonly #nowMs: () => number;
  readonly #random: () => number;
  #waitMs = MIN_MS;
  #connectedAtMs: number | undefined;

  /** `nowMs` is monotonic. */
  constructor(nowMs: () => number = () => performance.now(), random: () => number = Math.random) {
    this.#nowMs = nowMs;
    this.#random = random;
  }

  connected(): void {
    this.#connectedAtMs = this.#nowMs();
  }

  /** The attempt failed or the connection ended: ms to wait before the next. */
  nextMs(): number {
    const heldMs = this.#connectedAtMs === undefined ? 0 : this.#nowMs() - this.#connectedAtMs;
    this.#connectedAtMs = undefined;
    if (heldMs >= STABLE_MS) this.#waitMs = MIN_MS;
    const waitMs = this.#waitMs * (1 - this.#random() / 2);
    this.#waitMs = Math.min(this.#waitMs * 2, MAX_MS);
    return waitMs;
  }
}
