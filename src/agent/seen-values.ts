/** Limit on the values of one kind that are remembered of an app, and on those beyond that are counted. */
export const SEEN_MAX = 200;

/** A value that an app used. */
export interface Seen {
  readonly value: string;
  /** How often. */
  count: number;
  /** The rule of the first detection that was about it; undefined: there was none. */
  rule: string | undefined;
}

/** What `varvel suggest` is told of an app's values of one kind. */
export interface SeenReport<Entry extends Seen> {
  /** The most used first; those that a detection was about are among them. */
  readonly values: readonly Entry[];
  /** How many others there were, for which there was no room; SEEN_MAX: so many or more. */
  readonly notRemembered: number;
  /** How many were none that a policy can have; SEEN_MAX: so many or more. */
  readonly unfit: number;
}

/**
 * The values of one kind that an app used. Takes those that `fits` takes, SEEN_MAX at most: the first ones, so that nothing is
 * forgotten by what comes later. The others are only counted. To take a value again costs one look, and allocates nothing.
 */
export class SeenValues<Entry extends Seen> {
  readonly #fits: (value: string) => boolean;
  readonly #make: (value: string) => Entry;
  readonly #entries = new Map<string, Entry>();
  readonly #beyond = new Different();
  readonly #unfit = new Different();

  constructor(fits: (value: string) => boolean, make: (value: string) => Entry) {
    this.#fits = fits;
    this.#make = make;
  }

  /** How much is kept: values, and hashes of those that are only counted. */
  get size(): number {
    return this.#entries.size + this.#beyond.count + this.#unfit.count;
  }

  find(value: string): Entry | undefined {
    return this.#entries.get(value);
  }

  /** What is known of the value, from now on; undefined: it was only counted. */
  take(value: string): Entry | undefined {
    const known = this.#entries.get(value);
    if (known !== undefined) return known;
    if (!this.#fits(value)) {
      this.#unfit.add(value);
      return undefined;
    }
    if (this.#entries.size >= SEEN_MAX) {
      this.#beyond.add(value);
      return undefined;
    }
    const entry = this.#make(value);
    this.#entries.set(value, entry);
    return entry;
  }

  /** Counts a value that cannot be one of a policy for another reason than its text. */
  refuse(value: string): void {
    this.#unfit.add(value);
  }

  report(): SeenReport<Entry> {
    const byUse = (one: Entry, other: Entry): number =>
      other.count - one.count || (one.value < other.value ? -1 : 1);
    return {
      values: [...this.#entries.values()].sort(byUse),
      notRemembered: this.#beyond.count,
      unfit: this.#unfit.count,
    };
  }
}

/** Counts different texts without keeping them, SEEN_MAX at most. Two with the same hash of 32 bits count as one. */
class Different {
  readonly #hashes = new Set<number>();

  get count(): number {
    return this.#hashes.size;
  }

  add(text: string): void {
    if (this.#hashes.size < SEEN_MAX) this.#hashes.add(hashOf(text));
  }
}

/** FNV-1a over UTF-16 units. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}
