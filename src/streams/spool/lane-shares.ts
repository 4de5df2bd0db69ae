import type { RecordLabel } from './record.ts';

/** What is measured: all of a lane's records, or those that are not urgent. */
export type Measure = 'all' | 'others';

type Share = Record<Measure, number>;

/** How much of a spool each lane holds, and which holds the most. Bytes. */
export class LaneShares {
  readonly #lanes = new Map<string, Share>();
  readonly #total: Share = { all: 0, others: 0 };
  /** The lane with the most, where it is known: looking for it takes a walk over the lanes. */
  readonly #largest: Record<Measure, string | undefined> = { all: undefined, others: undefined };

  total(measure: Measure): number {
    return this.#total[measure];
  }

  of(lane: string, measure: Measure): number {
    return this.#lanes.get(lane)?.[measure] ?? 0;
  }

  add({ lane, urgent }: RecordLabel, bytes: number): void {
    let share = this.#lanes.get(lane);
    if (share === undefined) {
      share = { all: 0, others: 0 };
      this.#lanes.set(lane, share);
    }
    for (const measure of measuresOf(urgent)) {
      share[measure] += bytes;
      this.#total[measure] += bytes;
      const largest = this.#largest[measure];
      if (largest !== undefined && share[measure] > this.of(largest, measure))
        this.#largest[measure] = lane;
    }
  }

  remove({ lane, urgent }: RecordLabel, bytes: number): void {
    const share = this.#lanes.get(lane);
    if (share === undefined) return;
    for (const measure of measuresOf(urgent)) {
      share[measure] -= bytes;
      this.#total[measure] -= bytes;
      if (this.#largest[measure] === lane) this.#largest[measure] = undefined;
    }
    if (share.all === 0) this.#lanes.delete(lane);
  }

  /** The lane that holds the most, of those that are not left out; undefined when there is none. */
  largest(measure: Measure, leftOut: ReadonlySet<string>): string | undefined {
    const known = this.#largest[measure];
    if (known !== undefined && !leftOut.has(known)) return known;
    let largest: string | undefined;
    let most = 0;
    for (const [lane, share] of this.#lanes) {
      if (share[measure] <= most || leftOut.has(lane)) continue;
      largest = lane;
      most = share[measure];
    }
    if (leftOut.size === 0) this.#largest[measure] = largest;
    return largest;
  }
}

const ALL: readonly Measure[] = ['all'];
const BOTH: readonly Measure[] = ['all', 'others'];

const measuresOf = (urgent: boolean): readonly Measure[] => (urgent ? ALL : BOTH);
