/**
 * Which cgroups the probe watches: the scope map in the kernel and what the kernel reports of cgroups.
 * Implemented over the loader by `probe/live.ts`.
 */

/** As in `apps/identity.ts`; the numbers are the wire's (native/schema). */
export type KernelScopeState = 'pending' | 'included' | 'excluded';

/**
 * A cgroup path that is a container. Matched in the kernel at `cgroup_mkdir`, and by `apps/` on a rescan, in
 * the same way: anchored at the hierarchy's root, against the whole path. A cgroup inside one that is already
 * in the scope map is never matched: it is part of that container, so the outermost match decides.
 */
export interface ScopePattern {
  /** Leading path with its final slash, e.g. `/docker/` or `/system.slice/`. At most 63 bytes. */
  readonly prefix: string;
  /** Literal start of the last component, e.g. `docker-`. At most 31 bytes. */
  readonly leafPrefix: string;
  /**
   * What the handle between leafPrefix and leafSuffix may be: 64 lower-case hex digits, anything not empty,
   * or nothing at all (the last component is then exactly leafPrefix + leafSuffix).
   */
  readonly handle: 'hex64' | 'any' | 'none';
  /** Literal end of the last component, e.g. `.scope`. At most 31 bytes. */
  readonly leafSuffix: string;
  /** Other components may stand between prefix and leaf (Kubernetes' QoS and pod levels). */
  readonly deep: boolean;
  /** A match ends the search: this cgroup is no container (Garden's `good` and `bad`). Default false. */
  readonly negative?: boolean;
}

/** A container's cgroup appeared or went away, or a process was moved into it or into a cgroup inside it. */
export interface CgroupChange {
  readonly kind: 'mkdir' | 'rmdir' | 'attach';
  readonly cgroupId: number;
  /** The container's cgroup: itself, but for an attach to a cgroup inside. */
  readonly rootCgroupId: number;
  /** Path within the deciding hierarchy, from its root. */
  readonly path: string;
  readonly state: KernelScopeState;
  readonly bootNs: bigint;
  /** attach: the process that was moved (host pid), 0 otherwise. */
  readonly pid: number;
  /** attach: when that process began, CLOCK_BOOTTIME ns; with `pid` it is that process and no other. */
  readonly startBootNs?: bigint;
}

/**
 * One entry of the kernel's scope map: a container's cgroup, with all that is inside. Counters are records, monotonic,
 * since the entry was made. Times are CLOCK_BOOTTIME ns.
 */
export interface ScopeEntry {
  readonly cgroupId: number;
  readonly state: KernelScopeState;
  readonly emitted: number;
  /** Lost because a ring or the cgroup's share of it was full. */
  readonly dropped: number;
  /** Kept in the kernel because no rule can match it. */
  readonly prefiltered: number;
  /** Of `dropped`: records of process life, without which the container's processes are not all known. */
  readonly droppedExec: number;
  /** Of `dropped`: the container had used up its own share of a ring. */
  readonly droppedShare: number;
  /** Of `dropped`, and not in `droppedShare`: the agent had not read the rings for 500 ms or more. */
  readonly droppedLate: number;
  /** First and last loss of the latest interval that had one (see `LiveProbe.nextLossInterval`); 0 for none. */
  readonly firstDropBootNs: number;
  readonly lastDropBootNs: number;
  /** The longest time, ns, for which the agent had not read when a record was lost, in that interval. */
  readonly lateNs: number;
}

/** How many levels the cgroup with this path is below its hierarchy's root. */
export function levelOf(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}

/** The scope map. Bound: 16384 containers; `set` throws an Error with code ENOSPC past it. */
export interface ScopeMap {
  /**
   * Inserts or changes the state; the counters of an existing entry stay. `level` as `levelOf` its path, at most 31: past
   * it ENOSPC too. `table`: the number of what its opens are judged by (LiveProbe.setVerdicts), 0 for none, undefined: as it is.
   */
  set(cgroupId: number, state: KernelScopeState, level: number, table?: number): void;
  delete(cgroupId: number): void;
  get(cgroupId: number): ScopeEntry | undefined;
  entries(): readonly ScopeEntry[];
}
