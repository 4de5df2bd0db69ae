import type { ResponseName } from '../shared/response-names.ts';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { UserError } from '../shared/user-error.ts';
import type { SourcePosition } from '../shared/user-error.ts';
import { canaryConfig } from './canary-config.ts';
import type { CanaryConfig } from './canary-config.ts';
import { parseListenAddress } from './listen-address.ts';
import type { ListenAddress } from './listen-address.ts';
import { receiverConfigs } from './receiver-config.ts';
import type {
  HttpStreamConfig,
  LoggregatorStreamConfig,
  SyslogStreamConfig,
} from './receiver-config.ts';
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

/** What is to be done about the detections that fit all of `match`. */
export interface ResponseSetting {
  readonly match: {
    /** In which `*` and `?` stand for any. */
    readonly rule?: string;
    readonly tag?: string;
    /** This one and those above. */
    readonly priority?: MinimumPriority;
    readonly app?: string;
    readonly space?: string;
    readonly org?: string;
  };
  readonly response: ResponseName;
  /** `monitor`: nothing is done, and the line says what would have been. */
  readonly mode: 'monitor' | 'enforce';
  readonly position: SourcePosition | undefined;
}

/** What is configured of the rules: a reload changes these, everything else needs a restart. */
export interface RuleSettings {
  /** In the order of loading; each a file or a folder of them. */
  readonly rulesFiles: readonly string[];
  /** Whether the agent may run without a single enabled rule. */
  readonly rulesAllowNone: boolean;
  /** One after the other: the last that fits a rule counts. */
  readonly ruleSelection: readonly RuleSelectionSetting[];
  readonly appendOutput: readonly AppendOutputSetting[];
  readonly minimumPriority: MinimumPriority;
  /** Whether an event stops at the first rule that matches. */
  readonly ruleMatching: 'first' | 'all';
  /** Whether changes of rule files and of the configuration are noticed without a signal. */
  readonly watchConfigFiles: boolean;
  readonly responses: readonly ResponseSetting[];
  readonly policies: {
    /** Whether apps have rules of their own. */
    readonly enabled: boolean;
    /** Rules that no app's policy can weaken: those that any of these selects. */
    readonly pinned: readonly { readonly rule?: string; readonly tag?: string }[];
    /** What apps may ask for besides lines. */
    readonly responses: readonly ResponseName[];
    /** CPU time that one app's own rules may take on a host: percent of a core over 10 s, and ms for one event. */
    readonly budget: { readonly cpuPercent: number; readonly atOnceMs: number };
  };
}

/** The keys that RuleSettings come from. */
export const RULE_KEYS: readonly string[] = [
  'rules_files',
  'rules_allow_none',
  'rules',
  'append_output',
  'minimum_priority',
  'rule_matching',
  'watch_config_files',
  'responses',
  'policies.enabled',
  'policies.pinned',
  'policies.responses',
  'policies.budget.cpu_percent',
  'policies.budget.at_once',
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
    readonly garden: {
      /** `auto`: when the folder of its socket is there. */
      readonly enabled: boolean | 'auto';
      readonly socket: string;
      /** Besides `/garden`, and what is found at start. */
      readonly cgroupParents: readonly string[];
      /** Whether containers in which apps are staged can be in scope. */
      readonly staging: 'exclude' | 'watch';
    };
    /** On when a socket is given; `socket` is set when `enabled`. */
    readonly cri: {
      readonly enabled: boolean;
      readonly socket: string | undefined;
      /** containerd's, for the log of a container. */
      readonly stateDir: string;
      readonly apps: 'all' | 'korifi';
      readonly cgroupParents: readonly string[];
    };
    readonly cgroup: { readonly apps: readonly CgroupApp[] };
  };
  readonly cgroupHierarchy: 'auto' | 'v1' | 'v2';
  readonly rescanIntervalMs: number;
  /** How long events of a container that is not known yet wait for its identity. */
  readonly holdTimeMs: number;
  /** What one app instance may have written; undefined: everything. */
  readonly limits:
    | {
        readonly burst: number;
        readonly perMinute: number;
        readonly appBurst: number;
        readonly appPerMinute: number;
        readonly summaryMs: number;
      }
    | undefined;
  /** What the agent may use before it switches rules of low priority off; undefined: no bound of its own. */
  readonly ceilings: {
    /** 100 is one CPU. */
    readonly cpuPercent: number | undefined;
    /** Resident. */
    readonly memoryBytes: number | undefined;
    readonly restoreAfterMs: number;
  };
  /** Lines that say what was watched. */
  readonly coverage: { readonly enabled: boolean; readonly intervalMs: number };
  readonly canary: CanaryConfig;
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
    readonly syslog: SyslogStreamConfig;
    readonly http: HttpStreamConfig;
    readonly loggregator: LoggregatorStreamConfig;
  };
  readonly probe: {
    readonly execRingBytes: number;
    readonly bulkRingBytes: number;
    readonly tickMs: number;
    /** See calls by 32-bit and x32 programs, and those that this kernel was built without. */
    readonly compatCalls: boolean;
    /** Opens that no rule can match end in the kernel. */
    readonly kernelVerdicts: boolean;
  };
  readonly context: { readonly maxProcesses: number };
  readonly metrics: { readonly listen: ListenAddress };
  /** For sockets; emptied at boot. */
  readonly runDir: string;
  /** For what outlives the agent: lines that wait for a receiver. */
  readonly stateDir: string;
  /** Of each stream that has one. */
  readonly spoolMaxBytes: number;
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
  const { docker, garden, cri, cgroup } = parsed.runtimes;
  const criSocket =
    cri.socket === undefined ? undefined : absolute(cri.socket, 'runtimes', 'cri', 'socket');
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
    rulesAllowNone: parsed.rules_allow_none,
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
    responses: parsed.responses.map(({ match, do: response, mode }, index) => ({
      match: given({
        ...match,
        priority: match.priority === undefined ? undefined : capitalized(match.priority),
      }),
      response,
      mode,
      position: positionOf(['responses', index]),
    })),
    policies: {
      ...parsed.policies,
      pinned: parsed.policies.pinned.map(given),
      budget: {
        cpuPercent: parsed.policies.budget.cpu_percent,
        atOnceMs: parsed.policies.budget.at_once,
      },
    },
    mode: parsed.mode,
    runtimes: {
      docker: {
        enabled: docker.enabled,
        socket: absolute(docker.socket, 'runtimes', 'docker', 'socket'),
        execRoot: absolute(docker.exec_root, 'runtimes', 'docker', 'exec_root'),
        cgroupParents: docker.cgroup_parents,
      },
      garden: {
        enabled: garden.enabled,
        socket: absolute(garden.socket, 'runtimes', 'garden', 'socket'),
        cgroupParents: garden.cgroup_parents,
        staging: garden.staging,
      },
      cri: {
        enabled: cri.enabled ?? criSocket !== undefined,
        socket: criSocket,
        stateDir:
          cri.state_dir === undefined
            ? dirname(criSocket ?? '/run/containerd/containerd.sock')
            : absolute(cri.state_dir, 'runtimes', 'cri', 'state_dir'),
        apps: cri.apps,
        cgroupParents: cri.cgroup_parents,
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
    limits: parsed.limits.enabled
      ? {
          burst: parsed.limits.burst,
          perMinute: parsed.limits.per_minute,
          appBurst: parsed.limits.app_burst,
          appPerMinute: parsed.limits.app_per_minute,
          summaryMs: parsed.limits.summary_interval,
        }
      : undefined,
    ceilings: {
      cpuPercent: parsed.ceilings.cpu_percent,
      memoryBytes: parsed.ceilings.memory,
      restoreAfterMs: parsed.ceilings.restore_after,
    },
    coverage: { enabled: parsed.coverage.enabled, intervalMs: parsed.coverage.interval },
    canary: canaryConfig(parsed.canary, absolute),
    streams: {
      container,
      appFile,
      file: {
        enabled: file.enabled ?? file.path !== undefined,
        path: file.path === undefined ? undefined : absolute(file.path, 'streams', 'file', 'path'),
        format: file.format,
      },
      stdout,
      ...receiverConfigs(parsed.streams, absolute),
    },
    probe: {
      execRingBytes: parsed.probe.exec_ring_bytes,
      bulkRingBytes: parsed.probe.bulk_ring_bytes,
      tickMs: parsed.probe.tick_ms,
      compatCalls: parsed.probe.compat_calls,
      kernelVerdicts: parsed.probe.kernel_verdicts,
    },
    context: { maxProcesses: parsed.context.max_processes },
    metrics: { listen },
    runDir,
    stateDir: absolute(parsed.state_dir, 'state_dir'),
    spoolMaxBytes: parsed.spool.max_bytes,
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
