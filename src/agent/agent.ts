import { openPins, type KeptPins } from '../container-files/kept-pins.ts';
import { clearLeftCanary } from './canary-container.ts';
import type { Canary } from './canary.ts';
import { Continuity } from './continuity.ts';
import { beginProbe } from './first-probe.ts';
import { startHousekeeping } from './housekeeping.ts';
import { tellKnownProcesses } from './known-processes.ts';
import { listen } from './listening.ts';
import { loadFirstRules, type FirstRules } from './live-rules.ts';
import type { AgentOptions } from './options.ts';
import { Pipeline } from './pipeline.ts';
import { shutDown } from './shutdown.ts';
import type { AgentSnapshot } from './snapshot.ts';
import { Stages, type StageParts } from './stages.ts';
import { AgentState } from './state.ts';
import { FirstDetections } from './succession.ts';
import { asksToDeny } from '../responses/deny.ts';
import { scanProcesses } from '../context/scan.ts';
import { bootNs } from '../host/boot-clock.ts';
import { ReleaseStack } from '../shared/release-stack.ts';
import { StateTroubles } from '../shared/state-troubles.ts';
import { UserError } from '../shared/user-error.ts';
import { ConfiguredStreams } from '../streams/configured-streams.ts';
import { AppFileStream } from '../streams/file/app-file-stream.ts';
import { OperatorFileStream } from '../streams/file/operator-file-stream.ts';
import type { LogStream } from '../streams/stream.ts';

/** The agent of a host: starts the stages in order and shuts them down so that no event that was read is lost. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #release: ReleaseStack;
  readonly #stages: Stages;
  #pipeline: Pipeline | undefined;
  #stopping: Promise<void> | undefined;

  /** Starts everything; if a part fails, stops the parts already started. Throws UserError. */
  static async start(options: AgentOptions): Promise<Agent> {
    const { config, source, logger } = options;
    const release = new ReleaseStack();
    try {
      const probe = options.probe ?? beginProbe(config);
      release.defer(() => probe.giveUp());
      const first = await loadFirstRules(config, source?.from.file, logger);
      const before =
        options.replace === true ? await AgentState.succeed(config.stateDir, logger) : undefined;
      release.defer(() => before?.giveUp());
      // Before anything is attached, because another agent may be running.
      const troubles = new StateTroubles(logger);
      const openState = (): Promise<AgentState> =>
        AgentState.open(config.stateDir, logger, troubles);
      let state = before === undefined ? await openState() : undefined;
      release.defer(() => state?.close());
      const kept = openPins(config.stateDir, logger, troubles);
      release.defer(() => kept.close());
      const streams = await ConfiguredStreams.prepare(config, logger, options.output);
      release.defer(() => streams.close());
      if (before === undefined) await clearLeftCanary(config, logger);
      const agent = new Agent({
        options,
        first,
        release,
        early: before ?? new FirstDetections(),
        pins: kept.pins,
        apps: probe.apps,
        ground: probe.ground,
        probe: await probe.loaded,
      });
      const { processes } = await agent.#watch(first);
      if (before !== undefined && options.isStopping?.() === true) {
        throw new UserError('Stopped before it took over: the agent that runs goes on.', {
          exitCode: 0,
        });
      }
      await before?.takeOver();
      state ??= await openState();
      const { canary } = agent.#stages;
      const onTaken: Canary['onTaken'] = (...line) => canary?.onTaken(...line);
      agent.#open(state, streams.open(troubles, onTaken), kept);
      await listen(agent.#stages, config, logger, release);
      canary?.start();
      agent.#sayWatching(first, processes);
      return agent;
    } catch (error) {
      await release.release().catch(() => undefined);
      throw error;
    }
  }

  private constructor(parts: StageParts) {
    this.#options = parts.options;
    this.#release = parts.release;
    this.#stages = new Stages(parts);
  }

  /** Stops: first evaluates and delivers what was read from the kernel, for at most 6 s. A second call returns the same promise. */
  stop(): Promise<void> {
    this.#stopping ??= shutDown({
      stages: this.#stages,
      pipeline: this.#pipeline,
      release: this.#release,
      logger: this.#options.logger,
    });
    return this.#stopping;
  }

  /** Reloads configuration and rules, as LiveRules does; reopens log files. */
  reload(): Promise<void> {
    for (const stream of this.#stages.streams) {
      if (stream instanceof OperatorFileStream || stream instanceof AppFileStream) stream.reopen();
    }
    return this.#stages.rules.reload();
  }

  snapshot(): AgentSnapshot {
    return this.#stages.report.snapshot();
  }

  /** Resolves when another agent has taken over watching: this one must stop. */
  get replaced(): Promise<void> {
    return this.#stages.opened?.state.asked ?? new Promise(() => undefined);
  }

  /** Starts the kernel side first, then scans what already exists, so that nothing in between is missed. */
  async #watch(first: FirstRules): Promise<{ readonly processes: number }> {
    const { apps, attachment, evaluation, probe, procFs, received, rules, tree } = this.#stages;
    const { config, logger } = this.#options;
    this.#pipeline = new Pipeline(this.#stages);
    await this.#pipeline.selfTest({ denies: config.probe.kernelVerdicts && asksToDeny(config) });
    if (received.denial !== undefined && received.denial.program !== 'denied')
      logger.warn(
        { found: received.denial.program },
        'the self-test could not show that programs can be denied on this host: they may only be killed after the effect. Run "varvel doctor"',
      );
    rules.start(first);
    // Now, not with the first container: it may already exist, or this process may be busy when it appears.
    attachment.attachForNow();
    // No record says how existing processes reached their cgroup. Without this call, a process that moves between cgroups of
    // its container (Garden: good to bad) would count as the runtime's set-up from outside.
    tree.recordsLost(bootNs());
    this.#release.defer(() => apps.stop());
    await apps.start();
    const scan = await scanProcesses(tree, procFs, (pid) => apps.isInScope(pid));
    if (config.probe.kernelVerdicts) tellKnownProcesses(probe, scan.found, logger);
    evaluation.start();
    return { processes: scan.inScope };
  }

  /** Writes detections from now on; those kept so far come first. */
  #open(state: AgentState, streams: readonly LogStream[], pins: KeptPins): void {
    const stages = this.#stages;
    const { apps, attachment, clock, fanOut, outgoing, probe, received, relief } = stages;
    const continuity = new Continuity({
      attachment,
      state,
      pins,
      clock,
      probe,
      received,
      say: (line) => outgoing.say(line),
    });
    this.#release.defer(() => continuity.close());
    stages.opened = { state, streams, continuity };
    stages.responding.pauses.thawLeft();
    fanOut.open(streams, state.numbering);
    outgoing.open();
    continuity.begin(apps.registry.entries());
    this.#release.defer(startHousekeeping(stages));
    this.#release.defer(relief.watchMemory());
  }

  #sayWatching({ rules }: FirstRules, processes: number): void {
    const { apps, streams } = this.#stages;
    const { config, logger } = this.#options;
    logger.info(
      {
        hierarchy: apps.hierarchy.kind,
        mode: config.mode,
        processes,
        rules: rules.ruleSet.rules.length,
        digest: rules.digest,
        streams: streams.map((stream) => stream.name),
      },
      'watching',
    );
  }
}
