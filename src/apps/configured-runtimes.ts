import type { Logger } from '../shared/logger.ts';
import type { HierarchyChoice } from './cgroup-hierarchy.ts';
import type { ScopeMode, Staging } from './opt-in.ts';
import { CgroupRuntime, type CgroupAppRule } from './runtimes/cgroup.ts';
import { CriRuntime, type CriOptions } from './runtimes/cri.ts';
import { DockerRuntime } from './runtimes/docker.ts';
import type { DockerOptions } from './runtimes/docker-options.ts';
import { GardenRuntime, type GardenOptions } from './runtimes/garden.ts';
import type { Runtime } from './runtimes/runtime.ts';

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

/** The configured runtimes. Throws UserError for a cgroup rule that cannot work. */
export function configuredRuntimes(
  { cgroups = [], docker, garden, cri }: AppsConfig,
  logger: Logger,
): readonly Runtime[] {
  return [
    ...(cgroups.length > 0 ? [new CgroupRuntime(cgroups)] : []),
    ...(docker === undefined ? [] : [new DockerRuntime(docker, logger)]),
    ...(garden === undefined ? [] : [new GardenRuntime(garden, logger)]),
    ...(cri === undefined ? [] : [new CriRuntime(cri, logger)]),
  ];
}
