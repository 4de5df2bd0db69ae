/**
 * Which cgroups the probe watches: the kernel's scope map, and what the kernel reports about cgroups. Implemented over the
 * loader by `probe/live.ts`.
 */

/** As in `apps/identity.ts`; the numbers are the wire's (native/schema). */
export type KernelScopeState = 'pending' | 'included' | 'excluded';

/**
 * A cgroup path that is a container. The kernel matches it at `cgroup_mkdir`, and `apps/` on a rescan, in the same way:
 * anchored at the hierarchy's root, against the whole path. A cgroup inside one in the scope map is never matched. It is part
 * of that container, so the outermost match decides.
 */
export interface ScopePattern {
  /** Leading path with its final slash, e.g. `/docker/` or `/system.slice/`. At most 63 bytes. */
  readonly prefix: string;
  /** Literal start of the last component, e.g. `docker-`. At most 31 bytes. */
  readonly leafPrefix: string;
  /**
   * What the handle between leafPrefix and leafSuffix may be: 64 lower-case hex digits, any non-empty text, or nothing. For
   * nothing, the last component is exactly leafPrefix + leafSuffix.
   */
  readonly handle: 'hex64' | 'any' | 'none';
  /** Literal end of the last component, e.g. `.scope`. At most 31 bytes. */
  readonly leafSuffix: string;
  /** Whether other components may stand between prefix and leaf (Kubernetes' QoS and pod levels). */
  readonly deep: boolean;
  /** Whether a match ends the search: this cgroup is no container (Garden's `good` and `bad`). Default false. */
  readonly negative?: boolean;
}

/**
 * One entry of the kernel's scope map: a container's cgroup, with everything inside. Counters count records, are monotonic, and
 * start when the entry is created. Times are CLOCK_BOOTTIME ns.
 */
export interface ScopeEntry {
  readonly cgroupId: number;
  readonly state: KernelScopeState;
  readonly emitted: number;
  /** Lost because a ring or the cgroup's share of it was full. */
  readonly dropped: number;
  /** Filtered in the kernel because no rule can match. */
  readonly prefiltered: number;
  /** Those of `dropped` that are records of process life, without which the container's processes are not all known. */
  readonly droppedExec: number;
  /** Those of `dropped` for which the container had used up its own share of a ring. */
  readonly droppedShare: number;
  /** Those of `dropped`, and not of `droppedShare`, for which the agent had not read the rings for 500 ms or more. */
  readonly droppedLate: number;
  /** First and last loss of the latest interval with a loss (see `LiveProbe.nextLossInterval`); 0 for none. */
  readonly firstDropBootNs: number;
  readonly lastDropBootNs: number;
  /** The longest time, ns, without a read by the agent at the moment of a loss, in that interval. */
  readonly lateNs: number;
}

/** Depth of the cgroup with this path below its hierarchy's root. */
export function levelOf(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}

/** The scope map. Limit: 16384 containers; beyond it, `set` throws an Error with code ENOSPC. */
export interface ScopeMap {
  /**
   * Inserts an entry or changes its state; the counters of an existing entry remain. `level`: `levelOf` its path, at most 31;
   * beyond it, also ENOSPC. `table`: the number of the table that filters its opens (LiveProbe.setVerdicts), 0 for none,
   * undefined for no change.
   */
  set(cgroupId: number, state: KernelScopeState, level: number, table?: number): void;
  delete(cgroupId: number): void;
  get(cgroupId: number): ScopeEntry | undefined;
  entries(): readonly ScopeEntry[];
}
