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
import type { ReceiverConfigs } from './receiver-config.ts';
import { responseSettings } from './response-config.ts';
import type { ResponseSetting } from './response-config.ts';
import type { ParsedConfig } from './schema.ts';
import { capitalized, given } from './values-given.ts';
import { freeze } from '../shared/freeze.ts';

/** Falco's priorities, as in detections. */
export type MinimumPriority =
  'Emergency' | 'Alert' | 'Critical' | 'Error' | 'Warning' | 'Notice' | 'Informational' | 'Debug';

/** JSON for machines, text for people. */
export type StreamFormat = 'json' | 'text';

/** Makes cgroups that match a pattern apps; in the other values, `{handle}` stands for what `*` matched. */
export interface CgroupApp {
  readonly pattern: string;
  readonly app: string | undefined;
  readonly guid: string | undefined;
  readonly space: string | undefined;
  readonly org: string | undefined;
  readonly processType: string | undefined;
  readonly instance: string | undefined;
  readonly logFile: string | undefined;
  /** Its place in the configuration, for later errors. */
  readonly position: SourcePosition | undefined;
}

/** Switches rules on or off, overriding their files: by name, in which `*` matches any text, or by tag. */
export interface RuleSelectionSetting {
  readonly enable: boolean;
  readonly rule?: string;
  readonly tag?: string;
  /** Its place in the configuration, for later messages. */
  readonly position: SourcePosition | undefined;
}

/** An addition to the outputs of the rules that fit all of `match`; to all outputs without it. */
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

/** The settings of rules: a reload changes these, everything else needs a restart. */
export interface RuleSettings {
  /** In loading order; each is a file or a folder of files. */
  readonly rulesFiles: readonly string[];
  /** Whether the agent may run without an enabled rule. */
  readonly rulesAllowNone: boolean;
  /** In order: the last match for a rule counts. */
  readonly ruleSelection: readonly RuleSelectionSetting[];
  readonly appendOutput: readonly AppendOutputSetting[];
  /** Whether outputs leave out words that say nothing, or print all as Falco does. */
  readonly outputStyle: 'short' | 'falco';
  readonly minimumPriority: MinimumPriority;
  /** Whether evaluation of an event stops at the first match. */
  readonly ruleMatching: 'first' | 'all';
  /** Whether changes of rule files and of the configuration are detected without a signal. */
  readonly watchConfigFiles: boolean;
  readonly responses: readonly ResponseSetting[];
  readonly policies: {
    /** Whether apps may have their own rules. */
    readonly enabled: boolean;
    /** Rules that no app's policy can weaken: those that any entry selects. */
    readonly pinned: readonly { readonly rule?: string; readonly tag?: string }[];
    /** Responses that apps may ask for. */
    readonly responses: readonly ResponseName[];
    /** Of containers whose app, or its policy, is not known yet: whether what is denied to all apps is denied there. */
    readonly beforeIdentity: 'report' | 'enforce';
    /** CPU time that one app's own rules may take on a host: percent of a core over 10 s, and ms for one event. */
    readonly budget: { readonly cpuPercent: number; readonly atOnceMs: number };
  };
}

/** The keys of RuleSettings. */
export const RULE_KEYS: readonly string[] = [
  'rules_files',
  'rules_allow_none',
  'rules',
  'append_output',
  'output_style',
  'minimum_priority',
  'rule_matching',
  'watch_config_files',
  'responses',
  'policies.enabled',
  'policies.pinned',
  'policies.responses',
  'policies.before_identity',
  'policies.budget.cpu_percent',
  'policies.budget.at_once',
];

/** All settings, resolved: paths are absolute, nothing is missing. Deeply frozen. */
export interface AgentConfig extends RuleSettings {
  /** Which containers are watched: those that opt in, those that do not opt out, or all. */
  readonly mode: 'opt-in' | 'opt-out' | 'always';
  readonly runtimes: {
    readonly docker: {
      /** `auto`: on if its socket exists. */
      readonly enabled: boolean | 'auto';
      readonly socket: string;
      readonly execRoot: string;
      readonly cgroupParents: readonly string[];
    };
    readonly garden: {
      /** `auto`: on if the folder of its socket exists. */
      readonly enabled: boolean | 'auto';
      readonly socket: string;
      /** In addition to `/garden` and those found at start. */
      readonly cgroupParents: readonly string[];
      /** Whether staging containers can be in scope. */
      readonly staging: 'exclude' | 'watch';
    };
    /** On if a socket is given; `socket` is set if `enabled`. */
    readonly cri: {
      readonly enabled: boolean;
      readonly socket: string | undefined;
      /** containerd's state folder, for the logs of containers. */
      readonly stateDir: string;
      readonly apps: 'all' | 'korifi';
      readonly cgroupParents: readonly string[];
    };
    readonly cgroup: { readonly apps: readonly CgroupApp[] };
  };
  readonly cgroupHierarchy: 'auto' | 'v1' | 'v2';
  readonly rescanIntervalMs: number;
  /** How long events of an unknown container wait for its identity. */
  readonly holdTimeMs: number;
  /** Limits on the lines of one app instance, and of one app; undefined: none. */
  readonly limits:
    | {
        readonly burst: number;
        readonly perMinute: number;
        readonly appBurst: number;
        readonly appPerMinute: number;
        readonly summaryMs: number;
      }
    | undefined;
  /** What the agent may use before it switches off rules of low priority; undefined: no ceiling. */
  readonly ceilings: {
    /** 100 is one CPU. */
    readonly cpuPercent: number | undefined;
    /** Resident memory. */
    readonly memoryBytes: number | undefined;
    readonly restoreAfterMs: number;
  };
  /** Coverage lines. */
  readonly coverage: { readonly enabled: boolean; readonly intervalMs: number };
  readonly canary: CanaryConfig;
  readonly streams: {
    readonly container: { readonly enabled: boolean; readonly format: StreamFormat };
    readonly appFile: { readonly enabled: boolean; readonly format: StreamFormat };
    /** On if a path is given; `path` is set if `enabled`. */
    readonly file: {
      readonly enabled: boolean;
      readonly path: string | undefined;
      readonly format: StreamFormat;
    };
    readonly stdout: { readonly enabled: boolean; readonly format: StreamFormat };
  } & ReceiverConfigs;
  readonly probe: {
    readonly execRingBytes: number;
    readonly bulkRingBytes: number;
    readonly tickMs: number;
    /** Also report calls by 32-bit and x32 programs, and calls that this kernel was built without. */
    readonly compatCalls: boolean;
    /** Filter opens in the kernel that no rule can match. */
    readonly kernelVerdicts: boolean;
    /** How long what is denied stays denied after the agent; 0: it ends with it; `keep`: until somebody ends it. */
    readonly denyWithoutAgentMs: number | 'keep';
    /** Where a BPF file system is mounted. */
    readonly bpfFileSystem: string;
  };
  readonly context: { readonly maxProcesses: number };
  readonly metrics: {
    readonly listen: ListenAddress;
    /** A socket for everybody who can reach it, which answers GET /metrics only; undefined: there is none. */
    readonly scrapeSocket: (ListenAddress & { readonly kind: 'unix' }) | undefined;
  };
  /** For sockets; cleared at boot. */
  readonly runDir: string;
  /** For what outlives the agent, such as lines that wait for a receiver. */
  readonly stateDir: string;
  /** Limit for the spool of each stream that has one. */
  readonly spoolMaxBytes: number;
  readonly hostname: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** The rules shipped with the agent: the same path from `src/` and from `dist/`. */
export const DEFAULT_RULES_FILE = fileURLToPath(
  new URL('../../manifests/rules/varvel_rules.yaml', import.meta.url),
);

/**
 * Takes values that passed the schema. `baseOf` returns the base folder for relative paths of a value, `positionOf` its place.
 * Throws UserError if the path of the `metrics` socket in `run_dir` is too long.
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
    // An explicit value has passed the schema, so this is the default in a long run_dir.
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
    outputStyle: parsed.output_style,
    minimumPriority: capitalized(parsed.minimum_priority),
    ruleMatching: parsed.rule_matching,
    watchConfigFiles: parsed.watch_config_files,
    responses: responseSettings(parsed, (index) => positionOf(['responses', index])),
    policies: {
      enabled: parsed.policies.enabled,
      pinned: parsed.policies.pinned.map(given),
      responses: parsed.policies.responses,
      beforeIdentity: parsed.policies.before_identity,
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
      denyWithoutAgentMs: parsed.probe.deny_without_agent,
      bpfFileSystem: absolute(parsed.probe.bpf_filesystem, 'probe', 'bpf_filesystem'),
    },
    context: { maxProcesses: parsed.context.max_processes },
    metrics: {
      listen,
      scrapeSocket: scrapeSocketOf(
        parsed.metrics.scrape_socket &&
          absolute(parsed.metrics.scrape_socket, 'metrics', 'scrape_socket'),
        listen,
        positionOf(['metrics', 'scrape_socket']),
      ),
    },
    runDir,
    stateDir: absolute(parsed.state_dir, 'state_dir'),
    spoolMaxBytes: parsed.spool.max_bytes,
    hostname: parsed.hostname ?? hostname(),
    logLevel: parsed.log_level,
  });
}

/** The base folder for a file's relative paths. */
export function folderOf(file: string): string {
  return dirname(resolve(file));
}

/** Throws UserError for a path that cannot be one of a second socket. */
function scrapeSocketOf(
  path: string | undefined,
  listen: ListenAddress,
  position: SourcePosition | undefined,
): AgentConfig['metrics']['scrapeSocket'] {
  if (path === undefined) return undefined;
  const address = parseListenAddress(`unix:${path}`);
  const isOther = listen.kind !== 'unix' || listen.path !== path;
  if (typeof address === 'object' && address.kind === 'unix' && isOther) return address;
  const must = typeof address === 'string' ? address : 'another socket than metrics.listen';
  throw new UserError(
    `"metrics.scrape_socket" must be ${must}; it is ${JSON.stringify(path)}.`,
    position === undefined ? {} : { position },
  );
}
