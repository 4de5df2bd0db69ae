/** What was taken leaves the front of the list when it is so much, and half of it: an element a time would move all others. */
const MOVE_AT = 1024;

/** What waits of one container for one stream, in order, with the memory that it takes. */
export class Lane<Item extends { readonly bytes: number; readonly isUrgent: boolean }> {
  readonly key: string;
  #items: (Item | undefined)[] = [];
  #first = 0;
  #bytes = 0;
  #urgentBytes = 0;

  constructor(key: string) {
    this.key = key;
  }

  get length(): number {
    return this.#items.length - this.#first;
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
    const item = this.#items[this.#first];
    if (item === undefined) return undefined;
    this.#items[this.#first++] = undefined;
    this.#leave(item);
    if (this.#first >= MOVE_AT && this.#first * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  /** Takes out what fits, in order. */
  takeWhere(fits: (item: Item) => boolean): readonly Item[] {
    const taken: Item[] = [];
    const kept: Item[] = [];
    for (const item of this.#items) if (item !== undefined) (fits(item) ? taken : kept).push(item);
    this.#items = kept;
    this.#first = 0;
    for (const item of taken) this.#leave(item);
    return taken;
  }

  #leave({ bytes, isUrgent }: Item): void {
    this.#bytes -= bytes;
    if (isUrgent) this.#urgentBytes -= bytes;
  }
}
