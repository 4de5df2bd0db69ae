import type { ScopePattern } from '../probe/scope.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';
import type { CgroupHierarchy, HierarchyChoice } from './cgroup-hierarchy.ts';
import { findGardenRoots } from './garden-roots.ts';
import type { ScopeMode, Staging } from './opt-in.ts';
import { MAX_SCOPE_PATTERNS } from './patterns.ts';
import { CgroupRuntime, type CgroupAppRule } from './runtimes/cgroup.ts';
import { CriRuntime, type CriOptions } from './runtimes/cri.ts';
import { DockerRuntime } from './runtimes/docker.ts';
import type { DockerOptions } from './runtimes/docker-options.ts';
import { GardenRuntime, type GardenOptions } from './runtimes/garden.ts';
import type { Runtime, RuntimeName } from './runtimes/runtime.ts';

/** Configuration of the stage. */
export interface AppsConfig {
  /** Default `opt-in`. */
  readonly mode?: ScopeMode | undefined;
  /** Default `auto`. */
  readonly hierarchy?: HierarchyChoice | undefined;
  /** undefined: no Docker. */
  readonly docker?: DockerOptions | undefined;
  /** undefined: no Garden. */
  readonly garden?: (GardenOptions & { readonly staging?: Staging }) | undefined;
  /** undefined: no runtime of Kubernetes. */
  readonly cri?: CriOptions | undefined;
  /** Apps that are cgroups; empty or undefined: none. */
  readonly cgroups?: readonly CgroupAppRule[] | undefined;
  /** Default 20000; 0 leaves the rescan to the caller. */
  readonly rescanMs?: number | undefined;
}

/** A pattern of the kernel's scope, and whose it is. */
export interface RuntimePattern extends ScopePattern {
  readonly runtime: RuntimeName;
}

/** The runtimes that are to be asked, in the order in which their patterns count. Throws UserError for what cannot be a pattern. */
export function configuredRuntimes(
  { cgroups = [], docker, garden, cri }: AppsConfig,
  hierarchy: CgroupHierarchy,
  logger: Logger,
): readonly Runtime[] {
  return [
    // What the operator named comes before what a runtime usually does.
    ...(cgroups.length > 0 ? [new CgroupRuntime(cgroups)] : []),
    ...(docker === undefined ? [] : [new DockerRuntime(docker, logger)]),
    ...(garden === undefined ? [] : [gardenRuntime(garden, hierarchy, logger)]),
    ...(cri === undefined ? [] : [new CriRuntime(cri, logger)]),
  ];
}

/** All their patterns. Throws UserError when there are more than the probe takes. */
export function patternsOf(runtimes: readonly Runtime[]): readonly RuntimePattern[] {
  const all = runtimes.flatMap(({ name, patterns }) =>
    patterns.map((pattern) => ({ ...pattern, runtime: name })),
  );
  if (all.length > MAX_SCOPE_PATTERNS) {
    throw new UserError(
      `There are ${all.length} cgroup patterns; the probe takes ${MAX_SCOPE_PATTERNS}. Join some with a shorter text before the "*".`,
    );
  }
  return all;
}

function gardenRuntime(
  options: GardenOptions,
  hierarchy: CgroupHierarchy,
  logger: Logger,
): GardenRuntime {
  const named = options.cgroupParents ?? [];
  const cgroupParents = named.length > 0 ? named : findGardenRoots(hierarchy);
  return new GardenRuntime({ ...options, cgroupParents }, logger);
}
