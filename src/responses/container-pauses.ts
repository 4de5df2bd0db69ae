import type { CgroupHierarchy } from '../apps/cgroup-hierarchy.ts';
import type { AppIdentity, Container } from '../apps/identity.ts';
import type { Logger } from '../shared/logger.ts';
import {
  failure,
  v2OfHost,
  type ContainerCgroups,
  type ContainerKey,
  type V2Cgroup,
} from './container-cgroups.ts';
import { isFrozen, setFrozen } from './freezer.ts';
import type { RespondedRule } from './operator-responses.ts';
import type { PauseMarks } from './pause-marks.ts';
import type { ResponseTarget } from './response.ts';

/** Limit on containers that are paused at a time, and on how long one is. */
export const MAX_PAUSED = 64;
export const PAUSE_MS = 3_600_000;
/** A refusal is logged once in this time: each detection may be one. */
const SAY_MS = 60_000;

export interface ContainerPausesOptions {
  readonly cgroups: ContainerCgroups;
  readonly marks: PauseMarks;
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** Default: the host's v2 hierarchy. Throws UserError if there is none. */
  readonly hierarchy?: () => CgroupHierarchy;
}

/** A container that is paused, and why. */
interface Paused extends ContainerKey {
  readonly rule: RespondedRule;
  readonly container: Container;
  /** Unix ms, and by `nowMs`. */
  readonly sinceMs: number;
  readonly startedMs: number;
  /** Its cgroups that are, by their ids in the deciding hierarchy. */
  readonly cgroups: Map<number, V2Cgroup>;
}

/** For `varvel status`. */
export interface PauseStatus {
  readonly containers: readonly {
    readonly id: string;
    readonly app: string | undefined;
    readonly rule: string;
    /** Unix ms. */
    readonly sinceMs: number;
  }[];
}

/**
 * The containers that are paused (`cgroup.freeze`, Linux 5.2): the kernel stops all processes of their cgroups, those that fork meanwhile
 * too. It holds until the container ends, the agent ends, an hour is over, or the configuration does not ask for it any more. What
 * somebody else has frozen is left as it is, now and later.
 */
export class ContainerPauses {
  readonly #options: ContainerPausesOptions;
  readonly #paused = new Map<string, Paused>();
  #v2: CgroupHierarchy | undefined;
  #saidMs = -Infinity;

  constructor(options: ContainerPausesOptions) {
    this.#options = options;
  }

  isPaused({ cgroupId }: Pick<ResponseTarget, 'cgroupId'>): boolean {
    const owner = this.#options.cgroups.ownerOf(cgroupId);
    // By its cgroup: another run of the same container is not.
    return owner !== undefined && this.#paused.get(nameOf(owner))?.cgroups.has(cgroupId) === true;
  }

  /**
   * Throws an Error with `code` ESRCH: the container has ended; ENOSPC: too many are; ENOTSUP: it cannot be done; or what the file system
   * says, also that of `state_dir`: what could not be found again after a crash is not paused.
   */
  pause(target: ResponseTarget): void {
    const { container, rule } = target;
    try {
      this.#pause(target);
    } catch (error) {
      const { code, message: reason } = error as NodeJS.ErrnoException;
      const nowMs = this.#options.nowMs();
      if (code !== 'ESRCH' && code !== 'ENOSPC' && nowMs - this.#saidMs >= SAY_MS) {
        this.#saidMs = nowMs;
        const of = { container: container.id, app: container.app?.name, rule: rule?.name };
        this.#options.logger.warn({ ...of, reason }, 'a container could not be paused');
      }
      throw error;
    }
  }

  /** Lets those go on for which the configuration does not ask any more. */
  review(isWanted: (rule: RespondedRule, app: AppIdentity | undefined) => boolean): void {
    for (const entry of this.#paused.values())
      if (!isWanted(entry.rule, entry.container.app))
        this.#end(entry, 'container goes on: the response is not enforced any more');
  }

  /**
   * Follows containers to other cgroups, forgets those that have ended or that somebody else lets go on, and ends pauses whose time is
   * over. To be called when a container's cgroup appears, and about once a second.
   */
  follow(): void {
    for (const [name, entry] of this.#paused) {
      const there = this.#options.cgroups.idsOf(entry);
      for (const [cgroupId, cgroup] of entry.cgroups) {
        if (there.includes(cgroupId) && isStillFrozen(cgroup)) continue;
        this.#options.marks.remove(cgroup);
        entry.cgroups.delete(cgroupId);
        if (there.includes(cgroupId))
          this.#say(entry, 'container goes on: somebody else has ended its pause');
      }
      if (entry.cgroups.size === 0) this.#paused.delete(name);
      else if (this.#options.nowMs() - entry.startedMs >= PAUSE_MS)
        this.#end(entry, 'container goes on: it was paused for an hour');
      else this.#extend(entry);
    }
  }

  /** Lets those go on that an agent has left paused when it was killed. Call it when no other agent of this `state_dir` runs. */
  thawLeft(): void {
    const own = new Set(
      [...this.#paused.values()].flatMap(({ cgroups }) =>
        [...cgroups.values()].map(({ id }) => id),
      ),
    );
    const { thawed, failed } = this.#options.marks.thawLeft((id) => own.has(id));
    if (thawed > 0)
      this.#options.logger.warn(
        { cgroups: thawed },
        'containers go on that the last agent had paused',
      );
    for (const { directory, code } of failed)
      this.#options.logger.error({ directory, code }, STILL_PAUSED);
  }

  status(): PauseStatus {
    return {
      containers: [...this.#paused.values()].map(({ container, rule, sinceMs }) => ({
        id: container.id,
        app: container.app?.name,
        rule: rule.name,
        sinceMs,
      })),
    };
  }

  /** Lets all go on. */
  close(): void {
    for (const entry of this.#paused.values())
      this.#end(entry, 'container goes on: the agent ends');
    this.#options.marks.close();
  }

  #pause({ cgroupId, process: { pid }, container, rule }: ResponseTarget): void {
    const owner = this.#options.cgroups.ownerOf(cgroupId);
    if (owner === undefined) throw failure('ESRCH');
    if (rule === undefined) throw failure('ENOTSUP', 'an app cannot ask for it');
    const known = this.#paused.get(nameOf(owner));
    if (known === undefined && this.#paused.size >= MAX_PAUSED) throw failure('ENOSPC');
    const entry: Paused = known ?? {
      ...owner,
      rule,
      container,
      sinceMs: Date.now(),
      startedMs: this.#options.nowMs(),
      cgroups: new Map(),
    };
    this.#freeze(entry, cgroupId, pid);
    if (!entry.cgroups.has(cgroupId)) {
      this.#say(entry, 'container was paused already, by somebody else: it is left so');
      return;
    }
    this.#paused.set(nameOf(owner), entry);
    this.#extend(entry);
    this.#say(entry, 'container paused');
  }

  /** Those of its cgroups that are not yet, as far as it can be done. */
  #extend(entry: Paused): void {
    for (const cgroupId of this.#options.cgroups.idsOf(entry)) {
      if (entry.cgroups.has(cgroupId)) continue;
      try {
        this.#freeze(entry, cgroupId);
      } catch {
        // a sidecar's, which has ended or is being set up: it is tried again in a second
      }
    }
  }

  /** Does nothing to a cgroup that is frozen already: whoever did that ends it. */
  #freeze(entry: Paused, cgroupId: number, pid?: number): void {
    const v2 = (this.#v2 ??= (this.#options.hierarchy ?? v2OfHost)());
    const cgroup = this.#options.cgroups.inV2(entry, cgroupId, v2, pid);
    if (cgroup === undefined) throw failure('ESRCH');
    if (isFrozen(cgroup)) return;
    this.#options.marks.add(cgroup);
    try {
      setFrozen(cgroup, true);
    } catch (error) {
      this.#options.marks.remove(cgroup);
      throw error;
    }
    entry.cgroups.set(cgroupId, cgroup);
  }

  #end(entry: Paused, said: string): void {
    this.#paused.delete(nameOf(entry));
    let isDone = true;
    for (const cgroup of entry.cgroups.values()) {
      try {
        setFrozen(cgroup, false);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== 'ESRCH') {
          isDone = false;
          this.#options.logger.error({ directory: cgroup.directory, code }, STILL_PAUSED);
          continue;
        }
      }
      this.#options.marks.remove(cgroup);
    }
    if (isDone) this.#say(entry, said);
  }

  #say({ container, rule }: Paused, said: string): void {
    const of = { container: container.id, app: container.app?.name, rule: rule.name };
    this.#options.logger.warn(of, said);
  }
}

const STILL_PAUSED =
  'a container is still paused: write 0 to the cgroup.freeze of this directory by hand';

const nameOf = ({ runtime, key }: ContainerKey): string => `${runtime} ${key}`;

/** False too if it is gone. */
function isStillFrozen(cgroup: V2Cgroup): boolean {
  try {
    return isFrozen(cgroup);
  } catch {
    return false;
  }
}
