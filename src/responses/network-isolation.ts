import { rmdirSync, statSync } from 'node:fs';
import type { CgroupHierarchy } from '../apps/cgroup-hierarchy.ts';
import type { AppIdentity, Container } from '../apps/identity.ts';
import { makeOwnCgroup } from '../apps/own-cgroup.ts';
import { Isolation, testIsolation } from '../host/isolation.ts';
import { addressesOf, nameServers } from '../host/network-addresses.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';
import {
  failure,
  v2OfHost,
  type ContainerCgroups,
  type ContainerKey,
  type V2Cgroup,
} from './container-cgroups.ts';
import type { RespondedRule } from './operator-responses.ts';
import type { ResponseTarget } from './response.ts';

/** Limit on containers that are cut off at a time. */
export const MAX_ISOLATED = 256;

/** Limits on processes that are asked for addresses, and on the addresses of a container. */
const PIDS_ASKED = 8;
const MAX_ADDRESSES = 64;
/** Tries, 1 ms apart, to remove the cgroup of the test. */
const REMOVE_TRIES = 100;

/** Calls of the addon; tests pass others. */
export interface IsolationBackend {
  hierarchy(): CgroupHierarchy;
  open(servers: readonly string[]): Pick<Isolation, 'isolate' | 'lift' | 'counts' | 'close'>;
  test(directory: string): void;
}
const BACKEND: IsolationBackend = {
  hierarchy: v2OfHost,
  open: (servers) => new Isolation({ servers }),
  test: testIsolation,
};

export interface NetworkIsolationOptions {
  readonly cgroups: ContainerCgroups;
  readonly logger: Logger;
  readonly backend?: IsolationBackend;
}

/** A container that is cut off, and why. */
interface Isolated extends ContainerKey {
  readonly rule: RespondedRule;
  readonly container: Container;
  readonly sinceMs: number;
  /** Its cgroups that are cut off, by their ids in the deciding hierarchy. */
  readonly cgroups: Map<number, V2Cgroup>;
  /** Those that could not be, with the number of looks: said once. */
  readonly refused: Map<number, number>;
  /** Addresses of its own are known. */
  hasAddresses: boolean;
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
    const id = statSync(directory).ino;
    try {
      isolation.isolate(id, directory);
      backend.test(directory);
    } finally {
      isolation.lift(id);
      removeCgroup(directory);
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
  readonly #cgroups: ContainerCgroups;
  readonly #logger: Logger;
  readonly #backend: IsolationBackend;
  readonly #isolated = new Map<string, Isolated>();
  #open: OpenIsolation | undefined;
  #unavailable: string | undefined;
  #isClosed = false;

  constructor({ cgroups, logger, backend = BACKEND }: NetworkIsolationOptions) {
    this.#cgroups = cgroups;
    this.#logger = logger;
    this.#backend = backend;
  }

  /** Loads and tests it, unless that was done or has failed since the last reload. Returns why it cannot be used here. */
  prepare(): string | undefined {
    if (this.#open !== undefined || this.#unavailable !== undefined) return this.#unavailable;
    if (this.#isClosed) return 'the agent stops';
    try {
      this.#open = openIsolation(this.#backend);
    } catch (error) {
      this.#unavailable = reasonOf(error);
      this.#logger.warn(
        { reason: this.#unavailable },
        'containers cannot be cut off from the network on this host: the response "isolate" is refused',
      );
    }
    return this.#unavailable;
  }

  isIsolated({ cgroupId }: Pick<ResponseTarget, 'cgroupId'>): boolean {
    const owner = this.#cgroups.ownerOf(cgroupId);
    // By its cgroup: another run of the same container has its network.
    return owner !== undefined && this.#isolated.get(nameOf(owner))?.cgroups.has(cgroupId) === true;
  }

  /** Throws an Error with `code` ESRCH: the container has ended; ENOSPC; ENOTSUP: it cannot be done; or what the kernel says. */
  isolate({ cgroupId, process: { pid }, container, rule }: ResponseTarget): void {
    const owner = this.#cgroups.ownerOf(cgroupId);
    if (owner === undefined) throw failure('ESRCH');
    if (this.prepare() !== undefined || this.#open === undefined || rule === undefined)
      throw failure('ENOTSUP');
    const known = this.#isolated.get(nameOf(owner));
    if (known === undefined && this.#isolated.size >= MAX_ISOLATED) throw failure('ENOSPC');
    const entry: Isolated = known ?? {
      ...owner,
      rule,
      container,
      sinceMs: Date.now(),
      cgroups: new Map(),
      refused: new Map(),
      hasAddresses: false,
    };
    try {
      this.#cutOff(entry, cgroupId, pid);
    } catch (error) {
      const reason = reasonOf(error);
      this.#logger.warn(
        { container: container.id, reason },
        'container not cut off from the network',
      );
      const { code } = error as NodeJS.ErrnoException;
      throw code === 'ENOENT' ? failure('ESRCH') : error;
    }
    this.#isolated.set(nameOf(owner), entry);
    this.#extend(entry);
    const of = { container: container.id, app: container.app?.name, rule: rule.name };
    this.#logger.warn(of, 'container cut off from the network');
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
      this.#logger.warn(
        of,
        'container has its network back: the response is not enforced any more',
      );
    }
  }

  /**
   * Follows containers to other cgroups, and forgets those that have ended: another run of the same container begins with its
   * network. To be called when a container's cgroup appears, and about once a second.
   */
  follow(): void {
    for (const [name, entry] of this.#isolated) {
      const there = this.#cgroups.idsOf(entry);
      for (const [cgroupId, { id }] of entry.cgroups) {
        if (there.includes(cgroupId)) continue;
        this.#open?.isolation.lift(id);
        entry.cgroups.delete(cgroupId);
        entry.refused.delete(cgroupId);
        // They may have gone with it.
        entry.hasAddresses = false;
      }
      if (entry.cgroups.size === 0) this.#isolated.delete(name);
      else this.#extend(entry);
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
    this.#isClosed = true;
    this.#isolated.clear();
    this.#open?.isolation.close();
    this.#open = undefined;
  }

  /** Cuts those of the container's cgroups off that are not yet, as far as it can be done. */
  #extend(entry: Isolated): void {
    for (const cgroupId of this.#cgroups.idsOf(entry)) {
      if (entry.cgroups.has(cgroupId)) continue;
      try {
        this.#cutOff(entry, cgroupId);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' || code === 'ESRCH') continue; // gone, or not made in v2 yet
        const looks = (entry.refused.get(cgroupId) ?? 0) + 1;
        entry.refused.set(cgroupId, looks);
        // At the first look its process may not have been moved in v2 yet.
        if (looks !== 2) continue;
        const of = { container: entry.container.id, reason: reasonOf(error) };
        this.#logger.error(
          of,
          'container only partly cut off: one of its cgroups still has the network. Stop the container by hand',
        );
      }
    }
    if (!entry.hasAddresses) this.#allowOwnAddresses(entry);
  }

  #cutOff(entry: Isolated, cgroupId: number, pid?: number): void {
    if (this.#open === undefined || entry.cgroups.has(cgroupId)) return;
    const cgroup = this.#cgroups.inV2(entry, cgroupId, this.#open.hierarchy, pid);
    if (cgroup === undefined) throw failure('ESRCH');
    this.#open.isolation.isolate(cgroup.id, cgroup.directory, []);
    entry.cgroups.set(cgroupId, cgroup);
  }

  /** Its health check may ask for them. From several processes: one may be in a network namespace of its own. */
  #allowOwnAddresses(entry: Isolated): void {
    const [first] = entry.cgroups.values();
    if (this.#open === undefined || first === undefined) return;
    const pids = this.#cgroups.pidsOf([...entry.cgroups.values()]).slice(0, PIDS_ASKED);
    const addresses = [...new Set(pids.flatMap((pid) => addressesOf(pid)))];
    if (addresses.length === 0) return;
    entry.hasAddresses = true;
    try {
      this.#open.isolation.isolate(first.id, first.directory, addresses.slice(0, MAX_ADDRESSES));
    } catch (error) {
      const of = { container: entry.container.id, reason: reasonOf(error) };
      this.#logger.error(of, 'a container that is cut off cannot connect to its own addresses');
    }
  }

  #lift({ cgroups }: Isolated): void {
    for (const { id } of cgroups.values()) this.#open?.isolation.lift(id);
  }
}

/** The child may not have left it yet. */
function removeCgroup(directory: string): void {
  for (let tries = 1; ; tries++) {
    try {
      rmdirSync(directory);
      return;
    } catch {
      if (tries === REMOVE_TRIES) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

const nameOf = ({ runtime, key }: ContainerKey): string => `${runtime} ${key}`;

/** Why the host refuses it, as a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof UserError) return error.message;
  const { code, message, detail } = error as NodeJS.ErrnoException & { readonly detail?: string };
  if (code === 'EPERM')
    return `${message}: it needs root or CAP_NET_ADMIN (since Linux 6.9 CAP_SYS_ADMIN will do)`;
  return detail === undefined || detail === '' ? message : `${message} (${detail.trim()})`;
}
