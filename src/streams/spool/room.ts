import { LaneShares, type Measure } from './lane-shares.ts';
import type { RecordLabel } from './record.ts';

/** Of the bounds, what only urgent records may use. */
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
 * How much may wait in one place, and who gives way when that is full: the lane that holds the most of it. Its own new
 * record is refused, and for another lane's its newest ones are dropped. So a lane below its equal share is never
 * refused. The last tenth is for urgent records.
 */
export class Room {
  readonly #limits: Readonly<Record<Measure, number>>;
  readonly #besides: number;
  readonly #minCharge: number;
  readonly #shares = new LaneShares();

  constructor({ bytes, besides, maxRecords }: RoomBounds) {
    this.#limits = { all: bytes, others: bytes * (1 - URGENT_SHARE) };
    this.#besides = besides;
    // Whole bytes: what is added and taken away again comes to nothing.
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

  /** Makes room for a record of so many bytes; false when its lane is to give way itself. */
  make({ lane, urgent }: RecordLabel, bytes: number, dropNewest: DropNewest): boolean {
    const charge = this.chargeOf(bytes);
    if (!urgent && !this.#giveWay('others', lane, charge, dropNewest)) return false;
    return this.#giveWay('all', lane, charge, dropNewest);
  }

  /** The lane with the most gives way until the record fits; false when that is the record's own, with it. */
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
