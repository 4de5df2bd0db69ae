import type { CgroupChange } from '../events/cgroup-record.ts';
import { levelOf, type KernelScopeState } from '../probe/scope.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { Container } from './identity.ts';
import { NO_COUNTS, type KernelCounts, type Known, type Root } from './registry-root.ts';
import type { RegistryDependencies, RegistryListener } from './registry-dependencies.ts';
import type { RegistryCounters, RegistryEntry, Resolution, Verdict } from './resolution.ts';
import type { ContainerCgroup, RuntimeName } from './runtimes/runtime.ts';

/** Capacity of the kernel's scope map, in container cgroups (SCOPE_MAX in native/schema). */
export const MAX_WATCHED = 16384;
/** Limit on container cgroups, removed ones included. Above the map's capacity, so that those without room there are reported. */
export const MAX_CGROUPS = MAX_WATCHED + 1024;
/** Containers that runtimes described, with or without a cgroup. */
const MAX_VERDICTS = 16384;
/** How long a cgroup's identity outlives it: records of its last moments are still on the way. */
export const IDENTITY_MEMORY_MS = 60_000;
/** How long a removed cgroup may still get an identity. */
export const PENDING_MEMORY_MS = 600_000;

const UNKNOWN: Resolution = Object.freeze({ state: 'unknown' });

/**
 * Every cgroup that is a container (a root): unknown → pending → included or excluded → gone (remembered) → unknown. It
 * takes the kernel's reports, the runtimes' answers and the rescan in any order, and writes the kernel's scope map.
 * Cgroups inside a container are not kept: the kernel names the container's own cgroup in every record. `resolve` is
 * called for every kernel event: one map access.
 */
export class ContainerRegistry {
  readonly #deps: RegistryDependencies;
  readonly #roots = new Map<number, Root>();
  /** Removed ones, oldest first. */
  readonly #gone = new Set<Root>();
  readonly #rootsByKey = new Map<string, Set<Root>>();
  /** Least recently set first: each list of a runtime sets all its containers again. */
  readonly #verdicts = new RecentMap<string, Known>(MAX_VERDICTS);
  readonly #listeners: RegistryListener[] = [];
  #pending = 0;
  #refused = 0;
  #unmatched = 0;
  #forgottenRecords = 0;
  #renewals = 0;
  #lastFullWarningMs = -Infinity;

  constructor(dependencies: RegistryDependencies) {
    this.#deps = dependencies;
  }

  listen(listener: RegistryListener): void {
    this.#listeners.push(listener);
  }

  /** What is known of the container with this root cgroup. O(1), no allocation. */
  resolve(cgroupId: number): Resolution {
    return this.#roots.get(cgroupId)?.resolution ?? UNKNOWN;
  }

  /** The kernel's report of a cgroup. Touches no entry of the kernel's map but this one's. */
  onCgroupChange({ kind, cgroupId, rootCgroupId, path }: CgroupChange): void {
    if (kind === 'rmdir') {
      this.remove(rootCgroupId);
      return;
    }
    // An attach matters only for a container whose mkdir was not reported.
    if (kind === 'attach' && this.#roots.has(rootCgroupId)) return;
    this.#add(rootCgroupId, path, true);
    const root = this.#roots.get(rootCgroupId);
    // The rescan may have been first.
    if (root !== undefined && kind === 'mkdir' && cgroupId === rootCgroupId) root.isNew = true;
  }

  /** A container's cgroup that the rescan found. */
  found(cgroupId: number, path: string): void {
    this.#add(cgroupId, path, false);
  }

  /** A container's cgroup that no pattern matches: its runtime said that it is one. */
  adopt(cgroupId: number, path: string, runtime: RuntimeName, handle: string): void {
    const known = this.#roots.get(cgroupId);
    if (known !== undefined && known.goneAtMs === undefined) return;
    if (known !== undefined) this.#forget(known);
    this.#addRoot(cgroupId, path, runtime, handle);
  }

  /** The cgroup was removed: from now on it is remembered only. */
  remove(cgroupId: number): void {
    const root = this.#roots.get(cgroupId);
    if (root === undefined || root.goneAtMs !== undefined) return;
    root.goneAtMs = this.#deps.nowMs();
    this.#gone.add(root);
    root.lastCounts = this.#countsOf(root);
    this.#deps.scopeMap.delete(cgroupId);
  }

  /** The verdict about a runtime's container, now and for cgroups of it that appear later. */
  decide(runtime: RuntimeName, key: string, verdict: Verdict): void {
    const name = keyName(runtime, key);
    const before = this.#verdicts.get(name);
    const used = before?.used === true || this.#rootsByKey.has(name);
    this.#verdicts.set(name, { verdict, destroyedAtMs: before?.destroyedAtMs, used });
    for (const root of this.#rootsByKey.get(name) ?? []) this.#apply(root, verdict);
  }

  /** The runtime forgot the container; its verdict is remembered as long as a cgroup's identity. */
  destroyed(runtime: RuntimeName, key: string): void {
    const name = keyName(runtime, key);
    const known = this.#verdicts.get(name);
    if (known !== undefined)
      this.#verdicts.replace(name, {
        ...known,
        destroyedAtMs: known.destroyedAtMs ?? this.#deps.nowMs(),
      });
  }

  /** The containers with this key that have no identity yet. */
  pendingOf(runtime: RuntimeName, key: string): readonly ContainerCgroup[] {
    const roots = [...(this.#rootsByKey.get(keyName(runtime, key)) ?? [])];
    return roots.filter((root) => root.resolution.state === 'pending');
  }

  /** Cgroups of this container that are there. */
  cgroupsOf(runtime: RuntimeName, key: string): readonly ContainerCgroup[] {
    const roots = [...(this.#rootsByKey.get(keyName(runtime, key)) ?? [])];
    return roots.filter(({ goneAtMs }) => goneAtMs === undefined);
  }

  /** Whether a cgroup of this container is there. */
  hasCgroup(runtime: RuntimeName, key: string): boolean {
    return this.cgroupsOf(runtime, key).length > 0;
  }

  /** The owner of a root cgroup; undefined if it is not known. */
  ownerOf(
    rootCgroupId: number,
  ): { readonly runtime: RuntimeName; readonly key: string } | undefined {
    return this.#roots.get(rootCgroupId);
  }

  /** Containers' cgroups that are there, as far as the registry knows. */
  live(): readonly { readonly cgroupId: number; readonly path: string }[] {
    return [...this.#roots.values()].filter(({ goneAtMs }) => goneAtMs === undefined);
  }

  /** Whether some container is in scope, or may be. Looks at nothing in the kernel. */
  anyInScope(): boolean {
    for (const { goneAtMs, resolution } of this.#roots.values()) {
      if (goneAtMs === undefined && resolution.state !== 'excluded') return true;
    }
    return false;
  }

  /** Number of existing containers without room in the kernel's map. */
  unwatched(): number {
    let count = 0;
    for (const { goneAtMs, unwatched } of this.#roots.values()) {
      if (goneAtMs === undefined && unwatched) count++;
    }
    return count;
  }

  /** Drops expired entries, looks pending containers up again, and retries entries that a full map refused. */
  sweep(): void {
    const nowMs = this.#deps.nowMs();
    for (const root of this.#gone) {
      const pending = root.resolution.state === 'pending';
      const memoryMs = pending ? PENDING_MEMORY_MS : IDENTITY_MEMORY_MS;
      if (nowMs - (root.goneAtMs ?? nowMs) >= memoryMs) this.#forget(root);
    }
    for (const [name, { destroyedAtMs }] of this.#verdicts.entries()) {
      if (destroyedAtMs !== undefined && nowMs - destroyedAtMs >= IDENTITY_MEMORY_MS) {
        this.#verdicts.delete(name);
      }
    }
    for (const root of this.#roots.values()) {
      if (root.goneAtMs !== undefined) continue;
      if (root.unwatched) this.#write(root);
      if (root.resolution.state === 'pending') this.#deps.lookup(root.runtime, root);
    }
  }

  /** All containers' cgroups, remembered ones too. Reads one entry of the kernel's map for each that is there. */
  entries(): readonly RegistryEntry[] {
    return [...this.#roots.values()].map((root) => ({
      cgroupId: root.cgroupId,
      path: root.path,
      handle: root.handle,
      runtime: root.runtime,
      resolution: root.resolution,
      verdict: root.verdict,
      sinceMs: root.sinceMs,
      isNew: root.isNew,
      goneAtMs: root.goneAtMs,
      unwatched: root.unwatched,
      ...(root.goneAtMs === undefined ? this.#countsOf(root) : root.lastCounts),
    }));
  }

  counters(): RegistryCounters {
    return {
      cgroups: this.#roots.size,
      pending: this.#pending,
      refused: this.#refused,
      unmatched: this.#unmatched,
      forgottenRecords: this.#forgottenRecords,
    };
  }

  /** `path` is the cgroup's own, or that of one inside it. */
  #add(cgroupId: number, path: string, fromKernel: boolean): void {
    const known = this.#roots.get(cgroupId);
    if (known !== undefined) {
      const isSame = path === known.path || path.startsWith(`${known.path}/`);
      if (known.goneAtMs === undefined && isSame) {
        // Whichever report came first, the kernel's map gets the present state.
        if (fromKernel) this.#write(known);
        return;
      }
      // The id was reused for another cgroup.
      this.#forget(known);
    }
    const match = this.#deps.match(path);
    if (match !== undefined) {
      this.#addRoot(cgroupId, match.rootPath, match.runtime, match.handle);
      return;
    }
    this.#unmatched++;
    if (!fromKernel) return;
    // No runtime will identify it: the kernel need not report it.
    this.#forgottenRecords += this.#deps.scopeMap.get(cgroupId)?.emitted ?? 0;
    this.#deps.scopeMap.delete(cgroupId);
  }

  #addRoot(cgroupId: number, path: string, runtime: RuntimeName, handle: string): void {
    if (!this.#makeRoom(path)) return;
    const sinceMs = this.#deps.nowMs();
    const cgroup: ContainerCgroup = { cgroupId, path, handle };
    const key = this.#deps.keyOf(runtime, cgroup);
    const name = keyName(runtime, key);
    const sidecar = this.#deps.sidecarOf?.(runtime, cgroup);
    // A health check comes again and again while its container lives.
    if (sidecar === undefined) this.#renew(runtime, key, path);
    const root: Root = {
      ...cgroup,
      runtime,
      key,
      name,
      sidecar,
      sinceMs,
      isNew: false,
      resolution: { state: 'pending', sinceMs },
      verdict: undefined,
      goneAtMs: undefined,
      unwatched: false,
      lastCounts: NO_COUNTS,
    };
    this.#pending++;
    this.#place(root, name);
    // Settled before the write, so that one write has the final state.
    const known = this.#verdicts.get(name);
    if (known !== undefined) this.#verdicts.replace(name, { ...known, used: true });
    const verdict = known?.verdict;
    if (verdict !== undefined) this.#settle(root, verdict);
    this.#roots.set(cgroupId, root);
    this.#write(root);
    for (const listener of this.#listeners) listener.onKnown?.(cgroupId);
    if (verdict !== undefined) this.#tellResolved(root);
    else this.#deps.lookup(runtime, cgroup);
  }

  /**
   * Checks whether the cgroup at `path` can belong to another container that reuses the key. It can when no earlier
   * cgroup is left, or when one had this path: a container makes each of its cgroups once. The verdict is then dropped.
   * The old cgroups keep their resolution, and later reports do not apply to them.
   */
  #renew(runtime: RuntimeName, key: string, path: string): void {
    const name = keyName(runtime, key);
    const known = this.#verdicts.get(name);
    const siblings = [...(this.#rootsByKey.get(name) ?? [])];
    const isOver = (root: Root): boolean => root.path === path || root.goneAtMs !== undefined;
    const over = siblings.filter(isOver);
    const anew =
      siblings.length === 0
        ? known?.used === true || known?.destroyedAtMs !== undefined
        : over.length === siblings.length || over.some((root) => root.path === path);
    if (!anew || this.#deps.renew?.(runtime, key) !== true) return;
    this.#verdicts.delete(name);
    for (const root of over) {
      // If it still counts as present, its removal was not reported.
      this.remove(root.cgroupId);
      this.#displace(root);
      this.#place(root, `${name}\0${++this.#renewals}`);
    }
  }

  #place(root: Root, name: string): void {
    root.name = name;
    const siblings = this.#rootsByKey.get(name);
    if (siblings === undefined) this.#rootsByKey.set(name, new Set([root]));
    else siblings.add(root);
  }

  #displace(root: Root): void {
    const siblings = this.#rootsByKey.get(root.name);
    siblings?.delete(root);
    if (siblings?.size === 0) this.#rootsByKey.delete(root.name);
  }

  /** True if there is room for one more; evicts the oldest removed cgroup if needed. */
  #makeRoom(path: string): boolean {
    if (this.#roots.size < MAX_CGROUPS) return true;
    for (const oldest of this.#gone) {
      this.#forget(oldest);
      return true;
    }
    this.#refuse(path);
    return false;
  }

  #refuse(path: string): void {
    this.#refused++;
    const nowMs = this.#deps.nowMs();
    if (nowMs - this.#lastFullWarningMs < 60_000) return;
    this.#lastFullWarningMs = nowMs;
    this.#deps.logger.warn(
      { path, refused: this.#refused, maxWatched: MAX_WATCHED },
      'There are more containers than can be watched: some are not. "varvel status" names them.',
    );
  }

  #apply(root: Root, verdict: Verdict): void {
    const before = root.resolution.state;
    this.#settle(root, verdict);
    if (before === verdict.state) return;
    if (root.goneAtMs === undefined) this.#write(root);
    if (before === 'pending') this.#tellResolved(root);
  }

  #settle(root: Root, verdict: Verdict): void {
    if (root.resolution.state === 'pending') this.#pending--;
    root.verdict = verdict;
    root.resolution =
      verdict.state === 'included'
        ? { state: 'included', container: containerOf(root, verdict.container) }
        : { state: 'excluded', reason: verdict.reason };
  }

  #tellResolved(root: Root): void {
    for (const listener of this.#listeners) listener.onResolved?.(root.cgroupId);
  }

  #countsOf({ cgroupId }: Root): KernelCounts {
    const entry = this.#deps.scopeMap.get(cgroupId);
    if (entry === undefined) return NO_COUNTS;
    const { emitted, dropped, prefiltered } = entry;
    return { emitted, dropped, prefiltered };
  }

  #write(root: Root): void {
    const { state } = root.resolution;
    if (state === 'unknown') return;
    try {
      const level = levelOf(root.path);
      this.#deps.scopeMap.set(root.cgroupId, state satisfies KernelScopeState, level);
      root.unwatched = false;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      if (!root.unwatched) this.#refuse(root.path);
      root.unwatched = true;
    }
  }

  #forget(root: Root): void {
    // A later cgroup may have the number by now.
    if (this.#roots.get(root.cgroupId) === root) this.#roots.delete(root.cgroupId);
    this.#gone.delete(root);
    this.#forgottenRecords += root.lastCounts.emitted;
    this.#displace(root);
    if (root.resolution.state !== 'pending') return;
    this.#pending--;
    for (const listener of this.#listeners) listener.onForgotten?.(root.cgroupId);
  }
}

function keyName(runtime: RuntimeName, key: string): string {
  return `${runtime}:${key}`;
}

/** As detections in this cgroup show it. */
function containerOf({ sidecar }: Root, container: Container): Container {
  return sidecar === undefined ? container : { ...container, sidecar };
}
