import type { Container } from '../apps/identity.ts';
import type { Resolution } from '../apps/resolution.ts';
import type { Detection } from '../rules/detection.ts';
import type { FanOut } from '../streams/fan-out.ts';
import { instanceKey } from '../streams/instance-key.ts';
import type { LogStream } from '../streams/stream.ts';
import { coverageNotice, type Coverage } from '../streams/notices.ts';

/** Short-lived containers get no such lines: these would be most of their log. */
const MIN_AGE_MS = 5_000;
/** Limit on containers whose next line is scheduled; the scope has no room for more. */
const MAX_CONTAINERS = 16_384;

/** A container's cgroup, as the registry has it. */
export interface Covered {
  readonly cgroupId: number;
  /** Within the deciding hierarchy. */
  readonly path: string;
  readonly resolution: Resolution;
  /** Monotonic ms. */
  readonly sinceMs: number;
  readonly goneAtMs: number | undefined;
  readonly emitted: number;
  readonly dropped: number;
  /** The kernel had no room for it. */
  readonly unwatched?: boolean;
}

export interface CoverageOptions {
  readonly intervalMs: number;
  readonly version: string;
  /** Number of rules that are on for the container. */
  readonly rules: (container: Container) => number;
  /** Whether the container's own policy is in force or refused; undefined if it has none. */
  readonly policyOf?: (container: Container) => Coverage['policy'];
  /** Whether the container's own rules are paused. */
  readonly ownRulesPaused?: (container: Container) => boolean | undefined;
  readonly fanOut: Pick<FanOut, 'suppressedOf' | 'lastLineOf'>;
  /** Events dropped for a container, by its root cgroup, while its identity was unknown. */
  readonly heldDropsOf?: (rootCgroupId: number) => number;
  /** Rules that are off for now, in words. */
  readonly notWatchedFor?: () => string | undefined;
  /** Number of rules by which the kernel denies in the container of this cgroup. */
  readonly deniesIn?: (cgroupId: number) => number;
  /** Events that the kernel did not report, of whatever container. */
  readonly skipped?: () => number;
  readonly streams?: () => readonly Pick<LogStream, 'audience' | 'counters'>[];
  /** Whether the cgroup with this path belongs to the agent and to no app. */
  readonly isOwn?: (path: string) => boolean;
  readonly say: (line: Detection) => void;
}

/** Sums over all cgroups of one container. */
interface Sums {
  readonly container: Container;
  /** One of them. */
  readonly cgroupId: number;
  readonly emitted: number;
  readonly dropped: number;
}

interface Told {
  readonly container: Container;
  atMs: number;
  last: Omit<Coverage, 'when'>;
}

/**
 * Coverage lines say what was watched, so that silence means something. They come when an app has been up for 5 s, then every
 * few minutes, and when it or the agent stops. Informational: alerts are made from their absence only.
 */
export class CoverageLines {
  readonly #options: CoverageOptions;
  readonly #told = new Map<string, Told>();
  #lastTickMs = -Infinity;

  constructor(options: CoverageOptions) {
    this.#options = options;
  }

  /** Call every few seconds with all containers. */
  onTick(entries: Iterable<Covered>, nowMs: number): void {
    const here = new Map<string, Sums>();
    const gone = new Map<string, Sums>();
    for (const entry of entries) {
      const { resolution, sinceMs, goneAtMs, emitted, unwatched } = entry;
      // A notice reports containers that there is no room to watch; it is right that they get no coverage line.
      if (resolution.state !== 'included' || unwatched === true) continue;
      if (this.#options.isOwn?.(entry.path) === true) continue;
      // Containers that ended before the last tick have been counted.
      if (goneAtMs !== undefined && goneAtMs < this.#lastTickMs) continue;
      const { container } = resolution;
      // On Cloud Foundry an id can be reused for another app's container, and the platform can reassign a container to another
      // app. The former owner gets the final line of what was watched before.
      const key = JSON.stringify([container.fullId, instanceKey(container)]);
      if (nowMs - sinceMs < MIN_AGE_MS && !this.#told.has(key)) continue;
      const dropped = entry.dropped + (this.#options.heldDropsOf?.(entry.cgroupId) ?? 0);
      // On some platforms a container has several cgroups.
      const sums = goneAtMs === undefined ? here : gone;
      const sum = sums.get(key);
      sums.set(key, {
        container,
        cgroupId: entry.cgroupId,
        emitted: emitted + (sum?.emitted ?? 0),
        dropped: dropped + (sum?.dropped ?? 0),
      });
    }
    this.#lastTickMs = nowMs;
    for (const [id, sums] of here) {
      const { container } = sums;
      const told = this.#told.get(id);
      const last = this.#facts(sums);
      if (told === undefined) {
        if (this.#told.size >= MAX_CONTAINERS) continue;
        this.#told.set(id, { container, atMs: nowMs, last });
        this.#say(container, { ...last, ...this.#now(sums), when: 'start' });
        continue;
      }
      told.last = last;
      if (nowMs - told.atMs < this.#options.intervalMs) continue;
      told.atMs = nowMs;
      this.#say(container, { ...last, ...this.#now(sums), when: 'running' });
    }
    for (const [id, { container, last }] of this.#told) {
      if (here.has(id)) continue;
      this.#told.delete(id);
      // Both counts may have grown since the last tick.
      const events = Math.max(last.events, gone.get(id)?.emitted ?? 0);
      const lost = Math.max(last.lost, gone.get(id)?.dropped ?? 0);
      this.#say(container, { ...last, events, lost, when: 'stop' });
    }
  }

  /** The agent ends: from now on nobody watches, or the agent that replaces this one does. */
  stop(when: 'agent stop' | 'replaced' = 'agent stop'): void {
    for (const { container, last } of this.#told.values()) {
      this.#say(container, { ...last, when });
    }
    this.#told.clear();
  }

  #facts({ container, emitted, dropped }: Sums): Omit<Coverage, 'when'> {
    const { version, rules, policyOf, ownRulesPaused, fanOut, notWatchedFor } = this.#options;
    return {
      version,
      rules: rules(container),
      events: emitted,
      lost: dropped,
      suppressed: fanOut.suppressedOf(container),
      ownRulesPaused: ownRulesPaused?.(container),
      policy: policyOf?.(container),
      notWatchedFor: notWatchedFor?.(),
    };
  }

  /** What is only asked when a line is written. */
  #now({ cgroupId }: Sums): Pick<Coverage, 'denies' | 'skippedOnHost' | 'waitingSinceMs'> {
    const { deniesIn, skipped, streams } = this.#options;
    return {
      denies: deniesIn?.(cgroupId),
      skippedOnHost: skipped?.() ?? 0,
      waitingSinceMs: waitingSinceMs(streams?.() ?? []),
    };
  }

  #say(container: Container, coverage: Coverage): void {
    const lastLine = this.#options.fanOut.lastLineOf(container);
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    this.#options.say(coverageNotice({ ...coverage, lastLine }, container, nowNs));
  }
}

/** Since when lines for a receiver of apps' teams wait, Unix ms; undefined: none do. */
function waitingSinceMs(
  streams: readonly Pick<LogStream, 'audience' | 'counters'>[],
): number | undefined {
  const since = streams.flatMap((stream) => {
    const counters = stream.counters();
    const down = 'down' in counters ? counters.down : undefined;
    return stream.audience === 'tenant' && down !== undefined ? [down.sinceMs] : [];
  });
  return since.length === 0 ? undefined : Math.min(...since);
}
