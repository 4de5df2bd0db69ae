import { ruleCosts } from './rule-costs.ts';
import type { CanaryStatus } from './canary.ts';
import type { ContinuityStatus } from './continuity.ts';
import type { LiveRules } from './live-rules.ts';
import type { Relief } from './relief.ts';
import type { AgentSnapshot } from './snapshot.ts';
import type { PinnedDenial } from './pinned-denial.ts';
import { unavailableOf, type Refusals } from './refusals.ts';
import type { Responding } from './responding.ts';
import type { KnownFiles } from './known-files.ts';
import type { KernelVerdicts } from './verdicts.ts';
import { isAbsent } from '../apps/absent-runtime.ts';
import type { Apps } from '../apps/apps.ts';
import type { AgentConfig } from '../config/config.ts';
import type { ProcessTree } from '../context/process-tree.ts';
import { EVENT_NAMES, type EventName } from '../events/table.gen.ts';
import { AppTotals } from '../metrics/app-totals.ts';
import { AgentMetrics } from '../metrics/metrics.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { StartTrial } from '../plan/denial-test.ts';
import type { Policies } from '../policy/policies.ts';
import type { Evaluation } from '../evaluation/evaluation.ts';
import type { FanOut } from '../streams/fan-out.ts';
import type { LogStream } from '../streams/stream.ts';

/** Records received from the kernel since the agent's start. */
export class ReceivedRecords {
  records = 0;
  /** CLOCK_BOOTTIME of the last event that was read. */
  lastBootNs = 0n;
  /** Records of the self-test. */
  selfTest = 0;
  /** What became of the tests of denial (DenialOutcome), or why they could not be made; undefined: nothing is to be denied. */
  denial: Readonly<Record<StartTrial, string>> | undefined;
  readonly #byEvent = new Float64Array(EVENT_NAMES.length);

  /** Counts one record of the event with this index in EVENT_NAMES. */
  count(index: number): void {
    this.#byEvent[index] = (this.#byEvent[index] ?? 0) + 1;
  }

  byEvent(): [EventName, number][] {
    return byName(this.#byEvent);
  }
}

/** Pairs counts, which are in the order of EVENT_NAMES, with the names. */
function byName(counts: Float64Array): [EventName, number][] {
  return EVENT_NAMES.map((name, index) => [name, counts[index] ?? 0]);
}

export interface ReportSources {
  readonly config: AgentConfig;
  readonly version: string;
  readonly logLinesDropped: (() => number) | undefined;
  readonly apps: Apps;
  readonly probe: LiveProbe;
  readonly tree: ProcessTree;
  readonly evaluation: Evaluation;
  readonly responding: Pick<
    Responding,
    'responder' | 'isolation' | 'fallBack' | 'lifts' | 'evidence' | 'pauses'
  >;
  readonly rules: LiveRules;
  readonly policies: Policies;
  readonly verdicts: Pick<KernelVerdicts, 'status'>;
  readonly refusals: Refusals;
  readonly knownFiles: Pick<KnownFiles, 'status'>;
  readonly pinned: Pick<PinnedDenial, 'status'>;
  readonly fanOut: FanOut;
  readonly streams: () => readonly LogStream[];
  readonly received: ReceivedRecords;
  readonly relief: Relief;
  /** Undefined before the state is open. */
  readonly continuity: () => ContinuityStatus | undefined;
  /** Undefined if it is off. */
  readonly canary: () => CanaryStatus | undefined;
}

const NOTHING_YET: ContinuityStatus = { troubles: [], unwatched: { seconds: 0, containers: 0 } };

/** The agent's report on itself: metrics, and what `varvel status` shows. All stages are read on request. */
export class AgentReport {
  readonly metrics: AgentMetrics;
  readonly #sources: ReportSources;
  readonly #startedAtMs = Date.now();
  readonly #appTotals = new AppTotals();

  constructor(sources: ReportSources) {
    this.#sources = sources;
    this.metrics = this.#makeMetrics();
  }

  /** The cgroup leaves the scope map: reads its counters there for the last time. */
  forgetCgroup(cgroupId: number): void {
    this.#observe(cgroupId);
    this.#appTotals.forget(cgroupId);
  }

  snapshot(): AgentSnapshot {
    const { apps, config, evaluation, fanOut, policies, probe, received, relief, rules } =
      this.#sources;
    const { streams, tree } = this.#sources;
    const canary = this.#sources.canary();
    const counters = evaluation.engineCounters();
    const { emitted, dropped, skipped, scopeFull, deniedDropped } = probe.stats();
    const { prefiltered } = probe.scope
      .entries()
      .reduce((sum, entry) => ({ prefiltered: sum.prefiltered + entry.prefiltered }), {
        prefiltered: probe.deletedCounters().prefiltered,
      });
    return {
      hostname: config.hostname,
      startedAtMs: this.#startedAtMs,
      pid: process.pid,
      rules: rules.status(),
      hooks: probe.attached(),
      apps: apps.snapshot(),
      events: Object.fromEntries(received.byEvent()),
      kernel: {
        emitted,
        dropped,
        prefiltered,
        filtered: Object.fromEntries(byName(probe.filtered())),
        scopeFull,
        skipped,
        deniedDropped,
        denialEnded: this.#sources.responding.responder.operators.ended(),
        selfTest: received.selfTest,
        denialTest: received.denial,
        refusalsUnavailable: unavailableOf(this.#sources.refusals),
        ...this.#sources.pinned.status(),
        knownFiles: this.#sources.knownFiles.status(),
        verdicts: this.#sources.verdicts.status(),
      },
      received: received.records,
      waiting: evaluation.counters(),
      engine: {
        evaluated: counters.evaluated,
        skippedSetup: counters.skippedSetup,
        detections: Object.fromEntries(counters.detections),
        failedEvents: evaluation.watch.eventFailures,
      },
      responses: this.#sources.responding.responder.counts(),
      evidence: this.#sources.responding.evidence.counts(),
      isolation: this.#sources.responding.isolation.status(),
      pauses: this.#sources.responding.pauses.status(),
      lifts: this.#sources.responding.lifts.status(),
      ruleCosts: ruleCosts(evaluation),
      policies: policies.status(),
      ceilings: relief.status(),
      continuity: this.#sources.continuity() ?? NOTHING_YET,
      ...(canary === undefined ? {} : { canary }),
      processes: tree.counters(),
      delivery: fanOut.counters(),
      streams: Object.fromEntries(streams().map((stream) => [stream.name, stream.counters()])),
    };
  }

  #makeMetrics(): AgentMetrics {
    const {
      apps,
      config,
      evaluation,
      fanOut,
      logLinesDropped,
      policies,
      probe,
      received,
      relief,
      rules,
      streams,
      tree,
    } = this.#sources;
    return new AgentMetrics(this.#sources.version, {
      apps: () => {
        for (const { cgroupId } of probe.scope.entries()) this.#observe(cgroupId);
        return this.#appTotals.totals();
      },
      probe: () => probe.stats(),
      rules: () => rules.status(),
      held: () => evaluation.counters().events,
      filteredContainers: () => this.#sources.verdicts.status().containers,
      takenBack: () => {
        const { fallBack, lifts } = this.#sources.responding;
        const { partial } = this.#sources.knownFiles.status();
        return { denialEnded: fallBack.count, lifts: lifts.status().length, partial };
      },
      unconfirmedMatches: () => this.#sources.verdicts.status().certain.unconfirmed,
      cgroups: () => {
        const counts = { pending: 0, included: 0, excluded: 0, unwatched: 0 };
        for (const { state } of probe.scope.entries()) counts[state]++;
        counts.unwatched = apps.registry.unwatched();
        return counts;
      },
      // from the fan-out: lines dropped on the way to a stream are lost too
      streams: () => Object.entries(fanOut.counters().streams),
      spools: () =>
        streams().flatMap((stream) => {
          const counters = stream.counters();
          return 'spool' in counters ? [{ name: stream.name, counters }] : [];
        }),
      // An alert on what is not connected must not fire where it never was.
      runtimes: () => apps.runtimes().filter((one) => !isAbsent(one, config.runtimes)),
      ceilings: () => relief.status(),
      responses: () => this.#sources.responding.responder.counts(),
      paused: () => this.#sources.responding.pauses.status().containers.length,
      evidence: () => this.#sources.responding.evidence.counts(),
      isolation: () => this.#sources.responding.isolation.status(),
      costs: () => ({
        rules: ruleCosts(evaluation),
        failedEvents: evaluation.watch.eventFailures,
        policies: policies.status(),
      }),
      continuity: () => this.#sources.continuity() ?? NOTHING_YET,
      ...(this.#sources.config.canary.enabled ? { canary: this.#sources.canary } : {}),
      suppressed: () => fanOut.counters().suppressed,
      events: () => received.byEvent(),
      filtered: () => byName(probe.filtered()),
      context: () => tree.counters(),
      ...(logLinesDropped === undefined ? {} : { logLinesDropped }),
    });
  }

  #observe(cgroupId: number): void {
    const { apps, probe } = this.#sources;
    const resolution = apps.resolve(cgroupId);
    const entry = probe.scope.get(cgroupId);
    if (entry === undefined || resolution.state !== 'included') return;
    this.#appTotals.observe(cgroupId, resolution.container.app, entry);
  }
}
