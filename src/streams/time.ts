const NS_PER_MS = 1_000_000n;
const NS_PER_S = 1_000_000_000n;

/** ISO 8601 in UTC with nanoseconds, as Falco's `time`: `2026-01-31T08:15:04.123456789Z`. */
export function isoTime(timeNs: bigint): string {
  const seconds = new Date(Number(timeNs / NS_PER_MS)).toISOString().slice(0, -'.000Z'.length);
  return `${seconds}.${(timeNs % NS_PER_S).toString().padStart(9, '0')}Z`;
}

/** Time of day in UTC to the second: `08:15:04`. */
export function clockSecond(timeNs: bigint): string {
  return clockTime(timeNs).slice(0, '08:15:04'.length);
}

/** Time of day in UTC with nanoseconds, as a Falco line begins: `08:15:04.123456789`. */
export function clockTime(timeNs: bigint): string {
  const iso = isoTime(timeNs);
  return iso.slice(iso.indexOf('T') + 1, -1);
}
