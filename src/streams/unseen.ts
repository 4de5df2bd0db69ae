import type { Container } from '../apps/identity.ts';

/** Limit on containers with unreported unseen events; those of further ones only show in the agent's counters. */
const MAX_CONTAINERS = 1024;

/** Why events were not seen: how many for each reason. */
export interface UnseenReasons {
  /** The container had used up its own share of the kernel's buffer. */
  readonly ownShare: number;
  /** The agent had not read the buffer for 500 ms or more. */
  readonly agentLate: number;
  /** The buffer was full, but the container had not used up its share. */
  readonly noRoom: number;
  /** The agent was starting, and had kept as many as it could. */
  readonly starting: number;
  /** The container was not known yet, and the queue for such events was full. */
  readonly unknown: number;
}

/** Events of one container that no rule looked at. */
export interface Unseen {
  readonly container: Container;
  readonly reasons: Partial<UnseenReasons>;
  /** Unix ns of the first and the last of them. */
  readonly firstNs: bigint;
  readonly lastNs: bigint;
  /** The longest time, ns, for which the agent had not read when one was lost. */
  readonly lateNs?: number;
}

/** The same of one container, until it is told. */
export interface UnseenSum extends Unseen {
  readonly reasons: UnseenReasons;
  readonly count: number;
  readonly lateNs: number;
}

const NONE: UnseenReasons = { ownShare: 0, agentLate: 0, noRoom: 0, starting: 0, unknown: 0 };

/** Sums up what was not seen, by container, from one telling to the next. */
export class UnseenEvents {
  readonly #byContainer = new Map<string, UnseenSum>();

  add({ container, reasons, firstNs, lastNs, lateNs = 0 }: Unseen): void {
    const key = container.fullId;
    const before = this.#byContainer.get(key);
    if (before === undefined && this.#byContainer.size >= MAX_CONTAINERS) return;
    const { ownShare, agentLate, noRoom, starting, unknown } = before?.reasons ?? NONE;
    const sums: UnseenReasons = {
      ownShare: ownShare + (reasons.ownShare ?? 0),
      agentLate: agentLate + (reasons.agentLate ?? 0),
      noRoom: noRoom + (reasons.noRoom ?? 0),
      starting: starting + (reasons.starting ?? 0),
      unknown: unknown + (reasons.unknown ?? 0),
    };
    this.#byContainer.set(key, {
      container,
      reasons: sums,
      count: (Object.values(sums) as number[]).reduce((sum, each) => sum + each, 0),
      firstNs: before === undefined || firstNs < before.firstNs ? firstNs : before.firstNs,
      lastNs: before === undefined || lastNs > before.lastNs ? lastNs : before.lastNs,
      lateNs: Math.max(lateNs, before?.lateNs ?? 0),
    });
  }

  /** Returns all sums and clears them. */
  take(): readonly UnseenSum[] {
    const all = [...this.#byContainer.values()];
    this.#byContainer.clear();
    return all;
  }
}
