import type { Delivery } from './stream.ts';

/** Of the texts that are kept, in UTF-16 units: 2 MiB at most. */
const MAX_UNITS = 1024 * 1024;

interface Kept {
  line: string | undefined;
}

/**
 * Cache of the most recently formatted lines. Several streams write each delivery, in different parts of a turn, and formatting
 * is the most expensive step. An evicted line is formatted again.
 */
export class RecentLines {
  readonly #kept = new WeakMap<Delivery, Kept>();
  /** Oldest first, from `#first` on. */
  #queue: Kept[] = [];
  #first = 0;
  #units = 0;

  get(delivery: Delivery, make: () => string): string {
    const known = this.#kept.get(delivery)?.line;
    if (known !== undefined) return known;
    const line = make();
    const kept: Kept = { line };
    this.#kept.set(delivery, kept);
    this.#queue.push(kept);
    this.#units += line.length;
    while (this.#units > MAX_UNITS) this.#forgetOldest();
    return line;
  }

  #forgetOldest(): void {
    const oldest = this.#queue[this.#first++];
    this.#units -= oldest?.line?.length ?? 0;
    if (oldest !== undefined) oldest.line = undefined;
    if (this.#first * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }
}
