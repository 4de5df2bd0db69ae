import { Ceilings, notWatchedFor, type CeilingStatus } from './ceilings.ts';
import { Tidying } from './tidying.ts';
import type { LiveRules } from './live-rules.ts';
import type { Container } from '../apps/identity.ts';
import type { AgentConfig } from '../config/config.ts';
import { collectGarbage, giveMemoryBack } from '../host/memory.ts';
import { cgroupMemoryLimit, leastMemory, OwnUsage } from '../metrics/own-usage.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';
import type { FanOut } from '../streams/fan-out.ts';
import { shedNotice } from '../streams/notices.ts';

/** Share of the limit of the agent's cgroup: below the point at which the kernel kills it. */
const CGROUP_SHARE = 0.9;
/** A flood of 16 apps took 150 MB in a second. */
const LOOK_MS = 250;

export interface ReliefOptions {
  readonly config: AgentConfig;
  readonly logger: Logger;
  readonly rules: Pick<LiveRules, 'shed' | 'enabledOf'>;
  readonly fanOut: Pick<FanOut, 'say' | 'dropWaiting'>;
  /** Containers that are watched now. */
  readonly containers: () => Iterable<Container>;
}

/** Measures the agent's resource use, keeps it below its ceilings, and reports what that costs to all concerned. */
export class Relief {
  readonly #options: ReliefOptions;
  readonly #usage = new OwnUsage();
  readonly #ceilings: Ceilings;
  readonly #tidying = new Tidying(giveMemoryBack, () => process.memoryUsage.rss());

  constructor(options: ReliefOptions) {
    this.#options = options;
    const { cpuPercent, memoryBytes, restoreAfterMs } = options.config.ceilings;
    const limit = cgroupMemoryLimit();
    warnOfLimit(limit, leastMemory(options.config.probe), options.logger);
    const least = Math.min(memoryBytes ?? Infinity, (limit ?? Infinity) * CGROUP_SHARE);
    this.#ceilings = new Ceilings({
      cpuPercent,
      memoryBytes: Number.isFinite(least) ? least : undefined,
      restoreAfterMs,
      nowMs: () => performance.now(),
      rulesOf: (priorities) => options.rules.enabledOf(priorities),
      shed: (priorities) => options.rules.shed(priorities),
      collectGarbage,
      giveMemoryBack,
      onChange: (status, what) => this.#tell(status, what),
    });
  }

  /** Checks memory several times a second if it has a ceiling; returns a function that stops it. */
  watchMemory(): () => void {
    if (this.#ceilings.status().ceilings.memoryBytes === undefined) return () => undefined;
    const look = (): void => this.#ceilings.onMemory(process.memoryUsage.rss());
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }

  /** Call every second. */
  onTick(): void {
    const usage = this.#usage.read();
    this.#tidying.onTick(usage);
    try {
      this.#ceilings.onTick(usage);
    } catch (error) {
      const reason = error instanceof UserError ? error.toDisplay() : String(error);
      this.#options.logger.error({ reason }, 'rules could not be switched off or on');
    }
  }

  status(): CeilingStatus {
    return this.#ceilings.status();
  }

  /** Says in words which rules are off; undefined if none is. */
  notWatchedFor(): string | undefined {
    return notWatchedFor(this.#ceilings.status());
  }

  #tell(status: CeilingStatus, what: 'shed' | 'restored' | 'stuck'): void {
    const { logger, fanOut, containers } = this.#options;
    const { shed, rulesOff, ceilings, because } = status;
    const facts = {
      cpuPercent: Math.round(status.cpuPercent),
      memoryMib: Math.round(status.memoryBytes / 1024 ** 2),
      ceilings,
      off: shed,
      rulesOff,
    };
    if (what === 'stuck') {
      logger.error(
        facts,
        'the agent is over its ceilings although only rules of Critical and above still run, which are never switched off. Raise the ceiling, or find the container that makes so many events: varvel status',
      );
      return;
    }
    if (what === 'shed') {
      // Queued lines are most of what can be freed.
      const dropped = because === 'memory' ? fanOut.dropWaiting(shed) : 0;
      logger.warn(
        { ...facts, because, dropped },
        'the agent is over its ceilings: rules of low priority are off until it is below them again',
      );
    } else logger.info(facts, 'the agent is below its ceilings: rules are switched on again');
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    const without = notWatchedFor(status);
    for (const container of containers())
      fanOut.say(shedNotice(without, rulesOff, container, nowNs));
  }
}

function warnOfLimit(limit: number | undefined, leastBytes: number, logger: Logger): void {
  if (limit === undefined || limit >= leastBytes) return;
  const [has, least] = [limit, leastBytes].map((bytes) => Math.floor(bytes / 1024 ** 2));
  logger.warn(
    { limitMib: has },
    `the agent's cgroup has a memory limit of ${has} MiB: a storm of processes in one container can end the agent. Set at least ${least} MiB (MemoryMax of the unit, the container's limit).`,
  );
}
