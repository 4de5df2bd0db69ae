import { Fifo } from '../shared/fifo.ts';

/** What waits of one container for one stream, in order, with the memory that it takes. */
export class Lane<Item extends { readonly bytes: number; readonly isUrgent: boolean }> {
  readonly key: string;
  readonly #items = new Fifo<Item>();
  #bytes = 0;
  #urgentBytes = 0;

  constructor(key: string) {
    this.key = key;
  }

  get length(): number {
    return this.#items.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of `bytes`, those of urgent items. */
  get urgentBytes(): number {
    return this.#urgentBytes;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#bytes += item.bytes;
    if (item.isUrgent) this.#urgentBytes += item.bytes;
  }

  shift(): Item | undefined {
    const item = this.#items.shift();
    if (item !== undefined) this.#leave(item);
    return item;
  }

  /** Removes and returns the items that `fits` accepts, in order. */
  takeWhere(fits: (item: Item) => boolean): readonly Item[] {
    const taken = this.#items.takeWhere(fits);
    for (const item of taken) this.#leave(item);
    return taken;
  }

  #leave({ bytes, isUrgent }: Item): void {
    this.#bytes -= bytes;
    if (isUrgent) this.#urgentBytes -= bytes;
  }
}
