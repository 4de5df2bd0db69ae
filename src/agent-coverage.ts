import type { Container } from './apps/identity.ts';
import type { Resolution } from './apps/resolution.ts';
import type { Detection } from './rules/detection.ts';
import { instanceKey } from './streams/instance-key.ts';
import { coverageNotice, type Coverage } from './streams/notices.ts';

/** What is short-lived has no such lines: they would be most of its log. */
const MIN_AGE_MS = 5_000;
/** Containers whose next line is remembered; there are no more than the scope has room for. */
const MAX_CONTAINERS = 16_384;

/** A container's cgroup, as the registry has it. */
export interface Covered {
  readonly resolution: Resolution;
  /** Monotonic ms. */
  readonly sinceMs: number;
  readonly goneAtMs: number | undefined;
  readonly emitted: number;
  readonly dropped: number;
}

/** Options of `CoverageLines`. */
export interface CoverageOptions {
  readonly intervalMs: number;
  readonly version: string;
  /** How many are on for the container. */
  readonly rules: (container: Container) => number;
  /** Whether the container's own policy is in force or refused; undefined when it has none. */
  readonly policyOf?: (container: Container) => Coverage['policy'];
  /** Whether the container's own rules are paused. */
  readonly ownRulesPaused?: (container: Container) => boolean | undefined;
  readonly suppressedOf: (container: Container) => number;
  /** Rules that are off for now, in words. */
  readonly notWatchedFor?: () => string | undefined;
  readonly say: (line: Detection) => void;
}

interface Told {
  readonly container: Container;
  atMs: number;
  last: Omit<Coverage, 'when'>;
}

/**
 * Lines that say what was watched, so that silence means something: when an app has been up for 5 s, then every few
 * minutes, and when it or the agent stops. Informational: no alert is made of them, only of their absence.
 */
export class CoverageLines {
  readonly #options: CoverageOptions;
  readonly #told = new Map<string, Told>();

  constructor(options: CoverageOptions) {
    this.#options = options;
  }

  /** To be called every few seconds with all containers. */
  onTick(entries: Iterable<Covered>, nowMs: number): void {
    const here = new Map<string, { container: Container; emitted: number; dropped: number }>();
    for (const { resolution, sinceMs, goneAtMs, emitted, dropped } of entries) {
      if (resolution.state !== 'included' || goneAtMs !== undefined) continue;
      const { container } = resolution;
      // On Cloud Foundry an id can come again for another app's container, and the platform can change its mind whose one
      // is: the end of what was watched before is told the former one.
      const key = JSON.stringify([container.fullId, instanceKey(container)]);
      if (nowMs - sinceMs < MIN_AGE_MS && !this.#told.has(key)) continue;
      // On some platforms a container has several cgroups.
      const sum = here.get(key);
      here.set(key, {
        container,
        emitted: emitted + (sum?.emitted ?? 0),
        dropped: dropped + (sum?.dropped ?? 0),
      });
    }
    for (const [id, { container, emitted, dropped }] of here) {
      const told = this.#told.get(id);
      const last = this.#facts(container, emitted, dropped);
      if (told === undefined) {
        if (this.#told.size >= MAX_CONTAINERS) continue;
        this.#told.set(id, { container, atMs: nowMs, last });
        this.#say(container, { ...last, when: 'start' });
        continue;
      }
      told.last = last;
      if (nowMs - told.atMs < this.#options.intervalMs) continue;
      told.atMs = nowMs;
      this.#say(container, { ...last, when: 'running' });
    }
    for (const [id, { container, last }] of this.#told) {
      if (here.has(id)) continue;
      this.#told.delete(id);
      this.#say(container, { ...last, when: 'stop' });
    }
  }

  /** The agent ends: nobody watches from now on, or the agent that replaces this one does. */
  stop(when: 'agent stop' | 'replaced' = 'agent stop'): void {
    for (const { container, last } of this.#told.values()) {
      this.#say(container, { ...last, when });
    }
    this.#told.clear();
  }

  #facts(container: Container, events: number, lost: number): Omit<Coverage, 'when'> {
    const { version, rules, policyOf, ownRulesPaused, suppressedOf, notWatchedFor } = this.#options;
    return {
      ...{ version, rules: rules(container), events, lost, suppressed: suppressedOf(container) },
      ...{ policy: policyOf?.(container), ownRulesPaused: ownRulesPaused?.(container) },
      notWatchedFor: notWatchedFor?.(),
    };
  }

  #say(container: Container, coverage: Coverage): void {
    this.#options.say(coverageNotice(coverage, container, BigInt(Date.now()) * 1_000_000n));
  }
}
