import type { RecordLabel } from './record.ts';

interface Lane<Item> {
  readonly key: string;
  items: Item[];
  head: number;
}

/** Where a lane's array is cut, so that what was taken does not stay in memory. */
const COMPACT_FROM = 1024;

/**
 * First in, first out within a lane; lanes take turns, one item each. Urgent items are lanes of their own, which all go
 * before the others. Every operation but `dropNewest` takes constant time on average.
 */
export class FairQueue<Item extends RecordLabel> {
  readonly #urgent = new Map<string, Lane<Item>>();
  readonly #others = new Map<string, Lane<Item>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: Item): void {
    const lanes = item.urgent ? this.#urgent : this.#others;
    let lane = lanes.get(item.lane);
    if (lane === undefined) {
      lane = { key: item.lane, items: [], head: 0 };
      lanes.set(lane.key, lane);
    }
    lane.items.push(item);
    this.#size++;
  }

  /** The next item; undefined when there is none. */
  shift(): Item | undefined {
    return this.#shiftFrom(this.#urgent) ?? this.#shiftFrom(this.#others);
  }

  /**
   * Removes the newest item of a lane, urgent or not, that is not `kept` and that `mayGo` accepts; undefined if there is none.
   * Takes time for each newer item that stays.
   */
  dropNewest(key: string, urgent: boolean, mayGo: (item: Item) => boolean): Item | undefined {
    const lanes = urgent ? this.#urgent : this.#others;
    const lane = lanes.get(key);
    if (lane === undefined) return undefined;
    const stays = (item: Item | undefined): boolean =>
      item === undefined || item.kept === true || !mayGo(item);
    let at = lane.items.length - 1;
    while (at >= lane.head && stays(lane.items[at])) at--;
    if (at < lane.head) return undefined;
    const [item] = lane.items.splice(at, 1);
    if (lane.head === lane.items.length) lanes.delete(key);
    this.#size--;
    return item;
  }

  /** The first item of each lane. */
  *heads(): Generator<Item> {
    for (const lanes of [this.#urgent, this.#others]) {
      for (const { items, head } of lanes.values()) {
        const item = items[head];
        if (item !== undefined) yield item;
      }
    }
  }

  #shiftFrom(lanes: Map<string, Lane<Item>>): Item | undefined {
    // A map keeps insertion order: the first lane has its turn, then moves to the end.
    for (const lane of lanes.values()) {
      lanes.delete(lane.key);
      const item = lane.items[lane.head++];
      if (lane.head < lane.items.length) lanes.set(lane.key, lane);
      if (lane.head >= COMPACT_FROM) {
        lane.items = lane.items.slice(lane.head);
        lane.head = 0;
      }
      this.#size--;
      return item;
    }
    return undefined;
  }
}
