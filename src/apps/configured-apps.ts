import type { AgentConfig } from '../config/config.ts';
import type { AppsConfig } from './apps.ts';
import { isGardenWanted } from './runtimes/garden.ts';

/** The stage as the configuration has it. */
export function configuredApps(config: AgentConfig): AppsConfig {
  const { docker, garden, cri, cgroup } = config.runtimes;
  return {
    mode: config.mode,
    hierarchy: config.cgroupHierarchy,
    docker:
      docker.enabled === false
        ? undefined
        : { socketPath: docker.socket, cgroupParents: docker.cgroupParents },
    garden: isGardenWanted(garden.enabled, garden.socket)
      ? {
          socketPath: garden.socket,
          cgroupParents: garden.cgroupParents,
          staging: garden.staging,
        }
      : undefined,
    cri: cri.socket === undefined || !cri.enabled ? undefined : { ...cri, socketPath: cri.socket },
    cgroups: cgroup.apps,
    rescanMs: config.rescanIntervalMs,
  };
}
