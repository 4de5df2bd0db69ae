import type { Insides } from '../container-files/insides.ts';
import type { Apps } from '../apps/apps.ts';
import type { ProcessTree } from '../context/process-tree.ts';
import type { SystemBootClock } from '../host/boot-clock.ts';
import { bootNs } from '../host/boot-clock.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { ScopeEntry } from '../probe/scope.ts';
import type { Logger } from '../shared/logger.ts';
import type { FanOut } from '../streams/fan-out.ts';
import { SkippedPrograms } from './skipped-programs.ts';

/** Records of one container that the kernel could not hand over since the last report. */
export interface ContainerLoss {
  /** The container had used up its own share of a ring. */
  readonly ownShare: number;
  /** The agent had not read the rings for 500 ms or more. */
  readonly agentLate: number;
  /** The ring was full, but neither of the above. */
  readonly noRoom: number;
  /** Times of the first and the last loss, CLOCK_BOOTTIME ns; the first is not after the last. */
  readonly firstBootNs: number;
  readonly lastBootNs: number;
  /** The longest time, ns, without a read by the agent at the moment of a loss. */
  readonly lateNs: number;
}

/** Receives losses. Called synchronously. */
export interface LossListener {
  /** Processes of the container with this root cgroup may be unknown. */
  onProcessRecordsLost(rootCgroupId: number): void;
  /**
   * Returns false if the container's identity is still unknown. The loss is then reported again later, together with newer
   * ones.
   */
  onEventsLost(rootCgroupId: number, loss: ContainerLoss): boolean;
}

/** What has been reported of a container's entry. */
interface Told extends Pick<ScopeEntry, 'dropped' | 'droppedShare' | 'droppedLate'> {
  /** Values at the last look, reported or not. */
  readonly droppedExec: number;
  readonly lastDropBootNs: number;
  /** Time of the first loss that is not reported yet. */
  readonly waitsSinceBootNs: number | undefined;
}

const NOTHING: Told = {
  dropped: 0,
  droppedShare: 0,
  droppedLate: 0,
  droppedExec: 0,
  lastDropBootNs: 0,
  waitsSinceBootNs: undefined,
};

/** Detects lost records and reports whose they were, when and why, as counted by the kernel. */
export class RecordLosses {
  readonly #probe: Pick<LiveProbe, 'stats' | 'scope' | 'nextLossInterval' | 'countSkipped'>;
  readonly #logger: Logger;
  readonly #listener: LossListener;
  /** Those that nothing was reported of: call its `onTick` each second. */
  readonly skipped: SkippedPrograms;
  #dropped = 0;
  #anyWaits = false;
  readonly #told = new Map<number, Told>();
  /** Reported since the operator's last line. */
  #sums = { all: 0, ownShare: 0, agentLate: 0, lateNs: 0 };

  constructor(
    probe: Pick<LiveProbe, 'stats' | 'scope' | 'nextLossInterval' | 'countSkipped'>,
    logger: Logger,
    listener: LossListener,
  ) {
    this.#probe = probe;
    this.#logger = logger;
    this.#listener = listener;
    this.skipped = new SkippedPrograms(probe, logger);
  }

  /** Reports what was lost since the last look. */
  look(): void {
    const { dropped } = this.#probe.stats();
    if (dropped === this.#dropped && !this.#anyWaits) return;
    this.#anyWaits = false;
    for (const entry of this.#probe.scope.entries()) this.#tell(entry);
    this.#probe.nextLossInterval();
    const { all, ownShare, agentLate, lateNs } = this.#sums;
    this.#sums = { all: 0, ownShare: 0, agentLate: 0, lateNs: 0 };
    const lost = dropped - this.#dropped;
    this.#dropped = dropped;
    if (lost === 0) return;
    const late =
      agentLate > 0
        ? ` The agent did not read them in time (it was up to ${(lateNs / 1e9).toFixed(1)} s late).`
        : '';
    const share =
      ownShare > 0
        ? ' Some containers make more than their share: "varvel status" names them.'
        : '';
    this.#logger.warn(
      { lost, agentLate, ownShare, ofUnknownContainers: Math.max(0, lost - all) },
      `Records were lost.${late}${share}`,
    );
  }

  /** The container's entry is about to leave the kernel's map: reports its last losses now. */
  forget(rootCgroupId: number): void {
    const entry = this.#probe.scope.get(rootCgroupId);
    if (entry !== undefined) this.#tell(entry);
    this.#told.delete(rootCgroupId);
  }

  #tell(entry: ScopeEntry): void {
    const { cgroupId, dropped, droppedExec, droppedShare, droppedLate, lastDropBootNs } = entry;
    const before = this.#told.get(cgroupId) ?? NOTHING;
    const count = dropped - before.dropped;
    if (count <= 0) return;
    // Losses in the bulk ring, which any container can cause, do not damage the process tree.
    if (droppedExec > before.droppedExec) this.#listener.onProcessRecordsLost(cgroupId);
    // A loss between a look and the next interval counts in the old one, whose first time has been reported.
    const first = before.waitsSinceBootNs ?? Math.max(entry.firstDropBootNs, before.lastDropBootNs);
    const ownShare = Math.min(count, droppedShare - before.droppedShare);
    const agentLate = Math.min(count - ownShare, droppedLate - before.droppedLate);
    const lateNs = agentLate > 0 ? entry.lateNs : 0;
    const isTold = this.#listener.onEventsLost(cgroupId, {
      ownShare,
      agentLate,
      noRoom: count - ownShare - agentLate,
      lateNs,
      firstBootNs: Math.min(first, lastDropBootNs),
      lastBootNs: lastDropBootNs,
    });
    if (!isTold) {
      this.#anyWaits = true;
      this.#told.set(cgroupId, { ...before, droppedExec, lastDropBootNs, waitsSinceBootNs: first });
      return;
    }
    const told = { dropped, droppedExec, droppedShare, droppedLate, lastDropBootNs };
    this.#told.set(cgroupId, { ...told, waitsSinceBootNs: undefined });
    this.#sums.all += count;
    this.#sums.ownShare += ownShare;
    this.#sums.agentLate += agentLate;
    this.#sums.lateNs = Math.max(this.#sums.lateNs, lateNs);
  }
}

/** Passes losses to the process tree, the policies, and the app whose events were lost. */
export function recordLosses(
  probe: LiveProbe,
  logger: Logger,
  stages: {
    readonly tree: Pick<ProcessTree, 'recordsLost'>;
    readonly insides: Insides;
    readonly apps: Pick<Apps, 'resolve'>;
    readonly clock: Pick<SystemBootClock, 'unixMinusBootNs'>;
    readonly fanOut: Pick<FanOut, 'noteUnseen'>;
  },
): RecordLosses {
  const { tree, insides, apps, clock, fanOut } = stages;
  return new RecordLosses(probe, logger, {
    onProcessRecordsLost: (root) => {
      tree.recordsLost(bootNs(), root);
      insides.policies.onProcessRecordsLost(root);
    },
    onEventsLost: (root, { firstBootNs, lastBootNs, lateNs, ...reasons }) => {
      const resolution = apps.resolve(root);
      if (resolution.state !== 'included') return resolution.state !== 'pending';
      const unix = (boot: number): bigint => BigInt(boot) + clock.unixMinusBootNs;
      const times = { firstNs: unix(firstBootNs), lastNs: unix(lastBootNs), lateNs };
      fanOut.noteUnseen({ container: resolution.container, reasons, ...times });
      return true;
    },
  });
}
