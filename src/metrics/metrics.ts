import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import type { ProcessTreeCounters } from '../context/process-tree.ts';
import type { EventName } from '../events/table.gen.ts';
import type { Priority } from '../rules/detection.ts';
import { RESULTS, type StreamResults } from '../streams/stream.ts';
import type { MetricSample } from '../streams/loggregator/metric-sample.ts';
import type { AppTotal } from './app-totals.ts';
import { canaryMetrics, type CanarySource } from './canary-metrics.ts';
import { ceilingMetrics, type CeilingSource } from './ceiling-metrics.ts';
import { costMetrics, type CostSource } from './cost-metrics.ts';
import { continuityMetrics, type ContinuitySource } from './continuity-metrics.ts';
import { size, total } from './collected.ts';
import { DetectionMetrics } from './detection-metrics.ts';
import { IncidentMetrics, type CountedLine } from './incident-metrics.ts';
import { processMetrics } from './process-metrics.ts';
import {
  evidenceMetrics,
  isolationMetrics,
  pauseMetrics,
  responseMetrics,
  takenBackMetrics,
  type EvidenceSource,
  type IsolationSource,
  type ResponseSource,
  type TakenBackSource,
} from './response-metrics.ts';
import { runtimeMetrics, type RuntimeSource } from './runtime-metrics.ts';
import { spoolMetrics, type SpoolSource } from './spool-metrics.ts';
import { platformSamples } from './platform-samples.ts';

/** Seconds from the system call to the written line. */
export const LATENCY_BUCKETS = [
  0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5,
] as const;

/** The probe's counters. */
type ProbeTotal = 'emitted' | 'dropped' | 'skipped' | 'readErrors' | 'scopeFull' | 'deniedDropped';
const PROBE_TOTALS: readonly (readonly [of: ProbeTotal, name: string, help: string])[] = [
  ['emitted', 'varvel_records_emitted_total', 'Records from the kernel.'],
  ['dropped', 'varvel_records_dropped_total', 'Records lost, all cgroups.'],
  [
    'skipped',
    'varvel_probe_skipped_total',
    'Times that the kernel did not run the probe, as another task was interrupted in it on that CPU (Linux 7.0 and newer).',
  ],
  [
    'readErrors',
    'varvel_probe_read_errors_total',
    'Values that the probe could not read from the kernel or from a process.',
  ],
  [
    'scopeFull',
    'varvel_scope_full_total',
    'Containers not watched because the scope map was full.',
  ],
  [
    'deniedDropped',
    'varvel_denied_records_dropped_total',
    'Denials of programs, connections and calls on files whose record was lost.',
  ],
];

/** Counters of other components, read at each scrape, so each must be quick. All optional. */
export interface MetricSources {
  /** Per app, monotonic: `AppTotals.totals()`. */
  readonly apps?: () => Iterable<AppTotal>;
  /** Records by event, monotonic; includes process records that no rule uses. */
  readonly events?: () => Iterable<readonly [type: EventName, count: number]>;
  readonly filtered?: () => Iterable<readonly [type: EventName, count: number]>;
  /** The probe's own counters, all cgroups together. */
  readonly probe?: () => Readonly<Record<ProbeTotal, number>>;
  /** Events that wait for their container's identity, and those given up. */
  readonly held?: () => {
    readonly held: number;
    readonly dropped: number;
    readonly expired: number;
  };
  /** Containers whose file calls and connects are filtered by what rules say. */
  readonly filteredContainers?: () => number;
  /** Calls of which the kernel was wrongly certain that a rule matches. */
  readonly unconfirmedMatches?: () => number;
  readonly takenBack?: TakenBackSource;
  /** Cgroups by state. */
  readonly cgroups?: () => {
    readonly pending: number;
    readonly included: number;
    readonly excluded: number;
    /** Of containers that found no room in the map. */
    readonly unwatched?: number;
  };
  /** Detections that were counted instead of written. */
  readonly suppressed?: () => number;
  readonly streams?: () => Iterable<readonly [name: string, results: StreamResults]>;
  readonly spools?: SpoolSource;
  readonly ceilings?: CeilingSource;
  readonly responses?: ResponseSource;
  readonly evidence?: EvidenceSource;
  readonly isolation?: IsolationSource;
  /** Containers that are paused. */
  readonly paused?: () => number;
  readonly costs?: CostSource;
  readonly continuity?: ContinuitySource;
  readonly runtimes?: RuntimeSource;
  readonly canary?: CanarySource;
  readonly context?: () => ProcessTreeCounters;
  /** The rules in force and their reloads. */
  readonly rules?: () => {
    readonly loaded: number;
    readonly enabled: number;
    readonly digest: string;
    readonly loadedAtMs: number;
    readonly reloads: { readonly ok: number; readonly failed: number };
    readonly stale: boolean;
  };
  readonly logLinesDropped?: () => number;
}

/**
 * The agent's Prometheus metrics, in a registry of their own. Counters of other components are read at each scrape. The
 * number of series is bounded: event types, RULE_SERIES_MAX rules, APP_SERIES_MAX apps, INCIDENT_SERIES_MAX of incidents, streams.
 */
export class AgentMetrics {
  readonly #registry = new Registry();
  readonly #detections: DetectionMetrics;
  readonly #incidents: IncidentMetrics;
  readonly #latency: Histogram;

  constructor(version: string, sources: MetricSources = {}) {
    const registers = [this.#registry];
    new Gauge({
      name: 'varvel_build_info',
      help: 'The version of the agent, as a label.',
      labelNames: ['version'],
      registers,
    }).set({ version }, 1);
    this.#eventMetrics(registers, sources);
    this.#ruleMetrics(registers, sources);
    this.#detections = new DetectionMetrics(registers);
    this.#incidents = new IncidentMetrics(registers);
    this.#latency = new Histogram({
      name: 'varvel_detection_latency_seconds',
      help: 'Time from the system call to the written line.',
      buckets: [...LATENCY_BUCKETS],
      registers,
    });
    processMetrics(registers);
    this.#appMetrics(registers, sources);
    this.#sizes(registers, sources);
    this.#streamMetrics(registers, sources);
    if (sources.ceilings !== undefined) ceilingMetrics(registers, sources.ceilings);
    if (sources.responses !== undefined) responseMetrics(registers, sources.responses);
    if (sources.evidence !== undefined) evidenceMetrics(registers, sources.evidence);
    if (sources.isolation !== undefined) isolationMetrics(registers, sources.isolation);
    if (sources.paused !== undefined) pauseMetrics(registers, sources.paused);
    if (sources.takenBack !== undefined) takenBackMetrics(registers, sources.takenBack);
    if (sources.costs !== undefined) costMetrics(registers, sources.costs);
    if (sources.continuity !== undefined) continuityMetrics(registers, sources.continuity);
    if (sources.spools !== undefined) spoolMetrics(registers, sources.spools);
    if (sources.canary !== undefined) canaryMetrics(registers, sources.canary);
    if (sources.runtimes !== undefined) runtimeMetrics(registers, sources.runtimes);
  }

  countDetection(rule: string, priority: Priority): void {
    this.#detections.count(rule, priority);
  }

  /** Call it for the same detections. */
  countIncident(line: CountedLine): void {
    this.#incidents.count(line);
  }

  /** From the event's `bootNs` to CLOCK_BOOTTIME when the line was written. */
  observeLatency(nanoseconds: bigint): void {
    this.#latency.observe(Number(nanoseconds) / 1e9);
  }

  /** In Prometheus's text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Those of them that go to the platform's own metrics. */
  samples(): Promise<readonly MetricSample[]> {
    return platformSamples(this.#registry);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #eventMetrics(registers: Registry[], { events, filtered }: MetricSources): void {
    const count = (name: string, help: string, counts: MetricSources['events']): void => {
      if (counts === undefined) return;
      new Counter({
        name,
        help,
        labelNames: ['type'],
        registers,
        collect() {
          this.reset();
          for (const [type, number] of counts()) this.inc({ type }, number);
        },
      });
    };
    count('varvel_events_total', 'Events from the kernel, by type.', events);
    count('varvel_events_filtered_total', 'Calls that no rule can match, by type.', filtered);
  }

  #ruleMetrics(registers: Registry[], { rules }: MetricSources): void {
    if (rules === undefined) return;
    new Gauge({
      name: 'varvel_rules',
      help: 'Rules that are loaded, by whether they run.',
      labelNames: ['state'],
      registers,
      collect() {
        const { loaded, enabled } = rules();
        this.set({ state: 'enabled' }, enabled);
        this.set({ state: 'disabled' }, loaded - enabled);
      },
    });
    new Gauge({
      name: 'varvel_rules_info',
      help: 'The SHA-256 of the rule files in force, as a label.',
      labelNames: ['digest'],
      registers,
      collect() {
        // One series: that of the set before goes.
        this.reset();
        this.set({ digest: rules().digest }, 1);
      },
    });
    new Counter({
      name: 'varvel_rules_reloads_total',
      help: 'Reloads of the rules, by what became of them.',
      labelNames: ['result'],
      registers,
      collect() {
        const { ok, failed } = rules().reloads;
        this.reset();
        this.inc({ result: 'ok' }, ok);
        this.inc({ result: 'failed' }, failed);
      },
    });
    size(
      registers,
      'varvel_rules_last_reload_successful',
      '0 when the last reload was refused and the rules before it go on.',
      () => (rules().stale ? 0 : 1),
    );
    size(
      registers,
      'varvel_rules_loaded_timestamp_seconds',
      'Unix time at which the rules in force were loaded.',
      () => rules().loadedAtMs / 1000,
    );
  }

  #appMetrics(registers: Registry[], { apps }: MetricSources): void {
    if (apps === undefined) return;
    for (const [field, help] of [
      ['emitted', 'Records of the app’s cgroups that reached the agent.'],
      ['dropped', 'Records lost because a ring, or the cgroup’s share of it, was full.'],
      ['prefiltered', 'System calls kept in the kernel because no rule can match them.'],
    ] as const) {
      new Counter({
        name: `varvel_app_records_${field}_total`,
        help,
        labelNames: ['app', 'space', 'org'],
        registers,
        collect() {
          this.reset();
          for (const { app, space, org, [field]: count } of apps())
            this.inc({ app, space, org }, count);
        },
      });
    }
  }

  #sizes(registers: Registry[], sources: MetricSources): void {
    const { probe, held, cgroups, context, filteredContainers, logLinesDropped } = sources;
    const { unconfirmedMatches } = sources;
    if (unconfirmedMatches !== undefined)
      total(
        registers,
        'varvel_unconfirmed_matches_total',
        'Calls of which the kernel was certain that a rule matches, but none did.',
        unconfirmedMatches,
      );
    if (filteredContainers !== undefined)
      size(
        registers,
        'varvel_filtered_containers',
        'Containers whose file calls and connects end in the kernel where no rule can match.',
        filteredContainers,
      );
    if (probe !== undefined)
      for (const [of, name, help] of PROBE_TOTALS) total(registers, name, help, () => probe()[of]);
    if (held !== undefined) {
      size(
        registers,
        'varvel_held_events',
        'Events that wait for their identity.',
        () => held().held,
      );
      total(
        registers,
        'varvel_held_events_dropped_total',
        'Events given up because too many waited.',
        () => held().dropped,
      );
      total(
        registers,
        'varvel_held_events_expired_total',
        'Events whose identity did not come in time.',
        () => held().expired,
      );
    }
    if (cgroups !== undefined) {
      new Gauge({
        name: 'varvel_cgroups',
        help: 'Containers in the scope map, by state; unwatched: those that found no room in it.',
        labelNames: ['state'],
        registers,
        collect() {
          for (const [state, count] of Object.entries(cgroups())) this.set({ state }, count);
        },
      });
    }
    if (context !== undefined) {
      for (const [field, help] of [
        ['processes', 'Processes kept in the tree.'],
        ['exited', 'Exited processes that can still be found.'],
        ['retained', 'Dead processes kept for their children.'],
        ['imageBytes', 'Bytes of paths, arguments and environments of programs.'],
      ] as const)
        size(registers, `varvel_context_${snake(field)}`, help, () => context()[field]);
      for (const [field, help] of [
        ['evicted', 'Running processes forgotten because the tree was full.'],
        ['imagesCut', 'Programs whose arguments and environment were dropped for lack of memory.'],
        ['spliced', 'Dead parents forgotten before their children.'],
        ['discovered', 'Processes whose start was not seen, found by a later event.'],
        ['missedExits', 'Exits of processes found in /proc, as no record came.'],
        ['procReads', 'Reads of /proc for a process the probe had not told of.'],
        ['procReadsRefused', 'Such reads not made because of their bound.'],
      ] as const)
        total(registers, `varvel_context_${snake(field)}_total`, help, () => context()[field]);
    }
    if (logLinesDropped !== undefined)
      total(
        registers,
        'varvel_log_lines_dropped_total',
        'Lines of the agent’s own log that were dropped, as stderr was not read in time.',
        logLinesDropped,
      );
  }

  #streamMetrics(registers: Registry[], { streams, suppressed }: MetricSources): void {
    if (suppressed !== undefined)
      total(
        registers,
        'varvel_detections_suppressed_total',
        'Detections counted in a line of their own instead of written, past the limits.',
        suppressed,
      );
    if (streams === undefined) return;
    new Counter({
      name: 'varvel_stream_deliveries_total',
      help: 'Detections handed to a log stream, by what became of them. With a spool: spooled, and sent or refused by its receiver.',
      labelNames: ['stream', 'result'],
      registers,
      collect() {
        this.reset();
        for (const [stream, results] of streams())
          for (const result of RESULTS) {
            const count = results[result];
            if (count !== undefined) this.inc({ stream, result }, count);
          }
      },
    });
  }
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
