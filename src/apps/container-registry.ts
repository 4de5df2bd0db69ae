import type { CgroupChange, KernelScopeState, ScopeMap } from '../probe/scope.ts';
import type { Logger } from '../shared/logger.ts';
import type { RegistryCounters, RegistryEntry, Resolution, Verdict } from './resolution.ts';
import type { ContainerCgroup, RuntimeName } from './runtimes/runtime.ts';

/** The container that a path belongs to, by the patterns of all runtimes. */
export interface RegistryMatch {
  readonly runtime: RuntimeName;
  readonly handle: string;
  readonly rootPath: string;
}

/** Called synchronously; must not throw. */
export interface RegistryListener {
  /** A root left `pending`: ask `resolve`. */
  onResolved?(rootCgroupId: number): void;
  /** A cgroup is known from now on: what came for it before belongs to this root. */
  onKnown?(cgroupId: number, rootCgroupId: number): void;
  /** A root was forgotten while pending: its identity will not become known. */
  onForgotten?(rootCgroupId: number): void;
}

/** What the registry stands on. */
export interface RegistryDependencies {
  readonly scopeMap: ScopeMap;
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  readonly match: (path: string) => RegistryMatch | undefined;
  readonly keyOf: (runtime: RuntimeName, cgroup: ContainerCgroup) => string;
  /**
   * Told when a key's cgroups had all gone and there is a new one. True: it may be another container, of which nothing
   * is known yet. False or absent: a key is one container's for ever.
   */
  readonly renew?: (runtime: RuntimeName, key: string) => boolean;
  /** Asks the runtime for a root's identity; the answer comes by `decide`. */
  readonly lookup: (runtime: RuntimeName, cgroup: ContainerCgroup) => void;
}

/** Cgroups, nested ones and remembered ones included: as many as the kernel's map holds. */
export const MAX_CGROUPS = 16384;
/** Nested cgroups that one container may have; beyond, they are not told apart and not attributed. */
export const MAX_NESTED = 4096;
/** Containers that runtimes described, with or without a cgroup. */
const MAX_VERDICTS = 16384;
/** How long a cgroup's identity outlives it: records of its last moments are still on the way. */
export const IDENTITY_MEMORY_MS = 60_000;
/** How long a removed cgroup may still get an identity. */
export const PENDING_MEMORY_MS = 600_000;

const UNKNOWN: Resolution = Object.freeze({ state: 'unknown' });

interface Node {
  readonly id: number;
  readonly path: string;
  readonly root: Root;
  goneAtMs: number | undefined;
  /** The kernel's map had no room for it. */
  unwatched: boolean;
}

interface Known {
  readonly verdict: Verdict;
  readonly destroyedAtMs: number | undefined;
  /** A cgroup has had it. */
  readonly used: boolean;
}

interface Root extends ContainerCgroup {
  readonly runtime: RuntimeName;
  readonly key: string;
  /** Under which it is found: by runtime and key, until another container has the key. */
  name: string;
  readonly sinceMs: number;
  readonly members: Set<Node>;
  resolution: Resolution;
  verdict: Verdict | undefined;
  /** Counts of its cgroups that were removed. */
  readonly gone: { emitted: number; dropped: number; prefiltered: number };
}

/**
 * Every cgroup that is, or is in, a container: unknown → pending → included or excluded → gone (remembered)
 * → unknown. It follows the kernel's reports, the runtimes' words and the rescan, in whatever order they
 * come, and writes the kernel's scope map. `resolve` is called for every kernel event: one map access.
 */
export class ContainerRegistry {
  readonly #deps: RegistryDependencies;
  readonly #nodes = new Map<number, Node>();
  /** Removed ones, oldest first. */
  readonly #gone = new Set<Node>();
  readonly #rootsByKey = new Map<string, Set<Root>>();
  readonly #verdicts = new Map<string, Known>();
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

  /** What is known of the cgroup. O(1), no allocation. */
  resolve(cgroupId: number): Resolution {
    return this.#nodes.get(cgroupId)?.root.resolution ?? UNKNOWN;
  }

  /** The kernel's report of a cgroup. */
  onCgroupChange(change: CgroupChange): void {
    if (change.kind === 'rmdir') {
      this.remove(change.cgroupId);
      return;
    }
    this.#add(change.cgroupId, change.path, change.rootCgroupId, true);
  }

  /** A cgroup that the rescan found, below or at a pattern. Roots must come before what is nested in them. */
  found(cgroupId: number, path: string, rootCgroupId: number): void {
    this.#add(cgroupId, path, rootCgroupId, false);
  }

  /** A container's cgroup that no pattern matches: its runtime said that it is one. */
  adopt(cgroupId: number, path: string, runtime: RuntimeName, handle: string): void {
    const known = this.#nodes.get(cgroupId);
    if (known !== undefined && known.goneAtMs === undefined) return;
    if (known !== undefined) this.#forget(known);
    this.#addRoot(cgroupId, path, runtime, handle);
  }

  /** The cgroup was removed: from now on it is remembered only. */
  remove(cgroupId: number): void {
    const node = this.#nodes.get(cgroupId);
    if (node === undefined || node.goneAtMs !== undefined) return;
    node.goneAtMs = this.#deps.nowMs();
    this.#gone.add(node);
    const entry = this.#deps.scopeMap.get(cgroupId);
    if (entry !== undefined) {
      node.root.gone.emitted += entry.emitted;
      node.root.gone.dropped += entry.dropped;
      node.root.gone.prefiltered += entry.prefiltered;
    }
    this.#deps.scopeMap.delete(cgroupId);
    if (node.id !== node.root.cgroupId) return;
    // The kernel removes children first; a report of one may be lost.
    for (const member of [...node.root.members]) this.remove(member.id);
  }

  /** The verdict about a runtime's container, now and for cgroups of it that appear later. */
  decide(runtime: RuntimeName, key: string, verdict: Verdict): void {
    const name = keyName(runtime, key);
    const before = this.#verdicts.get(name);
    this.#verdicts.delete(name);
    const used = before?.used === true || this.#rootsByKey.has(name);
    this.#verdicts.set(name, { verdict, destroyedAtMs: before?.destroyedAtMs, used });
    if (this.#verdicts.size > MAX_VERDICTS) {
      // Told least recently: the runtimes' lists tell the others again and again.
      for (const [oldest] of this.#verdicts) {
        this.#verdicts.delete(oldest);
        break;
      }
    }
    for (const root of this.#rootsByKey.get(name) ?? []) this.#apply(root, verdict);
  }

  /** The runtime forgot the container; its verdict is remembered as long as a cgroup's identity. */
  destroyed(runtime: RuntimeName, key: string): void {
    const name = keyName(runtime, key);
    const known = this.#verdicts.get(name);
    if (known !== undefined)
      this.#verdicts.set(name, {
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
    return roots.filter(({ cgroupId }) => this.#nodes.get(cgroupId)?.goneAtMs === undefined);
  }

  /** Whether a cgroup of this container is there. */
  hasCgroup(runtime: RuntimeName, key: string): boolean {
    return this.cgroupsOf(runtime, key).length > 0;
  }

  /** Whose a root cgroup is; undefined for one that is not known. */
  ownerOf(
    rootCgroupId: number,
  ): { readonly runtime: RuntimeName; readonly key: string } | undefined {
    return this.#nodes.get(rootCgroupId)?.root;
  }

  /** Cgroups that are there, as far as the registry knows. */
  live(): readonly { readonly cgroupId: number; readonly path: string }[] {
    const nodes = [...this.#nodes.values()].filter((node) => node.goneAtMs === undefined);
    return nodes.map(({ id, path }) => ({ cgroupId: id, path }));
  }

  /** Forgets what was remembered long enough, asks again for what is pending, and retries full maps. */
  sweep(): void {
    const nowMs = this.#deps.nowMs();
    for (const node of this.#gone) {
      const pending = node.root.resolution.state === 'pending';
      const memoryMs = pending ? PENDING_MEMORY_MS : IDENTITY_MEMORY_MS;
      if (nowMs - (node.goneAtMs ?? nowMs) >= memoryMs) this.#forget(node);
    }
    for (const [name, { destroyedAtMs }] of this.#verdicts) {
      if (destroyedAtMs !== undefined && nowMs - destroyedAtMs >= IDENTITY_MEMORY_MS) {
        this.#verdicts.delete(name);
      }
    }
    for (const node of this.#nodes.values()) {
      if (node.goneAtMs !== undefined) continue;
      if (node.unwatched) this.#write(node);
      const { root } = node;
      if (node.id === root.cgroupId && root.resolution.state === 'pending') {
        this.#deps.lookup(root.runtime, root);
      }
    }
  }

  entries(): readonly RegistryEntry[] {
    const roots = [...this.#rootsByKey.values()].flatMap((set) => [...set]);
    return roots.map((root) => {
      const sums = { ...root.gone };
      for (const { id } of root.members) {
        const entry = this.#deps.scopeMap.get(id);
        if (entry === undefined) continue;
        sums.emitted += entry.emitted;
        sums.dropped += entry.dropped;
        sums.prefiltered += entry.prefiltered;
      }
      return {
        cgroupId: root.cgroupId,
        path: root.path,
        handle: root.handle,
        runtime: root.runtime,
        resolution: root.resolution,
        verdict: root.verdict,
        sinceMs: root.sinceMs,
        goneAtMs: this.#nodes.get(root.cgroupId)?.goneAtMs,
        cgroupIds: [...root.members].map(({ id }) => id),
        ...sums,
      };
    });
  }

  counters(): RegistryCounters {
    return {
      cgroups: this.#nodes.size,
      pending: this.#pending,
      refused: this.#refused,
      unmatched: this.#unmatched,
      forgottenRecords: this.#forgottenRecords,
    };
  }

  #add(cgroupId: number, path: string, rootCgroupId: number, fromKernel: boolean): void {
    const known = this.#nodes.get(cgroupId);
    if (known !== undefined) {
      if (known.goneAtMs === undefined && known.path === path) {
        // The kernel copied the parent's state at mkdir, which may have been overtaken since.
        if (fromKernel) this.#write(known);
        return;
      }
      // The number is in use again, for another cgroup.
      this.#forget(known);
    }
    const root = this.#nodes.get(rootCgroupId)?.root;
    if (cgroupId !== rootCgroupId && root !== undefined) {
      this.#addNested(cgroupId, path, root);
      return;
    }
    const match = this.#deps.match(path);
    if (match === undefined) {
      this.#unmatched++;
      // Nothing will ever name it: the kernel need not report it.
      if (fromKernel) {
        this.#forgottenRecords += this.#deps.scopeMap.get(cgroupId)?.emitted ?? 0;
        this.#deps.scopeMap.delete(cgroupId);
      }
      return;
    }
    const added = this.#addRoot(rootCgroupId, match.rootPath, match.runtime, match.handle);
    if (cgroupId !== rootCgroupId && added !== undefined) this.#addNested(cgroupId, path, added);
  }

  #addRoot(cgroupId: number, path: string, runtime: RuntimeName, handle: string): Root | undefined {
    if (!this.#makeRoom()) return undefined;
    const sinceMs = this.#deps.nowMs();
    const cgroup: ContainerCgroup = { cgroupId, path, handle };
    const key = this.#deps.keyOf(runtime, cgroup);
    const name = keyName(runtime, key);
    this.#renew(runtime, key, path);
    const root: Root = {
      ...cgroup,
      runtime,
      key,
      name,
      sinceMs,
      members: new Set(),
      resolution: { state: 'pending', rootCgroupId: cgroupId, sinceMs },
      verdict: undefined,
      gone: { emitted: 0, dropped: 0, prefiltered: 0 },
    };
    this.#pending++;
    this.#place(root, name);
    // Known before it is written: one write, with the state that holds.
    const known = this.#verdicts.get(name);
    if (known !== undefined) this.#verdicts.set(name, { ...known, used: true });
    const verdict = known?.verdict;
    if (verdict !== undefined) this.#settle(root, verdict);
    this.#addNode(cgroupId, path, root);
    if (verdict !== undefined) this.#tellResolved(root);
    else this.#deps.lookup(runtime, cgroup);
    return root;
  }

  /**
   * Sees whether the cgroup that appears at `path` can be another container than those before with this key: when none
   * of theirs is left, or when it is where one of theirs was (a container makes each of its cgroups once). What was
   * said of them then ends, and they stay what they were said to be: nothing that is said from now on is about them.
   */
  #renew(runtime: RuntimeName, key: string, path: string): void {
    const name = keyName(runtime, key);
    const known = this.#verdicts.get(name);
    const siblings = [...(this.#rootsByKey.get(name) ?? [])];
    const isOver = (root: Root): boolean =>
      root.path === path || this.#nodes.get(root.cgroupId)?.goneAtMs !== undefined;
    const over = siblings.filter(isOver);
    const anew =
      siblings.length === 0
        ? known?.used === true || known?.destroyedAtMs !== undefined
        : over.length === siblings.length || over.some((root) => root.path === path);
    if (!anew || this.#deps.renew?.(runtime, key) !== true) return;
    this.#verdicts.delete(name);
    for (const root of over) {
      // Its removal was not told if it is not known to be gone.
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

  #addNested(cgroupId: number, path: string, root: Root): void {
    if (root.members.size > MAX_NESTED || !this.#makeRoom()) {
      this.#refuse(path);
      return;
    }
    this.#addNode(cgroupId, path, root);
  }

  #addNode(cgroupId: number, path: string, root: Root): void {
    const node: Node = { id: cgroupId, path, root, goneAtMs: undefined, unwatched: false };
    this.#nodes.set(cgroupId, node);
    root.members.add(node);
    this.#write(node);
    for (const listener of this.#listeners) listener.onKnown?.(cgroupId, root.cgroupId);
  }

  /** True when there is room for one more; the oldest removed cgroup makes it if need be. */
  #makeRoom(): boolean {
    if (this.#nodes.size < MAX_CGROUPS) return true;
    for (const oldest of this.#gone) {
      this.#forget(oldest);
      return true;
    }
    this.#refuse('');
    return false;
  }

  #refuse(path: string): void {
    this.#refused++;
    const nowMs = this.#deps.nowMs();
    if (nowMs - this.#lastFullWarningMs < 60_000) return;
    this.#lastFullWarningMs = nowMs;
    this.#deps.logger.warn(
      { path, refused: this.#refused, maxCgroups: MAX_CGROUPS, maxNested: MAX_NESTED },
      'There are more cgroups than can be watched: some are not.',
    );
  }

  #apply(root: Root, verdict: Verdict): void {
    const before = root.resolution.state;
    this.#settle(root, verdict);
    if (before === verdict.state) return;
    for (const node of root.members) if (node.goneAtMs === undefined) this.#write(node);
    if (before === 'pending') this.#tellResolved(root);
  }

  #settle(root: Root, verdict: Verdict): void {
    if (root.resolution.state === 'pending') this.#pending--;
    root.verdict = verdict;
    const rootCgroupId = root.cgroupId;
    root.resolution =
      verdict.state === 'included'
        ? { state: 'included', rootCgroupId, container: verdict.container }
        : { state: 'excluded', rootCgroupId, reason: verdict.reason };
  }

  #tellResolved(root: Root): void {
    for (const listener of this.#listeners) listener.onResolved?.(root.cgroupId);
  }

  #write(node: Node): void {
    const { state } = node.root.resolution;
    if (state === 'unknown') return;
    try {
      this.#deps.scopeMap.set(node.id, state satisfies KernelScopeState, node.root.cgroupId);
      node.unwatched = false;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      if (!node.unwatched) this.#refuse(node.path);
      node.unwatched = true;
    }
  }

  #forget(node: Node): void {
    const { root } = node;
    // A later cgroup may have the number by now.
    if (this.#nodes.get(node.id) === node) this.#nodes.delete(node.id);
    this.#gone.delete(node);
    root.members.delete(node);
    if (node.id !== root.cgroupId) return;
    for (const member of [...root.members]) this.#forget(member);
    this.#forgottenRecords += root.gone.emitted;
    this.#displace(root);
    if (root.resolution.state !== 'pending') return;
    this.#pending--;
    for (const listener of this.#listeners) listener.onForgotten?.(root.cgroupId);
  }
}

function keyName(runtime: RuntimeName, key: string): string {
  return `${runtime}:${key}`;
}
