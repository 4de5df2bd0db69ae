import type { KeptPins } from '../container-files/kept-pins.ts';
import type { AgentState } from './state.ts';
import { UnwatchedTimes, type FoundCgroup, type UnwatchedCounts } from './unwatched-times.ts';
import type { ReceivedRecords } from './report.ts';
import type { SystemBootClock } from '../host/boot-clock.ts';
import { bootNs } from '../host/boot-clock.ts';
import type { Attachment } from '../plan/attachment.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { Detection } from '../rules/detection.ts';
import type { StateTrouble } from '../shared/state-troubles.ts';
import { stateNotice } from '../streams/notices.ts';

/** How often failed disk writes are retried. */
const RETRY_MS = 10_000;
/** From a record's time stamp to the ring: microseconds, unless its process is preempted in between. */
export const IN_THE_MAKING_MS = 50;

export interface ContinuityOptions {
  readonly attachment: Pick<Attachment, 'attachedMs'>;
  readonly state: AgentState;
  readonly pins: KeptPins;
  readonly clock: Pick<SystemBootClock, 'unixMinusBootNs'>;
  readonly probe: Pick<LiveProbe, 'stats'>;
  readonly received: Pick<ReceivedRecords, 'records' | 'lastBootNs'>;
  readonly say: (line: Detection) => void;
}

/** Continuity as the agent status reports it. */
export interface ContinuityStatus {
  /** What cannot be kept on disk now. */
  readonly troubles: readonly StateTrouble[];
  /** The longest time for which a container was unwatched before this agent, and how many were notified. */
  readonly unwatched: UnwatchedCounts;
}

/**
 * What one agent leaves to the next: until when it watched, and the contents of the state folder. Failed disk writes are
 * reported to operators and retried every 10 s.
 */
export class Continuity {
  readonly #options: ContinuityOptions;
  readonly #unwatched: UnwatchedTimes;
  readonly #timer: NodeJS.Timeout;
  #untilNs = 0n;
  #hasStopped = false;

  constructor(options: ContinuityOptions) {
    const { attachment, state, pins, say, clock } = options;
    this.#options = options;
    this.#unwatched = new UnwatchedTimes({
      last: state.signOfLife.last,
      say,
      startedMs: performance.now(),
      attachedMs: () => attachment.attachedMs,
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

  /** Call once, with all containers known at the start. */
  begin(cgroups: readonly FoundCgroup[]): void {
    this.#unwatched.onTick(cgroups, performance.now());
    // The previous agent's sign is kept until the first tick, when its consequences have been reported.
    if (this.#options.state.signOfLife.last === undefined) this.#sign();
  }

  /** Call every second, with all containers. */
  onTick(cgroups: readonly FoundCgroup[]): void {
    this.#unwatched.onTick(cgroups, performance.now());
    // If this agent is killed now, the next one notifies the containers that are still waiting. While it delivers what is left at
    // its end, it watches no more.
    if (!this.#unwatched.waits && !this.#hasStopped) this.#sign();
  }

  /** The agent has processed everything until `untilNs`, and ends. */
  stopped(untilNs: bigint): void {
    clearInterval(this.#timer);
    this.#hasStopped = true;
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

  /**
   * Everything before this time was processed. While records wait, it is the time of the last record read, or the time since
   * which a record waits, if earlier.
   */
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
