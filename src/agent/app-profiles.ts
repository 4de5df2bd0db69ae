import { dirname } from 'node:path';
import { SeenValues, type Seen, type SeenReport } from './seen-values.ts';
import type { ContainerRegistry } from '../apps/container-registry.ts';
import type { Container } from '../apps/identity.ts';
import type { Process } from '../context/process.ts';
import type { Observer } from '../evaluation/observer.ts';
import type { KernelEvent, SocketTuple } from '../events/event.ts';
import { isValueOf, MAX_VALUE_CHARS } from '../policy/policy-variables.ts';
import type { Subject } from '../rules/subject.ts';
import { RecentMap } from '../shared/recent-map.ts';

/** Limit on apps that are remembered; beyond it, the one that did nothing for longest is forgotten. */
export const APPS_MAX = 1000;
/** The same for what is kept of all apps: values, and hashes of those that are only counted. At worst about 20 MiB. */
export const VALUES_MAX = 30_000;
/** Limit on the ports that are remembered of an address. */
export const PORTS_MAX = 8;
/** The same for the names that the app's own rules have for it. */
export const NAMES_MAX = 4;
/** Of so many containers an app knows that it has counted them, those that came last. */
const CONTAINERS_MAX = 64;

const AF_INET = 2;
const AF_INET6 = 10;
const UDP = 17;
const NAME_SERVER = 53;
const MAPPED = '::ffff:';

/** An address that an app connected to, in the form of a policy. */
export interface SeenAddress extends Seen {
  readonly ports: number[];
  /** There were more than PORTS_MAX. */
  hasMorePorts: boolean;
  /** Domain names of the app's own rules that led to it when it was connected to, NAMES_MAX at most. */
  readonly names: string[];
}

/** Whose profile it is. */
export interface ProfileOwner {
  /** The app's name, or that of a container of no app. */
  readonly name: string;
  readonly kind: 'app' | 'container';
  readonly space: string | undefined;
  readonly org: string | undefined;
}

/** What an app did since the agent watches it. */
export interface ProfileReport extends ProfileOwner {
  /** Unix ms. */
  readonly sinceMs: number;
  readonly containers: number;
  readonly programs: SeenReport<Seen>;
  readonly addresses: SeenReport<SeenAddress>;
  /** Directories of files that were opened for writing. */
  readonly directories: SeenReport<Seen>;
}

export interface AppProfilesOptions {
  /** Unix time. */
  readonly nowMs?: () => number;
  /** Domain names that lead to the address and that the container's app itself has in its rules; default none. */
  readonly namesOf?: (address: string, container: Container) => readonly string[];
}

/** What is remembered of one app. */
class Profile {
  readonly key: string;
  readonly owner: ProfileOwner;
  readonly programs: SeenValues<Seen>;
  readonly addresses: SeenValues<SeenAddress>;
  readonly directories: SeenValues<Seen>;
  readonly #containers = new RecentMap<string, true>(CONTAINERS_MAX);
  #count = 0;
  sinceMs: number;
  isForgotten = false;

  constructor(key: string, owner: ProfileOwner, sinceMs: number) {
    this.key = key;
    this.owner = owner;
    this.sinceMs = sinceMs;
    this.programs = new SeenValues(
      (path) => isProgram(path),
      (value) => ({ value, count: 0, rule: undefined }),
    );
    this.addresses = new SeenValues(
      (address) => isValueOf('outbound_hosts', address),
      (value) => ({ value, count: 0, rule: undefined, ports: [], hasMorePorts: false, names: [] }),
    );
    this.directories = new SeenValues(
      (path) => isDirectory(path),
      (value) => ({ value, count: 0, rule: undefined }),
    );
  }

  get size(): number {
    return this.programs.size + this.addresses.size + this.directories.size;
  }

  hasContainer({ fullId }: Container): void {
    if (!this.#containers.has(fullId)) this.#count++;
    this.#containers.set(fullId, true);
  }

  report(): ProfileReport {
    return {
      ...this.owner,
      sinceMs: this.sinceMs,
      containers: this.#count,
      programs: this.programs.report(),
      addresses: this.addresses.report(),
      directories: this.directories.report(),
    };
  }
}

/**
 * What each app did since the agent watches it: the programs that it ran, the addresses that it connected to and the directories
 * in which it opened files for writing, and which of them a detection was about. A policy can be made of it (`varvel suggest`). All is bounded, and what is left out is counted.
 *
 * It sees what is evaluated: an event whose container became known too late is not counted. Left out are the runtime's set-up,
 * what staging runs, failed calls, programs that were denied, the container itself, and questions to name servers.
 */
export class AppProfiles implements Observer {
  /** The least recently used first. */
  readonly #profiles = new Map<string, Profile>();
  /** Saves making keys: a container object has one identity for good. */
  readonly #byContainer = new WeakMap<Container, Profile>();
  readonly #nowMs: () => number;
  readonly #namesOf: NonNullable<AppProfilesOptions['namesOf']>;
  #newest: Profile | undefined;
  #values = 0;
  #forgotten = 0;

  constructor({ nowMs = Date.now, namesOf = () => [] }: AppProfilesOptions = {}) {
    this.#nowMs = nowMs;
    this.#namesOf = namesOf;
  }

  /** How many apps were forgotten since the agent's start. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Knows the registry's apps from now on, also those that do nothing that is remembered. */
  follow(registry: Pick<ContainerRegistry, 'listen' | 'resolve'>): void {
    registry.listen({
      onResolved: (rootCgroupId) => {
        const resolution = registry.resolve(rootCgroupId);
        if (resolution.state === 'included') this.#profileOf(resolution.container);
      },
    });
  }

  evaluated(event: KernelEvent, process: Process, container: Container): void {
    switch (event.type) {
      case 'execve':
      case 'execveat':
        if (event.result === 0 && !process.setup) this.#ran(event, process, container);
        return;
      case 'open':
      case 'openat':
      case 'openat2':
      case 'creat':
        if (!process.setup) this.#wrote(event, container);
        return;
      case 'connect':
      case 'sendto':
      case 'sendmsg':
      case 'sendmmsg': {
        const tuple = process.setup || event.denied ? undefined : contacted(event);
        if (tuple !== undefined) this.#reached(tuple, timesOf(event), container);
      }
    }
  }

  matched(rule: string, { event, process, container }: Subject): void {
    const profile = container && this.#profileOf(container);
    if (profile === undefined) return;
    const before = profile.size;
    const { exePath } = process.image;
    if (exePath !== '') mark(profile.programs.take(exePath), rule);
    const tuple = contacted(event);
    if (tuple !== undefined) mark(profile.addresses.take(addressOf(tuple)), rule);
    const path = writtenPath(event);
    if (path !== undefined) mark(profile.directories.take(dirname(path)), rule);
    // It may be about a connection of before. Those from clients are none of the app's making.
    const own = event.call?.socket?.tuple;
    if (own !== undefined) mark(profile.addresses.find(addressOf(own)), rule);
    for (const { tuple: standard } of event.exec?.standard ?? [])
      if (standard !== undefined) mark(profile.addresses.find(addressOf(standard)), rule);
    this.#onGrown(profile.size - before);
  }

  /** The names of all that are remembered, of apps before those of containers. */
  names(): readonly string[] {
    const owners = [...this.#profiles.values()].map(({ owner }) => owner);
    const namesOf = (kind: ProfileOwner['kind']): string[] =>
      owners.flatMap((owner) => (owner.kind === kind ? [owner.name] : [])).sort();
    return [...new Set([...namesOf('app'), ...namesOf('container')])];
  }

  /** Those of this name, in different spaces; containers of no app only if no app has it. */
  named(name: string): readonly ProfileReport[] {
    const found = [...this.#profiles.values()].filter(({ owner }) => owner.name === name);
    const apps = found.filter(({ owner }) => owner.kind === 'app');
    return (apps.length > 0 ? apps : found).map((profile) => profile.report());
  }

  #ran({ exec, denied }: KernelEvent, { image }: Process, container: Container): void {
    if (exec === undefined || denied) return;
    const profile = this.#profileOf(container);
    if (profile === undefined) return;
    const before = profile.size;
    const { file } = exec;
    // No path leads to such a file, or it is not all of the path.
    if (image.exeMemfd || file?.detached === true || file?.pathTruncated === true)
      profile.programs.refuse(image.exePath);
    else {
      const program = profile.programs.take(image.exePath);
      if (program !== undefined) program.count++;
    }
    this.#onGrown(profile.size - before);
  }

  #reached(tuple: SocketTuple, times: number, container: Container): void {
    const profile = this.#profileOf(container);
    if (profile === undefined) return;
    const before = profile.size;
    const address = profile.addresses.take(addressOf(tuple));
    if (address === undefined) return;
    address.count += times;
    const { ports } = address;
    if (!ports.includes(tuple.remotePort)) {
      if (ports.length < PORTS_MAX) ports.push(tuple.remotePort);
      else address.hasMorePorts = true;
    }
    for (const name of this.#namesOf(address.value, container))
      if (address.names.length < NAMES_MAX && !address.names.includes(name))
        address.names.push(name);
    this.#onGrown(profile.size - before);
  }

  #wrote(event: KernelEvent, container: Container): void {
    const path = event.denied ? undefined : writtenPath(event);
    const profile = path === undefined ? undefined : this.#profileOf(container);
    if (path === undefined || profile === undefined) return;
    const before = profile.size;
    const directory = profile.directories.take(dirname(path));
    if (directory !== undefined) directory.count++;
    this.#onGrown(profile.size - before);
  }

  /** The app's profile, which is then the most recently used; undefined where what happens is not the app's doing. */
  #profileOf(container: Container): Profile | undefined {
    const known = this.#byContainer.get(container);
    const profile = known === undefined || known.isForgotten ? this.#find(container) : known;
    if (profile === undefined || profile === this.#newest) return profile;
    this.#newest = profile;
    this.#profiles.delete(profile.key);
    this.#profiles.set(profile.key, profile);
    if (this.#profiles.size > APPS_MAX) this.#forgetOldest();
    return profile;
  }

  #find(container: Container): Profile | undefined {
    const { app, name } = container;
    if (app?.workload === 'staging') return undefined;
    const owner: ProfileOwner =
      app === undefined
        ? { name, kind: 'container', space: undefined, org: undefined }
        : { name: app.name, kind: 'app', space: app.space, org: app.org };
    const key = JSON.stringify([owner.kind, owner.name, owner.space ?? null, owner.org ?? null]);
    const profile = this.#profiles.get(key) ?? new Profile(key, owner, this.#nowMs());
    profile.hasContainer(container);
    this.#byContainer.set(container, profile);
    return profile;
  }

  #onGrown(values: number): void {
    this.#values += values;
    while (this.#values > VALUES_MAX && this.#profiles.size > 1) this.#forgetOldest();
  }

  #forgetOldest(): void {
    for (const [key, profile] of this.#profiles) {
      this.#profiles.delete(key);
      profile.isForgotten = true;
      this.#values -= profile.size;
      this.#forgotten++;
      return;
    }
  }
}

/**
 * Those of the names of an address that the app's own policy has. What other apps or the operator have in their rules is no name
 * that the app would trust.
 */
export function ownNames(
  names: readonly string[],
  policy: () => { readonly domainNames: ReadonlySet<string> } | 'none' | undefined,
): readonly string[] {
  const own = names.length === 0 ? undefined : policy();
  return own === undefined || own === 'none'
    ? []
    : names.filter((name) => own.domainNames.has(name));
}

/** The path of a file that the call opened for writing; undefined for none that a container's own directory has. */
function writtenPath({ open }: KernelEvent): string | undefined {
  const file = open?.file;
  if (open === undefined || !open.forWrite || open.directory || file === undefined)
    return undefined;
  if (file.detached || file.pathTruncated || !file.path.startsWith('/')) return undefined;
  return /^\/(?:proc|dev|sys)\//.test(file.path) ? undefined : file.path;
}

function mark(seen: Seen | undefined, rule: string): void {
  if (seen !== undefined) seen.rule ??= rule;
}

/** The ends of a connection that the call made, or of a datagram's way to a new peer; undefined for none to elsewhere. */
function contacted({ type, call }: KernelEvent): SocketTuple | undefined {
  const socket = call?.socket;
  const tuple = socket?.tuple;
  if (tuple === undefined || (tuple.family !== AF_INET && tuple.family !== AF_INET6))
    return undefined;
  if (type !== 'connect' && !(isSend(type) && socket?.peerChanged === true)) return undefined;
  // As in the rule that `outbound_hosts` is for.
  if (tuple.protocol === UDP && tuple.remotePort === NAME_SERVER) return undefined;
  return isElsewhere(addressOf(tuple)) ? tuple : undefined;
}

/**
 * How many connections an event stands for. The kernel reports of those that no rule is about the first to an end, and then one each
 * time that their number has doubled.
 */
const timesOf = ({ type, call }: KernelEvent): number =>
  type === 'connect' ? Math.max(1, (call?.size ?? 0) >>> 1) : 1;

const isSend = (type: KernelEvent['type']): boolean =>
  type === 'sendto' || type === 'sendmsg' || type === 'sendmmsg';

/** An IPv4 address that is mapped into IPv6 is the IPv4 address: that is where the packets go. */
const addressOf = ({ remoteIp }: SocketTuple): string =>
  remoteIp.startsWith(MAPPED) && remoteIp.includes('.') ? remoteIp.slice(MAPPED.length) : remoteIp;

const isElsewhere = (address: string): boolean =>
  address !== '' &&
  address !== '0.0.0.0' &&
  address !== '::' &&
  address !== '::1' &&
  !address.startsWith('127.');

/** Longer in bytes it would be a value of a policy, and no constant of a condition. */
const isProgram = (path: string): boolean =>
  isValueOf('expected_executables', path) &&
  Buffer.byteLength(path) <= MAX_VALUE_CHARS &&
  isPrintable(path);

const isDirectory = (path: string): boolean =>
  isValueOf('code_paths', path) && Buffer.byteLength(path) <= MAX_VALUE_CHARS && isPrintable(path);

/** What people see is what it is: no control characters, no marks of direction, nothing that UTF-8 cannot encode. */
const isPrintable = (text: string): boolean => !/[\p{C}\p{Zl}\p{Zp}]/u.test(text);
