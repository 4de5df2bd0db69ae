import { z } from 'zod';

import { parseListenAddress } from './listen-address.ts';
import { formatDurationMs, parseBytes, parseDurationMs } from './units.ts';

/** How a value is read from an environment variable or a flag, where everything is text. */
export type ValueKind = 'text' | 'number' | 'boolean' | 'auto-boolean' | 'list' | 'json';

/** What the command line and error messages need to know of a value. */
export interface ValueInfo {
  readonly kind: ValueKind;
  /** Completes "must be …". */
  readonly expected: string;
  /** Of JSON: how it looks. */
  readonly example?: string;
}

const values = new WeakMap<z.ZodType, ValueInfo>();

function value<T extends z.ZodType>(
  schema: T,
  kind: ValueKind,
  expected: string,
  example?: string,
): T {
  values.set(schema, { kind, expected, ...(example === undefined ? {} : { example }) });
  return schema;
}

const text = (expected: string) => z.string().min(1, expected).max(4096, expected);

const path = (expected = 'a path') =>
  value(
    text(expected).refine((it) => !it.includes('\0')),
    'text',
    expected,
  );

const choice = <const T extends readonly [string, ...string[]]>(options: T, fallback: T[number]) =>
  value(z.enum(options).default(fallback as never), 'text', `one of ${options.join(', ')}`);

const flag = (fallback: boolean) =>
  value(z.boolean().default(fallback), 'boolean', 'true or false');

const whole = (min: number, max: number, fallback: number) =>
  value(
    z.number().int().min(min).max(max).default(fallback),
    'number',
    `a whole number from ${min} to ${max}`,
  );

const duration = (minMs: number, maxMs: number, fallback: string) => {
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

/** A ring's size: the kernel takes powers of two of at least a page only. */
const ring = (fallback: string) =>
  value(
    z
      .union([z.string(), z.number().int().transform(String)])
      .default(fallback)
      .transform((it) => parseBytes(it) ?? Number.NaN)
      .refine((bytes) => bytes >= 65536 && bytes <= 2 ** 30 && Number.isInteger(Math.log2(bytes))),
    'text',
    'a power of two from 64KiB to 1GiB, such as 4MiB',
  );

const list = (expected: string, max: number) =>
  value(z.array(text(expected)).max(max), 'list', expected);

const FORMATS = ['json', 'text'] as const;

/** As in a Falco configuration, where `info` is another word for `informational`. */
export const PRIORITY_NAMES = [
  'emergency',
  'alert',
  'critical',
  'error',
  'warning',
  'notice',
  'informational',
  'debug',
] as const;

const cgroupApp = z.strictObject({
  pattern: path('a cgroup path with one * such as /my-apps/*'),
  app: value(text('a name').optional(), 'text', 'a name'),
  guid: value(text('an id').optional(), 'text', 'an id'),
  space: value(text('a name').optional(), 'text', 'a name'),
  org: value(text('a name').optional(), 'text', 'a name'),
  process_type: value(text('a name').optional(), 'text', 'a name'),
  instance: value(text('an index or id').optional(), 'text', 'an index or id'),
  log_file: value(text('an absolute path').optional(), 'text', 'an absolute path'),
});

const ruleSelector = z
  .strictObject({
    rule: value(
      text('the name of a rule').optional(),
      'text',
      'the name of a rule, or a part of it and *',
    ),
    tag: value(text('a tag').optional(), 'text', 'a tag'),
  })
  .refine((it) => it.rule !== undefined || it.tag !== undefined, {
    params: { needs: 'a rule or a tag, such as {rule: "*"} or {tag: network}' },
  });

const ruleSelection = z
  .strictObject({ enable: ruleSelector.optional(), disable: ruleSelector.optional() })
  .refine((it) => (it.enable === undefined) !== (it.disable === undefined), {
    params: { needs: 'either enable or disable, such as {disable: {rule: "*"}}' },
  });

const EXTRA_FIELDS =
  'a list of fields, such as evt.hostname, and of keys with a text, such as {ran: "%proc.cmdline"}';

const appendOutput = z
  .strictObject({
    match: z
      .strictObject({
        rule: value(text('the name of a rule').optional(), 'text', 'the name of a rule'),
        source: value(
          text('an event source').optional(),
          'text',
          'an event source such as syscall',
        ),
        tags: list('a list of tags', 64).optional(),
      })
      .optional(),
    extra_output: value(
      text('a text').optional(),
      'text',
      'a text with fields such as "on %evt.hostname"',
    ),
    extra_fields: value(
      z
        .array(z.union([text(EXTRA_FIELDS), z.record(text(EXTRA_FIELDS), text(EXTRA_FIELDS))]))
        .max(64)
        .optional(),
      'list',
      EXTRA_FIELDS,
    ),
    suggested_output: value(z.boolean().optional(), 'boolean', 'true or false'),
  })
  .refine(
    (it) =>
      it.extra_output !== undefined ||
      it.extra_fields !== undefined ||
      it.suggested_output !== undefined,
    { params: { needs: 'something to add: extra_output, extra_fields or suggested_output' } },
  );

/**
 * The configuration file. Every leaf is also an environment variable: its path in upper case, joined by `_`,
 * after `VARVEL_` (`streams.file.path` is `VARVEL_STREAMS_FILE_PATH`); lists as JSON or separated by commas.
 */
export const CONFIG_SCHEMA = z.strictObject({
  rules_files: value(
    z.array(text('a list of paths of rule files')).min(1).max(64).optional(),
    'list',
    'a list of paths of rule files',
  ),
  rules: value(
    z.array(ruleSelection).max(256).default([]),
    'json',
    'a list of at most 256 entries, each enable or disable with a rule or a tag',
    '[{"disable": {"rule": "*"}}, {"enable": {"tag": "network"}}]',
  ),
  append_output: value(
    z.array(appendOutput).max(64).default([]),
    'json',
    'a list of at most 64 entries with extra_output, extra_fields or suggested_output',
    '[{"match": {"tags": ["network"]}, "extra_output": "on %evt.hostname"}]',
  ),
  minimum_priority: value(
    z
      .string()
      .default('debug')
      .transform((it) => it.toLowerCase())
      .transform((it) => (it === 'info' ? 'informational' : it))
      .pipe(z.enum(PRIORITY_NAMES)),
    'text',
    `one of ${PRIORITY_NAMES.join(', ')}`,
  ),
  rule_matching: choice(['first', 'all'], 'first'),
  watch_config_files: flag(true),
  mode: choice(['opt-in', 'opt-out', 'always'], 'opt-in'),
  runtimes: z
    .strictObject({
      docker: z
        .strictObject({
          enabled: value(
            z.union([z.literal('auto'), z.boolean()]).default('auto'),
            'auto-boolean',
            'true, false, or auto (used when its socket is there)',
          ),
          socket: path('the path of a unix socket').default('/var/run/docker.sock'),
          exec_root: path().default('/run/docker'),
          cgroup_parents: list('a list of cgroup paths or slices', 8).default([]),
        })
        .prefault({}),
      cgroup: z
        .strictObject({
          apps: value(
            z.array(cgroupApp).max(8).default([]),
            'json',
            'a list of at most 8 apps, each with a pattern',
            '[{"pattern": "/my-apps/*"}]',
          ),
        })
        .prefault({}),
    })
    .prefault({}),
  cgroup_hierarchy: choice(['auto', 'v1', 'v2'], 'auto'),
  rescan_interval: duration(1000, 600_000, '20s'),
  hold_time: duration(100, 60_000, '5s'),
  streams: z
    .strictObject({
      container: z
        .strictObject({ enabled: flag(true), format: choice(FORMATS, 'json') })
        .prefault({}),
      app_file: z
        .strictObject({ enabled: flag(true), format: choice(FORMATS, 'json') })
        .prefault({}),
      file: z
        .strictObject({
          enabled: value(z.boolean().optional(), 'boolean', 'true or false'),
          path: value(text('a path').optional(), 'text', 'a path'),
          format: choice(FORMATS, 'json'),
        })
        .prefault({}),
      stdout: z
        .strictObject({ enabled: flag(false), format: choice(FORMATS, 'json') })
        .prefault({}),
    })
    .prefault({}),
  probe: z
    .strictObject({
      exec_ring_bytes: ring('2MiB'),
      bulk_ring_bytes: ring('4MiB'),
      tick_ms: whole(1, 100, 2),
      compat_calls: flag(true),
    })
    .prefault({}),
  context: z.strictObject({ max_processes: whole(1024, 1_048_576, 65_536) }).prefault({}),
  metrics: z
    .strictObject({
      listen: value(
        text('unix:/path, 127.0.0.1:port or off')
          .optional()
          .superRefine((it, context) => {
            const parsed = it === undefined ? undefined : parseListenAddress(it);
            if (typeof parsed === 'string')
              context.addIssue({ code: 'custom', message: parsed, params: { expected: parsed } });
          }),
        'text',
        'unix:/path, 127.0.0.1:port or off',
      ),
    })
    .prefault({}),
  run_dir: path().default('/run/varvel'),
  hostname: value(text('a host name').max(253).optional(), 'text', 'a host name'),
  log_level: choice(['debug', 'info', 'warn', 'error'], 'info'),
});

/** The file's content with defaults filled in. */
export type ParsedConfig = z.output<typeof CONFIG_SCHEMA>;

/** Without the wrappers for what may be missing. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let at = schema;
  while (at instanceof z.ZodDefault || at instanceof z.ZodPrefault || at instanceof z.ZodOptional)
    at = at.unwrap();
  return at;
}

/** The keys of the section (or list entry) at a path; undefined when that is no section. */
export function keysAt(at: readonly PropertyKey[]): readonly string[] | undefined {
  const found = schemaAt(at);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : undefined;
}

/** What the value at a path must be; undefined when there is no such value. */
export function valueAt(at: readonly PropertyKey[]): ValueInfo | undefined {
  const parent = at.length === 0 ? undefined : schemaAt(at.slice(0, -1));
  const key = at.at(-1);
  if (parent instanceof z.ZodArray) return valueAt(at.slice(0, -1));
  if (!(parent instanceof z.ZodObject) || typeof key !== 'string') return undefined;
  const schema: unknown = (parent.shape as Record<string, unknown>)[key];
  for (let inner = schema; inner instanceof z.ZodType;) {
    const info = values.get(inner);
    if (info !== undefined) return info;
    if (!(inner instanceof z.ZodDefault)) return undefined;
    inner = inner.unwrap();
  }
  return undefined;
}

function schemaAt(at: readonly PropertyKey[]): z.core.$ZodType | undefined {
  let found: z.core.$ZodType | undefined = CONFIG_SCHEMA;
  for (const key of at) {
    if (
      found instanceof z.ZodObject &&
      typeof key === 'string' &&
      Object.hasOwn(found.shape, key)
    ) {
      const next: unknown = (found.shape as Record<string, unknown>)[key];
      found = next instanceof z.ZodType ? unwrap(next) : undefined;
    } else if (found instanceof z.ZodArray && typeof key === 'number') {
      found = unwrap(found.element);
    } else return undefined;
  }
  return found;
}

/** Paths of all values that a file, a variable or a flag can set, in the schema's order. */
export const VALUE_PATHS: readonly (readonly string[])[] = pathsBelow([]);

function pathsBelow(at: readonly string[]): (readonly string[])[] {
  return (keysAt(at) ?? []).flatMap((key) => {
    const below = [...at, key];
    return valueAt(below) === undefined ? pathsBelow(below) : [below];
  });
}

/** `streams.file.path` → `VARVEL_STREAMS_FILE_PATH`. */
export function variableOf(at: readonly string[]): string {
  return `VARVEL_${at.join('_').toUpperCase()}`;
}
