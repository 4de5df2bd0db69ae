import { openCanary, type Canary } from './agent-canary.ts';
import { prepareCanary, type CanaryCgroups } from './agent-canary-container.ts';
import { Continuity, IN_THE_MAKING_MS } from './agent-continuity.ts';
import { CoverageLines } from './agent-coverage.ts';
import { CutReports } from './agent-cuts.ts';
import type { AgentOptions } from './agent-options.ts';
import { recordLosses, type RecordLosses } from './agent-losses.ts';
import { UnwatchedContainers } from './agent-unwatched.ts';
import { filesOf, Insides, openPins, type KeptPins } from './agent-insides.ts';
import { Relief } from './agent-relief.ts';
import { AgentReport, ReceivedRecords, sendPlatformMetrics } from './agent-report.ts';
import { agentPolicies, operatorRules } from './agent-policies.ts';
import { logFailure } from './agent-rule-costs.ts';
import { Outgoing } from './agent-outgoing.ts';
import { LiveRules, loadFirstRules, type FirstRules } from './agent-rules.ts';
import type { AgentSnapshot } from './agent-snapshot.ts';
import { followedScope } from './agent-scope.ts';
import { AgentState } from './agent-state.ts';
import { FirstDetections, type EarlyDetections } from './agent-succession.ts';
import { Apps } from './apps/apps.ts';
import type { Container } from './apps/identity.ts';
import { configuredApps } from './apps/configured-apps.ts';
import type { AgentConfig } from './config/config.ts';
import { ProcFs } from './context/proc-reader.ts';
import { ProcUsage } from './context/process-usage.ts';
import { DomainNames } from './context/domain-names.ts';
import { ProcessTree } from './context/process-tree.ts';
import { scanProcesses } from './context/scan.ts';
import { RecordBytes } from './events/batch.ts';
import { readCgroupChange } from './events/cgroup-record.ts';
import { HEADER, KINDS, WIRE_VERSION } from './events/table.gen.ts';
import { WireEvent } from './events/wire-event.ts';
import { Attachment } from './plan/attachment.ts';
import { SystemBootClock } from './plan/boot-clock.ts';
import { SELF_TEST_HOOKS, SelfTest } from './plan/self-test.ts';
import type { Policies } from './policy/policies.ts';
import type { PolicyPins } from './policy/policy-pins.ts';
import { ALL_EVENTS, bootNs, killProcess, LiveProbe } from './probe/live.ts';
import { kill } from './responses/kill.ts';
import { RuleEngine } from './rules/engine.ts';
import { Evaluation } from './rules/evaluation.ts';
import { Endpoint } from './metrics/endpoint.ts';
import type { Logger } from './shared/logger.ts';
import { ReleaseStack } from './shared/release-stack.ts';
import { StateTroubles } from './shared/state-troubles.ts';
import { UserError } from './shared/user-error.ts';
import { ConfiguredStreams } from './streams/configured-streams.ts';
import { FanOut } from './streams/fan-out.ts';
import { AppFileStream } from './streams/file/app-file-stream.ts';
import { OperatorFileStream } from './streams/file/operator-file-stream.ts';
import type { Delivery, LogStream } from './streams/stream.ts';

const TICK_MS = 1000;
/** On stop: how long what is pending may still find its identity, and how long streams may take what is queued. */
const SETTLE_MS = 1000;
const FLUSH_MS = 5000;

/**
 * The composition root: builds every stage, connects them and takes them down again. Between ring and verdict
 * nothing waits; all that is slow runs beside it.
 */
export class Agent {
  readonly #config: AgentConfig;
  readonly #logger: Logger;
  readonly #options: AgentOptions;
  readonly #release: ReleaseStack;
  readonly #clock = new SystemBootClock();
  readonly #apps: Apps;
  readonly #probe: LiveProbe;
  readonly #attachment: Attachment;
  readonly #tree: ProcessTree;
  readonly #insides: Insides;
  readonly #domains: DomainNames;
  readonly #evaluation: Evaluation;
  readonly #rules: LiveRules;
  readonly #policies: Policies;
  #streams: readonly LogStream[] = [];
  readonly #fanOut: FanOut;
  readonly #outgoing: Outgoing;
  readonly #procFs = new ProcFs();
  readonly #received = new ReceivedRecords();
  readonly #report: AgentReport;
  readonly #relief: Relief;
  readonly #losses: RecordLosses;
  readonly #cuts: CutReports;
  readonly #unwatched: UnwatchedContainers;
  readonly #coverage: CoverageLines | undefined;
  readonly #canary: Canary | undefined;
  #records: RecordBytes | undefined;
  #event: WireEvent | undefined;
  #eventNum = 0;
  #continuity: Continuity | undefined;
  #selfTest: SelfTest | undefined;
  #state: AgentState | undefined;
  #untilNs: bigint | undefined;
  #stopping: Promise<void> | undefined;

  /** Starts everything; what was started is taken down again if a later part fails. Throws UserError. */
  static async start(options: AgentOptions): Promise<Agent> {
    const { config, source, logger } = options;
    const first = await loadFirstRules(config, source?.from.file, logger);
    const release = new ReleaseStack();
    try {
      const before =
        options.replace === true ? await AgentState.succeed(config.stateDir, logger) : undefined;
      release.defer(() => before?.giveUp());
      // Before anything is attached: another agent may be running.
      const troubles = new StateTroubles(logger);
      const openState = (): Promise<AgentState> =>
        AgentState.open(config.stateDir, logger, troubles);
      let state = before === undefined ? await openState() : undefined;
      release.defer(() => state?.close());
      const kept = openPins(config.stateDir, logger, troubles);
      release.defer(() => kept.close());
      const streams = await ConfiguredStreams.prepare(config, logger, options.output);
      release.defer(() => streams.close());
      const ground = await prepareCanary(config, before === undefined, logger);
      const early = before ?? new FirstDetections();
      const agent = new Agent(options, first, release, early, kept.pins, ground);
      const { processes } = await agent.#watch(first);
      if (before !== undefined && options.isStopping?.() === true) {
        throw new UserError('Stopped before it took over: the agent that runs goes on.', {
          exitCode: 0,
        });
      }
      await before?.takeOver();
      state ??= await openState();
      const onTaken: Canary['onTaken'] = (...line) => agent.#canary?.onTaken(...line);
      agent.#open(state, streams.open(troubles, onTaken), kept);
      await agent.#listen();
      agent.#canary?.start();
      logger.info(
        {
          ...{ hierarchy: agent.#apps.hierarchy.kind, mode: config.mode, processes },
          ...{ rules: first.rules.ruleSet.rules.length, digest: first.rules.digest },
          streams: agent.#streams.map((stream) => stream.name),
        },
        'watching',
      );
      return agent;
    } catch (error) {
      await release.release().catch(() => undefined);
      throw error;
    }
  }

  private constructor(
    options: AgentOptions,
    first: FirstRules,
    release: ReleaseStack,
    early: EarlyDetections,
    pins: PolicyPins,
    ground: CanaryCgroups | undefined,
  ) {
    const { config, logger } = options;
    this.#release = release;
    this.#options = options;
    this.#config = config;
    this.#logger = logger;

    // The probe needs the patterns, and the apps the probe's scope map: neither uses the other before `#run`.
    const scopeMap = followedScope(() => ({
      ...{ attachment: this.#attachment, probe: this.#probe },
      ...{ report: this.#report, losses: this.#losses },
    }));
    const nowMs = (): number => performance.now();
    this.#apps = new Apps(configuredApps(config, ground?.ruleFor(config.canary.app)), {
      ...{ scopeMap, logger, nowMs },
      onExpected: () => this.#attachment.attachForNow(),
      files: filesOf(
        () => this.#insides,
        (fullId) => this.#policies.forget(fullId),
      ),
    });
    this.#insides = new Insides({
      ...{ apps: this.#apps, pins, clock: this.#clock },
      programSince: (pid, startTicks) => this.#tree.programSince(pid, startTicks),
    });
    this.#release.defer(() => this.#insides.stop());
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
    this.#attachment = new Attachment(this.#probe, logger, () => this.#apps.registry.anyInScope());
    this.#release.defer(() => this.#attachment.stop());
    this.#tree = new ProcessTree({
      reader: this.#procFs,
      maxProcesses: config.context.maxProcesses,
      isInScope: (pid) => this.#apps.isInScope(pid),
      nestedCgroupOf: this.#apps.nestedCgroupOf,
      rootOf: (cgroupId) => this.#apps.rootOf(cgroupId),
      onSetup: (process, root) => this.#insides.onSetup(root, process),
    });
    this.#domains = new DomainNames(logger);
    this.#fanOut = new FanOut([], {
      hostname: config.hostname,
      logger,
      limits: config.limits,
      onDelivered: (delivery, stream) => this.#onDelivered(delivery, stream),
    });
    this.#release.defer(() => this.#fanOut.close());
    this.#outgoing = new Outgoing({
      ...{ fanOut: this.#fanOut, early },
      onDetection: (detection) => {
        this.#report.metrics.countDetection(detection.rule, detection.priority);
        this.#canary?.onDetection(detection);
      },
      successor: () => {
        const succession = this.#state?.succession;
        return succession?.hasSuccessor === true ? succession : undefined;
      },
    });
    this.#policies = agentPolicies({
      ...{ rules: first.rules, settings: config, logger },
      fileOf: (container) => this.#insides.policies.textOf(container),
      say: (line) => this.#outgoing.say(line),
      onChanged: (ruleSets) => {
        this.#rules.setAppRules(ruleSets);
        this.#evaluation.setAppRules(ruleSets);
      },
    });
    this.#evaluation = new Evaluation({
      engine: new RuleEngine(first.rules.ruleSet, { matching: config.ruleMatching }),
      registry: this.#apps.registry,
      hostname: config.hostname,
      holdMs: config.holdTimeMs,
      nowMs,
      users: (cgroupId, process) => this.#insides.usersOf(cgroupId, process),
      domains: this.#domains,
      usage: new ProcUsage(),
      containerOf: (container, process) => this.#apps.sidecars.containerOf(container, process),
      appRulesOf: (container) => this.#policies.rulesOf(container),
      onFailure: (failure) => logFailure(logger, failure),
      respond: (_, process) => kill(killProcess, process),
      isCounted: (detection) => this.#outgoing.isCounted(detection),
      deliver: (detection) => this.#outgoing.deliver(detection),
      onDropped: (container, { count, ...times }) =>
        this.#fanOut.noteUnseen({ container, reasons: { unknown: count }, ...times }),
    });
    this.#rules = new LiveRules(first, {
      ...{ settings: config, source: options.source, logger, evaluation: this.#evaluation },
      ...{ attachment: this.#attachment, probe: this.#probe, apps: this.#apps },
      domains: this.#domains,
      preparePolicies: (rules, settings) => this.#policies.prepare(operatorRules(rules, settings)),
      shedPolicies: (priorities) => this.#policies.shed(priorities),
    });
    this.#release.defer(() => this.#domains.stop());
    this.#release.defer(() => this.#rules.stop());
    this.#relief = new Relief({
      ...{ config, logger, rules: this.#rules, fanOut: this.#fanOut },
      containers: () => this.#watched(),
    });
    this.#report = new AgentReport({
      relief: this.#relief,
      continuity: () => this.#continuity?.status(),
      streams: () => this.#streams,
      ...{ config, version: options.version, logLinesDropped: options.logLinesDropped },
      ...{ apps: this.#apps, probe: this.#probe, tree: this.#tree, evaluation: this.#evaluation },
      ...{ rules: this.#rules, fanOut: this.#fanOut, received: this.#received },
      ...{ policies: this.#policies, canary: () => this.#canary?.status() },
    });
    this.#canary = openCanary(config, ground, {
      ...{ logger, attachment: this.#attachment, probe: this.#probe },
      ...{ evaluation: this.#evaluation, streams: () => this.#streams },
    });
    this.#losses = recordLosses(this.#probe, logger, {
      ...{ tree: this.#tree, insides: this.#insides, apps: this.#apps },
      ...{ clock: this.#clock, fanOut: this.#fanOut },
    });
    this.#cuts = new CutReports(this.#tree, this.#apps, logger);
    this.#unwatched = new UnwatchedContainers({
      say: (line) => this.#outgoing.say(line),
      rescan: () => void this.#apps.rescan(),
    });
    if (config.coverage.enabled) {
      this.#coverage = new CoverageLines({
        ...{ intervalMs: config.coverage.intervalMs, version: options.version },
        rules: (container) => this.#rulesOn(container),
        policyOf: (container) => this.#policies.stateOf(container),
        ownRulesPaused: (container) => this.#policies.arePaused(container),
        notWatchedFor: () => this.#relief.notWatchedFor(),
        fanOut: this.#fanOut,
        heldDropsOf: (root) => this.#evaluation.droppedOf(root),
        isOwn: (path) => ground?.owns(path) === true,
        say: (line) => this.#outgoing.say(line),
      });
    }
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
    return this.#report.snapshot();
  }

  /** Resolves when another agent watches in this one's place: time to stop. */
  get replaced(): Promise<void> {
    return this.#state?.asked ?? new Promise(() => undefined);
  }

  /** Kernel first, then what exists already: nothing that happens in between is lost. */
  async #watch(first: FirstRules): Promise<{ readonly processes: number }> {
    this.#records = new RecordBytes(this.#probe.start((bytes) => this.#onBatch(bytes)));
    this.#event = new WireEvent(this.#records, this.#clock);
    await this.#runSelfTest();
    this.#rules.start(first);
    // Not only when the first container comes: it may be there already, or this process be busy just then.
    this.#attachment.attachForNow();
    // No record tells how older processes came to be where they are. Without this, one that is moved from cgroup to
    // cgroup of its container (Garden: good to bad) would pass as coming from outside, so as the runtime's set-up.
    this.#tree.recordsLost(bootNs());
    this.#release.defer(() => this.#apps.stop());
    await this.#apps.start();
    const scan = await scanProcesses(this.#tree, this.#procFs, (pid) => this.#apps.isInScope(pid));
    this.#evaluation.start();
    return { processes: scan.inScope };
  }

  /** From now on what is detected is written; what was kept until now comes first. */
  #open(state: AgentState, streams: readonly LogStream[], pins: KeptPins): void {
    this.#state = state;
    this.#streams = streams;
    this.#fanOut.open(streams, state.numbering);
    this.#outgoing.open();
    this.#continuity = new Continuity({
      ...{ state, pins, clock: this.#clock, probe: this.#probe, received: this.#received },
      say: (line) => this.#outgoing.say(line),
    });
    this.#continuity.begin(this.#apps.registry.entries());
    const timer = setInterval(() => this.#onTick(), TICK_MS);
    this.#release.defer(() => clearInterval(timer));
    this.#release.defer(() => this.#continuity?.close());
    this.#release.defer(this.#relief.watchMemory());
  }

  async #listen(): Promise<void> {
    const endpoint = await Endpoint.open({
      listen: this.#config.metrics.listen,
      metrics: this.#report.metrics,
      status: () => this.#report.snapshot(),
      canary: this.#canary && (() => this.#canary?.run()),
      logger: this.#logger,
    });
    this.#release.defer(() => endpoint.close());
    const { loggregator } = this.#config.streams;
    if (loggregator.enabled && loggregator.metrics.enabled) {
      const sender = await sendPlatformMetrics(this.#config, this.#report.metrics, this.#logger);
      this.#release.defer(() => sender.stop());
    }
  }

  async #runSelfTest(): Promise<void> {
    this.#probe.setMasks(ALL_EVENTS);
    this.#probe.attachOnly(SELF_TEST_HOOKS);
    this.#selfTest = new SelfTest(this.#probe, this.#apps.hierarchy.mountPoint);
    const unseen = await this.#selfTest.run();
    this.#selfTest = undefined;
    // Its cgroup is the only one that has been deleted so far.
    this.#received.selfTest = this.#probe.deletedCounters().emitted;
    if (unseen.length > 0)
      throw new UserError(
        `The probe loads, but the kernel does not report ${unseen.join(', ')}: this host cannot be watched. Run "varvel doctor".`,
      );
  }

  #onBatch(bytes: number): void {
    const records = this.#records;
    const event = this.#event;
    if (records === undefined || event === undefined) return;
    const before = this.#eventNum;
    for (let at = 0; at < bytes;) {
      const length = records.number(at + HEADER.len);
      this.#received.records++;
      if (records.short(at + HEADER.kind) === KINDS.cgroup) {
        this.#onCgroup(records, at);
      } else {
        this.#received.count(records.short(at + HEADER.event));
        event.moveTo(at, ++this.#eventNum);
        const process = this.#tree.onEvent(event);
        this.#insides.onEvent(event, process);
        if (this.#selfTest?.cgroupId === event.cgroupId) this.#selfTest.see(event);
        // What comes after that is the successor's to tell.
        else if (this.#untilNs === undefined || event.bootNs < this.#untilNs)
          this.#evaluation.onEvent(event, process);
      }
      // A length of zero would be a broken probe; better to lose the batch than to hang the host's eyes.
      if (length === 0) break;
      at += length;
    }
    // Of the batch, not of each event: the time is made when it is asked for.
    if (this.#eventNum > before) this.#received.lastBootNs = event.bootNs;
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
    this.#cuts.onTick(performance.now());
    this.#tree.tick(bootNs());
    this.#relief.onTick();
    const entries = this.#apps.registry.entries();
    this.#policies.follow(
      entries.flatMap(({ resolution }) =>
        resolution.state === 'included' ? [resolution.container] : [],
      ),
    );
    this.#unwatched.onTick(entries, this.#probe.stats().scopeFull);
    this.#continuity?.onTick(entries);
    this.#coverage?.onTick(entries, performance.now());
    this.#fanOut.tellGaps(this.#watched());
    this.#fanOut.onTick();
  }

  #watched(): Container[] {
    return this.#apps.registry
      .entries()
      .flatMap(({ resolution, goneAtMs }) =>
        resolution.state === 'included' && goneAtMs === undefined ? [resolution.container] : [],
      );
  }

  /** How many rules watch the container. */
  #rulesOn(container: Container): number {
    const { rules } = this.#evaluation.engine.ruleSet;
    const own = this.#policies.rulesOf(container);
    return own?.activeAmong(rules) ?? rules.filter(({ enabled }) => enabled).length;
  }

  #onDelivered(delivery: Delivery, stream: LogStream): void {
    // What the agent says of itself is of no system call.
    if (delivery.detection.source === 'varvel') return;
    const latencyNs = bootNs() - delivery.detection.bootNs;
    this.#report.metrics.observeLatency(latencyNs);
    this.#canary?.onDelivered(delivery, stream);
    this.#options.onDelivered?.(delivery, stream.name, Number(latencyNs) / 1e6);
  }

  async #shutDown(): Promise<void> {
    this.#logger.info({}, 'stopping: what has been read is delivered first');
    this.#rules.stop();
    await this.#canary?.stop();
    const { succession } = this.#state ?? {};
    if (succession?.hasSuccessor === true) {
      this.#untilNs = bootNs();
      // A record of before may be in the making.
      await new Promise((resolve) => setTimeout(resolve, IN_THE_MAKING_MS));
    }
    const endedNs = bootNs();
    this.#probe.attachOnly([]);
    this.#probe.drain();
    const end = performance.now() + SETTLE_MS;
    while (this.#evaluation.counters().events.held > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.#evaluation.stop();
    if (this.#untilNs !== undefined) succession?.sayFarewell(this.#untilNs);
    this.#losses.look();
    // The time until now was looked at: what comes is the next agent's to tell.
    this.#continuity?.stopped(this.#untilNs ?? endedNs);
    this.#coverage?.stop(this.#untilNs === undefined ? 'agent stop' : 'replaced');
    this.#fanOut.tellLosses();
    const { delivered, lost } = await this.#fanOut.flush(FLUSH_MS);
    await this.#release.release();
    this.#logger.info({ delivered, lost }, 'stopped');
  }
}
