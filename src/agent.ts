import type { Writable } from 'node:stream';
import { cgroupIdOf, cgroupPathOfPid } from './apps/cgroup-hierarchy.ts';
import type { AdmissionCounters } from './apps/admission.ts';
import { Apps } from './apps/apps.ts';
import type { AppsSnapshot } from './apps/status.ts';
import type { AgentConfig } from './config/config.ts';
import { ProcFs } from './context/proc-reader.ts';
import type { Process, UserNames } from './context/process.ts';
import { ProcessTree, type ProcessTreeCounters } from './context/process-tree.ts';
import { scanProcesses } from './context/scan.ts';
import { ContainerUsers } from './context/users.ts';
import { RecordBytes } from './events/batch.ts';
import { readCgroupChange } from './events/cgroup-record.ts';
import { EVENT_NAMES, HEADER, KINDS, WIRE_VERSION, type EventName } from './events/table.gen.ts';
import { WireEvent } from './events/wire-event.ts';
import { Attachment } from './plan/attachment.ts';
import { SystemBootClock } from './plan/boot-clock.ts';
import { hooksFor } from './plan/hooks.ts';
import { openMaskFor } from './plan/open-mask.ts';
import { SELF_TEST_HOOKS, SelfTest } from './plan/self-test.ts';
import { bootNs, containerRootReader, LiveProbe } from './probe/live.ts';
import type { ScopeMap } from './probe/scope.ts';
import type { Detection } from './rules/detection.ts';
import { RuleEngine, type RuleEngineCounters } from './rules/engine.ts';
import { Evaluation } from './rules/evaluation.ts';
import { loadConfiguredRules } from './rules/loader/rule-files.ts';
import { ruleNeeds, type RuleSet } from './rules/rule-set.ts';
import { AppTotals } from './metrics/app-totals.ts';
import { Endpoint } from './metrics/endpoint.ts';
import { AgentMetrics } from './metrics/metrics.ts';
import type { Logger } from './shared/logger.ts';
import { ReleaseStack } from './shared/release-stack.ts';
import { UserError } from './shared/user-error.ts';
import { configuredStreams } from './streams/configured-streams.ts';
import { FanOut, type FanOutCounters } from './streams/fan-out.ts';
import { AppFileStream } from './streams/file/app-file-stream.ts';
import { OperatorFileStream } from './streams/file/operator-file-stream.ts';
import type { Delivery, LogStream, StreamCounters } from './streams/stream.ts';

const TICK_MS = 1000;
/** On stop: how long what is pending may still find its identity, and how long streams may take what is queued. */
const SETTLE_MS = 1000;
const FLUSH_MS = 5000;

/** What the agent is made of besides its configuration. */
export interface AgentOptions {
  readonly config: AgentConfig;
  readonly logger: Logger;
  /** Where the stdout stream writes. */
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly version: string;
  /** Own log lines that nobody read. */
  readonly logLinesDropped?: () => number;
  /** Called when a stream has taken a detection, with the time since its system call. */
  readonly onDelivered?: (delivery: Delivery, stream: string, latencyMs: number) => void;
}

/** Everything countable, for metrics and `varvel status`. All counts are since the agent's start. */
export interface AgentSnapshot {
  readonly hostname: string;
  readonly startedAtMs: number;
  readonly pid: number;
  readonly rules: { readonly loaded: number; readonly enabled: number };
  readonly hooks: readonly string[];
  readonly apps: AppsSnapshot;
  /** Records by event name, as they came from the kernel. */
  readonly events: Readonly<Record<string, number>>;
  readonly kernel: {
    readonly emitted: number;
    readonly dropped: number;
    readonly prefiltered: number;
    readonly scopeFull: number;
    /**
     * Of `emitted`: the self-test's at start. `emitted` is this, and what the containers and the counter
     * `forgottenRecords` of `apps` say.
     */
    readonly selfTest: number;
  };
  readonly received: number;
  /** What waits for its container's identity. */
  readonly waiting: AdmissionCounters;
  readonly engine: Pick<RuleEngineCounters, 'evaluated' | 'skippedSetup'> & {
    readonly detections: Readonly<Record<string, number>>;
  };
  readonly processes: ProcessTreeCounters;
  readonly delivery: FanOutCounters;
  readonly streams: Readonly<Record<string, StreamCounters>>;
}

/**
 * The composition root: builds every stage, connects them and takes them down again. Between ring and verdict
 * nothing waits; all that is slow runs beside it.
 */
export class Agent {
  readonly #config: AgentConfig;
  readonly #logger: Logger;
  readonly #options: AgentOptions;
  readonly #release = new ReleaseStack();
  readonly #startedAtMs = Date.now();
  readonly #clock = new SystemBootClock();
  readonly #apps: Apps;
  readonly #probe: LiveProbe;
  readonly #attachment: Attachment;
  readonly #tree: ProcessTree;
  readonly #users: ContainerUsers;
  readonly #evaluation: Evaluation;
  readonly #streams: readonly LogStream[];
  readonly #fanOut: FanOut;
  readonly #procFs = new ProcFs();
  readonly #eventCounts = new Float64Array(EVENT_NAMES.length);
  readonly #appTotals = new AppTotals();
  readonly #metrics: AgentMetrics;
  #records: RecordBytes | undefined;
  #event: WireEvent | undefined;
  #received = 0;
  #eventNum = 0;
  #droppedSeen = 0;
  #droppedExecSeen = 0;
  #droppedExecOf = new Map<number, number>();
  #selfTestRecords = 0;
  #selfTest: SelfTest | undefined;
  #stopping: Promise<void> | undefined;

  /** Starts everything; what was started is taken down again if a later part fails. Throws UserError. */
  static async start(options: AgentOptions): Promise<Agent> {
    const ruleSet = loadConfiguredRules(options.config, options.logger);
    const agent = new Agent(options, ruleSet);
    try {
      await agent.#run(ruleSet);
      return agent;
    } catch (error) {
      await agent.#release.release().catch(() => undefined);
      throw error;
    }
  }

  private constructor(options: AgentOptions, ruleSet: RuleSet) {
    const { config, logger } = options;
    this.#options = options;
    this.#config = config;
    this.#logger = logger;

    // The probe needs the patterns, and the apps the probe's scope map: neither uses the other before `#run`.
    const scopeMap: ScopeMap = {
      set: (cgroupId, state, rootCgroupId) => {
        if (state !== 'excluded') this.#attachment.onScoped();
        this.#probe.scope.set(cgroupId, state, rootCgroupId);
        if (state === 'excluded') this.#attachment.onUnscoped();
      },
      delete: (cgroupId) => {
        this.#observeApp(cgroupId);
        this.#appTotals.forget(cgroupId);
        this.#probe.scope.delete(cgroupId);
        this.#attachment.onUnscoped();
      },
      get: (cgroupId) => this.#probe.scope.get(cgroupId),
      entries: () => this.#probe.scope.entries(),
    };
    const nowMs = (): number => performance.now();
    const { docker, cgroup } = config.runtimes;
    this.#apps = new Apps(
      {
        mode: config.mode,
        hierarchy: config.cgroupHierarchy,
        docker:
          docker.enabled === false
            ? undefined
            : { socketPath: docker.socket, cgroupParents: docker.cgroupParents },
        cgroups: cgroup.apps,
        rescanMs: config.rescanIntervalMs,
      },
      { scopeMap, logger, nowMs, onExpected: () => this.#attachment.attachForNow() },
    );
    this.#probe = new LiveProbe(
      {
        hierarchy: { kind: this.#apps.hierarchy.kind, id: this.#apps.hierarchy.hierarchyId },
        patterns: this.#apps.patterns,
        execRingBytes: config.probe.execRingBytes,
        bulkRingBytes: config.probe.bulkRingBytes,
        threadClones: false,
        tickMs: config.probe.tickMs,
      },
      WIRE_VERSION,
    );
    this.#release.defer(() => this.#probe.close());
    this.#attachment = new Attachment(this.#probe, logger, () => this.#anyInScope());
    this.#release.defer(() => this.#attachment.stop());
    this.#tree = new ProcessTree({
      reader: this.#procFs,
      maxProcesses: config.context.maxProcesses,
      isInScope: (pid) => this.#isInScope(pid),
      rootOf: (cgroupId) => {
        const resolution = this.#apps.resolve(cgroupId);
        return resolution.state === 'unknown' ? cgroupId : resolution.rootCgroupId;
      },
    });
    this.#users = new ContainerUsers({
      rootReader: containerRootReader,
      procReader: this.#procFs,
    });
    this.#streams = configuredStreams(config, logger, options.output);
    this.#fanOut = new FanOut(this.#streams, {
      hostname: config.hostname,
      logger,
      onDelivered: (delivery, stream) => this.#onDelivered(delivery, stream),
    });
    this.#release.defer(() => this.#fanOut.close());
    this.#evaluation = new Evaluation({
      engine: new RuleEngine(ruleSet, { matching: config.ruleMatching }),
      registry: this.#apps.registry,
      hostname: config.hostname,
      holdMs: config.holdTimeMs,
      nowMs,
      users: (cgroupId, process) => this.#usersOf(cgroupId, process),
      deliver: (detection) => this.#deliver(detection),
    });
    this.#metrics = this.#makeMetrics();
    this.#apps.listen({ onForgotten: (root) => this.#users.forget(root) });
  }

  /**
   * Stops: what has been read from the kernel is evaluated and delivered first, for at most 6 s. A second call
   * gives the same promise.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#shutDown();
    return this.#stopping;
  }

  /** Reads the rules again; a bad file changes nothing and says why in the log. Log files are opened anew. */
  reload(): void {
    for (const stream of this.#streams) {
      if (stream instanceof OperatorFileStream || stream instanceof AppFileStream) stream.reopen();
    }
    let ruleSet: RuleSet;
    try {
      ruleSet = loadConfiguredRules(this.#config, this.#logger);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#logger.error(
        { reason: error.toDisplay() },
        'the rules were not reloaded: those before go on',
      );
      return;
    }
    // Wider first, then the swap between two events: nothing that the new rules match is missed.
    this.#plan(ruleSet);
    this.#evaluation.swapEngine(new RuleEngine(ruleSet, { matching: this.#config.ruleMatching }));
    this.#logger.info({ rules: ruleSet.rules.length }, 'rules reloaded');
  }

  snapshot(): AgentSnapshot {
    const engine = this.#evaluation.engine;
    const counters = engine.counters();
    const { emitted, dropped, scopeFull } = this.#probe.stats();
    const { prefiltered } = this.#probe.scope
      .entries()
      .reduce((sum, entry) => ({ prefiltered: sum.prefiltered + entry.prefiltered }), {
        prefiltered: this.#probe.deletedCounters().prefiltered,
      });
    return {
      hostname: this.#config.hostname,
      startedAtMs: this.#startedAtMs,
      pid: process.pid,
      rules: {
        loaded: engine.ruleSet.rules.length,
        enabled: engine.ruleSet.rules.filter((rule) => rule.enabled).length,
      },
      hooks: this.#probe.attached(),
      apps: this.#apps.snapshot(),
      events: Object.fromEntries(this.#eventTotals()),
      kernel: { emitted, dropped, prefiltered, scopeFull, selfTest: this.#selfTestRecords },
      received: this.#received,
      waiting: this.#evaluation.counters(),
      engine: {
        evaluated: counters.evaluated,
        skippedSetup: counters.skippedSetup,
        detections: Object.fromEntries(counters.detections),
      },
      processes: this.#tree.counters(),
      delivery: this.#fanOut.counters(),
      streams: Object.fromEntries(this.#streams.map((stream) => [stream.name, stream.counters()])),
    };
  }

  #makeMetrics(): AgentMetrics {
    const { logLinesDropped } = this.#options;
    return new AgentMetrics(this.#options.version, {
      apps: () => {
        for (const { cgroupId } of this.#probe.scope.entries()) this.#observeApp(cgroupId);
        return this.#appTotals.totals();
      },
      probe: () => this.#probe.stats(),
      held: () => this.#evaluation.counters().events,
      cgroups: () => {
        const counts = { pending: 0, included: 0, excluded: 0 };
        for (const { state } of this.#probe.scope.entries()) counts[state]++;
        return counts;
      },
      // the fan-out's: what was dropped on the way to a stream is lost too
      streams: () =>
        Object.entries(this.#fanOut.counters().streams).map(([name, counters]) => ({
          name,
          counters,
        })),
      events: () => this.#eventTotals(),
      context: () => this.#tree.counters(),
      ...(logLinesDropped === undefined ? {} : { logLinesDropped }),
    });
  }

  #eventTotals(): [EventName, number][] {
    return EVENT_NAMES.map((name, index) => [name, this.#eventCounts[index] ?? 0]);
  }

  #observeApp(cgroupId: number): void {
    const resolution = this.#apps.resolve(cgroupId);
    const entry = this.#probe.scope.get(cgroupId);
    if (entry === undefined || resolution.state !== 'included') return;
    this.#appTotals.observe(cgroupId, resolution.container.app, entry);
  }

  /** Kernel first, then what exists already: nothing that happens in between is lost. */
  async #run(ruleSet: RuleSet): Promise<void> {
    for (const stream of this.#streams) {
      if (stream instanceof OperatorFileStream) await stream.verify();
    }
    this.#records = new RecordBytes(this.#probe.start((bytes) => this.#onBatch(bytes)));
    this.#event = new WireEvent(this.#records, this.#clock);
    await this.#runSelfTest();
    this.#plan(ruleSet);
    // Not only when the first container comes: it may be there already, or this process be busy just then.
    this.#attachment.attachForNow();
    this.#release.defer(() => this.#apps.stop());
    await this.#apps.start();
    const scan = await scanProcesses(this.#tree, this.#procFs, (pid) => this.#isInScope(pid));
    this.#evaluation.start();
    const timer = setInterval(() => this.#onTick(), TICK_MS);
    this.#release.defer(() => clearInterval(timer));
    const endpoint = await Endpoint.open({
      listen: this.#config.metrics.listen,
      metrics: this.#metrics,
      status: () => this.snapshot(),
      logger: this.#logger,
    });
    this.#release.defer(() => endpoint.close());
    this.#logger.info(
      {
        hierarchy: this.#apps.hierarchy.kind,
        mode: this.#config.mode,
        rules: ruleSet.rules.length,
        processes: scan.inScope,
        streams: this.#streams.map((stream) => stream.name),
      },
      'watching',
    );
  }

  async #runSelfTest(): Promise<void> {
    this.#probe.setOpenMask({ read: true, write: true, failed: true });
    this.#probe.attachOnly(SELF_TEST_HOOKS);
    this.#selfTest = new SelfTest(this.#probe, this.#apps.hierarchy.mountPoint);
    const { ok, seen } = await this.#selfTest.run();
    this.#selfTest = undefined;
    // Its cgroup is the only one that has been deleted so far.
    this.#selfTestRecords = this.#probe.deletedCounters().emitted;
    if (!ok) {
      const unseen = Object.entries(seen)
        .filter(([, was]) => !was)
        .map(([name]) => name);
      throw new UserError(
        `The probe loads, but the kernel does not report ${unseen.join(', ')}: this host cannot be watched. Run "varvel doctor".`,
      );
    }
  }

  #plan(ruleSet: RuleSet): void {
    this.#attachment.setHooks(hooksFor(ruleNeeds(ruleSet)));
    this.#probe.setOpenMask(openMaskFor(ruleSet));
  }

  #onBatch(bytes: number): void {
    const records = this.#records;
    const event = this.#event;
    if (records === undefined || event === undefined) return;
    for (let at = 0; at < bytes;) {
      const length = records.number(at + HEADER.len);
      this.#received++;
      if (records.short(at + HEADER.kind) === KINDS.cgroup) {
        this.#onCgroup(records, at);
      } else {
        const index = records.short(at + HEADER.event);
        this.#eventCounts[index] = (this.#eventCounts[index] ?? 0) + 1;
        event.moveTo(at, ++this.#eventNum);
        const process = this.#tree.onEvent(event);
        if (this.#selfTest?.cgroupId === event.cgroupId) this.#selfTest.see(event);
        else this.#evaluation.onEvent(event, process);
      }
      // A length of zero would be a broken probe; better to lose the batch than to hang the host's eyes.
      if (length === 0) break;
      at += length;
    }
  }

  #onCgroup(records: RecordBytes, at: number): void {
    const change = readCgroupChange(records, at);
    if (this.#selfTest?.cgroupId === change.cgroupId) return;
    if (change.kind === 'mkdir' && change.state !== 'excluded') this.#attachment.onScoped();
    this.#tree.onCgroupChange(change);
    this.#apps.onCgroupChange(change);
    if (change.kind === 'rmdir') this.#attachment.onUnscoped();
  }

  #onTick(): void {
    const now = bootNs();
    this.#clock.refresh();
    const { dropped, droppedExec } = this.#probe.stats();
    // Losses in the bulk ring, which any container can cause, leave the process tree whole.
    if (droppedExec > this.#droppedExecSeen) {
      this.#droppedExecSeen = droppedExec;
      this.#onProcessRecordsLost(now);
    }
    if (dropped > this.#droppedSeen) {
      this.#logger.warn(
        { lost: dropped - this.#droppedSeen },
        'records were lost: a container makes them faster than they can be taken; "varvel status" names it',
      );
      this.#droppedSeen = dropped;
    }
    this.#tree.tick(now);
  }

  #onProcessRecordsLost(now: bigint): void {
    const lost = new Map<number, number>();
    for (const { cgroupId, rootCgroupId, droppedExec } of this.#probe.scope.entries()) {
      if (droppedExec === 0) continue;
      lost.set(cgroupId, droppedExec);
      const before = this.#droppedExecOf.get(cgroupId) ?? 0;
      if (droppedExec > before) this.#tree.recordsLost(now, rootCgroupId);
    }
    this.#droppedExecOf = lost;
  }

  #usersOf(cgroupId: number, process: Process): UserNames {
    const resolution = this.#apps.resolve(cgroupId);
    const key = resolution.state === 'unknown' ? cgroupId : resolution.rootCgroupId;
    this.#users.ensure(key, process.pid, process.startBootNs);
    return this.#users.names(key);
  }

  #deliver(detection: Detection): void {
    this.#metrics.countDetection(detection.rule, detection.priority);
    this.#fanOut.deliver(detection);
  }

  #onDelivered(delivery: Delivery, stream: LogStream): void {
    const latencyNs = bootNs() - delivery.detection.bootNs;
    this.#metrics.observeLatency(latencyNs);
    this.#options.onDelivered?.(delivery, stream.name, Number(latencyNs) / 1e6);
  }

  #isInScope(pid: number): boolean | undefined {
    const path = cgroupPathOfPid(this.#apps.hierarchy, pid);
    if (path === undefined) return undefined;
    const cgroupId = cgroupIdOf(this.#apps.hierarchy, path);
    if (cgroupId === undefined) return undefined;
    const { state } = this.#apps.resolve(cgroupId);
    return state === 'included' || state === 'pending';
  }

  #anyInScope(): boolean {
    return this.#apps.registry
      .entries()
      .some((entry) => entry.goneAtMs === undefined && entry.resolution.state !== 'excluded');
  }

  async #shutDown(): Promise<void> {
    this.#logger.info({}, 'stopping: what has been read is delivered first');
    this.#probe.attachOnly([]);
    this.#probe.drain();
    const end = performance.now() + SETTLE_MS;
    while (this.#evaluation.counters().events.held > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.#evaluation.stop();
    const { delivered, lost } = await this.#fanOut.flush(FLUSH_MS);
    await this.#release.release();
    this.#logger.info({ delivered, lost }, 'stopped');
  }
}
