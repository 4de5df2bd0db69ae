import type { KernelFile, SocketTuple } from '../../events/event.ts';
import { field, fieldWithReader, future, parseIndex } from './field.ts';
import type {
  AnyReader,
  FieldClass,
  FieldDefinition,
  FieldType,
  Implied,
  Value,
  View,
} from './field.ts';
import { formatIp, parseIp } from './ip.ts';
import type { IpAddress } from './ip.ts';
import { directoryOf, fileNameOf, normalizePath } from './path.ts';
import { PENDING } from './container.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AT_FDCWD = -100;
const O_DIRECTORY = 0o200000;
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [58, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [255, 'raw'],
]);

/** Addresses recur; past this many the cache starts anew. */
const CACHED_ADDRESSES = 4096;
const addresses = new Map<string, IpAddress | undefined>();

/** An event's address as numbers; undefined for '' and for what is none. */
export function addressOf(text: string): IpAddress | undefined {
  if (text === '') return undefined;
  const known = addresses.get(text);
  if (known !== undefined) return known;
  const parsed = parseIp(text);
  if (addresses.size >= CACHED_ADDRESSES) addresses.clear();
  addresses.set(text, parsed);
  return parsed;
}

const canonical = (text: string): string | undefined => {
  const address = addressOf(text);
  return address === undefined ? undefined : formatIp(address);
};

const tupleOf = (view: View): SocketTuple | undefined => view.event.connect?.tuple;
const fileOf = (view: View): KernelFile | undefined => view.event.open?.file;

const hasFile = (view: View): boolean => view.event.open !== undefined && view.event.result >= 0;

/** Is there a descriptor? A failed open has none, though its path is known; a failed connect has one. */
const hasFd = (view: View): boolean => hasFile(view) || view.event.connect !== undefined;

/** 4 or 6 by where the packets go: a mapped address is IPv4, as in Falco. */
function ipVersion(tuple: SocketTuple): 4 | 6 | undefined {
  if (tuple.family === AF_INET) return 4;
  if (tuple.family !== AF_INET6) return undefined;
  return addressOf(tuple.remoteIp)?.version ?? addressOf(tuple.localIp)?.version ?? 6;
}

/** The path that was passed, made absolute; undefined where that would be a guess. */
function claimedPathOf(view: View): string | undefined {
  const { open } = view.event;
  if (open === undefined || open.rawPath === '' || open.rawPathTruncated) return undefined;
  if (open.rawPath.startsWith('/')) return normalizePath(open.rawPath);
  const { cwd } = view.process.image;
  if (open.dirFd !== AT_FDCWD || !cwd.startsWith('/')) return undefined;
  return normalizePath(`${cwd}/${open.rawPath}`);
}

/**
 * The file that the kernel opened is not where the passed path points, taken by its text: a symbolic link
 * on the way, or another thread replaced the descriptor before the call returned. Only absolute paths
 * are compared: the working directory is known from the last exec only.
 */
export function isRaced(view: View): boolean {
  const { open } = view.event;
  if (open?.file === undefined || open.rawPathTruncated) return false;
  if (!open.rawPath.startsWith('/') || open.rawPath === open.file.path) return false;
  return normalizePath(open.rawPath) !== open.file.path;
}

function pathOf(view: View): string | undefined {
  const file = fileOf(view);
  return file === undefined || view.claimedPath ? claimedPathOf(view) : file.path;
}

function socketName(tuple: SocketTuple): string | undefined {
  if (tuple.family === AF_UNIX) return tuple.unixPath;
  const local = canonical(tuple.localIp) ?? tuple.localIp;
  const remote = canonical(tuple.remoteIp) ?? tuple.remoteIp;
  if (ipVersion(tuple) === undefined) return undefined;
  return `${local}:${tuple.localPort}->${remote}:${tuple.remotePort}`;
}

/** `fd.name`: a file's path, or a socket's ends. */
export function descriptorName(view: View): string | undefined {
  const tuple = tupleOf(view);
  return tuple === undefined ? pathOf(view) : socketName(tuple);
}

function typeOf(view: View): string | undefined {
  const { open } = view.event;
  if (open !== undefined) {
    if (!hasFile(view)) return undefined;
    // What the kernel opened says nothing of the passed path when the two are not the same file.
    const directory = view.claimedPath ? (open.flags & O_DIRECTORY) !== 0 : open.directory;
    return directory ? 'directory' : 'file';
  }
  const tuple = tupleOf(view);
  if (tuple === undefined) return undefined;
  if (tuple.family === AF_UNIX) return 'unix';
  const version = ipVersion(tuple);
  return version === undefined ? undefined : `ipv${version}`;
}

const TYPE_CHARS: Readonly<Record<string, string>> = {
  file: 'f',
  directory: 'd',
  unix: 'u',
  ipv4: '4',
  ipv6: '6',
};

/** `fd.typechar`: of a failed open too, which would have been one of a file. */
function typeChar(view: View): string | undefined {
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
    tuple === undefined || type === 'unix' ? '' : PROTOCOLS.get(tuple.protocol)?.charAt(0);
  return `<${TYPE_CHARS[type] ?? ''}${protocol ?? ''}>${name}`;
}

/** `fd.directory`: the directory that a file is in, a directory itself. */
function directory(view: View): string | undefined {
  const path = pathOf(view);
  if (path === undefined) return undefined;
  return typeOf(view) === 'directory' ? path : (directoryOf(path) ?? '/');
}

/** What a part of the path can be where `fd.name` is known. */
function byPath(values: (path: string) => readonly (string | undefined)[]): Implied {
  return {
    by: 'fd.name',
    values: (path) => (path === undefined ? [undefined] : values(String(path))),
  };
}

/** `fd.num`; -1 when an open failed. */
function descriptorNumber(view: View): number | undefined {
  const { open, connect, result } = view.event;
  if (open !== undefined) return result < 0 ? -1 : result;
  return connect?.fd;
}

/** One end's address. The connecting side is the client, so here local is client, remote is server. */
const ip =
  (end: 'localIp' | 'remoteIp') =>
  (view: View): string | undefined => {
    const tuple = tupleOf(view);
    return tuple === undefined || ipVersion(tuple) === undefined
      ? undefined
      : canonical(tuple[end]);
  };

const port =
  (end: 'localPort' | 'remotePort') =>
  (view: View): number | undefined => {
    const tuple = tupleOf(view);
    return tuple === undefined || ipVersion(tuple) === undefined ? undefined : tuple[end];
  };

const EITHER_END = { noVal: true, noTransformer: true, filterOnly: true };
const NO_VAL = { noVal: true, noTransformer: true };

/** `fd.ip`, `fd.net`, `fd.port`: either end has to satisfy the comparison, both for `!=` (E5). */
function eitherEnd(
  name: string,
  type: FieldType,
  description: string,
  client: (view: View) => Value | undefined,
  server: (view: View) => Value | undefined,
): FieldDefinition {
  const reader = (): AnyReader => {
    const values: Value[] = [];
    return {
      shape: 'any',
      notEqual: 'all',
      read(view) {
        values.length = 0;
        for (const read of [client, server]) {
          const value = read(view);
          if (value !== undefined) values.push(value);
        }
        return values;
      },
      // True for every descriptor, also one without addresses (S2).
      exists: hasFd,
      output(view) {
        const value = server(view) ?? client(view);
        return typeof value === 'bigint' ? null : (value ?? null);
      },
    };
  };
  return fieldWithReader(name, type, description, reader, EITHER_END);
}

const local = ip('localIp');
const remote = ip('remoteIp');
const localPort = port('localPort');
const remotePort = port('remotePort');

const fileField = (
  name: string,
  type: FieldType,
  description: string,
  read: (file: KernelFile) => Value,
): FieldDefinition =>
  field(name, type, description, (view) => {
    const file = fileOf(view);
    return file === undefined ? undefined : read(file);
  });

/** `/proc/123/…`: 123. Also where a procfs is mounted elsewhere. */
function procPid(path: string | undefined): number | undefined {
  const match = path === undefined ? null : /(?:^|\/)proc\/(\d{1,10})\//.exec(path);
  return match === null ? undefined : Number(match[1]);
}

/** A port as text. Falco's default is not to name services here either, though constants may (C3). */
const portText =
  (read: (view: View) => number | undefined) =>
  (view: View): string | undefined => {
    const number = read(view);
    return number === undefined ? undefined : String(number);
  };

const inContainer = (view: View, name: string | undefined): string | undefined =>
  name === undefined ? undefined : `${view.container?.id ?? PENDING}:${name}`;

export const FD_CLASS: FieldClass = {
  name: 'fd',
  description: 'The file or socket behind the descriptor of the event',
  fields: [
    field('fd.num', 'INT64', 'Number of the descriptor; -1 when an open failed.', descriptorNumber),
    field('fd.type', 'CHARBUF', "'file', 'directory', 'ipv4', 'ipv6' or 'unix'.", typeOf, {
      pathDependent: true,
    }),
    field(
      'fd.typechar',
      'CHARBUF',
      "The type in one letter: 'f', 'd', '4', '6', 'u'; 'f' for a failed open.",
      typeChar,
      { pathDependent: true },
    ),
    field(
      'fd.name',
      'CHARBUF',
      "A file's full path, from the kernel; a connection as local:port->remote:port.",
      descriptorName,
      { pathDependent: true },
    ),
    field('fd.nameraw', 'CHARBUF', 'The path as it was passed, without doubled slashes.', (v) => {
      return v.event.open?.rawPath.replace(/\/{2,}/g, '/');
    }),
    field(
      'fd.raced',
      'BOOL',
      'The kernel opened another file than the passed path names: a symbolic link, or the descriptor was replaced (our own).',
      (v) => (v.event.open === undefined ? undefined : isRaced(v)),
    ),
    field('fd.directory', 'CHARBUF', 'The directory a file is in; a directory itself.', directory, {
      pathDependent: true,
      implied: byPath((path) => [path, directoryOf(path) ?? '/', undefined]),
    }),
    field(
      'fd.filename',
      'CHARBUF',
      "A file's name without its directory; of a failed open too, which in Falco has none.",
      (v) => {
        const path = pathOf(v);
        return path === undefined || typeOf(v) === 'directory' ? undefined : fileNameOf(path);
      },
      { pathDependent: true, implied: byPath((path) => [fileNameOf(path), undefined]) },
    ),
    field(
      'fd.proc_pid',
      'INT64',
      'For a file below /proc/PID: that process, as the container numbers it (our own).',
      (v) => procPid(pathOf(v)),
      { pathDependent: true },
    ),
    eitherEnd('fd.ip', 'IPADDR', 'Address of either end.', local, remote),
    field('fd.cip', 'IPADDR', "The client's address.", local),
    field('fd.sip', 'IPADDR', "The server's address.", remote),
    field('fd.lip', 'IPADDR', 'The local address.', local),
    field('fd.rip', 'IPADDR', 'The remote address.', remote),
    eitherEnd('fd.port', 'PORT', 'Port of either end.', localPort, remotePort),
    field('fd.cport', 'PORT', "The client's port.", localPort),
    field('fd.sport', 'PORT', "The server's port.", remotePort),
    field('fd.lport', 'PORT', 'The local port.', localPort),
    field('fd.rport', 'PORT', 'The remote port.', remotePort),
    eitherEnd('fd.net', 'IPNET', 'Network of either end.', local, remote),
    field('fd.cnet', 'IPNET', "The client's network.", local, EITHER_END),
    field('fd.snet', 'IPNET', "The server's network.", remote, EITHER_END),
    field('fd.lnet', 'IPNET', 'The local network.', local, EITHER_END),
    field('fd.rnet', 'IPNET', 'The remote network.', remote, EITHER_END),
    field('fd.l4proto', 'CHARBUF', "'tcp', 'udp', 'icmp', 'raw'; '<NA>' for others.", (v) => {
      const tuple = tupleOf(v);
      if (tuple === undefined) return hasFile(v) ? '<NA>' : undefined;
      return (ipVersion(tuple) === undefined ? undefined : PROTOCOLS.get(tuple.protocol)) ?? '<NA>';
    }),
    field('fd.sockfamily', 'CHARBUF', "'ip' or 'unix'.", (v) => {
      const tuple = tupleOf(v);
      if (tuple === undefined) return undefined;
      if (tuple.family === AF_UNIX) return 'unix';
      return ipVersion(tuple) === undefined ? undefined : 'ip';
    }),
    field('fd.is_server', 'BOOL', 'The process is the server of the connection.', (v) => {
      return tupleOf(v) === undefined && !hasFile(v) ? undefined : false;
    }),
    field('fd.connected', 'BOOL', 'The socket is connected.', (v) => {
      return hasFd(v) ? tupleOf(v) !== undefined && v.event.result === 0 : undefined;
    }),
    field('fd.uid', 'CHARBUF', 'Thread id and descriptor number, one after the other.', (v) => {
      const number = descriptorNumber(v);
      return number === undefined ? undefined : `${v.event.tid}${number}`;
    }),
    field(
      'fd.containername',
      'CHARBUF',
      'container.id and fd.name, with a colon between.',
      (v) => inContainer(v, descriptorName(v)),
      { pathDependent: true },
    ),
    field(
      'fd.containerdirectory',
      'CHARBUF',
      'container.id and fd.directory, with a colon between.',
      (v) => inContainer(v, directory(v)),
      { pathDependent: true },
    ),
    fileField('fd.dev', 'INT32', "The file's device, as stat(2) has it.", (file) => {
      const { devMajor, devMinor } = file;
      return (devMinor & 0xff) | (devMajor << 8) | ((devMinor & ~0xff) << 12);
    }),
    fileField('fd.dev.major', 'INT32', "The device's major number.", (file) => file.devMajor),
    fileField('fd.dev.minor', 'INT32', "The device's minor number.", (file) => file.devMinor),
    fileField('fd.ino', 'INT64', "The file's inode number.", (file) => file.ino),
    fileField('fd.is_upper_layer', 'BOOL', "In the container's writable layer.", (file) => {
      return file.upperLayer;
    }),
    fileField('fd.is_lower_layer', 'BOOL', 'Part of the image.', (file) => file.lowerLayer),
    eitherEnd('fd.proto', 'PORT', 'Port of either end, by its service.', localPort, remotePort),
    field('fd.cproto', 'CHARBUF', "The client's port, as text.", portText(localPort)),
    field('fd.sproto', 'CHARBUF', "The server's port, as text.", portText(remotePort)),
    field('fd.lproto', 'CHARBUF', 'The local port, as text.', portText(localPort)),
    field('fd.rproto', 'CHARBUF', 'The remote port, as text.', portText(remotePort)),
    future('fd.types', 'LIST(CHARBUF)', 'Types of all open descriptors, or of one: [0].', {
      argument: 'optional',
      noVal: true,
      problem: (argument) => {
        const index = parseIndex(argument);
        return typeof index === 'object' ? index : undefined;
      },
    }),
    future('fd.name_changed', 'BOOL', "The event changed the descriptor's name."),
    future('fd.cip.name', 'CHARBUF', "The client's domain name.", NO_VAL),
    future('fd.sip.name', 'CHARBUF', "The server's domain name.", NO_VAL),
    future('fd.lip.name', 'CHARBUF', 'The local domain name.', NO_VAL),
    future('fd.rip.name', 'CHARBUF', 'The remote domain name.', NO_VAL),
  ],
};
