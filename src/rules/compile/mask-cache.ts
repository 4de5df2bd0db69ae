import type { Value } from '../fields/field.ts';
import type { Possible } from './possible.ts';
import type { WitnessSearch } from './witness-search.ts';

/** Values of one field that are remembered at most: two generations of this many. */
const MAX_VALUES = 4096;

/** Longer texts are not remembered. */
const MAX_TEXT = 512;

/** Characters of the texts of one generation: with two of them a cache has at most 1 MiB of texts, and a bit per rule for each. */
const MAX_CHARS = 1 << 18;

/** Lookups after which the hit rate is checked, and for how many lookups caching then pauses if it is low. */
const WINDOW = 2048;
const PAUSE = 32_768;

/** Masks that are kept of what is found in texts. */
const MAX_FOUND = 1024;

/**
 * For the values of one field, which of some rules can match at all: a bit per rule, computed once per value that
 * recurs. Values are compared whole, by the engine's own hash table, whose seed no container knows. When most values
 * are new (a container that makes up names), nothing is remembered for a while: a text's mask is then that of what rules look
 * for and is found in it.
 */
export class MaskCache {
  readonly #possible: readonly (Possible | undefined)[];
  readonly #after: number;
  readonly #searchOf: () => WitnessSearch | undefined;
  /** Made when it is first needed, as it takes room. */
  #search: WitnessSearch | 'none' | undefined;
  readonly #byFound = new Map<number, Int32Array>();
  /** The mask that rules nothing out. */
  readonly #every: Int32Array;
  /** A number counts sightings of a value whose mask is not computed yet. */
  #recent = new Map<Value, Int32Array | number>();
  #older = new Map<Value, Int32Array | number>();
  /** Of the texts in #recent. */
  #chars = 0;
  #absent: Int32Array | undefined;
  #true: Int32Array | undefined;
  #false: Int32Array | undefined;
  #lookups = 0;
  #misses = 0;
  #pause = 0;

  /**
   * `possible`: by rule; undefined if no value rules it out. `after`: sightings of a value at which its mask is computed.
   * `searchOf` makes what finds the numbers that `possible` takes.
   */
  constructor(
    possible: readonly (Possible | undefined)[],
    after: number,
    searchOf: () => WitnessSearch | undefined,
  ) {
    this.#possible = possible;
    this.#after = after;
    this.#searchOf = searchOf;
    this.#every = new Int32Array(Math.ceil(possible.length / 32));
    for (const rule of possible.keys()) setBit(this.#every, rule, true);
  }

  /** Bit r & 31 of word r >> 5 is rule r's. The array is the cache's own. */
  maskOf(value: Value | undefined): Int32Array {
    if (value === undefined) return (this.#absent ??= this.#compute(undefined));
    if (value === false) return (this.#false ??= this.#compute(false));
    if (value === true) return (this.#true ??= this.#compute(true));
    if (this.#pause > 0 && typeof value === 'string') return this.#paused(value);
    const known = this.#recent.get(value);
    return typeof known === 'object' ? known : this.#slow(value, known);
  }

  #slow(value: Value, sightings: number | undefined): Int32Array {
    if (this.#pause > 0) {
      this.#pause -= 1;
      return this.#every;
    }
    if (typeof value === 'string' && value.length > MAX_TEXT) return this.#every;
    this.#lookups += 1;
    const known = sightings ?? this.#older.get(value);
    if (known === undefined) this.#misses += 1;
    if (this.#lookups >= WINDOW) {
      // Of those lookups that found no mask, were most of values never seen?
      if (this.#misses * 4 > this.#lookups * 3) this.#pause = PAUSE;
      this.#lookups = 0;
      this.#misses = 0;
    }
    const next = typeof known === 'object' ? known : this.#seenAgain(value, known ?? 0);
    if (sightings === undefined) {
      if (this.#recent.size >= MAX_VALUES || this.#chars >= MAX_CHARS) {
        this.#older = this.#recent;
        this.#recent = new Map();
        this.#chars = 0;
      }
      if (typeof value === 'string') this.#chars += value.length;
    }
    this.#recent.set(value, next);
    return typeof next === 'object' ? next : this.#every;
  }

  #seenAgain(value: Value, before: number): Int32Array | number {
    return before + 1 >= this.#after ? this.#compute(value) : before + 1;
  }

  /** While most texts are new: to look one up would cost more than to search it. */
  #paused(text: string): Int32Array {
    this.#pause -= 1;
    if (text.length > MAX_TEXT) return this.#every;
    this.#search ??= this.#searchOf() ?? 'none';
    if (this.#search === 'none') {
      const known = this.#recent.get(text);
      return typeof known === 'object' ? known : this.#every;
    }
    const found = this.#search.find(text);
    const known = this.#byFound.get(found);
    if (known !== undefined) return known;
    const mask = this.#without((possible) => possible.ofFound(found));
    if (this.#byFound.size >= MAX_FOUND) this.#byFound.clear();
    this.#byFound.set(found, mask);
    return mask;
  }

  #compute(value: Value | undefined): Int32Array {
    return this.#without((possible) => possible.of(value));
  }

  #without(isPossible: (possible: Possible) => boolean): Int32Array {
    const mask = this.#every.slice();
    for (const [rule, possible] of this.#possible.entries()) {
      if (possible !== undefined && !isPossible(possible)) setBit(mask, rule, false);
    }
    return mask;
  }
}

function setBit(mask: Int32Array, bit: number, to: boolean): void {
  const word = mask[bit >> 5] ?? 0;
  mask[bit >> 5] = to ? word | (1 << (bit & 31)) : word & ~(1 << (bit & 31));
}
