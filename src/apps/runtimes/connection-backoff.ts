import { Backoff } from '../../shared/backoff.ts';

/** The maximum is low: it delays the first detections of containers that start before the reconnect. */
const WAITS = { firstMs: 250, maxMs: 2_000 };
/** A connection that ends sooner counts as another failed attempt. */
const STABLE_MS = 10_000;

/** Backoff for reconnecting to a runtime: 250 ms to 2 s, with jitter. Resets only after a connection that lasted 10 s. */
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
