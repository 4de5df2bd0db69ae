import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ScopePattern } from '../probe/scope.ts';
import type { CgroupHierarchy } from './cgroup-hierarchy.ts';
import { leadsToPattern, matchPath } from './patterns.ts';

/** A container's cgroup. */
export interface FoundCgroup {
  readonly cgroupId: number;
  readonly path: string;
}

/** What a walk found. */
export interface RescanResult {
  readonly found: readonly FoundCgroup[];
  /** The bound on depth or count was hit: there may be more. */
  readonly truncated: boolean;
}

/** Bounds of one walk. Nothing inside a container counts: it is not looked at. */
export const MAX_WALK_DEPTH = 32;
export const MAX_WALK_CGROUPS = 65536;
const READ_CONCURRENCY = 4;

/**
 * Walks the hierarchy where patterns lead and returns every cgroup that is a container, by the same matching as the
 * kernel's. Does not look into containers: what they make there costs nothing. Never rejects: what vanishes during the
 * walk is left out.
 */
export async function rescanCgroups(
  hierarchy: CgroupHierarchy,
  patterns: readonly ScopePattern[],
): Promise<RescanResult> {
  const found: FoundCgroup[] = [];
  let visited = 0;
  let truncated = false;
  let level: string[] = [''];

  const visit = async (parent: string): Promise<string[]> => {
    const below: string[] = [];
    for (const name of await childCgroups(join(hierarchy.mountPoint, parent))) {
      const path = `${parent}/${name}`;
      const isContainer = matchPath(patterns, path) !== undefined;
      if (!isContainer && !leadsToPattern(patterns, path)) continue;
      if (visited >= MAX_WALK_CGROUPS) {
        truncated = true;
        break;
      }
      visited++;
      if (!isContainer) {
        below.push(path);
        continue;
      }
      const cgroupId = await directoryId(join(hierarchy.mountPoint, path));
      if (cgroupId !== undefined) found.push({ cgroupId, path });
    }
    return below;
  };

  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= MAX_WALK_DEPTH) {
      truncated = true;
      break;
    }
    const next: string[] = [];
    for (let at = 0; at < level.length; at += READ_CONCURRENCY) {
      const batch = level.slice(at, at + READ_CONCURRENCY);
      for (const below of await Promise.all(batch.map(visit))) next.push(...below);
    }
    level = next;
  }
  return { found, truncated };
}

async function childCgroups(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return [];
  }
}

async function directoryId(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).ino;
  } catch {
    return undefined;
  }
}
