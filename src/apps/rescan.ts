import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ScopePattern } from '../probe/scope.ts';
import type { CgroupHierarchy } from './cgroup-hierarchy.ts';
import { leadsToPattern, matchPath } from './patterns.ts';

/** A cgroup that belongs to a container; parents come before their children. */
export interface FoundCgroup {
  readonly cgroupId: number;
  readonly path: string;
  readonly rootCgroupId: number;
}

/** What a walk found. */
export interface RescanResult {
  readonly found: readonly FoundCgroup[];
  /** The bound on depth or count was hit: there may be more. */
  readonly truncated: boolean;
}

/** Bounds of one walk. */
export const MAX_WALK_DEPTH = 32;
export const MAX_WALK_CGROUPS = 65536;
const READ_CONCURRENCY = 4;

/**
 * Walks the hierarchy where patterns lead and returns every cgroup that is a container or is nested in one,
 * by the same matching as the kernel's. `extraRoots` are containers that no pattern matches (path to id).
 * Never rejects: what vanishes during the walk is left out.
 */
export async function rescanCgroups(
  hierarchy: CgroupHierarchy,
  patterns: readonly ScopePattern[],
  extraRoots: ReadonlyMap<string, number> = new Map(),
): Promise<RescanResult> {
  const found: FoundCgroup[] = [];
  let visited = 0;
  let truncated = false;
  let level: { path: string; rootCgroupId: number | undefined }[] = [
    { path: '', rootCgroupId: undefined },
    ...[...extraRoots].map(([path, rootCgroupId]) => ({ path, rootCgroupId })),
  ];

  const visit = async (parent: {
    path: string;
    rootCgroupId: number | undefined;
  }): Promise<typeof level> => {
    const below: typeof level = [];
    for (const name of await childCgroups(join(hierarchy.mountPoint, parent.path))) {
      const path = `${parent.path}/${name}`;
      const inside = parent.rootCgroupId;
      const isRoot = inside === undefined && matchPath(patterns, path)?.rootPath === path;
      if (inside === undefined && !isRoot && !leadsToPattern(patterns, path)) continue;
      if (visited >= MAX_WALK_CGROUPS) {
        truncated = true;
        break;
      }
      visited++;
      if (inside === undefined && !isRoot) {
        below.push({ path, rootCgroupId: undefined });
        continue;
      }
      const cgroupId = await directoryId(join(hierarchy.mountPoint, path));
      if (cgroupId === undefined) continue;
      const rootCgroupId = inside ?? cgroupId;
      found.push({ cgroupId, path, rootCgroupId });
      below.push({ path, rootCgroupId });
    }
    return below;
  };

  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= MAX_WALK_DEPTH) {
      truncated = true;
      break;
    }
    const next: typeof level = [];
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
