import type { CgroupChange } from '../events/cgroup-record.ts';
import { RecentMap } from '../shared/recent-map.ts';

/** Limit on moves of unknown processes; the oldest is evicted. */
const PENDING_MAX = 4096;

/**
 * Which processes are in a cgroup inside their container's, as sidecars of Garden are. The kernel tells of moves into one;
 * a fork takes its parent's along. Paths are the kernel's: whoever may make cgroups in a container can choose their names.
 */
export class NestedCgroups {
  readonly #moved = new RecentMap<number, CgroupChange>(PENDING_MAX);

  /** Remembers a move of an unknown process. */
  remember(change: CgroupChange): void {
    this.#moved.set(change.pid, change);
  }

  /** Removes and returns the last move of the process; undefined when none was reported. */
  take(pid: number, startBootNs: bigint): CgroupChange | undefined {
    const change = this.#moved.get(pid);
    if (change === undefined) return undefined;
    this.#moved.delete(pid);
    return change.startBootNs === undefined || change.startBootNs === startBootNs
      ? change
      : undefined;
  }
}

/** The path of the cgroup that a process was moved into, where that is inside its container's. */
export function nestedPath({ cgroupId, rootCgroupId, path }: CgroupChange): string | undefined {
  return cgroupId === rootCgroupId ? undefined : path;
}
