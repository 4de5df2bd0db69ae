/** In the largest unit of which there are at least two, rounded down. */
export function uptimeOf(ns: bigint): string {
  const seconds = Math.max(0, Number(ns / 1_000_000_000n));
  const units = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
  ] as const;
  const [unit, length] = units.find(([, one]) => seconds >= 2 * one) ?? ['s', 1];
  return `${Math.floor(seconds / length)}${unit}`;
}
