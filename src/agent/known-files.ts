import { LIMITS } from '../events/table.gen.ts';
import type { ContainerLook } from '../host/container-look.ts';
import type { ContainerRootReader } from '../host/container-root.ts';
import { kindsOfEvents, NO_KINDS, OPEN_EVENTS } from '../plan/verdicts/call-kinds.ts';
import { namedPathsOf, type NamedPath } from '../plan/named-paths.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';
import { inTurns } from '../shared/turns.ts';
import { NamedFilesSearch } from './named-files.ts';
import { knownDeniedKindsOf } from './refused-kinds.ts';

/** Limit on files of one container that are known by their inodes. */
export const FILES_MAX = 256;
/** How often a container is looked through again: files come and are replaced. And one that is still set up. */
const LOOK_MS = 60_000;
const RETRY_MS = 1000;
const NOW = -Infinity;
const OPENS = kindsOfEvents(OPEN_EVENTS);

export interface KnownFilesOptions {
  readonly probe: Pick<LiveProbe, 'knowFile' | 'forgetFile'>;
  readonly reader: Pick<ContainerRootReader, 'hasContainerRoot'>;
  /** Looks for files as this process has them. Throws an Error if it is gone. */
  readonly lookInto: (pid: number) => Pick<ContainerLook, 'openFile' | 'namesIn' | 'close'>;
  /** A process of the container with this cgroup. */
  readonly processOf: (cgroupId: number) => number | undefined;
  /** Whether this host can refuse opens. */
  readonly canRefuse: () => boolean;
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
}

/** What is known by inode. */
export interface KnownFilesStatus {
  readonly files: number;
  /** Containers in which rules name more than is looked for: the rest is known by path alone. */
  readonly partial: number;
}

interface OfContainer {
  rules: readonly LoadedRule[];
  named: readonly NamedPath[];
  /** By their keys in the kernel, the least recently seen first. */
  readonly keys: Set<string>;
  nextMs: number;
  isAll: boolean;
}

/**
 * Has the kernel know by their inodes the files that rules name which deny opens: they are refused by whatever name they are opened, such as
 * a hard link. A file is known within a minute, and stays so when it is moved. Of one that is not, the path decides. Nothing is read.
 */
export class KnownFiles {
  readonly #options: KnownFilesOptions;
  readonly #containers = new Map<number, OfContainer>();
  #isLooking = false;
  #isSaid = false;

  constructor(options: KnownFilesOptions) {
    this.#options = options;
  }

  /** Takes the rules by which the kernel denies, by container. Call each second. Resolves when what is due was looked for. */
  async onTick(denying: ReadonlyMap<number, readonly LoadedRule[]>): Promise<void> {
    for (const cgroupId of this.#containers.keys())
      if (!denying.has(cgroupId)) this.#forget(cgroupId);
    for (const [cgroupId, rules] of denying) this.#take(cgroupId, rules);
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      for (const [cgroupId, container] of [...this.#containers])
        if (container.nextMs <= this.#options.nowMs()) await this.#look(cgroupId, container);
    } catch (error) {
      // The paths still decide, and the next look may do better.
      this.#options.logger.warn({ error }, 'files could not be looked for, to know them by inode');
    } finally {
      this.#isLooking = false;
    }
  }

  /** Whether each container was looked through that it knows of. */
  isSettled(): boolean {
    if (this.#isLooking) return false;
    return [...this.#containers.values()].every(({ nextMs }) => nextMs > NOW);
  }

  status(): KnownFilesStatus {
    const all = [...this.#containers.values()];
    return {
      files: all.reduce((sum, { keys }) => sum + keys.size, 0),
      partial: all.filter(({ isAll }) => !isAll).length,
    };
  }

  #take(cgroupId: number, all: readonly LoadedRule[]): void {
    const rules = all.filter((rule) => (knownDeniedKindsOf(rule) & OPENS) !== NO_KINDS);
    const known = this.#containers.get(cgroupId);
    if (known !== undefined && isSame(known.rules, rules)) return;
    const named = namedPathsOf(rules);
    if (named.length === 0) this.#forget(cgroupId);
    else if (known !== undefined) Object.assign(known, { rules, named, nextMs: NOW });
    else
      this.#containers.set(cgroupId, {
        rules,
        named,
        keys: new Set(),
        nextMs: NOW,
        isAll: true,
      });
  }

  async #look(cgroupId: number, container: OfContainer): Promise<void> {
    const { reader, processOf, canRefuse, nowMs } = this.#options;
    container.nextMs = nowMs() + LOOK_MS;
    if (!canRefuse()) return;
    const pid = processOf(cgroupId);
    if (pid === undefined || !reader.hasContainerRoot(pid)) {
      container.nextMs = nowMs() + RETRY_MS;
      return;
    }
    const seen = new Set<string>();
    const isWanted = (): boolean => this.#containers.get(cgroupId) === container;
    const use = (fd: number, path: string): boolean => {
      // The kernel judges no opens by longer paths.
      if (Buffer.byteLength(path) >= LIMITS.VERDICT_PATH_MAX) return true;
      if (seen.size >= FILES_MAX) return false;
      const key = this.#know(cgroupId, fd, path);
      if (key !== undefined) seen.add(key);
      return key !== undefined;
    };
    const isAll = await this.#search(pid, container.named, use, isWanted);
    if (isAll === undefined || !isWanted()) {
      this.#forgetAll(seen);
      return;
    }
    container.isAll = isAll;
    this.#keep(container, seen);
    if (isAll || this.#isSaid) return;
    this.#isSaid = true;
    this.#options.logger.warn(
      { cgroupId, files: seen.size },
      'rules that deny name more files than are known by their inodes: the rest is known by path alone, which another name of a file gets around',
    );
  }

  /** Returns whether all was looked through; undefined: it is not wanted any more, or the process is gone. */
  async #search(
    pid: number,
    named: readonly NamedPath[],
    use: (fd: number, path: string) => boolean,
    isWanted: () => boolean,
  ): Promise<boolean | undefined> {
    let look: ReturnType<KnownFilesOptions['lookInto']>;
    try {
      look = this.#options.lookInto(pid);
    } catch {
      return undefined;
    }
    try {
      return await inTurns(new NamedFilesSearch(look, use).find(named), isWanted);
    } finally {
      look.close();
    }
  }

  /** Those that were not seen now may have another name: they stay as long as there is room. */
  #keep({ keys }: OfContainer, seen: ReadonlySet<string>): void {
    for (const key of seen) {
      keys.delete(key);
      keys.add(key);
    }
    const excess = [...keys].slice(0, Math.max(0, keys.size - FILES_MAX));
    for (const key of excess) keys.delete(key);
    this.#forgetAll(excess);
  }

  /** Undefined: the kernel has no room, or does not refuse opens any more. */
  #know(cgroupId: number, fd: number, path: string): string | undefined {
    try {
      return this.#options.probe.knowFile(cgroupId, fd, path);
    } catch (error) {
      this.#options.logger.debug({ error, cgroupId }, 'a file is not known by its inode');
      return undefined;
    }
  }

  #forget(cgroupId: number): void {
    const known = this.#containers.get(cgroupId);
    this.#containers.delete(cgroupId);
    this.#forgetAll(known?.keys ?? []);
  }

  #forgetAll(keys: Iterable<string>): void {
    try {
      for (const key of keys) this.#options.probe.forgetFile(key);
    } catch (error) {
      // What is left says what is true, and no container with this cgroup will come.
      this.#options.logger.warn(
        { error },
        'files that were known by their inodes are not forgotten',
      );
    }
  }
}

const isSame = (one: readonly LoadedRule[], other: readonly LoadedRule[]): boolean =>
  one.length === other.length && one.every((rule, at) => rule === other[at]);
