import type { Container } from './identity.ts';
import type { ContainerCgroup, RuntimeName } from './runtimes/runtime.ts';

/** What is known of a cgroup's container, now. Objects are immutable and may be kept. */
export type Resolution =
  | { readonly state: 'included'; readonly container: Container }
  | { readonly state: 'pending'; readonly sinceMs: number }
  | { readonly state: 'excluded'; readonly reason: string }
  | { readonly state: 'unknown' };

/** What a runtime's answer means for the scope. */
export type Verdict =
  | { readonly state: 'included'; readonly container: Container; readonly reason: string }
  | {
      readonly state: 'excluded';
      /** undefined when no runtime could describe it. */
      readonly container: Container | undefined;
      readonly reason: string;
    };

/** One container's cgroup as `varvel status` shows it. */
export interface RegistryEntry extends ContainerCgroup {
  readonly runtime: RuntimeName;
  readonly resolution: Resolution;
  /** What decided, as a sentence; undefined while pending. */
  readonly verdict: Verdict | undefined;
  readonly sinceMs: number;
  /** The kernel reported its mkdir: it did not exist before. */
  readonly isNew: boolean;
  /** When it was removed; undefined while it is there. */
  readonly goneAtMs: number | undefined;
  /** The kernel's map had no room for it: nothing in it is seen. */
  readonly unwatched: boolean;
  readonly emitted: number;
  readonly dropped: number;
  readonly prefiltered: number;
}

/** `cgroups` and `pending` are present sizes; the others are monotonic. */
export interface RegistryCounters {
  readonly cgroups: number;
  readonly pending: number;
  /** Containers' cgroups that found no place here or in the kernel's map: not watched. */
  readonly refused: number;
  /** Reported by the kernel, but no pattern matches them. */
  readonly unmatched: number;
  /** Records of containers that are no longer among the entries. */
  readonly forgottenRecords: number;
}
