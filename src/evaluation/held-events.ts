import { Fifo } from '../shared/fifo.ts';
import { RecentMap } from '../shared/recent-map.ts';

/** Bounds and clock of a `HeldQueue`. */
export interface HeldQueueOptions<T> {
  readonly maxPerKey: number;
  readonly maxTotal: number;
  /** What an item costs; the same each time it is asked. Default: nothing. */
  readonly bytesOf?: (item: T) => number;
  /** Bounds on that. Default: none. */
  readonly maxBytesPerKey?: number;
  readonly maxBytesTotal?: number;
  /** Called for each item whose time is up, oldest first per key. Must not throw. */
  readonly onExpired: (item: T, key: number) => void;
}

/** Monotonic counts, and what is held now. */
export interface HeldQueueCounters {
  readonly held: number;
  readonly heldBytes: number;
  readonly dropped: number;
  readonly discarded: number;
  readonly expired: number;
}

interface KeyQueue<T> {
  readonly items: Fifo<{ readonly item: T; readonly deadlineMs: number }>;
  bytes: number;
}

/** How many keys' drop counts are remembered. */
const MAX_DROP_KEYS = 16384;

/**
 * Items that wait for something to become known about their key: a cgroup's events for its identity, a
 * container's detections for their app. First in, first out per key. When a key or the whole queue is full, by count or
 * by bytes, the newest item is dropped and counted to its key. Owns the items until it hands them over (so events
 * must be detached before). Time is the caller's: deadlines and `expire` use one monotonic clock in ms.
 */
export class HeldQueue<T> {
  readonly #options: HeldQueueOptions<T>;
  readonly #queues = new Map<number, KeyQueue<T>>();
  readonly #droppedByKey = new RecentMap<number, number>(MAX_DROP_KEYS);
  #total = 0;
  #totalBytes = 0;
  #dropped = 0;
  #discarded = 0;
  #expired = 0;
  #nextDeadlineMs = Infinity;

  constructor(options: HeldQueueOptions<T>) {
    this.#options = options;
  }

  /** Keeps an item until `deadlineMs`. False: it was dropped, and counted. */
  hold(key: number, item: T, deadlineMs: number): boolean {
    if (this.holdIfRoom(key, item, deadlineMs)) return true;
    this.#countDrop(key, 1);
    return false;
  }

  /** The same, but that the caller has other plans for what there is no room for. */
  holdIfRoom(key: number, item: T, deadlineMs: number): boolean {
    let queue = this.#queues.get(key);
    const size = queue?.items.length ?? 0;
    const bytes = this.#bytesOf(item);
    const {
      maxPerKey,
      maxTotal,
      maxBytesPerKey = Infinity,
      maxBytesTotal = Infinity,
    } = this.#options;
    if (
      size >= maxPerKey ||
      this.#total >= maxTotal ||
      (queue?.bytes ?? 0) + bytes > maxBytesPerKey ||
      this.#totalBytes + bytes > maxBytesTotal
    )
      return false;
    if (queue === undefined) {
      queue = { items: new Fifo(), bytes: 0 };
      this.#queues.set(key, queue);
    }
    // Order within a key matters: an item never overtakes an earlier one with a later deadline.
    const previousMs = queue.items.last?.deadlineMs ?? -Infinity;
    queue.items.push({ item, deadlineMs: Math.max(previousMs, deadlineMs) });
    queue.bytes += bytes;
    this.#totalBytes += bytes;
    this.#total++;
    if (deadlineMs < this.#nextDeadlineMs) this.#nextDeadlineMs = deadlineMs;
    return true;
  }

  /** Whether the oldest item of the key has waited long enough. */
  isDue(key: number, nowMs: number): boolean {
    return (this.#queues.get(key)?.items.first?.deadlineMs ?? Infinity) <= nowMs;
  }

  /** Whether anything waits for this key. */
  has(key: number): boolean {
    return this.#queues.has(key);
  }

  /** Hands over all that waits for the key, in order, and forgets it. Returns how many. */
  release(key: number, deliver: (item: T) => void): number {
    const queue = this.#take(key);
    if (queue === undefined) return 0;
    // Taken out before: what `deliver` holds anew under this key starts a new queue.
    const count = queue.items.length;
    for (let first = queue.items.shift(); first !== undefined; first = queue.items.shift())
      deliver(first.item);
    return count;
  }

  /** Drops all items of the key: they were not wanted, so they do not count as lost. Returns how many. */
  discard(key: number): number {
    const queue = this.#take(key);
    const count = queue?.items.length ?? 0;
    this.#discarded += count;
    return count;
  }

  /** Hands every item whose deadline is not after `nowMs` to `onExpired`. Cheap when none is due. */
  expire(nowMs: number): void {
    if (nowMs < this.#nextDeadlineMs) return;
    let next = Infinity;
    const due: [number, T][] = [];
    for (const [key, queue] of this.#queues) {
      const { items } = queue;
      let first = items.first;
      for (; first !== undefined && first.deadlineMs <= nowMs; first = items.first) {
        const { item } = first;
        items.shift();
        due.push([key, item]);
        queue.bytes -= this.#bytesOf(item);
        this.#totalBytes -= this.#bytesOf(item);
      }
      if (first === undefined) this.#queues.delete(key);
      else next = Math.min(next, first.deadlineMs);
    }
    this.#nextDeadlineMs = next;
    this.#total -= due.length;
    this.#expired += due.length;
    for (const [key, item] of due) this.#options.onExpired(item, key);
  }

  /** Hands everything over as expired: the end of the agent. */
  drain(): void {
    this.#nextDeadlineMs = -Infinity;
    this.expire(Infinity);
  }

  /** Items of this key that were dropped; the counts of the 16384 keys that dropped last are remembered. */
  droppedOf(key: number): number {
    return this.#droppedByKey.get(key) ?? 0;
  }

  counters(): HeldQueueCounters {
    return {
      held: this.#total,
      heldBytes: this.#totalBytes,
      dropped: this.#dropped,
      discarded: this.#discarded,
      expired: this.#expired,
    };
  }

  #take(key: number): KeyQueue<T> | undefined {
    const queue = this.#queues.get(key);
    if (queue === undefined) return undefined;
    this.#queues.delete(key);
    this.#total -= queue.items.length;
    this.#totalBytes -= queue.bytes;
    return queue;
  }

  #bytesOf(item: T): number {
    return this.#options.bytesOf?.(item) ?? 0;
  }

  #countDrop(key: number, count: number): void {
    this.#dropped += count;
    this.#rememberDrops(key, count);
  }

  #rememberDrops(key: number, count: number): void {
    this.#droppedByKey.set(key, (this.#droppedByKey.get(key) ?? 0) + count);
  }
}
