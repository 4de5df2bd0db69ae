import type { AgentConfig } from '../config/config.ts';
import { detectHierarchy } from './cgroup-hierarchy.ts';
import type { AppsConfig } from './configured-runtimes.ts';
import { findGardenRoots } from './garden-roots.ts';
import type { CgroupAppRule } from './runtimes/cgroup.ts';
import { isGardenWanted } from './runtimes/garden.ts';

/** The part of hold_time that a container waits for details. Its events wait all of it, and must find the container named. */
const DETAILS_SHARE = 0.8;

/**
 * The apps configuration from the agent's; `canary` is the cgroup rule of the agent's own canary. Looks for Garden's
 * cgroup where none is named.
 */
export function configuredApps(config: AgentConfig, canary?: CgroupAppRule): AppsConfig {
  const { docker, garden, cri, cgroup } = config.runtimes;
  const gardenParents = (): readonly string[] =>
    garden.cgroupParents.length > 0
      ? garden.cgroupParents
      : findGardenRoots(detectHierarchy(config.cgroupHierarchy));
  const detailsWaitMs = Math.floor(config.holdTimeMs * DETAILS_SHARE);
  return {
    mode: config.mode,
    hierarchy: config.cgroupHierarchy,
    docker:
      docker.enabled === false
        ? undefined
        : { socketPath: docker.socket, cgroupParents: docker.cgroupParents, detailsWaitMs },
    garden: isGardenWanted(garden.enabled, garden.socket)
      ? {
          socketPath: garden.socket,
          cgroupParents: gardenParents(),
          staging: garden.staging,
        }
      : undefined,
    cri:
      cri.socket === undefined || !cri.enabled
        ? undefined
        : { ...cri, socketPath: cri.socket, detailsWaitMs },
    cgroups: canary === undefined ? cgroup.apps : [canary, ...cgroup.apps],
    rescanMs: config.rescanIntervalMs,
  };
}
