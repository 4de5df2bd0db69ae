import type { KernelFile, SocketDetails, SocketTuple } from '../../events/event.ts';
import type { EventName } from '../../events/table.gen.ts';
import { absolutePath, normalizePath } from '../../shared/path.ts';
import type { View } from './field.ts';
import { formatIp, parseIp } from './ip.ts';
import type { IpAddress } from './ip.ts';

// What the event's descriptor is: a file, a socket or something else of the kernel's. `fd.*` is made of this.

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const O_DIRECTORY = 0o200000;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFIFO = 0o010000;

export const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [58, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [255, 'raw'],
]);

/** Names that the kernel gives to files without a place in the tree (fs/anon_inodes.c and its callers). */
const ANONYMOUS: ReadonlyMap<string, string> = new Map([
  ['[eventfd]', 'event'],
  ['[eventpoll]', 'eventpoll'],
  ['inotify', 'inotify'],
  ['[signalfd]', 'signalfd'],
  ['[timerfd]', 'timerfd'],
  ['[userfaultfd]', 'userfaultfd'],
  ['[io_uring]', 'io_uring'],
  ['[pidfd]', 'pidfd'],
  ['bpf-map', 'bpf'],
  ['bpf-prog', 'bpf'],
  ['bpf_link', 'bpf'],
]);

const TYPE_CHARS: Readonly<Record<string, string>> = {
  file: 'f',
  directory: 'd',
  unix: 'u',
  ipv4: '4',
  ipv6: '6',
  pipe: 'p',
  event: 'e',
  eventpoll: 'l',
  inotify: 'i',
  signalfd: 's',
  timerfd: 't',
  netlink: 'n',
  bpf: 'b',
  userfaultfd: 'u',
  io_uring: 'r',
  memfd: 'm',
  pidfd: 'P',
};

/** Addresses recur; past this many the cache starts anew. */
const CACHED_ADDRESSES = 4096;
const addresses = new Map<string, ParsedAddress>();

interface ParsedAddress {
  readonly address: IpAddress | undefined;
  /** In Falco's form. */
  readonly text: string | undefined;
}

function parsedOf(text: string): ParsedAddress {
  const known = addresses.get(text);
  if (known !== undefined) return known;
  const address = parseIp(text);
  const parsed = { address, text: address === undefined ? undefined : formatIp(address) };
  if (addresses.size >= CACHED_ADDRESSES) addresses.clear();
  addresses.set(text, parsed);
  return parsed;
}

/** An event's address as numbers; undefined for '' and for what is none. */
export const addressOf = (text: string): IpAddress | undefined => parsedOf(text).address;

/** The address in Falco's form; undefined for ''. */
export const canonicalIp = (text: string): string | undefined => parsedOf(text).text;

export const socketOf = (view: View): SocketDetails | undefined => view.event.call?.socket;

export const tupleOf = (view: View): SocketTuple | undefined => view.event.call?.socket?.tuple;

export const fileOf = (view: View): KernelFile | undefined =>
  view.event.open?.file ?? view.event.call?.file;

/** Did it open a file, or is its descriptor one? */
export const hasFile = (view: View): boolean =>
  view.event.open === undefined ? view.event.call?.file !== undefined : view.event.result >= 0;

/** Is there a descriptor? A failed open has none, though its path is known; a failed connect has one. */
export const hasFd = (view: View): boolean => hasFile(view) || (view.event.call?.fd ?? -1) >= 0;

/** `fd.num`; -1 when an open failed. */
export function descriptorNumber({ event }: View): number | undefined {
  if (event.open !== undefined) return event.result < 0 ? -1 : event.result;
  const fd = event.call?.fd ?? -1;
  return fd < 0 ? undefined : fd;
}

/** 4 or 6 by where the packets go: a mapped address is IPv4, as in Falco. */
export function ipVersion(tuple: SocketTuple): 4 | 6 | undefined {
  if (tuple.family === AF_INET) return 4;
  if (tuple.family !== AF_INET6) return undefined;
  return addressOf(tuple.remoteIp)?.version ?? addressOf(tuple.localIp)?.version ?? 6;
}

/** The path that was passed, made absolute; undefined where that would be a guess. */
function claimedPathOf(view: View): string | undefined {
  const { open } = view.event;
  if (open === undefined || open.rawPath === '' || open.rawPathTruncated) return undefined;
  if (open.rawPath.startsWith('/')) return normalizePath(open.rawPath);
  const { directoryPath } = open;
  return directoryPath.startsWith('/')
    ? normalizePath(`${directoryPath}/${open.rawPath}`)
    : undefined;
}

/**
 * The kernel opened a file that is not at the textual location of the passed path. Either a symbolic link was on the way, or
 * another thread replaced the descriptor before the call returned. Relative paths are compared only if their directory is
 * known, as with io_uring: for other successful calls it is not worth the cost.
 */
export function isRaced(view: View): boolean {
  const { open } = view.event;
  if (open?.file === undefined || open.rawPathTruncated) return false;
  if (open.rawPath === open.file.path) return false;
  const claimed = claimedPathOf(view);
  return claimed !== undefined && claimed !== open.file.path;
}

/**
 * A file without a place in the tree and without a name, as a namespace's is: the kernel says '/' (d_alloc_anon), which
 * would read as the root directory.
 */
const isNameless = ({ detached, path }: KernelFile): boolean => detached && path === '/';

/** The path of the descriptor's file, or of the file that an open did not get or that has none. */
export function pathOf(view: View): string | undefined {
  const file = fileOf(view);
  if (file !== undefined && !view.claimedPath && !isNameless(file)) return file.path;
  return file === undefined ? unopenedPathOf(view) : claimedPathOf(view);
}

/** The path of an open without a kernel file: here detours through /proc could hide the target. */
function unopenedPathOf({ event: { open } }: View): string | undefined {
  if (open === undefined || open.rawPath === '' || open.rawPathTruncated) return undefined;
  return absolutePath(open.rawPath, open.directoryPath);
}

/**
 * Events in which the process is the server. For other events on a connection whose start is not remembered, the ports decide.
 */
const SERVER_EVENTS: ReadonlySet<EventName> = new Set(['accept', 'accept4', 'listen', 'bind']);
const RECEIVING_EVENTS: ReadonlySet<EventName> = new Set(['recvfrom', 'recvmsg', 'recvmmsg']);
/** The kernel gives such ports to clients (net.ipv4.ip_local_port_range, by default). */
const EPHEMERAL_PORTS = 32768;

/** Is the process the server, so that local is server and remote is client? */
export function isServer(view: View, tuple: SocketTuple): boolean {
  const { type } = view.event;
  if (SERVER_EVENTS.has(type)) return true;
  if (type === 'connect') return false;
  if (socketOf(view)?.connected !== true) return RECEIVING_EVENTS.has(type);
  return isServerByPorts(tuple);
}

const isServerByPorts = ({ localPort, remotePort }: SocketTuple): boolean =>
  remotePort >= EPHEMERAL_PORTS && localPort < EPHEMERAL_PORTS;

/** Nobody is at the other end: the socket listens, or was given an address only. */
const isAlone = (tuple: SocketTuple): boolean =>
  tuple.remotePort === 0 && (canonicalIp(tuple.remoteIp) ?? '') === unspecified(tuple);

const unspecified = (tuple: SocketTuple): string => (tuple.family === AF_INET ? '0.0.0.0' : '::');

/** The end of a connection that a field is about; undefined when nobody is there. */
export function endOf(
  view: View,
  end: 'client' | 'server' | 'local' | 'remote',
): { readonly ip: string | undefined; readonly port: number } | undefined {
  const tuple = tupleOf(view);
  if (tuple === undefined || ipVersion(tuple) === undefined) return undefined;
  const wantsLocal = end === 'local' || (end === 'server') === isServer(view, tuple);
  if (end !== 'remote' && wantsLocal) {
    return { ip: canonicalIp(tuple.localIp), port: tuple.localPort };
  }
  if (view.event.type !== 'connect' && isAlone(tuple)) return undefined;
  return { ip: canonicalIp(tuple.remoteIp), port: tuple.remotePort };
}

/** As Falco names a socket: from client to server, or the address that it listens at. */
function socketName(view: View, tuple: SocketTuple): string | undefined {
  if (tuple.family === AF_UNIX) return tuple.unixPath;
  if (ipVersion(tuple) === undefined) return undefined;
  if (view.event.type !== 'connect' && isAlone(tuple)) return nameAlone(tuple);
  return nameOfEnds(tuple, isServer(view, tuple));
}

/** The same of an IP socket that no event is about: the ports tell who is the server. */
export const connectionName = (tuple: SocketTuple): string =>
  isAlone(tuple) ? nameAlone(tuple) : nameOfEnds(tuple, isServerByPorts(tuple));

const nameAlone = (tuple: SocketTuple): string => (tuple.localPort === 0 ? '' : localOf(tuple));

const localOf = ({ localIp, localPort }: SocketTuple): string =>
  `${canonicalIp(localIp) ?? localIp}:${localPort}`;

function nameOfEnds(tuple: SocketTuple, isLocalServer: boolean): string {
  const local = localOf(tuple);
  const remote = `${canonicalIp(tuple.remoteIp) ?? tuple.remoteIp}:${tuple.remotePort}`;
  return isLocalServer ? `${remote}->${local}` : `${local}->${remote}`;
}

/** `fd.name`: a file's path, or a socket's ends. */
export function descriptorName(view: View): string | undefined {
  if (view.event.open !== undefined) return pathOf(view);
  const tuple = tupleOf(view);
  return tuple === undefined ? pathOf(view) : socketName(view, tuple);
}

/** `fd.type`. */
export function typeOf(view: View): string | undefined {
  const { open, call } = view.event;
  if (open !== undefined) {
    if (!hasFile(view)) return undefined;
    // What the kernel opened says nothing of the passed path when the two are not the same file.
    const directory = view.claimedPath ? (open.flags & O_DIRECTORY) !== 0 : open.directory;
    return directory ? 'directory' : 'file';
  }
  if (call?.file !== undefined) return fileType(call.file, call.fileMode);
  const tuple = tupleOf(view);
  if (tuple === undefined) return undefined;
  if (tuple.family === AF_UNIX) return 'unix';
  if (tuple.family === AF_NETLINK) return 'netlink';
  const version = ipVersion(tuple);
  if (version === undefined) return undefined;
  return version === 4 ? 'ipv4' : 'ipv6';
}

function fileType(file: KernelFile, mode: number): string {
  if (file.memfd) return 'memfd';
  const known = file.detached ? ANONYMOUS.get(file.path.replace(/^\//, '')) : undefined;
  if (known !== undefined) return known;
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return 'directory';
    case S_IFIFO:
      return 'pipe';
    default:
      return 'file';
  }
}

/** `fd.typechar`: of a failed open too, which would have been one of a file. */
export function typeChar(view: View): string | undefined {
  if (view.event.open !== undefined && !hasFile(view)) return 'f';
  const type = typeOf(view);
  return type === undefined ? undefined : TYPE_CHARS[type];
}

/**
 * How Falco prints the event's own descriptor beside its number: `<f>/etc/passwd`, `<4t>10.0.0.1:5->10.0.0.2:80`.
 * Undefined when it has none, or its name is not known.
 */
export function descriptorText(view: View): string | undefined {
  const type = typeOf(view);
  const name = descriptorName(view);
  if (type === undefined || name === undefined) return undefined;
  const tuple = tupleOf(view);
  const protocol =
    tuple === undefined || ipVersion(tuple) === undefined
      ? ''
      : PROTOCOLS.get(tuple.protocol)?.charAt(0);
  return `<${TYPE_CHARS[type] ?? ''}${protocol ?? ''}>${name}`;
}
