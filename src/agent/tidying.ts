import type { Usage } from '../metrics/own-usage.ts';

/** Below this share of one CPU the agent is quiet: a collection stops it for about 100 ms, which nobody waits for then. */
export const QUIET_PERCENT = 30;
/** Seconds that it must be quiet before each collection: processes that ended are kept for five. */
const QUIET_TICKS = 8;
/** Memory more than after the best collection so far, for another to be worth it. */
const GROWN_BYTES = 16 << 20;
/** Collections in one quiet time: what is in use stays, however often it is looked at. */
const MAX_COLLECTIONS = 3;

/**
 * Gives memory back after a storm. V8 keeps the heap as large as it was once, until it is used again: an agent that stays at
 * what one storm cost leaves less to the next one.
 */
export class Tidying {
  readonly #collectGarbage: () => void;
  readonly #residentBytes: () => number;
  #quietTicks = 0;
  #collections = 0;
  /** The least that was resident after a collection. */
  #levelBytes = 0;

  constructor(collectGarbage: () => void, residentBytes: () => number) {
    this.#collectGarbage = collectGarbage;
    this.#residentBytes = residentBytes;
  }

  /** To be called every second with what is used. */
  onTick({ cpuPercent, memoryBytes }: Usage): void {
    if (cpuPercent >= QUIET_PERCENT) {
      this.#quietTicks = 0;
      this.#collections = 0;
      return;
    }
    this.#quietTicks++;
    const isWorthIt =
      memoryBytes > this.#levelBytes + GROWN_BYTES && this.#collections < MAX_COLLECTIONS;
    if (this.#quietTicks < QUIET_TICKS || !isWorthIt) return;
    this.#quietTicks = 0;
    this.#collections++;
    this.#collectGarbage();
    const after = this.#residentBytes();
    this.#levelBytes = this.#levelBytes === 0 ? after : Math.min(this.#levelBytes, after);
  }
}
