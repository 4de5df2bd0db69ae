import type { Writable } from 'node:stream';
import { RecordLosses } from './agent-losses.ts';
import { LiveRules, loadFirstRules } from './agent-rules.ts';
import type { ConfigSource, FirstRules } from './agent-rules.ts';
import type { AgentSnapshot } from './agent-snapshot.ts';
import { cgroupIdOf, cgroupPathOfPid } from './apps/cgroup-hierarchy.ts';
import { Apps } from './apps/apps.ts';
import type { AgentConfig } from './config/config.ts';
import type { LoadedConfig } from './config/load.ts';
import { ProcFs } from './context/proc-reader.ts';
import type { Process, UserNames } from './context/process.ts';
import { DomainNames } from './context/domain-names.ts';
import { ProcessTree } from './context/process-tree.ts';
import { scanProcesses } from './context/scan.ts';
import { ContainerUsers } from './context/users.ts';
import { RecordBytes } from './events/batch.ts';
import { readCgroupChange } from './events/cgroup-record.ts';
import { EVENT_NAMES, HEADER, KINDS, WIRE_VERSION, type EventName } from './events/table.gen.ts';
import { WireEvent } from './events/wire-event.ts';
import { Attachment } from './plan/attachment.ts';
import { SystemBootClock } from './plan/boot-clock.ts';
import { SELF_TEST_HOOKS, SelfTest } from './plan/self-test.ts';
import { ALL_EVENTS, bootNs, containerRootReader, LiveProbe } from './probe/live.ts';
import type { ScopeMap } from './probe/scope.ts';
import type { Detection } from './rules/detection.ts';
import { RuleEngine } from './rules/engine.ts';
import { Evaluation } from './rules/evaluation.ts';
import { AppTotals } from './metrics/app-totals.ts';
import { Endpoint } from './metrics/endpoint.ts';
import { AgentMetrics } from './metrics/metrics.ts';
import type { Logger } from './shared/logger.ts';
import { ReleaseStack } from './shared/release-stack.ts';
import { UserError } from './shared/user-error.ts';
import { configuredStreams } from './streams/configured-streams.ts';
import { FanOut } from './streams/fan-out.ts';
import { AppFileStream } from './streams/file/app-file-stream.ts';
import { OperatorFileStream } from './streams/file/operator-file-stream.ts';
import type { Delivery, LogStream } from './streams/stream.ts';

const TICK_MS = 1000;
/** On stop: how long what is pending may still find its identity, and how long streams may take what is queued. */
const SETTLE_MS = 1000;
const FLUSH_MS = 5000;

/** What the agent is made of besides its configuration. */
export interface AgentOptions {
  readonly config: AgentConfig;
  /** For reloads: where `config` is from, and as what it was read. Without it, the settings stay as they are. */
  readonly source?: { readonly from: ConfigSource; readonly loaded: LoadedConfig };
  readonly logger: Logger;
  /** Where the stdout stream writes. */
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly version: string;
  /** Own log lines that nobody read. */
  readonly logLinesDropped?: () => number;
  /** Called when a stream has taken a detection, with the time since its system call. */
  readonly onDelivered?: (delivery: Delivery, stream: string, latencyMs: number) => void;
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
  readonly #domains: DomainNames;
  readonly #evaluation: Evaluation;
  readonly #rules: LiveRules;
  readonly #streams: readonly LogStream[];
  readonly #fanOut: FanOut;
  readonly #procFs = new ProcFs();
  readonly #eventCounts = new Float64Array(EVENT_NAMES.length);
  readonly #appTotals = new AppTotals();
  readonly #metrics: AgentMetrics;
  readonly #losses: RecordLosses;
  #records: RecordBytes | undefined;
  #event: WireEvent | undefined;
  #received = 0;
  #eventNum = 0;
  #selfTestRecords = 0;
  #selfTest: SelfTest | undefined;
  #stopping: Promise<void> | undefined;

  /** Starts everything; what was started is taken down again if a later part fails. Throws UserError. */
  static async start(options: AgentOptions): Promise<Agent> {
    const { config, source, logger } = options;
    const first = await loadFirstRules(config, source?.from.file, logger);
    const agent = new Agent(options, first);
    try {
      await agent.#run(first);
      return agent;
    } catch (error) {
      await agent.#release.release().catch(() => undefined);
      throw error;
    }
  }

  private constructor(options: AgentOptions, first: FirstRules) {
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
        compatCalls: config.probe.compatCalls,
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
    this.#domains = new DomainNames(logger);
    this.#streams = configuredStreams(config, logger, options.output);
    this.#fanOut = new FanOut(this.#streams, {
      hostname: config.hostname,
      logger,
      onDelivered: (delivery, stream) => this.#onDelivered(delivery, stream),
    });
    this.#release.defer(() => this.#fanOut.close());
    this.#evaluation = new Evaluation({
      engine: new RuleEngine(first.rules.ruleSet, { matching: config.ruleMatching }),
      registry: this.#apps.registry,
      hostname: config.hostname,
      holdMs: config.holdTimeMs,
      nowMs,
      users: (cgroupId, process) => this.#usersOf(cgroupId, process),
      domains: this.#domains,
      deliver: (detection) => this.#deliver(detection),
    });
    this.#rules = new LiveRules(first, {
      settings: config,
      source: options.source,
      logger,
      evaluation: this.#evaluation,
      attachment: this.#attachment,
      probe: this.#probe,
      apps: this.#apps,
      domains: this.#domains,
    });
    this.#release.defer(() => this.#domains.stop());
    this.#release.defer(() => this.#rules.stop());
    this.#metrics = this.#makeMetrics();
    this.#losses = new RecordLosses(this.#probe, logger, (rootCgroupId) =>
      this.#tree.recordsLost(bootNs(), rootCgroupId),
    );
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

  /** Reads configuration and rules again, as LiveRules; log files are opened anew. */
  reload(): Promise<void> {
    for (const stream of this.#streams) {
      if (stream instanceof OperatorFileStream || stream instanceof AppFileStream) stream.reopen();
    }
    return this.#rules.reload();
  }

  snapshot(): AgentSnapshot {
    const counters = this.#evaluation.engineCounters();
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
      rules: this.#rules.status(),
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
      rules: () => this.#rules.status(),
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
  async #run(first: FirstRules): Promise<void> {
    for (const stream of this.#streams) {
      if (stream instanceof OperatorFileStream) await stream.verify();
    }
    this.#records = new RecordBytes(this.#probe.start((bytes) => this.#onBatch(bytes)));
    this.#event = new WireEvent(this.#records, this.#clock);
    await this.#runSelfTest();
    this.#rules.start(first);
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
        rules: first.rules.ruleSet.rules.length,
        digest: first.rules.digest,
        processes: scan.inScope,
        streams: this.#streams.map((stream) => stream.name),
      },
      'watching',
    );
  }

  async #runSelfTest(): Promise<void> {
    this.#probe.setMasks(ALL_EVENTS);
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
    this.#clock.refresh();
    this.#losses.look();
    this.#tree.tick(bootNs());
  }

  #usersOf(cgroupId: number, process: Process): UserNames {
    const resolution = this.#apps.resolve(cgroupId);
    const key = resolution.state === 'unknown' ? cgroupId : resolution.rootCgroupId;
    // What the runtime does while it sets a container up is not reported, and names nobody.
    if (!process.setup) this.#users.ensure(key, process.pid, process.startBootNs);
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
    this.#rules.stop();
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
