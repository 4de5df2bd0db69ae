import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupHierarchy } from './cgroup-hierarchy.ts';
import {
  CRI_PATTERNS,
  DOCKER_PATTERNS,
  gardenPatterns,
  matchPath,
  PODMAN_PATTERNS,
} from './patterns.ts';

/** Garden's root is two levels down on a stemcell: `/system.slice/runit.service/garden`. */
const MAX_DEPTH = 4;
const MAX_LOOKED_AT = 4096;
/** More would leave too few of the probe's patterns for others. */
const MAX_FOUND = 1;
const NAME = 'garden';

/** Below these paths, users and other runtimes choose the names. */
const OTHERS = [...DOCKER_PATTERNS, ...PODMAN_PATTERNS, ...CRI_PATTERNS];
const OTHERS_ROOTS = /^\/(?:docker|user\.slice|machine\.slice|libpod_parent|kubepods(?:\.slice)?)$/;

/**
 * Searches for Garden's root below the top level: Garden makes it in the cgroup it was started in, on cgroup v1 a
 * service's. Looks at existing cgroups, at most MAX_LOOKED_AT. Skips other runtimes' containers and users' sessions,
 * whose owners could make a cgroup of that name. Never throws.
 */
export function findGardenRoots(hierarchy: CgroupHierarchy): readonly string[] {
  const found: string[] = [];
  let lookedAt = 0;
  let level = [''];
  for (let depth = 1; depth <= MAX_DEPTH && level.length > 0; depth++) {
    const next: string[] = [];
    for (const parent of level) {
      for (const name of childrenOf(join(hierarchy.mountPoint, parent))) {
        if (++lookedAt > MAX_LOOKED_AT || found.length >= MAX_FOUND) return found;
        const path = `${parent}/${name}`;
        if (name === NAME) {
          if (depth > 1 && canBeRoot(path)) found.push(path);
        } else if (!OTHERS_ROOTS.test(path) && matchPath(OTHERS, path) === undefined) {
          next.push(path);
        }
      }
    }
    level = next;
  }
  return found;
}

/** False for a path that is too long, or has invalid characters, for a pattern. */
function canBeRoot(path: string): boolean {
  try {
    return gardenPatterns(path).length > 0;
  } catch {
    return false;
  }
}

function childrenOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}
