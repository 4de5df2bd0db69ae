/** Beyond so many, numbers that are missing are not told apart any more. */
const MAX_RANGES = 1000;

/** Numbers that were seen, as ranges without a hole, in order: what is missing shows between them. */
export class NumberRanges {
  readonly #ranges: [from: number, to: number][] = [];
  /** There were more holes than are remembered: `missing` tells too many. */
  overflowed = false;
  /** What the agent said was the last number: when it was first said here, and the highest. */
  #told: { readonly first: number; readonly last: number } | undefined;

  add(number: number): void {
    const at = this.#firstNotBelow(number);
    const next = this.#ranges[at];
    const before = this.#ranges[at - 1];
    if (next !== undefined && next[0] <= number) return;
    const joinsNext = next?.[0] === number + 1;
    if (before?.[1] === number - 1) {
      before[1] = joinsNext ? next[1] : number;
      if (joinsNext) this.#ranges.splice(at, 1);
    } else if (joinsNext) next[0] = number;
    else if (this.#ranges.length < MAX_RANGES) this.#ranges.splice(at, 0, [number, number]);
    else this.overflowed = true;
  }

  /** The agent says that this number was the last so far; 0: there was none. */
  tell(last: number): void {
    const { first, last: highest } = this.#told ?? { first: last, last };
    this.#told = { first: Math.min(first, last), last: Math.max(highest, last) };
  }

  get first(): number | undefined {
    return this.#ranges[0]?.[0];
  }

  get last(): number | undefined {
    return this.#ranges.at(-1)?.[1];
  }

  /** The numbers between those that were seen, and those behind them that the agent says it has given. */
  missing(): { readonly from: number; readonly to: number }[] {
    const between = this.#ranges.slice(1).map(([from], index) => {
      return { from: (this.#ranges[index]?.[1] ?? 0) + 1, to: from - 1 };
    });
    if (this.#told === undefined) return between;
    // Without a line of its own a log may begin after those that are older than what was told first.
    const from = Math.max(this.last ?? 0, this.#told.first) + 1;
    return from > this.#told.last ? between : [...between, { from, to: this.#told.last }];
  }

  /** The first range that does not end below `number`. */
  #firstNotBelow(number: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.[1] ?? 0) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
