import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { CgroupHierarchy } from '../apps/cgroup-hierarchy.ts';
import type { Logger } from '../shared/logger.ts';
import { RecentMap } from '../shared/recent-map.ts';
import { failure, v2OfHost, type ContainerCgroups, type V2Cgroup } from './container-cgroups.ts';
import type { ResponseTarget } from './response.ts';

/** The line of the detection is in the container's log by then: the log of an ended container takes none. */
const LINE_MS = 1000;
/** Limit on remembered containers that were ended, whose records may still arrive. */
const MAX_ENDED = 1024;

export interface ContainerEndsOptions {
  readonly cgroups: ContainerCgroups;
  readonly logger: Logger;
  /** Default: the host's v2 hierarchy. Throws UserError if there is none. */
  readonly hierarchy?: () => CgroupHierarchy;
}

/**
 * Ends containers: the kernel kills all processes of a container's cgroups at once (`cgroup.kill`, Linux 5.14), those that fork
 * meanwhile too. A cgroup is opened when the end is asked for, so that it hits no other that gets its path later.
 */
export class ContainerEnds {
  readonly #cgroups: ContainerCgroups;
  readonly #logger: Logger;
  readonly #hierarchy: () => CgroupHierarchy;
  /** Ids of cgroups that were ended, in the deciding hierarchy. */
  readonly #ended = new RecentMap<number, true>(MAX_ENDED);
  /** Those to be ended, with what does it. */
  readonly #pending = new Map<NodeJS.Timeout, () => void>();

  constructor({ cgroups, logger, hierarchy }: ContainerEndsOptions) {
    this.#cgroups = cgroups;
    this.#logger = logger;
    this.#hierarchy = hierarchy ?? v2OfHost;
  }

  /** Whether it was ended, or is to be. */
  isEnding({ cgroupId }: ResponseTarget): boolean {
    return this.#ended.has(cgroupId);
  }

  /**
   * Ends the container in a second. Throws an Error with `code` ESRCH: it has ended; ENOTSUP: the host has no cgroup v2 for it, or
   * no `cgroup.kill`; or what the file system says.
   */
  end({ cgroupId, process, container, rule }: ResponseTarget): void {
    const owner = this.#cgroups.ownerOf(cgroupId);
    if (owner === undefined) throw failure('ESRCH');
    const v2 = this.#hierarchy();
    const kills: number[] = [];
    const ids = this.#cgroups.idsOf(owner);
    try {
      for (const id of ids) {
        const cgroup = this.#cgroups.inV2(owner, id, v2, id === cgroupId ? process.pid : undefined);
        if (cgroup !== undefined) kills.push(...openKill(cgroup));
      }
      if (kills.length === 0) throw failure('ESRCH');
    } catch (error) {
      kills.forEach(closeSync);
      throw error;
    }
    for (const id of ids) this.#ended.set(id, true);
    const of = { container: container.id, app: container.app?.name, rule: rule?.name };
    const kill = (): void => {
      this.#pending.delete(timer);
      for (const fd of kills) this.#kill(fd, of);
      this.#logger.warn(of, 'container ended for a restart');
    };
    const timer = setTimeout(kill, LINE_MS);
    this.#pending.set(timer, kill);
  }

  /** Ends at once those that are still to be ended: their lines say so. */
  close(): void {
    for (const [timer, kill] of this.#pending) {
      clearTimeout(timer);
      kill();
    }
  }

  #kill(fd: number, of: object): void {
    try {
      writeSync(fd, '1');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // It has ended by itself, and its cgroup is removed.
      if (code !== 'ENODEV')
        this.#logger.error(
          { ...of, code },
          'a container could not be ended, although its line says so',
        );
    } finally {
      closeSync(fd);
    }
  }
}

/** Opens the cgroup's `cgroup.kill`, if the directory is this cgroup's; none if it is gone. */
function openKill({ id, directory }: V2Cgroup): number[] {
  let folder: number | undefined;
  try {
    folder = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    if (fstatSync(folder).ino !== id) return [];
    return [openSync(`/proc/self/fd/${folder}/cgroup.kill`, constants.O_WRONLY)];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    // Without the folder it is gone; without the file the kernel is too old.
    if (folder === undefined) return [];
    throw failure('ENOTSUP', 'this kernel has no cgroup.kill (Linux 5.14)');
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}
