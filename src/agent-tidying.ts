import type { Usage } from './metrics/own-usage.ts';

/** Below this share of one CPU the agent is quiet: a collection stops it for about 100 ms, which nobody waits for then. */
const QUIET_PERCENT = 30;
/** Seconds that it must be quiet. */
const QUIET_TICKS = 5;
/** Memory more than after the collection before, for another to be worth it. */
const GROWN_BYTES = 24 << 20;

/**
 * Gives memory back after a storm. V8 keeps the heap as large as it was once, until it is used again: an agent that stays at
 * what one storm cost leaves less to the next one.
 */
export class Tidying {
  readonly #collectGarbage: () => void;
  readonly #residentBytes: () => number;
  #quietTicks = 0;
  /** Resident after the last collection. */
  #levelBytes = 0;

  constructor(collectGarbage: () => void, residentBytes: () => number) {
    this.#collectGarbage = collectGarbage;
    this.#residentBytes = residentBytes;
  }

  /** To be called every second with what is used. */
  onTick({ cpuPercent, memoryBytes }: Usage): void {
    this.#quietTicks = cpuPercent < QUIET_PERCENT ? this.#quietTicks + 1 : 0;
    if (this.#quietTicks < QUIET_TICKS || memoryBytes < this.#levelBytes + GROWN_BYTES) return;
    this.#quietTicks = 0;
    this.#collectGarbage();
    this.#levelBytes = this.#residentBytes();
  }
}
