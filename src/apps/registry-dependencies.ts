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
  /** A root is known from now on: events of it may have come before. */
  onKnown?(rootCgroupId: number): void;
  /** A root was forgotten while pending: its identity will not become known. */
  onForgotten?(rootCgroupId: number): void;
}

/** What the registry stands on. */
export interface RegistryDependencies {
  readonly scopeMap: ScopeMap;
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  readonly match: (path: string) => RegistryMatch | undefined;
  readonly keyOf: (runtime: RuntimeName, cgroup: ContainerCgroup) => string;
  /** Of a cgroup that is a part of a container, and beside its own, the part's name. */
  readonly sidecarOf?: (runtime: RuntimeName, cgroup: ContainerCgroup) => string | undefined;
  /**
   * Told when a key's cgroups had all gone and there is a new one. True: it may be another container, of which nothing
   * is known yet. False or absent: a key is one container's for ever.
   */
  readonly renew?: (runtime: RuntimeName, key: string) => boolean;
  /** Asks the runtime for a root's identity; the answer comes by `decide`. */
  readonly lookup: (runtime: RuntimeName, cgroup: ContainerCgroup) => void;
}
