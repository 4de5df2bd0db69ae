import * as z from 'zod';

import { formatDurationMs, parseBytes, parseDurationMs } from './units.ts';

// The kinds of values in the schema: what each accepts, and how messages describe it.

/** How a value is parsed from an environment variable or a flag, where everything is text. */
export type ValueKind = 'text' | 'number' | 'boolean' | 'auto-boolean' | 'list' | 'json';

/** What the command line and error messages need to know about a value. */
export interface ValueInfo {
  readonly kind: ValueKind;
  /** Completes "must be …". */
  readonly expected: string;
  /** An example, for JSON. */
  readonly example?: string;
}

const infos = new WeakMap<z.ZodType, ValueInfo>();

export function value<T extends z.ZodType>(
  schema: T,
  kind: ValueKind,
  expected: string,
  example?: string,
): T {
  infos.set(schema, { kind, expected, ...(example === undefined ? {} : { example }) });
  return schema;
}

export const text = (expected: string) => z.string().min(1, expected).max(4096, expected);

export const path = (expected = 'a path') =>
  value(
    text(expected).refine((it) => !it.includes('\0')),
    'text',
    expected,
  );

export const choice = <const T extends readonly [string, ...string[]]>(
  options: T,
  fallback: T[number],
) => value(z.enum(options).default(fallback as never), 'text', `one of ${options.join(', ')}`);

export const flag = (fallback: boolean) =>
  value(z.boolean().default(fallback), 'boolean', 'true or false');

export const whole = (min: number, max: number, fallback: number) =>
  value(
    z.number().int().min(min).max(max).default(fallback),
    'number',
    `a whole number from ${min} to ${max}`,
  );

export const duration = (minMs: number, maxMs: number, fallback: string) => {
  const expected = `a duration from ${formatDurationMs(minMs)} to ${formatDurationMs(maxMs)}, such as 500ms, 20s or 2m`;
  return value(
    z
      .string()
      .default(fallback)
      .transform((it) => parseDurationMs(it) ?? Number.NaN)
      .refine((ms) => ms >= minMs && ms <= maxMs),
    'text',
    expected,
  );
};

/** None (`0s`, the default), a time in these bounds, or `keep`: without an end. */
export const durationNoneOrKeep = (minMs: number, maxMs: number) =>
  value(
    z
      .string()
      .default('0s')
      .transform((it) => (it === 'keep' ? it : (parseDurationMs(it) ?? Number.NaN)))
      .refine((ms) => ms === 'keep' || ms === 0 || (ms >= minMs && ms <= maxMs)),
    'text',
    `0s, keep, or a duration from ${formatDurationMs(minMs)} to ${formatDurationMs(maxMs)}, such as 30s, 20m or 2h`,
  );

/** A ring's size: the kernel accepts only powers of two of at least a page. */
export const ring = (fallback: string) =>
  value(
    z
      .union([z.string(), z.number().int().transform(String)])
      .default(fallback)
      .transform((it) => parseBytes(it) ?? Number.NaN)
      .refine((bytes) => bytes >= 65536 && bytes <= 2 ** 30 && Number.isInteger(Math.log2(bytes))),
    'text',
    'a power of two from 64KiB to 1GiB, such as 4MiB',
  );

export const bytes = (min: number, max: number, fallback: string) =>
  value(
    z
      .union([z.string(), z.number().int().transform(String)])
      .default(fallback)
      .transform((it) => parseBytes(it) ?? Number.NaN)
      .refine((it) => it >= min && it <= max),
    'text',
    'a size from 1MiB to 16GiB, such as 64MiB',
  );

export const list = (expected: string, max: number) =>
  value(z.array(text(expected)).max(max), 'list', expected);

/** Formats of lines. */
export const FORMATS = ['json', 'text'] as const;
/** The first is for what reads Falco's events. */
export const HTTP_FORMATS = ['falco', 'json', 'text'] as const;

/** A text that `parse` accepts; for other texts `parse` returns a phrase that says what it must be. */
export const parsedText = (parse: (text: string) => unknown, expected: string) =>
  value(
    text(expected)
      .optional()
      .superRefine((it, context) => {
        const parsed = it === undefined ? undefined : parse(it);
        if (typeof parsed === 'string')
          context.addIssue({ code: 'custom', message: parsed, params: { expected: parsed } });
      }),
    'text',
    expected,
  );

export const optionalPath = (expected: string) =>
  value(
    text(expected)
      .refine((it) => !it.includes('\0'))
      .optional(),
    'text',
    expected,
  );

/** The info given for a value's schema; undefined if there is none. */
export function infoOf(schema: z.ZodType): ValueInfo | undefined {
  return infos.get(schema);
}

/** The keys of a client's TLS: trusted CAs, client certificate and key, and the expected name in the peer's certificate. */
export const clientTls = (other: string) => ({
  ca: optionalPath('the path of a PEM file with the certificates that are trusted'),
  cert: optionalPath('the path of a PEM file with our certificate'),
  key: optionalPath('the path of a PEM file with the private key of cert'),
  server_name: value(
    text('a host name').max(253).optional(),
    'text',
    `the host name that is in the certificate of ${other}`,
  ),
});
