// What the agent says of itself has fields: numbers and truth values in JSON, text in a text line.

type Fields = Readonly<Record<string, unknown>>;

/** Of a text that a page shows. */
const MAX_CHARS = 300;

/** A whole number that is not negative; undefined where there is none. Beyond 2^53 it is rounded. */
export function numberIn(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (typeof value === 'string' && /^\d{1,19}$/.test(value)) return Number(value);
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined;
}

/** A text, cut where it is longer than any of the agent's; undefined where there is none. */
export function textIn(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' ? value.slice(0, MAX_CHARS) : undefined;
}
