import type { Value } from '../rules/fields/field.ts';
import type { DecidingTest } from '../rules/given/reasons.ts';

/** Longer comparisons and values are cut in text; JSON has all of them. */
const SHOWN_LENGTH = 300;

/** A comparison that decided, as a line for people: what it came to, and what it saw. */
export function reasonLine({ condition, holds, values }: DecidingTest): string {
  const seen = Object.entries(values).map(([key, value]) => {
    if (value === null) return `${key} is absent`;
    if (typeof value === 'object') return `${key} is (${value.map(shownValue).join(', ')})`;
    return `${key} is ${shownValue(value)}`;
  });
  return `${holds ? 'true ' : 'false'}  ${cut(condition)}   ${seen.join(', ')}`;
}

function cut(text: string): string {
  return text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text;
}

/** Text in quotes, with what is not printable escaped. */
export function shownValue(value: Value): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return cut(text).replace(
    /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** One JSON document; integers that a JSON number would round are texts. */
export function jsonDocument(value: unknown): string {
  const exact = (_key: string, item: unknown): unknown => {
    if (typeof item !== 'bigint') return item;
    const number = Number(item);
    return Number.isSafeInteger(number) ? number : String(item);
  };
  return `${JSON.stringify(value, exact, 2)}\n`;
}
