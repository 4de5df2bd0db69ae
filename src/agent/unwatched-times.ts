import type { LastSign } from './sign-of-life.ts';
import type { Container } from '../apps/identity.ts';
import type { Resolution } from '../apps/resolution.ts';
import type { Detection } from '../rules/detection.ts';
import { unwatchedNotice } from '../streams/notices.ts';

/** Cgroups that are found so long after the start may have been there before it. */
const FOUND_WITHIN_MS = 60_000;
/** So long an engine may take to say when a container started, and whether it ran before. */
const DETAILS_MS = 5000;
/** Times between two clocks are not more exact. */
const LEAST_NS = 20_000_000n;

/** A container's cgroup, as the registry has it. */
export interface FoundCgroup {
  readonly cgroupId: number;
  readonly resolution: Resolution;
  /** Monotonic ms: watched from then on. */
  readonly sinceMs: number;
  /** It was made while this agent watched. */
  readonly isNew: boolean;
  readonly goneAtMs: number | undefined;
}

export interface UnwatchedOptions {
  /** What the agent before wrote last; undefined when there was none in this boot. */
  readonly last: LastSign | undefined;
  /** When this agent had looked for containers, monotonic ms. */
  readonly startedMs: number;
  /** CLOCK_BOOTTIME minus the monotonic clock, and Unix time minus CLOCK_BOOTTIME; ns. */
  readonly bootMinusMonotonicNs: bigint;
  readonly unixMinusBootNs: bigint;
  readonly say: (line: Detection) => void;
}

/** How long nobody watched before this agent, and how many containers were told. */
export interface UnwatchedCounts {
  readonly seconds: number;
  readonly containers: number;
}

/**
 * Tells each container that was there between the end of the agent before and this one's start that nobody watched it then.
 * The time begins with the last sign of life, or with the container where that is known to be younger. It ends when the
 * kernel begins to report the container. A container is told once, also if its app becomes known later. Bound: what is
 * remembered is of cgroups that were found in the first minute.
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

  /** To be called with all containers, every second or so. `nowMs` is monotonic. */
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

  /** Whether there is a container that will be told in the next seconds. */
  get waits(): boolean {
    return this.#waits;
  }

  counts(): UnwatchedCounts {
    return { seconds: Number(this.#longestNs) / 1e9, containers: this.#told.size };
  }

  #tell(container: Container, sinceMs: number, { bootNs, stopped }: LastSign): void {
    const { bootMinusMonotonicNs, unixMinusBootNs, say } = this.#options;
    const toNs = nsOf(sinceMs) + bootMinusMonotonicNs + unixMinusBootNs;
    const began = startOf(container);
    const ended = bootNs + unixMinusBootNs;
    const fromNs = began !== undefined && began > ended ? began : ended;
    const lengthNs = toNs - fromNs;
    if (lengthNs < LEAST_NS) return;
    // On some platforms a container has several cgroups; and cgroups that are apps may share a name.
    const { fullId, app, logFile } = container;
    const key = JSON.stringify([fullId, app?.guid, app?.name, logFile]);
    if (this.#told.has(key)) return;
    this.#told.add(key);
    if (lengthNs > this.#longestNs) this.#longestNs = lengthNs;
    say(unwatchedNotice({ container, fromNs, toNs, stopped }));
  }
}

/** A container of Docker is known before its engine has said everything of it. */
function isToBeTold({ runtime, startedAtMs, ranBefore }: Container): boolean {
  return runtime === 'docker' && (startedAtMs === undefined || ranBefore === undefined);
}

/** Unix ns. Undefined where it may have run before, or that is not known: a run of before was not watched either. */
function startOf(container: Container): bigint | undefined {
  const { startedAtMs } = container;
  return startedAtMs === undefined || mayHaveRunBefore(container) ? undefined : nsOf(startedAtMs);
}

/** Whether a container may be older than its cgroup. `older`: the ids of those with another one, that was there before. */
function mayBeOlder(container: Container, older: ReadonlySet<string>): boolean {
  // A service that starts again has its cgroup made anew.
  return (
    container.runtime === 'cgroup' || older.has(container.fullId) || mayHaveRunBefore(container)
  );
}

/** Docker starts a container again in a cgroup of the same name, made anew. */
const mayHaveRunBefore = ({ runtime, ranBefore }: Container): boolean =>
  runtime === 'docker' && ranBefore !== false;

const nsOf = (ms: number): bigint => BigInt(Math.round(ms * 1e6));
