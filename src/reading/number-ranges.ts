import type { NumberRange } from '../streams/number-range.ts';

/** Limit on ranges; beyond it, missing numbers are overstated. */
const MAX_RANGES = 1000;

/** The numbers seen, as sorted ranges without holes; the gaps between them are the missing numbers. */
export class NumberRanges {
  readonly #ranges: [from: number, to: number][] = [];
  /** There were more gaps than the limit: `missing` overstates. */
  overflowed = false;
  /** The highest number that the agent reported as its last. */
  #told: number | undefined;
  /** What it reported before any number was seen here: numbers up to this one may be older than this log. */
  #toldBefore: number | undefined;

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

  /** Records that the agent reported this as its last number so far; 0: none yet. */
  tell(last: number): void {
    if (this.#ranges.length === 0) this.#toldBefore ??= last;
    this.#told = Math.max(this.#told ?? 0, last);
  }

  get first(): number | undefined {
    return this.#ranges[0]?.[0];
  }

  /** The highest number seen; before the first, the one that the agent reported as its last. */
  get lastKnown(): number | undefined {
    return this.last ?? this.#told;
  }

  get last(): number | undefined {
    return this.#ranges.at(-1)?.[1];
  }

  /** The numbers between those that were seen, and those behind them that the agent says it has given. */
  missing(): readonly NumberRange[] {
    const between = this.#ranges.slice(1).map(([from], index) => {
      return { from: (this.#ranges[index]?.[1] ?? 0) + 1, to: from - 1 };
    });
    if (this.#told === undefined) return between;
    const { first, last } = this;
    const older = this.#toldBefore;
    if (first !== undefined && older !== undefined && first > older + 1) {
      between.unshift({ from: older + 1, to: first - 1 });
    }
    const from = Math.max(last ?? 0, older ?? 0) + 1;
    return from > this.#told ? between : [...between, { from, to: this.#told }];
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
