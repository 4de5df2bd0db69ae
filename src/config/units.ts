const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** Parses `500ms`, `20s`, `2m` or `1h` (fractions allowed) to milliseconds; undefined for anything else. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,3})?) ?(ms|s|m|h)$/.exec(text.trim());
  const factor = DURATION_MS[match?.[2] ?? ''];
  if (match === null || factor === undefined) return undefined;
  return Math.round(Number(match[1]) * factor);
}

/** Parses `65536`, `512KiB` or `8MiB` to bytes; undefined for anything else. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,15}) ?(KiB|MiB|GiB)?$/.exec(text.trim());
  const factor = BYTES[match?.[2] ?? ''];
  if (match === null || factor === undefined) return undefined;
  const bytes = Number(match[1]) * factor;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Formats a duration in the largest unit that needs no fraction. */
export function formatDurationMs(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    const factor = DURATION_MS[unit] ?? 1;
    if (ms >= factor && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return `${ms}ms`;
}
