import type { LastSign } from './sign-of-life.ts';
import type { Container } from '../apps/identity.ts';
import type { Resolution } from '../apps/resolution.ts';
import type { Detection } from '../rules/detection.ts';
import { unwatchedNotice } from '../streams/notices.ts';

/** Cgroups found within this time of the start may have existed before it. */
const FOUND_WITHIN_MS = 60_000;
/** How long an engine may take to say when a container started, and whether it ran before. */
const DETAILS_MS = 5000;
/** Differences between two clocks are no more exact than this. */
const LEAST_NS = 20_000_000n;

/** A container's cgroup, as the registry has it. */
export interface FoundCgroup {
  readonly cgroupId: number;
  readonly resolution: Resolution;
  /** Monotonic ms: watched from then on. */
  readonly sinceMs: number;
  /** Whether it was created while this agent watched. */
  readonly isNew: boolean;
  readonly goneAtMs: number | undefined;
}

export interface UnwatchedOptions {
  /** The previous agent's last sign of life; undefined if there was none in this boot. */
  readonly last: LastSign | undefined;
  /** When this agent had scanned for containers, monotonic ms. */
  readonly startedMs: number;
  /** When the hooks of system calls were attached, monotonic ms: until then nothing of a container is seen that is in scope. */
  readonly attachedMs: () => number;
  /** CLOCK_BOOTTIME minus the monotonic clock, and Unix time minus CLOCK_BOOTTIME; ns. */
  readonly bootMinusMonotonicNs: bigint;
  readonly unixMinusBootNs: bigint;
  readonly say: (line: Detection) => void;
}

/** How long nobody watched before this agent, and how many containers were notified. */
export interface UnwatchedCounts {
  readonly seconds: number;
  readonly containers: number;
}

/**
 * Notifies each container that existed between the previous agent's end and this one's start that nobody watched it then. The
 * time starts with the last sign of life, or with the container if that is known to be younger. It ends when the kernel starts
 * to report the container. A container is notified once, even if its app becomes known later. Limit: only cgroups found in the
 * first minute are remembered.
 */
export class UnwatchedTimes {
  readonly #options: UnwatchedOptions;
  readonly #seen = new Set<number>();
  readonly #told = new Set<string>();
  #longestNs = 0n;
  #waits = false;

  constructor(options: UnwatchedOptions) {
    this.#options = options;
  }

  /** Call about every second with all containers. `nowMs` is monotonic. */
  onTick(cgroups: readonly FoundCgroup[], nowMs: number): void {
    const { last, startedMs } = this.#options;
    if (last === undefined) return;
    this.#waits = false;
    const older = new Set<string>();
    for (const { resolution, isNew } of cgroups)
      if (!isNew && resolution.state === 'included') older.add(resolution.container.fullId);
    for (const { cgroupId, resolution, sinceMs, isNew, goneAtMs } of cgroups) {
      if (resolution.state !== 'included' || sinceMs > startedMs + FOUND_WITHIN_MS) continue;
      if (goneAtMs !== undefined || this.#seen.has(cgroupId)) continue;
      if (isToBeTold(resolution.container) && nowMs < sinceMs + DETAILS_MS) {
        this.#waits = true;
        continue;
      }
      this.#seen.add(cgroupId);
      if (isNew && !mayBeOlder(resolution.container, older)) continue;
      this.#tell(resolution.container, sinceMs, last);
    }
  }

  /** Whether a container will be notified in the next seconds. */
  get waits(): boolean {
    return this.#waits;
  }

  counts(): UnwatchedCounts {
    return { seconds: Number(this.#longestNs) / 1e9, containers: this.#told.size };
  }

  #tell(container: Container, sinceMs: number, { bootNs, stopped }: LastSign): void {
    const { attachedMs, bootMinusMonotonicNs, unixMinusBootNs, say } = this.#options;
    const toNs = nsOf(Math.max(sinceMs, attachedMs())) + bootMinusMonotonicNs + unixMinusBootNs;
    const began = startOf(container);
    const ended = bootNs + unixMinusBootNs;
    const fromNs = began !== undefined && began > ended ? began : ended;
    const lengthNs = toNs - fromNs;
    if (lengthNs < LEAST_NS) return;
    // On some platforms a container has several cgroups, and cgroups that are apps may share a name.
    const { fullId, app, logFile } = container;
    const key = JSON.stringify([fullId, app?.guid, app?.name, logFile]);
    if (this.#told.has(key)) return;
    this.#told.add(key);
    if (lengthNs > this.#longestNs) this.#longestNs = lengthNs;
    say(unwatchedNotice({ container, fromNs, toNs, stopped }));
  }
}

/** A Docker container is known before its engine has delivered all details. */
function isToBeTold({ runtime, startedAtMs, ranBefore }: Container): boolean {
  return runtime === 'docker' && (startedAtMs === undefined || ranBefore === undefined);
}

/** Unix ns. Undefined if it is unknown, or if the container may have run before: that earlier run was unwatched too. */
function startOf(container: Container): bigint | undefined {
  const { startedAtMs } = container;
  return startedAtMs === undefined || mayHaveRunBefore(container) ? undefined : nsOf(startedAtMs);
}

/** Whether a container may be older than its cgroup. `older`: ids of containers with another cgroup that existed before. */
function mayBeOlder(container: Container, older: ReadonlySet<string>): boolean {
  // A restarted service gets a new cgroup.
  return (
    container.runtime === 'cgroup' || older.has(container.fullId) || mayHaveRunBefore(container)
  );
}

/** Docker restarts a container in a new cgroup of the same name. */
const mayHaveRunBefore = ({ runtime, ranBefore }: Container): boolean =>
  runtime === 'docker' && ranBefore !== false;

const nsOf = (ms: number): bigint => BigInt(Math.round(ms * 1e6));
