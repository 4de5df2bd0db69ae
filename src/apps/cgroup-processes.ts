import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupIdOf } from './cgroup-hierarchy.ts';
import type { CgroupHierarchy } from './cgroup-hierarchy.ts';
import type { ContainerRegistry } from './container-registry.ts';
import type { Container } from './identity.ts';
import type { RuntimeName } from './runtimes/runtime.ts';

/** Limit on processes per container. */
const PIDS_MAX = 64;
/** The same where the first process is looked for: a fork bomb must not hide it. */
const ALL_PIDS_MAX = 65_536;
/** Limit on cgroups right below a container's own: each sidecar has one. */
const BELOW_MAX = 16;

export interface KnownCgroups {
  readonly registry: ContainerRegistry;
  readonly hierarchy: CgroupHierarchy;
}

/** Processes of a container that is watched, at most 65,536 of each cgroup; none when it is gone. */
export function allProcessesOf(known: KnownCgroups, { fullId }: Container): readonly number[] {
  const { registry } = known;
  for (const { cgroupId, resolution } of registry.entries()) {
    if (resolution.state !== 'included' || resolution.container.fullId !== fullId) continue;
    const owner = registry.ownerOf(cgroupId);
    if (owner !== undefined)
      return processesOf(known, owner.runtime, owner.key, ALL_PIDS_MAX) ?? [];
  }
  return [];
}

/**
 * Processes of the container's cgroups and of those right below them, at most `max` (default 64) of each; undefined when it has no
 * cgroup any more.
 */
export function processesOf(
  { registry, hierarchy }: KnownCgroups,
  runtime: RuntimeName,
  key: string,
  max = PIDS_MAX,
): readonly number[] | undefined {
  const paths = registry
    .cgroupsOf(runtime, key)
    .filter(({ cgroupId, path }) => cgroupIdOf(hierarchy, path) === cgroupId)
    .map(({ path }) => path);
  if (paths.length === 0) return undefined;
  return paths.flatMap((path) => pidsIn(join(hierarchy.mountPoint, path), max)).slice(0, max);
}

/** Processes of a cgroup and of those right below it: some runtimes put the first process into one named `init`. */
function pidsIn(folder: string, max: number): number[] {
  try {
    const below = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .slice(0, BELOW_MAX)
      .map(({ name }) => join(folder, name));
    return [folder, ...below].flatMap((path) => listedIn(path, max));
  } catch {
    return [];
  }
}

function listedIn(folder: string, max: number): number[] {
  try {
    return readFileSync(join(folder, 'cgroup.procs'), 'latin1')
      .split('\n', max)
      .filter((line) => line !== '' && line !== '0')
      .map(Number);
  } catch {
    // gone meanwhile, or a threaded cgroup, which has no list of processes
    return [];
  }
}
