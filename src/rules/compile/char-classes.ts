/** Characters that a pattern cannot tell apart, numbered from 0: one class each. */
export interface CharClasses {
  readonly count: number;
  /** The class of each of the first 256 code points. */
  readonly latin1: Uint16Array;
  /** A code point of the class. */
  member(index: number): number;
  /** The class of any code point. Takes log2(count) steps. */
  of(point: number): number;
}

/** `bounds`: the code points at which a class begins, besides 0; in any order, and perhaps more than once. */
export function charClasses(bounds: Iterable<number>): CharClasses {
  const starts = Int32Array.from(new Set(bounds))
    .filter((bound) => bound > 0)
    .sort();
  const of = (point: number): number => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= point) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    count: starts.length + 1,
    latin1: Uint16Array.from({ length: 256 }, (_, point) => of(point)),
    member: (index) => (index === 0 ? 0 : (starts[index - 1] ?? 0)),
    of,
  };
}
