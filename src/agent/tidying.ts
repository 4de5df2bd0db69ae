import type { Usage } from '../metrics/own-usage.ts';

/** Below this percentage of one CPU the agent counts as quiet: a collection stops it for about 100 ms, which then delays nobody. */
export const QUIET_PERCENT = 30;
/** Seconds of quiet before each collection: ended processes are kept for five. */
const QUIET_TICKS = 8;
/** A collection is worthwhile if memory exceeds the lowest level after a collection by this much. */
const GROWN_BYTES = 16 << 20;
/** Limit on collections in one quiet time: memory in use does not shrink by more of them. */
const MAX_COLLECTIONS = 3;

/**
 * Returns memory to the system after a storm. V8 keeps the heap at its largest size until it is used again. An agent that keeps
 * a storm's memory leaves less for the next one.
 */
export class Tidying {
  readonly #collectGarbage: () => void;
  readonly #residentBytes: () => number;
  #quietTicks = 0;
  #collections = 0;
  /** The lowest resident size after a collection. */
  #levelBytes = 0;

  constructor(collectGarbage: () => void, residentBytes: () => number) {
    this.#collectGarbage = collectGarbage;
    this.#residentBytes = residentBytes;
  }

  /** Call every second with the current use. */
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
