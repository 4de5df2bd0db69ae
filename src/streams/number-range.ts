// Ranges of the numbers that lines have (seq): sorted, without overlap, both ends included.

/** Numbers from one to the other, both included. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

const SEPARATOR = ', ';

/**
 * Adds a range, and joins ranges that touch. Beyond `limit` ranges it merges the two with the smallest gap between them. So no
 * number is lost, but the numbers in that gap are then included too.
 */
export function withRange(
  ranges: readonly NumberRange[],
  { from, to }: NumberRange,
  limit: number,
): readonly NumberRange[] {
  const last = ranges.at(-1);
  if (last !== undefined && from === last.to + 1)
    return [...ranges.slice(0, -1), { from: last.from, to }];
  const before = ranges.filter((range) => range.to < from - 1);
  const after = ranges.filter((range) => range.from > to + 1);
  const touched = ranges.slice(before.length, ranges.length - after.length);
  const joined = {
    from: Math.min(from, touched[0]?.from ?? from),
    to: Math.max(to, touched.at(-1)?.to ?? to),
  };
  const all = [...before, joined, ...after];
  return all.length <= limit ? all : withoutSmallestHole(all);
}

function withoutSmallestHole(ranges: readonly NumberRange[]): readonly NumberRange[] {
  const holes = ranges.slice(1).map(({ from }, index) => from - (ranges[index]?.to ?? 0));
  const at = holes.indexOf(Math.min(...holes));
  const [left, right] = [ranges[at], ranges[at + 1]];
  if (left === undefined || right === undefined) return ranges;
  return [...ranges.slice(0, at), { from: left.from, to: right.to }, ...ranges.slice(at + 2)];
}

/** How many numbers are in them. */
export function sizeOf(ranges: readonly NumberRange[]): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

/** The parts of `ranges` that are in `others` too. */
export function inBoth(
  ranges: readonly NumberRange[],
  others: readonly NumberRange[],
): readonly NumberRange[] {
  return ranges.flatMap((range) =>
    others.flatMap((other) => {
      const [from, to] = [Math.max(range.from, other.from), Math.min(range.to, other.to)];
      return from <= to ? [{ from, to }] : [];
    }),
  );
}

/** `3-5, 9`. */
export function formatRanges(ranges: readonly NumberRange[]): string {
  return ranges
    .map(({ from, to }) => (from === to ? String(from) : `${from}-${to}`))
    .join(SEPARATOR);
}

/** What `formatRanges` wrote, at most `limit` of them; undefined for anything else. */
export function parseRanges(text: unknown, limit: number): readonly NumberRange[] | undefined {
  if (typeof text !== 'string') return undefined;
  const parts = text.split(SEPARATOR, limit + 1);
  if (parts.length > limit) return undefined;
  const ranges: NumberRange[] = [];
  for (const part of parts) {
    const [whole, first = '', last = first] = /^(\d{1,16})(?:-(\d{1,16}))?$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last)];
    const isInOrder = from <= to && from > (ranges.at(-1)?.to ?? 0);
    if (whole === undefined || !Number.isSafeInteger(to) || !isInOrder) return undefined;
    ranges.push({ from, to });
  }
  return ranges;
}
