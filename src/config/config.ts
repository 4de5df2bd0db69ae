import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { UserError } from '../shared/user-error.ts';
import type { SourcePosition } from '../shared/user-error.ts';
import { parseListenAddress } from './listen-address.ts';
import type { ListenAddress } from './listen-address.ts';
import type { ParsedConfig } from './schema.ts';

/** Falco's priorities, as detections carry them. */
export type MinimumPriority =
  'Emergency' | 'Alert' | 'Critical' | 'Error' | 'Warning' | 'Notice' | 'Informational' | 'Debug';

/** JSON for machines, text for eyes. */
export type StreamFormat = 'json' | 'text';

/** Cgroups that a pattern matches are apps; `{handle}` in the others stands for what `*` matched. */
export interface CgroupApp {
  readonly pattern: string;
  readonly app: string | undefined;
  readonly guid: string | undefined;
  readonly space: string | undefined;
  readonly org: string | undefined;
  readonly processType: string | undefined;
  readonly instance: string | undefined;
  readonly logFile: string | undefined;
  /** Where it was written, for errors found later. */
  readonly position: SourcePosition | undefined;
}

/** Switches rules on or off over what their files say: by name, in which `*` stands for any text, or by tag. */
export interface RuleSelectionSetting {
  readonly enable: boolean;
  readonly rule?: string;
  readonly tag?: string;
  /** Where it was written, for what shows later. */
  readonly position: SourcePosition | undefined;
}

/** What is added to the outputs of the rules that fit all of `match`; to all outputs without it. */
export interface AppendOutputSetting {
  readonly match?: {
    readonly rule?: string;
    readonly source?: string;
    readonly tags?: readonly string[];
  };
  readonly extraOutput?: string;
  readonly extraFields?: readonly (string | Readonly<Record<string, string>>)[];
  readonly suggestedOutput?: boolean;
  readonly position: SourcePosition | undefined;
}

/** What is configured of the rules: a reload changes these, everything else needs a restart. */
export interface RuleSettings {
  /** In the order of loading; each a file or a folder of them. */
  readonly rulesFiles: readonly string[];
  /** One after the other: the last that fits a rule counts. */
  readonly ruleSelection: readonly RuleSelectionSetting[];
  readonly appendOutput: readonly AppendOutputSetting[];
  readonly minimumPriority: MinimumPriority;
  /** Whether an event stops at the first rule that matches. */
  readonly ruleMatching: 'first' | 'all';
  /** Whether changes of rule files and of the configuration are noticed without a signal. */
  readonly watchConfigFiles: boolean;
}

/** The keys that RuleSettings come from. */
export const RULE_KEYS: readonly string[] = [
  'rules_files',
  'rules',
  'append_output',
  'minimum_priority',
  'rule_matching',
  'watch_config_files',
];

/** Everything that can be configured, resolved: paths are absolute, nothing is missing. Frozen throughout. */
export interface AgentConfig extends RuleSettings {
  /** Which containers are watched: those that ask for it, those that do not decline, or every one. */
  readonly mode: 'opt-in' | 'opt-out' | 'always';
  readonly runtimes: {
    readonly docker: {
      /** `auto`: when its socket is there. */
      readonly enabled: boolean | 'auto';
      readonly socket: string;
      readonly execRoot: string;
      readonly cgroupParents: readonly string[];
    };
    readonly cgroup: { readonly apps: readonly CgroupApp[] };
  };
  readonly cgroupHierarchy: 'auto' | 'v1' | 'v2';
  readonly rescanIntervalMs: number;
  /** How long events of a container that is not known yet wait for its identity. */
  readonly holdTimeMs: number;
  readonly streams: {
    readonly container: { readonly enabled: boolean; readonly format: StreamFormat };
    readonly appFile: { readonly enabled: boolean; readonly format: StreamFormat };
    /** On when a path is given; `path` is set when `enabled`. */
    readonly file: {
      readonly enabled: boolean;
      readonly path: string | undefined;
      readonly format: StreamFormat;
    };
    readonly stdout: { readonly enabled: boolean; readonly format: StreamFormat };
  };
  readonly probe: {
    readonly execRingBytes: number;
    readonly bulkRingBytes: number;
    readonly tickMs: number;
    /** See calls by 32-bit and x32 programs, and those that this kernel was built without. */
    readonly compatCalls: boolean;
  };
  readonly context: { readonly maxProcesses: number };
  readonly metrics: { readonly listen: ListenAddress };
  /** For sockets; emptied at boot. */
  readonly runDir: string;
  readonly hostname: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** The rules that come with the agent: the same place seen from `src/` and from `dist/`. */
export const DEFAULT_RULES_FILE = fileURLToPath(
  new URL('../../manifests/rules/varvel_rules.yaml', import.meta.url),
);

const capitalized = (word: string): MinimumPriority =>
  (word.charAt(0).toUpperCase() + word.slice(1)) as MinimumPriority;

/**
 * From what the schema has let through. `baseOf` says which folder relative paths of a value start from,
 * `positionOf` where a value was written. Throws UserError when the socket of `metrics` cannot be in `run_dir`.
 */
export function toAgentConfig(
  parsed: ParsedConfig,
  baseOf: (at: readonly string[]) => string,
  positionOf: (at: readonly PropertyKey[]) => SourcePosition | undefined,
): AgentConfig {
  const absolute = (path: string, ...at: string[]): string => resolve(baseOf(at), path);
  const runDir = absolute(parsed.run_dir, 'run_dir');
  const { docker, cgroup } = parsed.runtimes;
  const { container, app_file: appFile, file, stdout } = parsed.streams;
  const listen = parseListenAddress(parsed.metrics.listen ?? `unix:${runDir}/metrics.sock`);
  if (typeof listen === 'string') {
    // What was written has passed the schema, so it is the default below a long run_dir.
    const position = positionOf(['run_dir']);
    throw new UserError(
      '"run_dir" is too long for a socket in it: set metrics.listen, or a shorter run_dir.',
      position === undefined ? {} : { position },
    );
  }
  return freeze({
    rulesFiles: parsed.rules_files?.map((path) => absolute(path, 'rules_files')) ?? [
      DEFAULT_RULES_FILE,
    ],
    ruleSelection: parsed.rules.map(({ enable, disable }, index) => ({
      enable: enable !== undefined,
      ...given(enable ?? disable ?? {}),
      position: positionOf(['rules', index, enable === undefined ? 'disable' : 'enable']),
    })),
    appendOutput: parsed.append_output.map((entry, index) => ({
      ...given({
        match: entry.match === undefined ? undefined : given(entry.match),
        extraOutput: entry.extra_output,
        extraFields: entry.extra_fields,
        suggestedOutput: entry.suggested_output,
      }),
      position: positionOf(['append_output', index]),
    })),
    minimumPriority: capitalized(parsed.minimum_priority),
    ruleMatching: parsed.rule_matching,
    watchConfigFiles: parsed.watch_config_files,
    mode: parsed.mode,
    runtimes: {
      docker: {
        enabled: docker.enabled,
        socket: absolute(docker.socket, 'runtimes', 'docker', 'socket'),
        execRoot: absolute(docker.exec_root, 'runtimes', 'docker', 'exec_root'),
        cgroupParents: docker.cgroup_parents,
      },
      cgroup: {
        apps: cgroup.apps.map((app, index) => ({
          pattern: app.pattern,
          app: app.app,
          guid: app.guid,
          space: app.space,
          org: app.org,
          processType: app.process_type,
          instance: app.instance,
          logFile: app.log_file,
          position: positionOf(['runtimes', 'cgroup', 'apps', index, 'pattern']),
        })),
      },
    },
    cgroupHierarchy: parsed.cgroup_hierarchy,
    rescanIntervalMs: parsed.rescan_interval,
    holdTimeMs: parsed.hold_time,
    streams: {
      container,
      appFile,
      file: {
        enabled: file.enabled ?? file.path !== undefined,
        path: file.path === undefined ? undefined : absolute(file.path, 'streams', 'file', 'path'),
        format: file.format,
      },
      stdout,
    },
    probe: {
      execRingBytes: parsed.probe.exec_ring_bytes,
      bulkRingBytes: parsed.probe.bulk_ring_bytes,
      tickMs: parsed.probe.tick_ms,
      compatCalls: parsed.probe.compat_calls,
    },
    context: { maxProcesses: parsed.context.max_processes },
    metrics: { listen },
    runDir,
    hostname: parsed.hostname ?? hostname(),
    logLevel: parsed.log_level,
  });
}

/** Without the keys that are undefined. */
function given<T extends object>(value: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };
}

/** The folder that a file's relative paths start from. */
export function folderOf(file: string): string {
  return dirname(resolve(file));
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
}
