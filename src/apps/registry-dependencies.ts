import type { ScopeMap } from '../probe/scope.ts';
import type { Logger } from '../shared/logger.ts';
import type { ContainerCgroup, RuntimeName } from './runtimes/runtime.ts';

/** The container that a path belongs to, by the patterns of all runtimes. */
export interface RegistryMatch {
  readonly runtime: RuntimeName;
  readonly handle: string;
  readonly rootPath: string;
}

/** Called synchronously; must not throw. */
export interface RegistryListener {
  /** A root left `pending`: ask `resolve`. */
  onResolved?(rootCgroupId: number): void;
  /** A root is now known; its events may have come before. */
  onKnown?(rootCgroupId: number): void;
  /** A root was forgotten while pending: its identity will not become known. */
  onForgotten?(rootCgroupId: number): void;
}

export interface RegistryDependencies {
  readonly scopeMap: ScopeMap;
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  readonly match: (path: string) => RegistryMatch | undefined;
  readonly keyOf: (runtime: RuntimeName, cgroup: ContainerCgroup) => string;
  /** The sidecar's name, if the cgroup is a sidecar's beside the container's own. */
  readonly sidecarOf?: (runtime: RuntimeName, cgroup: ContainerCgroup) => string | undefined;
  /**
   * Called when a new cgroup may mean that another container reuses the key. True: nothing is known of that container
   * yet. False or absent: a key always means one container.
   */
  readonly renew?: (runtime: RuntimeName, key: string) => boolean;
  /** Asks the runtime for a root's identity; the answer comes by `decide`. */
  readonly lookup: (runtime: RuntimeName, cgroup: ContainerCgroup) => void;
}
