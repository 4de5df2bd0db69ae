import type { LiveProbe } from './probe/live.ts';
import type { Logger } from './shared/logger.ts';

/** Notices that records were lost, says so, and tells for which containers processes may have been missed. */
export class RecordLosses {
  readonly #probe: Pick<LiveProbe, 'stats' | 'scope'>;
  readonly #logger: Logger;
  readonly #onProcessRecordsLost: (rootCgroupId: number) => void;
  #dropped = 0;
  #droppedExec = 0;
  #droppedExecOf = new Map<number, number>();

  /** `onProcessRecordsLost` is told the root cgroup of each container whose processes are not all known. */
  constructor(
    probe: Pick<LiveProbe, 'stats' | 'scope'>,
    logger: Logger,
    onProcessRecordsLost: (rootCgroupId: number) => void,
  ) {
    this.#probe = probe;
    this.#logger = logger;
    this.#onProcessRecordsLost = onProcessRecordsLost;
  }

  /** Looks what was lost since the last look. */
  look(): void {
    const { dropped, droppedExec } = this.#probe.stats();
    // Losses in the bulk ring, which any container can cause, leave the process tree whole.
    if (droppedExec > this.#droppedExec) {
      this.#droppedExec = droppedExec;
      this.#tellWhose();
    }
    if (dropped > this.#dropped) {
      this.#logger.warn(
        { lost: dropped - this.#dropped },
        'records were lost: a container makes them faster than they can be taken; "varvel status" names it',
      );
      this.#dropped = dropped;
    }
  }

  #tellWhose(): void {
    const lost = new Map<number, number>();
    for (const { cgroupId, rootCgroupId, droppedExec } of this.#probe.scope.entries()) {
      if (droppedExec === 0) continue;
      lost.set(cgroupId, droppedExec);
      const before = this.#droppedExecOf.get(cgroupId) ?? 0;
      if (droppedExec > before) this.#onProcessRecordsLost(rootCgroupId);
    }
    this.#droppedExecOf = lost;
  }
}
