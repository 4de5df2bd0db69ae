import { MASK_BYTES } from './layout.ts';
import type { PathTest } from './path-tests.ts';

/** Tests of an automaton that match, with a text that only these have. */
export interface Matched {
  readonly id: string;
  readonly keys: ReadonlySet<string>;
}

export const matchedOf = (numbers: ReadonlySet<number>, own: readonly PathTest[]): Matched => ({
  id: [...numbers].join(),
  keys: new Set([...numbers].flatMap((number) => own[number]?.key ?? [])),
});

/** What the tests of an automaton at a place say of the clauses. Most states have the same few sets of tests: each is worked out once. */
export class Answers {
  /** Numbers of sets of clauses, by what matches. */
  readonly numbers = new Map<string, number>();
  /** By test: the clauses that can hold where it matches, and where it does not. */
  readonly #ofTests = new Map<string, { readonly met: Uint8Array; readonly unmet: Uint8Array }>();
  readonly #all: Uint8Array;

  constructor(all: Uint8Array) {
    this.#all = all;
  }

  add(bit: number, { key, negated }: PathTest, holds: boolean): void {
    const masks = this.#ofTests.get(key) ?? { met: this.#all.slice(), unmet: this.#all.slice() };
    this.#ofTests.set(key, masks);
    const without = negated === holds ? masks.met : masks.unmet;
    without[bit >> 3] = (without[bit >> 3] ?? 0) & ~(1 << (bit & 7));
  }

  maskOf(matched: ReadonlySet<string>): Uint8Array {
    const mask = this.#all.slice();
    for (const [key, { met, unmet }] of this.#ofTests) {
      const one = matched.has(key) ? met : unmet;
      for (let at = 0; at < MASK_BYTES; at++) mask[at] = (mask[at] ?? 0) & (one[at] ?? 0);
    }
    return mask;
  }
}
