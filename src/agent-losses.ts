import type { LiveProbe } from './probe/live.ts';
import type { Logger } from './shared/logger.ts';

/** Who is told of losses. */
export interface LossListener {
  /** Processes of the container with this root cgroup may be unknown. */
  onProcessRecordsLost(rootCgroupId: number): void;
  /** So many events of it were not seen, since the last look. */
  onEventsLost(rootCgroupId: number, count: number): void;
}

/** Notices that records were lost, and tells whose they were. */
export class RecordLosses {
  readonly #probe: Pick<LiveProbe, 'stats' | 'scope'>;
  readonly #logger: Logger;
  readonly #listener: LossListener;
  #dropped = 0;
  #of = new Map<number, { readonly dropped: number; readonly droppedExec: number }>();

  constructor(probe: Pick<LiveProbe, 'stats' | 'scope'>, logger: Logger, listener: LossListener) {
    this.#probe = probe;
    this.#logger = logger;
    this.#listener = listener;
  }

  /** Looks what was lost since the last look. */
  look(): void {
    const { dropped } = this.#probe.stats();
    if (dropped === this.#dropped) return;
    this.#tellWhose();
    this.#logger.warn(
      { lost: dropped - this.#dropped },
      'records were lost: a container makes them faster than they can be taken; "varvel status" names it',
    );
    this.#dropped = dropped;
  }

  #tellWhose(): void {
    const now = new Map<number, { readonly dropped: number; readonly droppedExec: number }>();
    for (const { cgroupId, dropped, droppedExec } of this.#probe.scope.entries()) {
      if (dropped === 0) continue;
      now.set(cgroupId, { dropped, droppedExec });
      const before = this.#of.get(cgroupId);
      // Losses in the bulk ring, which any container can cause, leave the process tree whole.
      if (droppedExec > (before?.droppedExec ?? 0)) this.#listener.onProcessRecordsLost(cgroupId);
      const more = dropped - (before?.dropped ?? 0);
      if (more > 0) this.#listener.onEventsLost(cgroupId, more);
    }
    this.#of = now;
  }
}
