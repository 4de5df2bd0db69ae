import { Backoff } from '../../shared/backoff.ts';

/** The most is low: containers that start before we are back have their first detections held that long. */
const WAITS = { firstMs: 250, maxMs: 2_000 };
/** A connection that ends sooner counts as another failed attempt. */
const STABLE_MS = 10_000;

/**
 * How long to wait before a runtime is connected to again: 250 ms to 2 s, with jitter. It begins anew only after a connection
 * that held for 10 s.
 */
export class ConnectionBackoff {
  readonly #nowMs: () => number;
  readonly #backoff: Backoff;
  #connectedAtMs: number | undefined;

  /** `nowMs` is monotonic. */
  constructor(nowMs: () => number = () => performance.now(), random?: () => number) {
    this.#nowMs = nowMs;
    this.#backoff = new Backoff(WAITS, random);
  }

  connected(): void {
    this.#connectedAtMs = this.#nowMs();
  }

  /** The attempt failed or the connection ended: ms to wait before the next. */
  nextMs(): number {
    const heldMs = this.#connectedAtMs === undefined ? 0 : this.#nowMs() - this.#connectedAtMs;
    this.#connectedAtMs = undefined;
    if (heldMs >= STABLE_MS) this.#backoff.reset();
    return this.#backoff.nextMs();
  }
}
