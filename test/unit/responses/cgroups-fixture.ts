import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import type { ContainerCgroup } from '../../../src/apps/runtimes/runtime.ts';
import { ContainerCgroups } from '../../../src/responses/container-cgroups.ts';

/** A mounted hierarchy as a plain folder. */
export function hierarchyAt(
  mountPoint: string,
  kind: CgroupHierarchy['kind'] = 'v2',
): CgroupHierarchy {
  mkdirSync(mountPoint, { recursive: true });
  return { kind, mountPoint, hierarchyId: 0 };
}

/** Containers whose cgroups are plain folders, in the deciding hierarchy and in v2. A test may change `known`, by key. */
export function containersIn(hierarchy: CgroupHierarchy, v2 = hierarchy) {
  const known = new Map<string, ContainerCgroup[]>();
  const cgroups = new ContainerCgroups({
    registry: {
      ownerOf: (id) => {
        for (const [key, own] of known)
          if (own.some(({ cgroupId }) => cgroupId === id)) return { runtime: 'docker', key };
        return undefined;
      },
      cgroupsOf: (_, key) => known.get(key) ?? [],
    },
    hierarchy,
  });
  /** Makes a cgroup; returns its id. */
  const add = (key: string, path: string): number => {
    for (const { mountPoint } of [hierarchy, v2])
      mkdirSync(join(mountPoint, path), { recursive: true });
    const cgroupId = statSync(join(hierarchy.mountPoint, path)).ino;
    known.set(key, [...(known.get(key) ?? []), { cgroupId, path, handle: key }]);
    return cgroupId;
  };
  return { add, cgroups, known };
}
