import { LaneShares, type Measure } from './lane-shares.ts';
import type { RecordLabel } from './record.ts';

/** Share of the limits that only urgent records may use. */
const URGENT_SHARE = 0.1;

/** Bounds of a `Room`. */
export interface RoomBounds {
  /** Of all that waits there, with `besides`. */
  readonly bytes: number;
  /** What a record needs besides itself, bytes. */
  readonly besides: number;
  readonly maxRecords: number;
}

/**
 * Takes out the newest records of a lane, until so much is free or there are no more that may go. Returns how much is free
 * then.
 */
export type DropNewest = (lane: string, measure: Measure, charge: number) => number;

/**
 * Space limit of one place, with fair eviction. When it is full, the lane that holds the most yields. Its own new record is
 * refused; for another lane's record its newest ones are dropped. So a lane below its equal share is never refused. The last
 * tenth is for urgent records.
 */
export class Room {
  readonly #limits: Readonly<Record<Measure, number>>;
  readonly #besides: number;
  readonly #minCharge: number;
  readonly #shares = new LaneShares();

  constructor({ bytes, besides, maxRecords }: RoomBounds) {
    this.#limits = { all: bytes, others: bytes * (1 - URGENT_SHARE) };
    this.#besides = besides;
    // Whole bytes, so that adding and removing a record cancel out exactly.
    this.#minCharge = Math.ceil(bytes / maxRecords);
  }

  /** What a record of so many bytes counts for: at least so much that no more than `maxRecords` fit. */
  chargeOf(bytes: number): number {
    return Math.max(bytes + this.#besides, this.#minCharge);
  }

  add(label: RecordLabel, bytes: number): void {
    this.#shares.add(label, this.chargeOf(bytes));
  }

  remove(label: RecordLabel, bytes: number): void {
    this.#shares.remove(label, this.chargeOf(bytes));
  }

  /** Makes room for a record of `bytes` bytes; false if the record's own lane has to yield. */
  make({ lane, urgent }: RecordLabel, bytes: number, dropNewest: DropNewest): boolean {
    const charge = this.chargeOf(bytes);
    if (!urgent && !this.#giveWay('others', lane, charge, dropNewest)) return false;
    return this.#giveWay('all', lane, charge, dropNewest);
  }

  /** Evicts from the largest lanes until the record fits; false if the record's own lane, with it, is the largest. */
  #giveWay(measure: Measure, lane: string, charge: number, dropNewest: DropNewest): boolean {
    let excess = this.#shares.total(measure) + charge - this.#limits[measure];
    const asked = new Set<string>();
    while (excess > 0) {
      const largest = this.#shares.largest(measure, asked);
      if (largest === undefined) return false;
      const own = this.#shares.of(lane, measure) + charge;
      if (this.#shares.of(largest, measure) <= own) return false;
      excess -= dropNewest(largest, measure, excess);
      asked.add(largest);
    }
    return true;
  }
}
