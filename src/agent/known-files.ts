import { LIMITS } from '../events/table.gen.ts';
import type { ContainerLook } from '../host/container-look.ts';
import type { ContainerRootReader } from '../host/container-root.ts';
import { kindsOfEvents, NO_KINDS, OPEN_EVENTS } from '../plan/verdicts/call-kinds.ts';
import { isNamedBy, namedPathsOf, type NamedPath } from '../plan/named-paths.ts';
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
/** Limit on what `status` and the log name. */
const LEFT_OUT_MAX = 10;
/** Limit on what the log names, in all. */
const SAID_MAX = 200;
const OPENS = kindsOfEvents(OPEN_EVENTS);

export interface KnownFilesOptions {
  readonly probe: Pick<LiveProbe, 'knowFile' | 'forgetFile'>;
  readonly reader: Pick<ContainerRootReader, 'hasContainerRoot'>;
  /** Looks for files as this process has them. Throws an Error if it cannot. */
  readonly lookInto: (pid: number) => Pick<ContainerLook, 'kindOf' | 'find' | 'namesIn' | 'close'>;
  /** Processes of the container with this cgroup, the first one first. */
  readonly processesOf: (cgroupId: number) => readonly number[];
  /** Whether this host can refuse opens. */
  readonly canRefuse: () => boolean;
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
}

/** What is known by inode. */
export interface KnownFilesStatus {
  readonly files: number;
  /** Containers in which rules name more than is known: the rest is known by path alone. */
  readonly partial: number;
  /** What is left out in any of them, as rules have it; at most LEFT_OUT_MAX. */
  readonly leftOut: readonly string[];
}

interface OfContainer {
  rules: readonly LoadedRule[];
  named: readonly NamedPath[];
  /** Their paths, by their keys in the kernel, the least recently seen first. */
  readonly files: Map<string, string>;
  nextMs: number;
  /** As rules have it; undefined before the first look. */
  leftOut: readonly string[] | undefined;
}

/**
 * Has the kernel know by their inodes the files that rules name which deny opens: they are refused by whatever name they are opened, such as
 * a hard link. A file is known within a minute, and stays so when it is moved, while denial lasts there. Of one that is not, the path decides.
 * No file is opened.
 */
export class KnownFiles {
  readonly #options: KnownFilesOptions;
  readonly #containers = new Map<number, OfContainer>();
  #isLooking = false;
  readonly #said = new Set<string>();

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
    const leftOut = [...new Set(all.flatMap((one) => one.leftOut ?? []))];
    return {
      files: all.reduce((sum, { files }) => sum + files.size, 0),
      partial: all.filter((one) => (one.leftOut ?? []).length > 0).length,
      leftOut: leftOut.sort().slice(0, LEFT_OUT_MAX),
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
        files: new Map(),
        nextMs: NOW,
        leftOut: undefined,
      });
  }

  async #look(cgroupId: number, container: OfContainer): Promise<void> {
    const { reader, processesOf, canRefuse, nowMs } = this.#options;
    container.nextMs = nowMs() + LOOK_MS;
    if (!canRefuse()) return;
    const pid = processesOf(cgroupId).find((one) => reader.hasContainerRoot(one));
    if (pid === undefined) {
      container.nextMs = nowMs() + RETRY_MS;
      return;
    }
    const { named } = container;
    const seen = new Map<string, string>();
    const isWanted = (): boolean => this.#containers.get(cgroupId) === container;
    const use = (fd: number, path: string): boolean => {
      // The kernel judges no opens by longer paths.
      if (Buffer.byteLength(path) >= LIMITS.VERDICT_PATH_MAX) return true;
      if (seen.size >= FILES_MAX) return false;
      const known = this.#know(cgroupId, fd, path, container);
      if (known !== undefined) seen.set(...known);
      return known !== undefined;
    };
    const leftOut = await this.#search(pid, named, use, isWanted);
    if (leftOut === undefined || !isWanted()) {
      this.#forgetAll(seen.keys());
      return;
    }
    const given = this.#keep(container, seen);
    container.leftOut = [...leftOut.map(({ text }) => text), ...given];
    this.#say(cgroupId, container.leftOut);
  }

  /** Returns what was left out; undefined: it is not wanted any more. */
  async #search(
    pid: number,
    named: readonly NamedPath[],
    use: (fd: number, path: string) => boolean,
    isWanted: () => boolean,
  ): Promise<readonly NamedPath[] | undefined> {
    let look: ReturnType<KnownFilesOptions['lookInto']>;
    try {
      look = this.#options.lookInto(pid);
    } catch {
      return named;
    }
    try {
      return await inTurns(new NamedFilesSearch(look, use).find(named), isWanted);
    } finally {
      look.close();
    }
  }

  /** Those that were not seen now may have another name: they stay as long as there is room. Returns the paths of those that do not. */
  #keep({ files }: OfContainer, seen: ReadonlyMap<string, string>): readonly string[] {
    for (const [key, path] of seen) {
      files.delete(key);
      files.set(key, path);
    }
    const excess = [...files].slice(0, Math.max(0, files.size - FILES_MAX));
    for (const [key] of excess) files.delete(key);
    this.#forgetAll(excess.map(([key]) => key));
    return excess.map(([, path]) => path);
  }

  /**
   * Returns its key and the path that it is known by: the first one that rules have named. Another name that it gets later, which other
   * rules name, must not take that away. Undefined: the kernel has no room, or does not refuse opens any more.
   */
  #know(
    cgroupId: number,
    fd: number,
    path: string,
    { files, named }: OfContainer,
  ): [key: string, path: string] | undefined {
    const { probe, logger } = this.#options;
    try {
      const key = probe.knowFile(cgroupId, fd, path);
      const first = files.get(key) ?? path;
      if (named.some((one) => isNamedBy(first, one))) return [key, first];
      probe.forgetFile(key);
      return [probe.knowFile(cgroupId, fd, path), path];
    } catch (error) {
      logger.debug({ error, cgroupId }, 'a file is not known by its inode');
      return undefined;
    }
  }

  #forget(cgroupId: number): void {
    const known = this.#containers.get(cgroupId);
    this.#containers.delete(cgroupId);
    this.#forgetAll(known?.files.keys() ?? []);
  }

  #forgetAll(keys: Iterable<string>): void {
    try {
      for (const key of keys) this.#options.probe.forgetFile(key);
    } catch (error) {
      this.#options.logger.warn({ error }, 'files that were known by their inodes stay so');
    }
  }

  /** Once for each. */
  #say(cgroupId: number, leftOut: readonly string[]): void {
    const news = leftOut.filter((text) => !this.#said.has(text)).slice(0, LEFT_OUT_MAX);
    if (news.length === 0 || this.#said.size >= SAID_MAX) return;
    for (const text of news) this.#said.add(text);
    this.#options.logger.warn(
      { cgroupId, leftOut: news },
      'rules that deny name more files here than are known by their inodes: these are known by path alone, which another name of a file gets around',
    );
  }
}

const isSame = (one: readonly LoadedRule[], other: readonly LoadedRule[]): boolean =>
  one.length === other.length && one.every((rule, at) => rule === other[at]);
