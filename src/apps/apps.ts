import type { CgroupChange } from '../events/cgroup-record.ts';
import type { ScopeMap, ScopePattern } from '../probe/scope.ts';
import type { Logger } from '../shared/logger.ts';
import {
  cgroupIdOf,
  cgroupPathOfPid,
  detectHierarchy,
  type CgroupHierarchy,
} from './cgroup-hierarchy.ts';
import { configuredRuntimes, type AppsConfig } from './configured-runtimes.ts';
import { ContainerRegistry } from './container-registry.ts';
import type { RegistryListener, RegistryMatch } from './registry-dependencies.ts';
import type { Container } from './identity.ts';
import { processesBelow, processesOf } from './cgroup-processes.ts';
import { ContainerLooks, type AppFiles } from './container-looks.ts';
import { AppWishes, asksByFile, decideScope, type ScopeMode, type Staging } from './opt-in.ts';
import type { Resolution } from './resolution.ts';
import { NestedSidecars } from './nested-sidecars.ts';
import { matchPath } from './patterns.ts';
import { rescanCgroups } from './rescan.ts';
import type { Runtime, RuntimeName, RuntimeSink, RuntimeStatus } from './runtimes/runtime.ts';
import { scopePatterns, type RuntimePattern } from './scope-patterns.ts';
import { containerStatus, type AppsSnapshot } from './status.ts';

export interface AppsDependencies {
  readonly scopeMap: ScopeMap;
  readonly logger: Logger;
  /** Monotonic ms; default `performance.now`. */
  readonly nowMs?: (() => number) | undefined;
  /** Called when a runtime describes a container that is or may come in scope, before its cgroup exists. */
  readonly onExpected?: (() => void) | undefined;
  /** Policy files, by which apps can opt in; undefined: they cannot. */
  readonly files?: AppFiles | undefined;
}

const NOT_A_CONTAINER: Resolution = { state: 'unknown' };
const DEFAULT_RESCAN_MS = 20_000;
/** How long `start` waits for the runtimes' first lists. */
const FIRST_LIST_MS = 5_000;
/** Delay of the second lookup of an unknown container; if still unknown, its cgroup is excluded. */
const SECOND_LOOKUP_MS = 1_000;
const MAX_SECOND_LOOKUPS = 4096;
/** Limit on containers that no pattern matches. For further ones, processes older than the agent are not looked up in /proc. */
const MAX_ADOPTED = 4096;

/**
 * Finds the cgroups that are app containers, and the app of each. Give `patterns` and `hierarchy` to the probe, attach
 * it, then call `start`. The walk finds existing containers and the probe reports new ones; duplicates do no harm. The
 * constructor throws UserError for a configuration or a host that cannot work.
 */
export class Apps {
  readonly hierarchy: CgroupHierarchy;
  /** For the kernel: in order, the first match decides. */
  readonly patterns: readonly ScopePattern[];
  readonly registry: ContainerRegistry;
  readonly #patterns: readonly RuntimePattern[];
  readonly #runtimes: readonly Runtime[];
  readonly #mode: ScopeMode;
  readonly #staging: Staging | undefined;
  readonly #wishes = new AppWishes();
  readonly #rescanMs: number;
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #onExpected: (() => void) | undefined;
  readonly #looks: ContainerLooks | undefined;
  /** Containers that no pattern matches, by path. */
  readonly #adopted = new Map<string, number>();
  readonly #secondLookups = new Map<string, NodeJS.Timeout>();
  #timer: NodeJS.Timeout | undefined;
  #rescan: Promise<void> | undefined;
  /** Finds the sidecar that a process belongs to. */
  readonly sidecars = new NestedSidecars(({ runtime, fullId }, path) =>
    this.#runtime(runtime)?.nestedSidecarOf?.(fullId, path),
  );
  #truncated = false;
  #stopped = false;

  constructor(config: AppsConfig, dependencies: AppsDependencies) {
    const { logger, scopeMap } = dependencies;
    this.#mode = config.mode ?? 'opt-in';
    this.#staging = config.garden?.staging;
    this.#rescanMs = config.rescanMs ?? DEFAULT_RESCAN_MS;
    this.#logger = logger;
    this.#nowMs = dependencies.nowMs ?? (() => performance.now());
    this.#onExpected = dependencies.onExpected;
    this.hierarchy = detectHierarchy(config.hierarchy);
    this.#runtimes = configuredRuntimes(config, logger);
    this.#patterns = scopePatterns(config);
    this.patterns = this.#patterns;
    this.registry = new ContainerRegistry({
      scopeMap,
      logger,
      nowMs: this.#nowMs,
      match: (path) => this.#match(path),
      keyOf: (runtime, cgroup) => this.#runtime(runtime)?.keyOf(cgroup) ?? cgroup.handle,
      sidecarOf: (runtime, cgroup) => this.#runtime(runtime)?.sidecarOf?.(cgroup),
      renew: (name, key) => {
        const runtime = this.#runtime(name);
        runtime?.renew?.(key);
        if (runtime?.renew === undefined) return false;
        this.#looks?.forget(name, key);
        return true;
      },
      lookup: (runtime, cgroup) => this.#runtime(runtime)?.lookup(cgroup),
    });
    const { files } = dependencies;
    if (files === undefined) return;
    const { registry, hierarchy } = this;
    this.#looks = new ContainerLooks({
      files,
      registry,
      hierarchy,
      nowMs: this.#nowMs,
      onAnswered: (key, container) => this.#onDescribed(container.runtime, key, container),
    });
    this.listen({ onResolved: (root) => this.#awaitFile(root) });
  }

  /**
   * Walks the hierarchy and starts the runtimes. Resolves when the walk is done and each runtime has listed its
   * containers, or failed to (at most 5 s). Never rejects for an unreachable engine.
   */
  async start(): Promise<void> {
    const sink = this.#sink();
    const lists = Promise.all(this.#runtimes.map((runtime) => runtime.start(sink)));
    await this.rescan();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FIRST_LIST_MS);
    });
    await Promise.race([lists, late]);
    clearTimeout(timer);
    if (this.#rescanMs > 0) {
      this.#timer = setInterval(() => void this.rescan(), this.#rescanMs).unref();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#looks?.stop();
    for (const timer of this.#secondLookups.values()) clearTimeout(timer);
    this.#secondLookups.clear();
    await Promise.all(this.#runtimes.map((runtime) => runtime.stop()));
    await this.#rescan;
  }

  /** The kernel's report of a cgroup, in the order of the reports. */
  onCgroupChange(change: CgroupChange): void {
    this.registry.onCgroupChange(change);
  }

  /** Whether rules use details that only an inspect returns. A container's events then wait for them. */
  waitForDetails(wanted: boolean): void {
    for (const runtime of this.#runtimes) runtime.waitForDetails?.(wanted);
  }

  /** The agent has looked for the policy file of the container with this key. */
  onFileAnswer(runtime: RuntimeName, key: string): void {
    this.#looks?.answered(runtime, key);
  }

  /** The container of a root cgroup. Called for every kernel event; O(1). */
  resolve(cgroupId: number): Resolution {
    return this.registry.resolve(cgroupId);
  }

  /** The first process of the container with this root cgroup, if it is still that container's. Looks into /proc. */
  firstProcessOf(rootCgroupId: number): number | undefined {
    const resolution = this.resolve(rootCgroupId);
    if (resolution.state !== 'included' || resolution.container.initPid <= 0) return undefined;
    const { initPid } = resolution.container;
    const path = cgroupPathOfPid(this.hierarchy, initPid);
    const cgroupId = path === undefined ? undefined : this.#containerAround(path);
    return cgroupId === rootCgroupId ? initPid : undefined;
  }

  /** Some of the processes that run in the container, the first one of it among them; none when it is gone. */
  processesOf(runtime: RuntimeName, key: string): readonly number[] {
    return processesOf(this, runtime, key) ?? [];
  }

  /** Processes that run in the container with this root cgroup, its first one first; where no runtime tells, that with the least pid. */
  processesIn(rootCgroupId: number): readonly number[] {
    const first = this.firstProcessOf(rootCgroupId);
    return first === undefined ? processesBelow(this, rootCgroupId) : [first];
  }

  /** As `#nestedCgroupOf`; undefined where no runtime makes such cgroups. */
  get nestedCgroupOf(): ((pid: number) => string | undefined) | undefined {
    const isWanted = this.#runtimes.some((runtime) => 'nestedSidecarOf' in runtime);
    return isWanted ? (pid) => this.#nestedCgroupOf(pid) : undefined;
  }

  /** The path of the process's cgroup where that is one inside its container's. Looks into /proc. */
  #nestedCgroupOf(pid: number): string | undefined {
    const path = cgroupPathOfPid(this.hierarchy, pid);
    const rootPath = path === undefined ? undefined : this.#match(path)?.rootPath;
    return rootPath === undefined || rootPath === path ? undefined : path;
  }

  /** Whether the process is in a container that is in scope or may be; undefined when it is gone. Looks into /proc. */
  isInScope(pid: number): boolean | undefined {
    const path = cgroupPathOfPid(this.hierarchy, pid);
    if (path === undefined) return undefined;
    const cgroupId = this.#containerAround(path);
    const { state } = cgroupId === undefined ? NOT_A_CONTAINER : this.resolve(cgroupId);
    return state === 'included' || state === 'pending';
  }

  /** The cgroup of the container that this cgroup is, or is in. */
  #containerAround(path: string): number | undefined {
    const rootPath = this.#match(path)?.rootPath;
    if (rootPath !== undefined) return cgroupIdOf(this.hierarchy, rootPath);
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const adopted = this.#adopted.get(path.slice(0, end));
      if (adopted !== undefined) return adopted;
    }
    return undefined;
  }

  /** The image of the container with this root cgroup, by its name, which is known from the first moment on. */
  imageOf(rootCgroupId: number): string | undefined {
    const resolution = this.resolve(rootCgroupId);
    if (resolution.state !== 'included') return undefined;
    const { runtime, imageId, image } = resolution.container;
    const name = image ?? imageId;
    return name === undefined ? undefined : `${runtime} ${name}`;
  }

  listen(listener: RegistryListener): void {
    this.registry.listen(listener);
  }

  /** Walks the hierarchy, reconciles with it and with the runtimes' lists. One at a time; never rejects. */
  rescan(): Promise<void> {
    this.#rescan ??= this.#walk()
      .catch((error: unknown) => {
        this.#logger.error(
          { reason: String(error) },
          'The cgroup rescan failed; it is tried again.',
        );
      })
      .finally(() => {
        this.#rescan = undefined;
      });
    return this.#rescan;
  }

  runtimes(): readonly RuntimeStatus[] {
    return this.#runtimes.map((runtime) => runtime.status());
  }

  snapshot(): AppsSnapshot {
    const nowMs = this.#nowMs();
    return {
      hierarchy: this.hierarchy,
      mode: this.#mode,
      runtimes: this.runtimes(),
      containers: this.registry.entries().map((entry) => {
        const key = this.#runtime(entry.runtime)?.keyOf(entry) ?? entry.handle;
        return containerStatus(entry, nowMs, this.#looks?.isWaiting(entry.runtime, key) === true);
      }),
      counters: this.registry.counters(),
      rescanTruncated: this.#truncated,
    };
  }

  async #walk(): Promise<void> {
    for (const [path, cgroupId] of this.#adopted) {
      if (cgroupIdOf(this.hierarchy, path) !== cgroupId) this.#adopted.delete(path);
    }
    const before = this.registry.live();
    const { found, truncated } = await rescanCgroups(this.hierarchy, this.#patterns);
    if (this.#stopped) return;
    const seen = new Set<number>();
    for (const { cgroupId, path } of found) {
      seen.add(cgroupId);
      this.registry.found(cgroupId, path);
    }
    // Asked again one by one: a walk may miss what is moved or made during it.
    for (const { cgroupId, path } of before) {
      if (seen.has(cgroupId) || cgroupIdOf(this.hierarchy, path) === cgroupId) continue;
      this.registry.remove(cgroupId);
    }
    if (truncated && !this.#truncated) {
      this.#logger.warn({}, 'There are more cgroups than one rescan looks at: some may be missed.');
    }
    this.#truncated = truncated;
    await Promise.all(this.#runtimes.map((runtime) => runtime.reconcile()));
    this.registry.sweep();
  }

  #sink(): RuntimeSink {
    return {
      described: (runtime, key, container) => this.#onDescribed(runtime, key, container),
      notFound: (runtime, key) => this.#onNotFound(runtime, key),
      refused: (runtime, key, reason) =>
        this.registry.decide(runtime, key, { state: 'excluded', container: undefined, reason }),
      destroyed: (runtime, key) => {
        this.registry.destroyed(runtime, key);
        this.#looks?.ended(runtime, key);
      },
      running: (runtime, key, pid) => this.#onRunning(runtime, key, pid),
      hasCgroup: (runtime, key) => this.registry.hasCgroup(runtime, key),
    };
  }

  #onDescribed(runtime: RuntimeName, key: string, container: Container): void {
    const answer = this.#looks === undefined ? 'none' : this.#looks.answerOf(key, container);
    this.#wishes.note(container);
    const facts = { staging: this.#staging, asksElsewhere: this.#wishes.of(container) };
    const waits = answer === undefined && asksByFile(this.#mode, container, facts);
    const { inScope, reason } = decideScope(this.#mode, container, { ...facts, file: answer });
    if ((inScope || waits) && !this.registry.hasCgroup(runtime, key)) this.#onExpected?.();
    if (waits) return;
    this.registry.decide(runtime, key, {
      state: inScope ? 'included' : 'excluded',
      container,
      reason,
    });
  }

  /** A container that is already in scope may still have its policy in the file. */
  #awaitFile(root: number): void {
    const resolution = this.resolve(root);
    const owner = this.registry.ownerOf(root);
    if (resolution.state !== 'included' || owner === undefined) return;
    this.#looks?.answerOf(owner.key, resolution.container);
  }

  /**
   * An engine forgets a container only after its cgroup is gone. So if it twice does not know the container of an
   * existing cgroup, that cgroup belongs to something else.
   */
  #onNotFound(runtime: RuntimeName, key: string): void {
    const name = `${runtime}:${key}`;
    const pending = this.registry.pendingOf(runtime, key);
    const present = pending.filter(
      ({ cgroupId, path }) => cgroupIdOf(this.hierarchy, path) === cgroupId,
    );
    const timerOfFirst = this.#secondLookups.get(name);
    clearTimeout(timerOfFirst);
    this.#secondLookups.delete(name);
    if (present.length === 0 || this.#stopped) return;
    if (timerOfFirst !== undefined) {
      const reason = `Its runtime (${runtime}) knows no such container.`;
      this.registry.decide(runtime, key, { state: 'excluded', container: undefined, reason });
      return;
    }
    if (this.#secondLookups.size >= MAX_SECOND_LOOKUPS) return;
    const timer = setTimeout(() => {
      const [cgroup] = this.registry.pendingOf(runtime, key);
      if (cgroup === undefined) this.#secondLookups.delete(name);
      else this.#runtime(runtime)?.lookup(cgroup);
    }, SECOND_LOOKUP_MS).unref();
    this.#secondLookups.set(name, timer);
  }

  /** Finds the cgroup of a container that was put below a parent that no pattern names. */
  #onRunning(runtime: RuntimeName, key: string, pid: number): void {
    if (this.registry.hasCgroup(runtime, key)) return;
    const path = cgroupPathOfPid(this.hierarchy, pid);
    if (path === undefined) return;
    // The pid may be another process by now, and the process may have nested itself: the outermost cgroup
    // that bears the container's id is the container.
    const components = path.split('/');
    const at = components.findIndex((component) => component.includes(key));
    if (at < 0 || key.length < 64) return;
    const rootPath = components.slice(0, at + 1).join('/');
    const cgroupId = cgroupIdOf(this.hierarchy, rootPath);
    if (cgroupId === undefined || this.#match(rootPath)?.rootPath === rootPath) {
      // A pattern matches it: the walk or the kernel reports it too.
      if (cgroupId !== undefined) this.registry.found(cgroupId, rootPath);
      return;
    }
    if (this.#adopted.size < MAX_ADOPTED) this.#adopted.set(rootPath, cgroupId);
    this.registry.adopt(cgroupId, rootPath, runtime, key);
    this.#logger.info(
      { path: rootPath },
      `A container started below a cgroup parent that no pattern names: its first moments were not watched. Name the parent in runtimes.${runtime}.cgroup_parents.`,
    );
  }

  #match(path: string): RegistryMatch | undefined {
    const match = matchPath(this.#patterns, path);
    if (match === undefined) return undefined;
    return {
      runtime: match.pattern.runtime,
      handle: match.handle,
      rootPath: match.rootPath,
    };
  }

  #runtime(name: RuntimeName): Runtime | undefined {
    return this.#runtimes.find((runtime) => runtime.name === name);
  }
}
