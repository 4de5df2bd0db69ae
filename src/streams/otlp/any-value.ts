import { escapeHidden, escapeText } from '../escape.ts';
import type { AnyValue, KeyValue } from './api.ts';

/** Strings and numbers in JSON text. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** JSON.parse may round such an integer; times in nanoseconds have 19 digits. */
const LONG_INTEGER = /^-?\d{16,}$/;

/** What stands for a long integer while its line is parsed: no line has an object of this shape. */
interface LongInteger {
  readonly $int: string;
}

/** As JSON.parse of a line that `formatLine` made, but with long integers as `$int`. Undefined for a text that is none. */
export function parseJsonLine(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const parsed: unknown = JSON.parse(
      text.replace(TOKENS, (it) => (LONG_INTEGER.test(it) ? `{"$int":"${it}"}` : it)),
    );
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Undefined for null, which OTLP has no value for. Texts are valid UTF-8, and hidden characters in them are visible. An integer
 * of more than 63 bits is a text.
 */
export function anyValue(value: unknown): AnyValue | undefined {
  switch (typeof value) {
    case 'string':
      return { stringValue: escapeHidden(value) };
    case 'boolean':
      return { boolValue: value };
    case 'number':
      return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
    default:
  }
  if (Array.isArray(value))
    return { arrayValue: { values: value.flatMap((it) => anyValue(it) ?? []) } };
  if (!isObject(value)) return undefined;
  const { $int } = value as Partial<LongInteger>;
  if (typeof $int === 'string') {
    const fits = BigInt.asIntN(64, BigInt($int)) === BigInt($int);
    return fits ? { intValue: $int } : { stringValue: $int };
  }
  return { kvlistValue: { values: keyValues(value, '') } };
}

/**
 * An object's members with `prefix` before their names; without those that have no value. Names stay different, as the protocol
 * wants: a backslash is doubled, so that nothing else looks like an escape.
 */
export function keyValues(members: Readonly<Record<string, unknown>>, prefix: string): KeyValue[] {
  return Object.entries(members).flatMap(([name, it]) => {
    const value = anyValue(it);
    return value === undefined ? [] : [{ key: prefix + escapeText(name), value }];
  });
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
