import { readFileSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  cgroupPathOfPid,
  detectHierarchy,
  type CgroupHierarchy,
} from '../apps/cgroup-hierarchy.ts';
import type { ContainerRegistry } from '../apps/container-registry.ts';
import type { AppIdentity, Container } from '../apps/identity.ts';
import { makeOwnCgroup } from '../apps/own-cgroup.ts';
import type { RuntimeName } from '../apps/runtimes/runtime.ts';
import { Isolation, testIsolation } from '../host/isolation.ts';
import { addressesOf, nameServers } from '../host/network-addresses.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';
import type { RespondedRule } from './operator-responses.ts';
import type { ResponseTarget } from './response.ts';

/** Limit on containers that are cut off at a time. */
export const MAX_ISOLATED = 256;

/** Calls of the addon; tests pass others. */
export interface IsolationBackend {
  hierarchy(): CgroupHierarchy;
  open(servers: readonly string[]): Pick<Isolation, 'isolate' | 'lift' | 'counts' | 'close'>;
  test(directory: string): void;
}
const BACKEND: IsolationBackend = {
  hierarchy: () => detectHierarchy('v2'),
  open: (servers) => new Isolation({ servers }),
  test: testIsolation,
};

export interface NetworkIsolationOptions {
  readonly registry: Pick<ContainerRegistry, 'ownerOf' | 'cgroupsOf'>;
  /** The hierarchy that decides what is a container. */
  readonly hierarchy: CgroupHierarchy;
  readonly logger: Logger;
  readonly backend?: IsolationBackend;
}

/** A container that is cut off, and why. */
interface Isolated {
  readonly runtime: RuntimeName;
  readonly key: string;
  readonly rule: RespondedRule;
  readonly container: Container;
  readonly sinceMs: number;
  /** Its cgroups that are cut off: ids in the deciding hierarchy, and in v2. Garden moves containers between two. */
  readonly cgroups: Map<number, number>;
}

/** For `varvel status`. */
export interface IsolationStatus {
  /** Why containers cannot be cut off here; absent if they can, or nobody asked. */
  readonly unavailable?: string;
  readonly containers: readonly {
    readonly id: string;
    readonly app: string | undefined;
    readonly rule: string;
    /** Unix ms. */
    readonly sinceMs: number;
  }[];
  /** Of all of them so far. */
  readonly packetsDropped: number;
  readonly connectsRefused: number;
}

/** Loaded, and proven to work here. */
export interface OpenIsolation {
  readonly isolation: ReturnType<IsolationBackend['open']>;
  /** That of cgroup v2. */
  readonly hierarchy: CgroupHierarchy;
  /** The counts of the test. */
  readonly tested: ReturnType<Isolation['counts']>;
}

/** Loads the programs and tests them in a cgroup of their own. The caller closes it. Throws an error: see `reasonOf`. */
export function openIsolation(backend = BACKEND): OpenIsolation {
  const hierarchy = backend.hierarchy();
  const isolation = backend.open(nameServers());
  try {
    const directory = makeOwnCgroup(hierarchy.mountPoint, `varvel-isolation-${process.pid}`);
    try {
      isolation.isolate(statSync(directory).ino, directory);
      backend.test(directory);
    } finally {
      isolation.lift(statSync(directory).ino);
      rmdirSync(directory);
    }
    return { isolation, hierarchy, tested: isolation.counts() };
  } catch (error) {
    isolation.close();
    throw error;
  }
}

/**
 * The containers that are cut off from the network. It holds until the container ends, the agent ends, or the configuration does
 * not ask for it any more. The first use loads the programs and tests them in a cgroup of their own.
 */
export class NetworkIsolation {
  readonly #options: NetworkIsolationOptions;
  readonly #backend: IsolationBackend;
  readonly #isolated = new Map<string, Isolated>();
  #open: OpenIsolation | undefined;
  #unavailable: string | undefined;

  constructor(options: NetworkIsolationOptions) {
    this.#options = options;
    this.#backend = options.backend ?? BACKEND;
  }

  /** Loads and tests it, unless that was done or has failed since the last reload. Returns why it cannot be used here. */
  prepare(): string | undefined {
    if (this.#open !== undefined || this.#unavailable !== undefined) return this.#unavailable;
    try {
      this.#open = openIsolation(this.#backend);
    } catch (error) {
      this.#unavailable = reasonOf(error);
      this.#options.logger.warn(
        { reason: this.#unavailable },
        'containers cannot be cut off from the network on this host: the response "isolate" is refused',
      );
    }
    return this.#unavailable;
  }

  isIsolated({ cgroupId }: ResponseTarget): boolean {
    const owner = this.#options.registry.ownerOf(cgroupId);
    return owner !== undefined && this.#isolated.has(nameOf(owner));
  }

  /** Throws an Error with `code` ESRCH: the container has ended; ENOTSUP: it cannot be done; or what the kernel says. */
  isolate({ cgroupId, process: { pid }, container, rule }: ResponseTarget): void {
    const { logger, registry } = this.#options;
    const owner = registry.ownerOf(cgroupId);
    if (owner === undefined) throw failure('ESRCH');
    if (this.prepare() !== undefined || rule === undefined) throw failure('ENOTSUP');
    if (this.#isolated.size >= MAX_ISOLATED) throw failure('ENOSPC');
    const entry: Isolated = {
      runtime: owner.runtime,
      key: owner.key,
      rule,
      container,
      sinceMs: Date.now(),
      cgroups: new Map(),
    };
    try {
      this.#extend(entry, addressesOf(pid));
    } catch (error) {
      this.#lift(entry);
      const reason = reasonOf(error);
      logger.warn({ container: container.id, reason }, 'container not cut off from the network');
      throw error;
    }
    if (entry.cgroups.size === 0) throw failure('ESRCH');
    this.#isolated.set(nameOf(owner), entry);
    const of = { container: container.id, app: container.app?.name, rule: rule.name };
    logger.warn(of, 'container cut off from the network');
  }

  /** Gives the network back to those for which the configuration does not ask any more. Lets a failed `prepare` try again. */
  review(isWanted: (rule: RespondedRule, app: AppIdentity | undefined) => boolean): void {
    this.#unavailable = undefined;
    for (const [name, entry] of this.#isolated) {
      const { container, rule } = entry;
      if (isWanted(rule, container.app)) continue;
      this.#lift(entry);
      this.#isolated.delete(name);
      const of = { container: container.id, app: container.app?.name, rule: rule.name };
      this.#options.logger.warn(of, 'container has its network back: the configuration says so');
    }
  }

  /**
   * Follows containers to other cgroups, and forgets those that have ended: another run of the same container begins with its
   * network. To be called about once a second.
   */
  follow(): void {
    for (const [name, entry] of this.#isolated) {
      const there = this.#options.registry.cgroupsOf(entry.runtime, entry.key);
      if (!there.some(({ cgroupId }) => entry.cgroups.has(cgroupId))) {
        this.#lift(entry);
        this.#isolated.delete(name);
        continue;
      }
      try {
        this.#extend(entry, []);
      } catch (error) {
        const of = { container: entry.container.id, reason: reasonOf(error) };
        this.#options.logger.error(of, 'a cgroup of a container is not cut off from the network');
      }
    }
  }

  status(): IsolationStatus {
    const tested = this.#open?.tested ?? { packets: 0, connects: 0 };
    const { packets, connects } = this.#open?.isolation.counts() ?? tested;
    return {
      ...(this.#unavailable === undefined ? {} : { unavailable: this.#unavailable }),
      containers: [...this.#isolated.values()].map(({ container, rule, sinceMs }) => ({
        id: container.id,
        app: container.app?.name,
        rule: rule.name,
        sinceMs,
      })),
      packetsDropped: packets - tested.packets,
      connectsRefused: connects - tested.connects,
    };
  }

  /** Gives all their network back. */
  close(): void {
    this.#isolated.clear();
    this.#open?.isolation.close();
    this.#open = undefined;
  }

  /** Cuts those of the container's cgroups off that are not yet, and that have processes. */
  #extend({ runtime, key, cgroups }: Isolated, addresses: readonly string[]): void {
    if (this.#open === undefined) return;
    const { isolation, hierarchy } = this.#open;
    const own = cgroupPathOfPid(hierarchy, process.pid);
    for (const { cgroupId, path } of this.#options.registry.cgroupsOf(runtime, key)) {
      if (cgroups.has(cgroupId)) continue;
      if (own === path || own?.startsWith(`${path}/`) === true)
        throw failure('ENOTSUP', 'the agent itself runs in this container');
      try {
        const id = this.#twinOf(cgroupId, path, hierarchy);
        if (id === undefined) continue;
        isolation.isolate(id, join(hierarchy.mountPoint, path), addresses);
        cgroups.set(cgroupId, id);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // gone meanwhile
        if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
      }
    }
  }

  /**
   * The id of the container's cgroup in v2: the same path as in v1, where that decides. Undefined: it has no processes. Throws if
   * its processes are elsewhere.
   */
  #twinOf(cgroupId: number, path: string, hierarchy: CgroupHierarchy): number | undefined {
    const { kind, mountPoint } = this.#options.hierarchy;
    if (kind === 'v2') return cgroupId;
    const [pid = ''] = readFileSync(join(mountPoint, path, 'cgroup.procs'), 'latin1').split('\n');
    if (pid === '') return undefined;
    const at = cgroupPathOfPid(hierarchy, Number(pid));
    if (at !== path && at?.startsWith(`${path}/`) !== true)
      throw failure('ENOTSUP', 'its processes have no cgroup v2 of their own on this host');
    return statSync(join(hierarchy.mountPoint, path)).ino;
  }

  #lift({ cgroups }: Isolated): void {
    for (const id of cgroups.values()) this.#open?.isolation.lift(id);
  }
}

const nameOf = ({ runtime, key }: Pick<Isolated, 'runtime' | 'key'>): string => `${runtime} ${key}`;

function failure(code: string, message = code): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}

/** Why the host refuses it, as a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof UserError) return error.message;
  const { code, message, detail } = error as NodeJS.ErrnoException & { readonly detail?: string };
  if (code === 'EPERM') return `${message}: it needs root, CAP_SYS_ADMIN or CAP_NET_ADMIN`;
  return detail === undefined || detail === '' ? message : `${message} (${detail.trim()})`;
}
