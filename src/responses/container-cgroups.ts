import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  cgroupIdOf,
  cgroupPathOfPid,
  detectHierarchy,
  type CgroupHierarchy,
} from '../apps/cgroup-hierarchy.ts';
import { pidsIn } from '../apps/cgroup-processes.ts';
import type { ContainerRegistry } from '../apps/container-registry.ts';
import type { ContainerCgroup, RuntimeName } from '../apps/runtimes/runtime.ts';
import { UserError } from '../shared/user-error.ts';

/** A container as the registry names it: never its id alone, which two runtimes may give to different containers. */
export interface ContainerKey {
  readonly runtime: RuntimeName;
  readonly key: string;
}

/** A container's cgroup in the v2 hierarchy. */
export interface V2Cgroup {
  /** Its id in the hierarchy that decides what is a container. */
  readonly cgroupId: number;
  /** Its id in v2. */
  readonly id: number;
  readonly directory: string;
}

export interface ContainerCgroupsOptions {
  readonly registry: Pick<ContainerRegistry, 'ownerOf' | 'cgroupsOf'>;
  /** The hierarchy that decides what is a container. */
  readonly hierarchy: CgroupHierarchy;
}

/** Finds the cgroups of containers in v2, where responses to detections act on them. */
export class ContainerCgroups {
  readonly #options: ContainerCgroupsOptions;

  constructor(options: ContainerCgroupsOptions) {
    this.#options = options;
  }

  /** The container whose cgroup this is; undefined if the cgroup is gone: another run may have the container's key by now. */
  ownerOf(cgroupId: number): ContainerKey | undefined {
    const owner = this.#options.registry.ownerOf(cgroupId);
    if (owner === undefined || !this.idsOf(owner).includes(cgroupId)) return undefined;
    return { runtime: owner.runtime, key: owner.key };
  }

  /** Its cgroups that are there: Garden moves a container between two, and gives sidecars their own. */
  idsOf(container: ContainerKey): readonly number[] {
    return this.#there(container).map(({ cgroupId }) => cgroupId);
  }

  /** The registry may not have heard yet that another run has the path. */
  #there({ runtime, key }: ContainerKey): readonly ContainerCgroup[] {
    const { hierarchy, registry } = this.#options;
    return registry
      .cgroupsOf(runtime, key)
      .filter(({ cgroupId, path }) => cgroupIdOf(hierarchy, path) === cgroupId);
  }

  /**
   * One of them in v2; undefined if it is not there. Beside v1, a runtime gives a container the same path in v2. Throws an Error
   * with `code` ENOTSUP: the agent runs in it, or a process is elsewhere in v2. `pid`: another process that must be in it.
   */
  inV2(
    container: ContainerKey,
    cgroupId: number,
    v2: CgroupHierarchy,
    pid?: number,
  ): V2Cgroup | undefined {
    const { hierarchy } = this.#options;
    const found = this.#there(container).find((one) => one.cgroupId === cgroupId);
    if (found === undefined) return undefined;
    const { path } = found;
    const directory = join(v2.mountPoint, path);
    // In a cgroup namespace of its own the agent does not see its path; its number is listed in any case.
    if (isWithin(cgroupPathOfPid(v2, process.pid), path) || pidsIn(directory).includes(process.pid))
      throw failure('ENOTSUP', 'the agent itself runs in this container');
    if (hierarchy.kind === 'v2') return { cgroupId, id: cgroupId, directory };
    const pids = [...pidsIn(join(hierarchy.mountPoint, path)), ...(pid === undefined ? [] : [pid])];
    const elsewhere = pids.find((one) => {
      const at = cgroupPathOfPid(v2, one);
      return at !== undefined && !isWithin(at, path);
    });
    if (elsewhere !== undefined)
      throw failure('ENOTSUP', 'its processes have no cgroup v2 of their own on this host');
    const id = statSync(directory, { throwIfNoEntry: false })?.ino;
    return id === undefined ? undefined : { cgroupId, id, directory };
  }

  /** Some processes of the container's cgroups in v2. */
  pidsOf(cgroups: readonly V2Cgroup[]): readonly number[] {
    return cgroups.flatMap(({ directory }) => pidsIn(directory));
  }
}

/** The host's v2 hierarchy. Throws UserError. */
export function v2OfHost(): CgroupHierarchy {
  try {
    return detectHierarchy('v2');
  } catch (cause) {
    // Its own advice is about another setting.
    throw new UserError('cgroup v2 is not mounted on this host, or only a part of it is visible', {
      cause,
    });
  }
}

const isWithin = (at: string | undefined, path: string): boolean =>
  at === path || at?.startsWith(`${path}/`) === true;

/** An error with a code, as the system's have. */
export function failure(code: string, message = code): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}

/**
 * Opens a file of the cgroup, if the directory is this cgroup's. Throws an Error with `code`; ESRCH: it is gone; ENOTSUP: the kernel has no
 * such file, as it is older than `since`.
 */
export function openInCgroup(
  { id, directory }: Pick<V2Cgroup, 'id' | 'directory'>,
  name: string,
  flags: number,
  since: string,
): number {
  let folder: number | undefined;
  try {
    folder = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    if (fstatSync(folder).ino !== id) throw failure('ESRCH');
    return openSync(`/proc/self/fd/${folder}/${name}`, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    // A removed folder has no name any more.
    if (folder === undefined || fstatSync(folder).nlink === 0) throw failure('ESRCH');
    throw failure('ENOTSUP', `this kernel has no ${name} (${since})`);
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}
