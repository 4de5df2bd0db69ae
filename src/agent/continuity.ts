import type { KeptPins } from '../container-files/kept-pins.ts';
import type { AgentState } from './state.ts';
import { UnwatchedTimes, type FoundCgroup, type UnwatchedCounts } from './unwatched-times.ts';
import type { ReceivedRecords } from './report.ts';
import type { SystemBootClock } from '../host/boot-clock.ts';
import { bootNs } from '../host/boot-clock.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { Detection } from '../rules/detection.ts';
import type { StateTrouble } from '../shared/state-troubles.ts';
import { stateNotice } from '../streams/notices.ts';

/** How often what the disk did not take is tried again. */
const RETRY_MS = 10_000;
/** From the time stamp of a record to the ring: microseconds, unless its process is preempted in between. */
export const IN_THE_MAKING_MS = 50;

export interface ContinuityOptions {
  readonly state: AgentState;
  readonly pins: KeptPins;
  readonly clock: Pick<SystemBootClock, 'unixMinusBootNs'>;
  readonly probe: Pick<LiveProbe, 'stats'>;
  readonly received: Pick<ReceivedRecords, 'records' | 'lastBootNs'>;
  readonly say: (line: Detection) => void;
}

/** What the agent status tells of it. */
export interface ContinuityStatus {
  /** What cannot be kept on disk now. */
  readonly troubles: readonly StateTrouble[];
  /** The longest time that a container was not watched before this agent, and how many were told of such a time. */
  readonly unwatched: UnwatchedCounts;
}

/**
 * What one agent leaves to the next: a sign until when it watched, and what the state folder holds. What the disk does not
 * take is told to operators and tried again every 10 s.
 */
export class Continuity {
  readonly #options: ContinuityOptions;
  readonly #unwatched: UnwatchedTimes;
  readonly #timer: NodeJS.Timeout;
  #untilNs = 0n;

  constructor(options: ContinuityOptions) {
    const { state, pins, say, clock } = options;
    this.#options = options;
    this.#unwatched = new UnwatchedTimes({
      last: state.signOfLife.last,
      say,
      startedMs: performance.now(),
      unixMinusBootNs: clock.unixMinusBootNs,
      bootMinusMonotonicNs: bootNs() - BigInt(Math.round(performance.now() * 1e6)),
    });
    state.troubles.listen((part, trouble) =>
      say(stateNotice(part, trouble, BigInt(Date.now()) * 1_000_000n)),
    );
    this.#timer = setInterval(() => {
      pins.retry();
      void state.retry();
    }, RETRY_MS);
  }

  /** To be called once, with all containers that are known at the start. */
  begin(cgroups: readonly FoundCgroup[]): void {
    this.#unwatched.onTick(cgroups, performance.now());
    // A sign of the agent before is kept until the first tick: by then what it leads to is told.
    if (this.#options.state.signOfLife.last === undefined) this.#sign();
  }

  /** To be called every second, with all containers. */
  onTick(cgroups: readonly FoundCgroup[]): void {
    this.#unwatched.onTick(cgroups, performance.now());
    // Who is not told yet is told by the next agent, should this one be killed now.
    if (!this.#unwatched.waits) this.#sign();
  }

  /** The agent has looked at what happened until `untilNs`, and ends. */
  stopped(untilNs: bigint): void {
    clearInterval(this.#timer);
    this.#options.state.signOfLife.write({ bootNs: untilNs, stopped: true });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  status(): ContinuityStatus {
    return {
      troubles: this.#options.state.troubles.list(),
      unwatched: this.#unwatched.counts(),
    };
  }

  #sign(): void {
    this.#options.state.signOfLife.write({ bootNs: this.#watchedUntil(), stopped: false });
  }

  /** All that happened up to there was looked at. While records wait, that is the time of the last one that was read, or of one that waits since before. */
  #watchedUntil(): bigint {
    const { probe, received } = this.#options;
    const { emitted, waitingSinceBootNs } = probe.stats();
    const waits = emitted > received.records;
    const nowNs = bootNs() - BigInt(IN_THE_MAKING_MS) * 1_000_000n;
    const readNs = received.lastBootNs;
    const sinceNs = waitingSinceBootNs === undefined ? readNs : BigInt(waitingSinceBootNs);
    const untilNs = waits ? (sinceNs < readNs ? sinceNs : readNs) : nowNs;
    if (untilNs > this.#untilNs) this.#untilNs = untilNs;
    return this.#untilNs;
  }
}
