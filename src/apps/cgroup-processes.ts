import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupIdOf } from './cgroup-hierarchy.ts';
import type { CgroupHierarchy } from './cgroup-hierarchy.ts';
import type { ContainerRegistry } from './container-registry.ts';
import type { RuntimeName } from './runtimes/runtime.ts';

/** Limit on processes per container. */
const PIDS_MAX = 64;
/** Limit on cgroups right below a container's own: each sidecar has one. */
const BELOW_MAX = 16;

/** Processes of the container's cgroups and of those right below them, at most 64; undefined when it has no cgroup any more. */
export function processesOf(
  {
    registry,
    hierarchy,
  }: { readonly registry: ContainerRegistry; readonly hierarchy: CgroupHierarchy },
  runtime: RuntimeName,
  key: string,
): readonly number[] | undefined {
  const paths = registry
    .cgroupsOf(runtime, key)
    .filter(({ cgroupId, path }) => cgroupIdOf(hierarchy, path) === cgroupId)
    .map(({ path }) => path);
  if (paths.length === 0) return undefined;
  return paths.flatMap((path) => pidsIn(join(hierarchy.mountPoint, path))).slice(0, PIDS_MAX);
}

/** Processes of the container with this root cgroup, as `processesOf`, by their pids; none when it is gone. */
export function processesBelow(
  {
    registry,
    hierarchy,
  }: { readonly registry: ContainerRegistry; readonly hierarchy: CgroupHierarchy },
  rootCgroupId: number,
): readonly number[] {
  const path = registry.entries().find(({ cgroupId }) => cgroupId === rootCgroupId)?.path;
  if (path === undefined || cgroupIdOf(hierarchy, path) !== rootCgroupId) return [];
  return pidsIn(join(hierarchy.mountPoint, path)).sort((one, other) => one - other);
}

/** Processes of a cgroup and of those right below it: some runtimes put the first process into one named `init`. */
export function pidsIn(folder: string): number[] {
  try {
    const below = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .slice(0, BELOW_MAX)
      .map(({ name }) => join(folder, name));
    return [folder, ...below].flatMap(listedIn);
  } catch {
    return [];
  }
}

function listedIn(folder: string): number[] {
  try {
    return readFileSync(join(folder, 'cgroup.procs'), 'latin1')
      .split('\n', PIDS_MAX)
      .filter((line) => line !== '' && line !== '0')
      .map(Number);
  } catch {
    // gone meanwhile, or a threaded cgroup, which has no list of processes
    return [];
  }
}
