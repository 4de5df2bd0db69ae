import { AppProfiles, ownNames } from './app-profiles.ts';
import { KernelVerdicts } from './verdicts.ts';
import { openCanary, type Canary } from './canary.ts';
import type { CanaryCgroups } from './canary-container.ts';
import type { Continuity } from './continuity.ts';
import { CoverageLines } from './coverage-lines.ts';
import { CutReports } from './cuts.ts';
import { deniedAmong } from './denied-among.ts';
import { filesOf, Insides } from '../container-files/insides.ts';
import { KnownFiles } from './known-files.ts';
import { LiveRules, type FirstRules } from './live-rules.ts';
import type { AgentOptions } from './options.ts';
import { Outgoing } from './outgoing.ts';
import { agentPolicies, operatorRules } from './policies.ts';
import { recordLosses, type RecordLosses } from './record-losses.ts';
import { Relief } from './relief.ts';
import { AgentReport, ReceivedRecords } from './report.ts';
import type { Detection } from '../rules/detection.ts';
import { PinnedDenial } from './pinned-denial.ts';
import { makeRefusals, type Refusals } from './refusals.ts';
import { Responding } from './responding.ts';
import { logFailure } from './rule-costs.ts';
import { checkGuarantees, whyNotDenied } from './guarantees.ts';
import { followedScope } from './scope.ts';
import type { AgentState } from './state.ts';
import type { EarlyDetections } from './succession.ts';
import { UnwatchedContainers } from './unwatched.ts';
import { Apps } from '../apps/apps.ts';
import type { AppsConfig } from '../apps/configured-runtimes.ts';
import type { Container } from '../apps/identity.ts';
import { DomainNames } from '../context/domain-names.ts';
import { ProcFs } from '../context/proc-fs.ts';
import { ProcUsage } from '../context/process-usage.ts';
import { ProcessTree } from '../context/process-tree.ts';
import { Attachment } from '../plan/attachment.ts';
import { bootNs, SystemBootClock } from '../host/boot-clock.ts';
import { ContainerLook } from '../host/container-look.ts';
import { containerRootReader } from '../host/root-reader.ts';
import { THREAD_CLOCKS } from '../host/cpu-time.ts';
import type { Policies } from '../policy/policies.ts';
import type { PolicyPins } from '../container-files/policy-pins.ts';
import { LiveProbe, type LoadedProbe } from '../probe/live.ts';
import { RuleEngine } from '../rules/engine.ts';
import { Evaluation } from '../evaluation/evaluation.ts';
import type { ReleaseStack } from '../shared/release-stack.ts';
import { FanOut } from '../streams/fan-out.ts';
import type { Delivery, LogStream } from '../streams/stream.ts';

export interface StageParts {
  readonly options: AgentOptions;
  readonly first: FirstRules;
  /** Releases what was built, in reverse order. */
  readonly release: ReleaseStack;
  /** Detections from before the streams are open. */
  readonly early: EarlyDetections;
  readonly pins: PolicyPins;
  readonly apps: AppsConfig;
  /** Undefined if the canary is off. */
  readonly ground: CanaryCgroups | undefined;
  /** Loaded for `apps`; closed by the stages. */
  readonly probe: LoadedProbe;
}

/** Present only once the agent's state and streams are open. */
export interface OpenedParts {
  readonly state: AgentState;
  readonly streams: readonly LogStream[];
  readonly continuity: Continuity;
}

/**
 * All stages from the ring to the streams, and what maintains them, connected and in construction order. Some stages need a
 * later one: the apps need the probe's map, the probe the apps' patterns. They get it on use, which is never before all are
 * built. Throws UserError if the kernel refuses the probe.
 */
export class Stages {
  readonly clock = new SystemBootClock();
  readonly procFs = new ProcFs();
  readonly received = new ReceivedRecords();
  readonly profiles = new AppProfiles({
    namesOf: (address, container) =>
      ownNames(this.domains.namesOf(address), () => this.policies.inForceFor(container)),
  });
  readonly apps: Apps;
  readonly insides: Insides;
  readonly probe: LiveProbe;
  readonly attachment: Attachment;
  readonly tree: ProcessTree;
  readonly domains: DomainNames;
  readonly fanOut: FanOut;
  readonly outgoing: Outgoing;
  readonly policies: Policies;
  readonly responding: Responding;
  readonly evaluation: Evaluation;
  readonly verdicts: KernelVerdicts;
  readonly refusals: Refusals;
  readonly knownFiles: KnownFiles;
  readonly pinned: PinnedDenial;
  readonly rules: LiveRules;
  readonly relief: Relief;
  readonly report: AgentReport;
  readonly canary: Canary | undefined;
  readonly losses: RecordLosses;
  readonly cuts: CutReports;
  readonly unwatched: UnwatchedContainers;
  readonly coverage: CoverageLines | undefined;
  opened: OpenedParts | undefined;
  readonly #parts: StageParts;

  constructor(parts: StageParts) {
    const { options, first, release } = parts;
    const { config, logger } = options;
    this.#parts = parts;
    this.apps = this.#makeApps();
    this.profiles.follow(this.apps.registry);
    this.insides = this.#makeInsides();
    release.defer(() => this.insides.stop());
    this.probe = new LiveProbe(parts.probe, config.probe);
    release.defer(() => this.probe.close());
    this.attachment = new Attachment(this.probe, logger, () => this.apps.registry.anyInScope());
    release.defer(() => this.attachment.stop());
    this.tree = this.#makeTree();
    this.domains = new DomainNames(logger);
    this.fanOut = new FanOut([], {
      hostname: config.hostname,
      logger,
      limits: config.limits,
      onNumbered: (delivery) => this.responding.evidence.onNumbered(delivery),
      onDelivered: (delivery, stream) => this.#onDelivered(delivery, stream),
    });
    release.defer(() => this.fanOut.close());
    this.outgoing = this.#makeOutgoing();
    this.policies = agentPolicies({
      rules: first.rules,
      settings: config,
      logger,
      fileOf: (container) => this.insides.policies.textOf(container),
      say: (line) => this.outgoing.say(line),
      onChanged: (ruleSets) => {
        // First: from now on apps' rules may match what no operator rule does.
        this.verdicts.follow(this.apps.registry.entries());
        this.rules.setAppRules(ruleSets);
        this.evaluation.setAppRules(ruleSets);
      },
      onReady: (container) => this.evaluation.ready(container),
    });
    this.responding = new Responding({
      logger,
      apps: this.apps,
      release,
      nowMs,
      settings: config,
      stateDir: config.stateDir,
      configFile: options.source?.from.file,
      say: (line) => this.outgoing.say(line),
      onDenialsChanged: () => this.#onDenialsChanged(),
    });
    this.evaluation = this.#makeEvaluation();
    this.refusals = makeRefusals(this.probe, logger);
    this.verdicts = new KernelVerdicts({
      probe: this.probe,
      logger,
      canRefuse: (call) => this.refusals[call].isAvailable(),
      inForceFor: (container) => this.policies.inForceFor(container),
      deniedAmong: deniedAmong(this),
      deniedBeforeIdentity: (rules) => this.responding.deniedBeforeIdentity(rules),
      enabled: config.probe.kernelVerdicts,
    });
    const { probe, verdicts } = this;
    this.knownFiles = new KnownFiles({
      probe,
      reader: containerRootReader,
      lookInto: (pid) => new ContainerLook(pid),
      processesOf: (cgroupId) => this.apps.processesIn(cgroupId),
      canRefuse: () => this.refusals.file.isAvailable(),
      logger,
      nowMs,
    });
    const say = (line: Detection): void => this.outgoing.say(line);
    this.pinned = PinnedDenial.of(config, { probe, verdicts, logger, say, nowMs });
    release.defer(() => this.pinned.end(this.verdicts));
    this.rules = this.#makeRules();
    release.defer(() => this.domains.stop());
    release.defer(() => this.rules.stop());
    this.relief = new Relief({
      config,
      logger,
      rules: this.rules,
      fanOut: this.fanOut,
      containers: () => this.watched(),
    });
    this.report = this.#makeReport();
    this.canary = openCanary(config, parts.ground, {
      logger,
      attachment: this.attachment,
      probe: this.probe,
      evaluation: this.evaluation,
      streams: () => this.streams,
    });
    this.losses = recordLosses(this.probe, logger, this);
    this.cuts = new CutReports(this.tree, this.apps, logger);
    this.unwatched = new UnwatchedContainers({
      say: (line) => this.outgoing.say(line),
      rescan: () => void this.apps.rescan(),
    });
    this.coverage = config.coverage.enabled ? this.#makeCoverage() : undefined;
  }

  get streams(): readonly LogStream[] {
    return this.opened?.streams ?? [];
  }

  /** Containers that are watched now. */
  watched(): Container[] {
    return this.apps.registry
      .entries()
      .flatMap(({ resolution, goneAtMs }) =>
        resolution.state === 'included' && goneAtMs === undefined ? [resolution.container] : [],
      );
  }

  #makeApps(): Apps {
    const { apps, options } = this.#parts;
    const { logger } = options;
    const scopeMap = followedScope(() => ({
      attachment: this.attachment,
      probe: this.probe,
      report: this.report,
      losses: this.losses,
      verdicts: this.verdicts,
    }));
    return new Apps(apps, {
      scopeMap,
      logger,
      nowMs,
      onExpected: () => this.attachment.attachForNow(),
      files: filesOf(
        () => this.insides,
        (fullId) => this.policies.forget(fullId),
      ),
    });
  }

  #makeInsides(): Insides {
    return new Insides({
      apps: this.apps,
      pins: this.#parts.pins,
      clock: this.clock,
      programSince: (pid, startTicks) => this.tree.programSince(pid, startTicks),
    });
  }

  #makeTree(): ProcessTree {
    return new ProcessTree({
      reader: this.procFs,
      maxProcesses: this.#parts.options.config.context.maxProcesses,
      isInScope: (pid) => this.apps.isInScope(pid),
      nestedCgroupOf: this.apps.nestedCgroupOf,
      onSetup: (process, root) => this.insides.onSetup(root, process),
    });
  }

  #makeOutgoing(): Outgoing {
    return new Outgoing({
      fanOut: this.fanOut,
      early: this.#parts.early,
      onDetection: (detection) => {
        this.report.metrics.countDetection(detection.rule, detection.priority);
        this.report.metrics.countIncident(detection);
        this.canary?.onDetection(detection);
      },
      successor: () => {
        const succession = this.opened?.state.succession;
        return succession?.hasSuccessor === true ? succession : undefined;
      },
    });
  }

  #onDenialsChanged(): void {
    const entries = this.apps.registry.entries();
    if (this.responding.lifts.status().length > 0) this.pinned.removeFormer(entries);
    this.verdicts.follow(entries);
  }

  #makeEvaluation(): Evaluation {
    const { options, first } = this.#parts;
    const { config, logger } = options;
    return new Evaluation({
      engine: new RuleEngine(first.rules.ruleSet, { matching: config.ruleMatching }),
      registry: this.apps.registry,
      hostname: config.hostname,
      holdMs: config.holdTimeMs,
      nowMs,
      users: (cgroupId, process) => this.insides.usersOf(cgroupId, process),
      domains: this.domains,
      usage: new ProcUsage(),
      containerOf: (container, process) => this.apps.sidecars.containerOf(container, process),
      appRulesOf: (container) => this.policies.rulesOf(container),
      areRulesReady: (container) => this.policies.isReady(container),
      isPolicyKnown: (container) => this.policies.inForceFor(container) !== undefined,
      finishRules: (container) => this.policies.finish(container),
      onFailure: (failure) => logFailure(logger, failure),
      onCertain: (event, isMatched) => this.verdicts.certain.compare(event, isMatched),
      onDeniedInVain: (event, asked, isComparable) => {
        if (this.verdicts.onDeniedInVain(event, asked, isComparable))
          this.verdicts.follow(this.apps.registry.entries());
      },
      formerDenies: () => this.pinned.hasFormer,
      respond: (detection) => this.responding.respond(detection),
      observer: this.profiles,
      clocks: THREAD_CLOCKS,
      admit: (detection) => this.outgoing.admit(detection),
      deliver: (detection, admission) => this.outgoing.deliver(detection, admission),
      onDropped: (container, { count, ...times }) =>
        this.fanOut.noteUnseen({ container, reasons: { unknown: count }, ...times }),
    });
  }

  #makeRules(): LiveRules {
    const { options, first } = this.#parts;
    const { config, source, logger } = options;
    return new LiveRules(first, {
      settings: config,
      source,
      logger,
      evaluation: this.evaluation,
      attachment: this.attachment,
      probe: this.probe,
      verdicts: this.verdicts,
      apps: this.apps,
      domains: this.domains,
      preparePolicies: (rules, settings) => this.policies.prepare(operatorRules(rules, settings)),
      shedPolicies: (priorities) => this.policies.shed(priorities),
      check: ({ rules }, settings) => checkGuarantees(settings, rules, whyNotDenied(config, this)),
      setResponses: (settings) => this.responding.setSettings(settings),
    });
  }

  #makeReport(): AgentReport {
    const { config, version, logLinesDropped } = this.#parts.options;
    return new AgentReport({
      config,
      version,
      logLinesDropped,
      apps: this.apps,
      probe: this.probe,
      tree: this.tree,
      verdicts: this.verdicts,
      refusals: this.refusals,
      knownFiles: this.knownFiles,
      pinned: this.pinned,
      evaluation: this.evaluation,
      responding: this.responding,
      rules: this.rules,
      fanOut: this.fanOut,
      received: this.received,
      relief: this.relief,
      policies: this.policies,
      continuity: () => this.opened?.continuity.status(),
      streams: () => this.streams,
      canary: () => this.canary?.status(),
    });
  }

  #makeCoverage(): CoverageLines {
    const { options, ground } = this.#parts;
    return new CoverageLines({
      intervalMs: options.config.coverage.intervalMs,
      version: options.version,
      rules: (container) =>
        this.policies.activeAmong(container, this.evaluation.engine.ruleSet.rules),
      policyOf: (container) => this.policies.stateOf(container),
      ownRulesPaused: (container) => this.policies.arePaused(container),
      notWatchedFor: () => this.relief.notWatchedFor(),
      deniesIn: (cgroupId) => this.verdicts.deniesIn(cgroupId),
      skipped: () => this.probe.stats().skipped,
      streams: () => this.streams,
      fanOut: this.fanOut,
      heldDropsOf: (root) => this.evaluation.droppedOf(root),
      isOwn: (path) => ground?.owns(path) === true,
      say: (line) => this.outgoing.say(line),
    });
  }

  #onDelivered(delivery: Delivery, stream: LogStream): void {
    // The agent's own lines belong to no system call.
    if (delivery.detection.source === 'varvel') return;
    const latencyNs = bootNs() - delivery.detection.bootNs;
    this.report.metrics.observeLatency(latencyNs);
    this.canary?.onDelivered(delivery, stream);
    this.#parts.options.onDelivered?.(delivery, stream.name, Number(latencyNs) / 1e6);
  }
}

const nowMs = (): number => performance.now();
