import type { RegistryEntry, Resolution, Verdict } from './resolution.ts';
import type { ContainerCgroup, RuntimeName } from './runtimes/runtime.ts';

/** What a runtime said of a container. */
export interface Known {
  readonly verdict: Verdict;
  readonly destroyedAtMs: number | undefined;
  /** The verdict was applied to a cgroup. */
  readonly used: boolean;
}

/** A container's cgroup, and what is known of it. */
export interface Root extends ContainerCgroup {
  readonly runtime: RuntimeName;
  readonly key: string;
  /** Index name: runtime and key, until another container reuses the key. */
  name: string;
  readonly sidecar: string | undefined;
  readonly sinceMs: number;
  isNew: boolean;
  resolution: Resolution;
  verdict: Verdict | undefined;
  goneAtMs: number | undefined;
  /** The kernel's map had no room for it. */
  unwatched: boolean;
  /** Its counts when it was removed. */
  lastCounts: KernelCounts;
}

/** What the kernel counted of it. */
export type KernelCounts = Pick<RegistryEntry, 'emitted' | 'dropped' | 'prefiltered'>;

export const NO_COUNTS: KernelCounts = Object.freeze({ emitted: 0, dropped: 0, prefiltered: 0 });
