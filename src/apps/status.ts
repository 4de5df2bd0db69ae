import type { CgroupHierarchy } from './cgroup-hierarchy.ts';
import type { RegistryCounters, RegistryEntry } from './resolution.ts';
import { invalidAppLabels } from './labels.ts';
import type { RuntimeName, RuntimeStatus } from './runtimes/runtime.ts';

/** Why a container is not watched although it should be. */
export const NOT_WATCHED =
  'It is NOT WATCHED: this host has more containers than varvel can watch (16384).';

/** A container as `varvel status` shows it. */
export interface ContainerStatus {
  /** As `Container.id`; the handle's first 12 characters until a runtime describes it. */
  readonly id: string;
  readonly fullId: string;
  readonly name: string | undefined;
  readonly runtime: RuntimeName;
  readonly app: string | undefined;
  readonly space: string | undefined;
  readonly org: string | undefined;
  readonly cgroupPath: string;
  readonly cgroupId: number;
  /** There was no room for it in the kernel: nothing in it is seen. */
  readonly unwatched: boolean;
  readonly state: 'included' | 'pending' | 'excluded';
  /** The cgroup was removed; it is remembered for a while. */
  readonly gone: boolean;
  /** A sentence: in scope or not, and why. */
  readonly reason: string;
  /** Records, since the cgroup exists (its nested cgroups included). */
  readonly emitted: number;
  readonly dropped: number;
  readonly prefiltered: number;
}

/** Everything `varvel status` says of containers. */
export interface AppsSnapshot {
  readonly hierarchy: CgroupHierarchy;
  readonly mode: string;
  readonly runtimes: readonly RuntimeStatus[];
  readonly containers: readonly ContainerStatus[];
  readonly counters: RegistryCounters;
  /** The last walk hit its bound: there may be containers that nobody looked at. */
  readonly rescanTruncated: boolean;
}

/**
 * One registry entry for `varvel status`. `nowMs` is the registry's clock; `isLookedInto`: the agent still looks for
 * its policy file.
 */
export function containerStatus(
  entry: RegistryEntry,
  nowMs: number,
  isLookedInto = false,
): ContainerStatus {
  const { resolution, verdict } = entry;
  const container = verdict?.container;
  const state = resolution.state === 'unknown' ? 'pending' : resolution.state;
  return {
    id: container?.id ?? entry.handle.slice(0, 12),
    fullId: container?.fullId ?? entry.handle,
    name: container?.name,
    runtime: entry.runtime,
    app: container?.app?.name,
    space: container?.app?.space,
    org: container?.app?.org,
    cgroupPath: entry.path,
    cgroupId: entry.cgroupId,
    unwatched: entry.unwatched,
    state,
    gone: entry.goneAtMs !== undefined,
    reason: reasonOf(entry, nowMs, isLookedInto),
    emitted: entry.emitted,
    dropped: entry.dropped,
    prefiltered: entry.prefiltered,
  };
}

function reasonOf(entry: RegistryEntry, nowMs: number, isLookedInto: boolean): string {
  const { verdict } = entry;
  if (entry.unwatched) return NOT_WATCHED;
  if (verdict === undefined && isLookedInto) {
    return 'It has no label, and nobody could look yet whether its app brings a policy file.';
  }
  if (verdict === undefined) {
    const seconds = Math.max(0, Math.round((nowMs - entry.sinceMs) / 1000));
    return `Its runtime (${entry.runtime}) has not identified it for ${seconds} s.`;
  }
  const { container } = verdict;
  if (container?.doubt !== undefined) return `${verdict.reason} ${container.doubt}`;
  const invalid = container === undefined ? [] : invalidAppLabels(container.labels);
  if (invalid.length === 0) return verdict.reason;
  return `${verdict.reason} Not usable, and ignored: ${invalid.join(', ')} (1 to 256 printable characters).`;
}
