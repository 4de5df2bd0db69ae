import { mkdirSync, readdirSync, statSync, watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import type { CgroupHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { matchPath } from '../../src/apps/patterns.ts';
import type { CgroupChange } from '../../src/events/cgroup-record.ts';
import type {
  KernelScopeState,
  ScopeEntry,
  ScopeMap,
  ScopePattern,
} from '../../src/probe/scope.ts';

const NO_COUNTS = {
  emitted: 0,
  dropped: 0,
  prefiltered: 0,
  droppedExec: 0,
  droppedShare: 0,
  droppedLate: 0,
  firstDropBootNs: 0,
  lastDropBootNs: 0,
  lateNs: 0,
};

/** The kernel's scope map without a kernel: same contract, same bound. */
export class MemoryScopeMap implements ScopeMap {
  readonly #limit: number;
  readonly #entries = new Map<number, ScopeEntry>();
  /** Entries that have been read or written: each is a system call in the kernel's map. */
  accesses = 0;

  constructor(limit = 16384) {
    this.#limit = limit;
  }

  set(cgroupId: number, state: KernelScopeState): void {
    this.accesses++;
    const known = this.#entries.get(cgroupId);
    if (known === undefined && this.#entries.size >= this.#limit) {
      throw Object.assign(new Error('the scope map is full'), { code: 'ENOSPC' });
    }
    this.#entries.set(cgroupId, { ...(known ?? NO_COUNTS), cgroupId, state });
  }

  delete(cgroupId: number): void {
    this.accesses++;
    this.#entries.delete(cgroupId);
  }

  get(cgroupId: number): ScopeEntry | undefined {
    this.accesses++;
    return this.#entries.get(cgroupId);
  }

  entries(): readonly ScopeEntry[] {
    this.accesses += this.#entries.size;
    return [...this.#entries.values()];
  }

  /** What the probe would do for a record of this cgroup. */
  count(cgroupId: number, counts: Partial<ScopeEntry>): void {
    const known = this.#entries.get(cgroupId);
    if (known !== undefined) this.#entries.set(cgroupId, { ...known, ...counts });
  }
}

/** A running `CgroupWatch`. */
export interface CgroupWatch {
  /** All reports so far. */
  readonly changes: readonly CgroupChange[];
  close(): void;
}

/**
 * Stands in for the probe's cgroup hooks: watches real cgroup directories (inotify) below `parent`, enters them
 * in the map as the kernel would and reports them. Later than the kernel, and blind to what lives shorter than
 * a wake-up; the probe's own tests cover that.
 */
export function watchCgroups(
  hierarchy: CgroupHierarchy,
  patterns: readonly ScopePattern[],
  map: MemoryScopeMap,
  parent: string,
  onChange: (change: CgroupChange) => void,
): CgroupWatch {
  const changes: CgroupChange[] = [];
  const known = new Map<string, number>();
  const watchers = new Map<string, FSWatcher>();
  const idOf = (path: string): number | undefined => {
    try {
      const stats = statSync(join(hierarchy.mountPoint, path));
      // Writes to a cgroup's files are told as well.
      return stats.isDirectory() ? stats.ino : undefined;
    } catch {
      return undefined;
    }
  };
  const report = (change: Pick<CgroupChange, 'kind' | 'cgroupId' | 'path'>): void => {
    const entry = map.get(change.cgroupId);
    if (entry === undefined) return;
    const full: CgroupChange = {
      ...change,
      rootCgroupId: change.cgroupId,
      state: entry.state,
      bootNs: process.hrtime.bigint(),
      pid: 0,
    };
    changes.push(full);
    onChange(full);
  };
  const appeared = (path: string, cgroupId: number): void => {
    known.set(path, cgroupId);
    // What a container makes inside is nothing to the kernel's map.
    if (matchPath(patterns, path)?.rootPath === path) {
      map.set(cgroupId, 'pending');
      report({ kind: 'mkdir', cgroupId, path });
    }
    follow(path);
  };
  const check = (path: string): void => {
    const cgroupId = idOf(path);
    const before = known.get(path);
    if (cgroupId === before) return;
    if (before !== undefined) {
      known.delete(path);
      watchers.get(path)?.close();
      watchers.delete(path);
      report({ kind: 'rmdir', cgroupId: before, path });
    }
    if (cgroupId !== undefined) appeared(path, cgroupId);
  };
  const follow = (path: string): void => {
    const directory = join(hierarchy.mountPoint, path);
    try {
      const watcher = watch(directory, (_, name) => {
        if (name !== null) check(`${path}/${name}`);
      });
      watcher.on('error', () => watcher.close());
      watchers.set(path, watcher);
      for (const entry of readdirSync(directory, { withFileTypes: true })) {
        if (entry.isDirectory()) check(`${path}/${entry.name}`);
      }
    } catch {
      // gone meanwhile
    }
  };
  mkdirSync(join(hierarchy.mountPoint, parent), { recursive: true });
  follow(parent);
  return {
    changes,
    close() {
      for (const watcher of watchers.values()) watcher.close();
    },
  };
}
