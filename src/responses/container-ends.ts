import { closeSync, constants, writeSync } from 'node:fs';
import type { CgroupHierarchy } from '../apps/cgroup-hierarchy.ts';
import type { Logger } from '../shared/logger.ts';
import { RecentMap } from '../shared/recent-map.ts';
import {
  failure,
  openInCgroup,
  v2OfHost,
  type ContainerCgroups,
  type V2Cgroup,
} from './container-cgroups.ts';
import type { ResponseTarget } from './response.ts';

/** The line of the detection is in the container's log by then: the log of an ended container takes none. */
const LINE_MS = 1000;
/** How long records of an ended container may still arrive. */
const LATE_MS = 10_000;
/** Limit on remembered cgroups that were ended. */
const MAX_ENDED = 1024;
/** A refusal is logged once in this time: each detection may be one. */
const SAY_MS = 60_000;

export interface ContainerEndsOptions {
  readonly cgroups: ContainerCgroups;
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** Default: the host's v2 hierarchy. Throws UserError if there is none. */
  readonly hierarchy?: () => CgroupHierarchy;
}

/** A container to be ended. */
interface PendingEnd {
  readonly kill: () => void;
  readonly cancel: () => void;
  readonly target: ResponseTarget;
}

/**
 * Ends containers: the kernel kills all processes of a container's cgroups at once (`cgroup.kill`, Linux 5.14), those that fork
 * meanwhile too. A cgroup is opened when the end is asked for, so that it hits no other that gets its path later.
 */
export class ContainerEnds {
  readonly #cgroups: ContainerCgroups;
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #hierarchy: () => CgroupHierarchy;
  /** When cgroups were to be ended, by their ids in the deciding hierarchy. */
  readonly #ended = new RecentMap<number, number>(MAX_ENDED);
  readonly #pending = new Map<NodeJS.Timeout, PendingEnd>();
  #v2: CgroupHierarchy | undefined;
  #saidMs = -Infinity;

  constructor({ cgroups, logger, nowMs, hierarchy }: ContainerEndsOptions) {
    this.#cgroups = cgroups;
    this.#logger = logger;
    this.#nowMs = nowMs;
    this.#hierarchy = hierarchy ?? v2OfHost;
  }

  /** Whether it is to be ended, or was a moment ago. */
  isEnding({ cgroupId }: Pick<ResponseTarget, 'cgroupId'>): boolean {
    const sinceMs = this.#ended.get(cgroupId);
    return sinceMs !== undefined && this.#nowMs() - sinceMs < LINE_MS + LATE_MS;
  }

  /**
   * Ends the container in a second. Throws an Error with `code` ESRCH: it has ended; ENOTSUP: the host has no cgroup v2 for it, or
   * no `cgroup.kill`; or what the file system says.
   */
  end(target: ResponseTarget): void {
    const { container, rule } = target;
    const of = { container: container.id, app: container.app?.name, rule: rule?.name };
    let kills: ReadonlyMap<number, number>;
    try {
      kills = this.#open(target);
    } catch (error) {
      this.#sayRefused(of, error as NodeJS.ErrnoException);
      throw error;
    }
    for (const id of kills.keys()) this.#ended.set(id, this.#nowMs());
    const kill = (): void => {
      this.#pending.delete(timer);
      const isDone = [...kills.values()].map((fd) => this.#kill(fd, of)).includes(true);
      if (isDone) this.#logger.warn(of, 'container ended for a restart');
      else for (const id of kills.keys()) this.#ended.delete(id);
    };
    const cancel = (): void => {
      for (const [id, fd] of kills) {
        closeSync(fd);
        this.#ended.delete(id);
      }
      this.#logger.warn(
        of,
        'container not ended, although its detection’s line says that it was: the response is no longer enforced',
      );
    };
    const timer = setTimeout(kill, LINE_MS);
    this.#pending.set(timer, { kill, cancel, target });
  }

  /** Takes back those that are still to be ended and are not wanted any more. */
  review(isWanted: (target: ResponseTarget) => boolean): void {
    for (const [timer, { cancel, target }] of this.#pending) {
      if (isWanted(target)) continue;
      clearTimeout(timer);
      this.#pending.delete(timer);
      cancel();
    }
  }

  /** Ends at once those that are still to be ended: their lines say so. */
  close(): void {
    for (const [timer, { kill }] of this.#pending) {
      clearTimeout(timer);
      kill();
    }
  }

  /** `cgroup.kill` of each of its cgroups, open. Of others than the event's, one that cannot be had is left out. */
  #open({ cgroupId, process }: ResponseTarget): ReadonlyMap<number, number> {
    const owner = this.#cgroups.ownerOf(cgroupId);
    if (owner === undefined) throw failure('ESRCH');
    const v2 = (this.#v2 ??= this.#hierarchy());
    const own = this.#cgroups.inV2(owner, cgroupId, v2, process.pid);
    if (own === undefined) throw failure('ESRCH');
    const kills = new Map([[cgroupId, openKill(own)]]);
    for (const id of this.#cgroups.idsOf(owner)) {
      if (id === cgroupId) continue;
      try {
        const other = this.#cgroups.inV2(owner, id, v2);
        if (other !== undefined) kills.set(id, openKill(other));
      } catch {
        // a sidecar's, which has ended or is being set up: the platform ends it with the container
      }
    }
    return kills;
  }

  #kill(fd: number, of: object): boolean {
    try {
      writeSync(fd, '1');
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // It has ended by itself: its cgroup is being removed, or is.
      if (code === 'ENODEV' || code === 'ENOENT') return true;
      this.#logger.error(
        { ...of, code },
        'container not ended, although its detection’s line says that it was: end it by hand',
      );
      return false;
    } finally {
      closeSync(fd);
    }
  }

  #sayRefused(of: object, { code, message: reason }: NodeJS.ErrnoException): void {
    if (code === 'ESRCH' || this.#nowMs() - this.#saidMs < SAY_MS) return;
    this.#saidMs = this.#nowMs();
    this.#logger.warn({ ...of, reason }, 'a container could not be ended for a restart');
  }
}

const openKill = (cgroup: V2Cgroup): number =>
  openInCgroup(cgroup, 'cgroup.kill', constants.O_WRONLY, 'Linux 5.14');
