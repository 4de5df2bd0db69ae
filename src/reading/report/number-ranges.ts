/** Beyond so many, numbers that are missing are not told apart any more. */
const MAX_RANGES = 1000;

/** Numbers that were seen, as ranges without a hole, in order: what is missing shows between them. */
export class NumberRanges {
  readonly #ranges: [from: number, to: number][] = [];
  /** There were more holes than are remembered: `missing` tells too many. */
  overflowed = false;

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

  get first(): number | undefined {
    return this.#ranges[0]?.[0];
  }

  get last(): number | undefined {
    return this.#ranges.at(-1)?.[1];
  }

  /** The numbers between those that were seen. */
  missing(): { readonly from: number; readonly to: number }[] {
    return this.#ranges.slice(1).map(([from], index) => {
      return { from: (this.#ranges[index]?.[1] ?? 0) + 1, to: from - 1 };
    });
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
