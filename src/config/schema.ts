import { POLICY_RESPONSE_NAMES } from '../shared/response-names.ts';
import * as z from 'zod';

import { CANARY_SCHEMA } from './canary-schema.ts';
import { parseListenAddress } from './listen-address.ts';
import {
  isHostAndPort,
  isSocketPath,
  parseHttpAddress,
  parseSyslogAddress,
  SYSLOG_FORMS,
} from './receiver-address.ts';
import { isSourceId, isSourceType, wrongHeaders } from './receiver-values.ts';
import { PRIORITY_EXPECTED, priorityName } from './priority-names.ts';
import { RESPONSES_SCHEMA } from './response-schema.ts';
import { parseBytes } from './units.ts';
import {
  value,
  text,
  path,
  choice,
  clientTls,
  flag,
  whole,
  duration,
  durationNoneOrKeep,
  ring,
  bytes,
  list,
  FORMATS,
  HTTP_FORMATS,
  parsedText,
  optionalPath,
  infoOf,
} from './value-types.ts';
import type { ValueInfo } from './value-types.ts';

/** Keys of all streams to a remote receiver: on if they have a url. */
const receiver = {
  enabled: value(z.boolean().optional(), 'boolean', 'true or false'),
  audience: choice(['tenant', 'operator'], 'operator'),
  on_url_change: choice(['keep', 'drop'], 'keep'),
  ...clientTls('the receiver'),
};

/** Those of the specification, by its names. */
const OTLP_PROTOCOLS = ['grpc', 'http/protobuf', 'http/json'] as const;

const HTTP_URL = 'a URL such as https://host:port/path';

/** Keys of those that send requests with headers. */
const request = {
  url: parsedText(parseHttpAddress, HTTP_URL),
  headers: value(
    z
      .record(z.string(), z.string())
      .default({})
      .superRefine((it, context) => {
        const wrong = wrongHeaders(it);
        if (wrong !== undefined)
          context.addIssue({ code: 'custom', message: wrong, params: { expected: wrong } });
      }),
    'json',
    'headers with their values, such as {X-Team: payments}',
    '{"X-Team": "payments"}',
  ),
  token_file: optionalPath('the path of a file with a bearer token'),
};

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
 * The configuration file. Every leaf is also an environment variable: `VARVEL_` and its path in upper case, joined by `_`
 * (`streams.file.path` is `VARVEL_STREAMS_FILE_PATH`). Lists are JSON or comma-separated.
 */
export const CONFIG_SCHEMA = z.strictObject({
  rules_files: value(
    z.array(text('a list of paths of rule files')).min(1).max(64).optional(),
    'list',
    'a list of paths of rule files',
  ),
  rules_allow_none: flag(false),
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
  output_style: choice(['short', 'falco'], 'short'),
  minimum_priority: value(priorityName.default('debug'), 'text', PRIORITY_EXPECTED),
  rule_matching: choice(['first', 'all'], 'first'),
  watch_config_files: flag(true),
  responses: RESPONSES_SCHEMA,
  policies: z
    .strictObject({
      enabled: flag(true),
      pinned: value(
        z.array(ruleSelector).max(256).default([]),
        'json',
        'a list of at most 256 entries, each a rule or a tag that no app’s policy can weaken',
        '[{"tag": "container_escape"}]',
      ),
      responses: value(
        z.array(z.enum(POLICY_RESPONSE_NAMES)).max(8).default([]),
        'list',
        `a list of what apps’ policies may ask for besides lines: ${POLICY_RESPONSE_NAMES.join(', ')}`,
      ),
      before_identity: choice(['report', 'enforce'], 'report'),
      budget: z
        .strictObject({
          cpu_percent: value(
            z.number().min(0.1).max(100).default(2),
            'number',
            'a number from 0.1 to 100: percent of one core',
          ),
          at_once: duration(1, 1000, '20ms'),
        })
        .prefault({}),
    })
    .prefault({}),
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
      garden: z
        .strictObject({
          enabled: value(
            z.union([z.literal('auto'), z.boolean()]).default('auto'),
            'auto-boolean',
            'true, false, or auto (used when the folder of its socket is there)',
          ),
          socket: path('the path of a unix socket').default('/var/vcap/data/garden/garden.sock'),
          cgroup_parents: list('a list of cgroup paths', 1).default([]),
          staging: choice(['exclude', 'watch'], 'exclude'),
        })
        .prefault({}),
      cri: z
        .strictObject({
          enabled: value(z.boolean().optional(), 'boolean', 'true or false'),
          socket: optionalPath(
            'the path of a unix socket, such as /run/containerd/containerd.sock',
          ),
          state_dir: optionalPath('the path of containerd’s state folder'),
          apps: choice(['all', 'korifi'], 'all'),
          cgroup_parents: list('a list of cgroup paths', 1).default([]),
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
  limits: z
    .strictObject({
      enabled: flag(true),
      burst: whole(1, 100_000, 50),
      per_minute: whole(1, 1_000_000, 60),
      app_burst: whole(1, 100_000, 500),
      app_per_minute: whole(1, 1_000_000, 600),
      summary_interval: duration(1000, 3_600_000, '30s'),
    })
    .prefault({}),
  ceilings: z
    .strictObject({
      cpu_percent: value(
        z.number().min(1).max(10_000).optional(),
        'number',
        'a number from 1 to 10000: percent of one CPU',
      ),
      memory: value(
        z
          .union([z.string(), z.number().int().transform(String)])
          .optional()
          .transform((it) => (it === undefined ? undefined : (parseBytes(it) ?? Number.NaN)))
          .refine((it) => it === undefined || (it >= 1 << 26 && it <= 2 ** 40)),
        'text',
        'a size from 64MiB to 1TiB, such as 512MiB',
      ),
      restore_after: duration(1000, 3_600_000, '30s'),
    })
    .prefault({}),
  coverage: z
    .strictObject({ enabled: flag(true), interval: duration(5000, 86_400_000, '5m') })
    .prefault({}),
  canary: CANARY_SCHEMA.prefault({}),
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
      syslog: z
        .strictObject({
          ...receiver,
          format: choice(FORMATS, 'json'),
          url: parsedText(parseSyslogAddress, SYSLOG_FORMS),
          source_type: value(
            z.string().refine(isSourceType).default('VARVEL'),
            'text',
            'a name of 1 to 32 ASCII characters',
          ),
        })
        .prefault({}),
      loggregator: z
        .strictObject({
          enabled: flag(false),
          format: choice(FORMATS, 'json'),
          address: value(
            z.string().refine(isHostAndPort).default('localhost:3458'),
            'text',
            'a host and a port, such as localhost:3458',
          ),
          ca: optionalPath('the path of a PEM file with the certificates that are trusted'),
          cert: optionalPath('the path of a PEM file with our certificate'),
          key: optionalPath('the path of a PEM file with the private key of cert'),
          server_name: value(
            text('a host name').max(253).default('metron'),
            'text',
            'the host name that is in the certificate of the receiver',
          ),
          source_type: value(
            z.string().refine(isSourceType).default('VARVEL'),
            'text',
            'a name of 1 to 32 ASCII characters',
          ),
          lines_per_second: whole(1, 100_000, 2000),
          metrics: z
            .strictObject({
              enabled: flag(true),
              interval: duration(15_000, 60_000, '30s'),
              source_id: value(
                z.string().refine(isSourceId).default('varvel'),
                'text',
                'a name of 1 to 48 ASCII characters without a space',
              ),
            })
            .prefault({}),
        })
        .prefault({}),
      http: z
        .strictObject({
          ...receiver,
          format: choice(HTTP_FORMATS, 'falco'),
          ...request,
          socket: value(
            text('a path').refine(isSocketPath).optional(),
            'text',
            'the absolute path of a unix socket, of at most 107 bytes',
          ),
          batch: flag(false),
        })
        .prefault({}),
      otlp: z
        .strictObject({
          ...receiver,
          ...request,
          protocol: choice(OTLP_PROTOCOLS, 'http/protobuf'),
          compression: choice(['none', 'gzip'], 'none'),
          timeout: duration(1000, 25_000, '10s'),
        })
        .prefault({}),
    })
    .prefault({}),
  probe: z
    .strictObject({
      exec_ring_bytes: ring('2MiB'),
      bulk_ring_bytes: ring('4MiB'),
      tick_ms: whole(1, 100, 2),
      compat_calls: flag(true),
      kernel_verdicts: flag(true),
      deny_without_agent: durationNoneOrKeep(10_000, 30 * 24 * 3_600_000),
      bpf_filesystem: path().default('/sys/fs/bpf'),
    })
    .prefault({}),
  context: z.strictObject({ max_processes: whole(1024, 1_048_576, 65_536) }).prefault({}),
  metrics: z
    .strictObject({
      listen: parsedText(parseListenAddress, 'unix:/path, 127.0.0.1:port or off'),
      scrape_socket: optionalPath('the path of a socket that answers /metrics only'),
    })
    .prefault({}),
  run_dir: path().default('/run/varvel'),
  state_dir: path().default('/var/lib/varvel'),
  spool: z.strictObject({ max_bytes: bytes(1 << 20, 2 ** 34, '64MiB') }).prefault({}),
  hostname: value(text('a host name').max(253).optional(), 'text', 'a host name'),
  log_level: choice(['debug', 'info', 'warn', 'error'], 'info'),
});

/** The file's content with defaults filled in. */
export type ParsedConfig = z.output<typeof CONFIG_SCHEMA>;

/** Strips the wrappers of optional and default values. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let at = schema;
  while (at instanceof z.ZodDefault || at instanceof z.ZodPrefault || at instanceof z.ZodOptional)
    at = at.unwrap();
  return at;
}

/** The keys of the section (or list entry) at a path; undefined if it is not a section. */
export function keysAt(at: readonly PropertyKey[]): readonly string[] | undefined {
  const found = schemaAt(at);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : undefined;
}

/** What the value at a path must be; undefined if there is no such value. */
export function valueAt(at: readonly PropertyKey[]): ValueInfo | undefined {
  const parent = at.length === 0 ? undefined : schemaAt(at.slice(0, -1));
  const key = at.at(-1);
  if (parent instanceof z.ZodArray) return valueAt(at.slice(0, -1));
  if (!(parent instanceof z.ZodObject) || typeof key !== 'string') return undefined;
  const schema: unknown = (parent.shape as Record<string, unknown>)[key];
  for (let inner = schema; inner instanceof z.ZodType;) {
    const info = infoOf(inner);
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

/** Paths of all values that a file, a variable or a flag can set, in schema order. */
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
