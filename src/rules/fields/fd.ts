import type { KernelFile, SocketTuple } from '../../events/event.ts';
import { field, fieldWithReader, future } from './field.ts';
import type { AnyReader, AvailableField, FieldClass, FieldType, Value, View } from './field.ts';
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

/** Is there a descriptor at all? A failed open has none, but Falco's rules look at its path. */
const hasFd = (view: View): boolean => view.event.open !== undefined || tupleOf(view) !== undefined;

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

function nameOf(view: View): string | undefined {
  const tuple = tupleOf(view);
  return tuple === undefined ? pathOf(view) : socketName(tuple);
}

function typeOf(view: View): string | undefined {
  const { open } = view.event;
  if (open !== undefined) {
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

/** `fd.ip`, `fd.net`, `fd.port`: either end has to satisfy the comparison, both for `!=` (E5). */
function eitherEnd(
  name: string,
  type: FieldType,
  description: string,
  client: (view: View) => Value | undefined,
  server: (view: View) => Value | undefined,
): AvailableField {
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
  return fieldWithReader(name, type, description, reader, { noVal: true });
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
): AvailableField =>
  field(name, type, description, (view) => {
    const file = fileOf(view);
    return file === undefined ? undefined : read(file);
  });

/** `/proc/123/…`: 123. Also where a procfs is mounted elsewhere. */
function procPid(path: string | undefined): number | undefined {
  const match = path === undefined ? null : /(?:^|\/)proc\/(\d{1,10})\//.exec(path);
  return match === null ? undefined : Number(match[1]);
}

const inContainer = (view: View, name: string | undefined): string | undefined =>
  name === undefined ? undefined : `${view.container?.id ?? PENDING}:${name}`;

export const FD_CLASS: FieldClass = {
  name: 'fd',
  description: 'The file or socket behind the descriptor of the event',
  fields: [
    field('fd.num', 'INT64', 'Number of the descriptor; -1 when the call failed.', (v) => {
      const { open, connect, result } = v.event;
      if (open !== undefined) return result < 0 ? -1 : result;
      return connect?.fd;
    }),
    field('fd.type', 'CHARBUF', "'file', 'directory', 'ipv4', 'ipv6' or 'unix'.", typeOf, {
      pathDependent: true,
    }),
    field(
      'fd.typechar',
      'CHARBUF',
      "The type in one letter: 'f', 'd', '4', '6', 'u'.",
      (v) => {
        const type = typeOf(v);
        return type === undefined ? undefined : TYPE_CHARS[type];
      },
      { pathDependent: true },
    ),
    field(
      'fd.name',
      'CHARBUF',
      "A file's full path, from the kernel; a connection as local:port->remote:port.",
      nameOf,
      { pathDependent: true },
    ),
    field('fd.nameraw', 'CHARBUF', 'The path as it was passed.', (v) => v.event.open?.rawPath),
    field(
      'fd.raced',
      'BOOL',
      'The kernel opened another file than the passed path names: a symbolic link, or the descriptor was replaced (our own).',
      (v) => (v.event.open === undefined ? undefined : isRaced(v)),
    ),
    field(
      'fd.directory',
      'CHARBUF',
      'The directory a file is in.',
      (v) => {
        const path = pathOf(v);
        return path === undefined ? undefined : directoryOf(path);
      },
      { pathDependent: true },
    ),
    field(
      'fd.filename',
      'CHARBUF',
      "A file's name without its directory.",
      (v) => {
        const path = pathOf(v);
        return path === undefined ? undefined : fileNameOf(path);
      },
      { pathDependent: true },
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
    field('fd.cnet', 'IPNET', "The client's network.", local, { noVal: true }),
    field('fd.snet', 'IPNET', "The server's network.", remote, { noVal: true }),
    field('fd.lnet', 'IPNET', 'The local network.', local, { noVal: true }),
    field('fd.rnet', 'IPNET', 'The remote network.', remote, { noVal: true }),
    field('fd.l4proto', 'CHARBUF', "'tcp', 'udp', 'icmp' or 'raw'.", (v) => {
      const tuple = tupleOf(v);
      if (tuple === undefined || ipVersion(tuple) === undefined) return undefined;
      return PROTOCOLS.get(tuple.protocol);
    }),
    field('fd.sockfamily', 'CHARBUF', "'ip' or 'unix'.", (v) => {
      const tuple = tupleOf(v);
      if (tuple === undefined) return undefined;
      if (tuple.family === AF_UNIX) return 'unix';
      return ipVersion(tuple) === undefined ? undefined : 'ip';
    }),
    field('fd.is_server', 'BOOL', 'The process is the server of the connection.', (v) => {
      return tupleOf(v) === undefined ? undefined : false;
    }),
    field('fd.connected', 'BOOL', 'The socket is connected.', (v) => {
      return tupleOf(v) === undefined ? undefined : v.event.result === 0;
    }),
    field(
      'fd.containername',
      'CHARBUF',
      'container.id and fd.name, with a colon between.',
      (v) => inContainer(v, nameOf(v)),
      { pathDependent: true },
    ),
    field(
      'fd.containerdirectory',
      'CHARBUF',
      'container.id and fd.directory, with a colon between.',
      (v) => {
        const path = pathOf(v);
        return inContainer(v, path === undefined ? undefined : directoryOf(path));
      },
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
    future('fd.uid', 'CHARBUF', 'Descriptor and thread as one id.'),
    future('fd.types', 'LIST(CHARBUF)', 'Types of all open descriptors.', 'optional'),
    future('fd.proto', 'PORT', 'Protocol of either end.'),
    future('fd.cproto', 'CHARBUF', "The client's protocol."),
    future('fd.sproto', 'CHARBUF', "The server's protocol."),
    future('fd.lproto', 'CHARBUF', 'The local protocol.'),
    future('fd.rproto', 'CHARBUF', 'The remote protocol.'),
    future('fd.name_changed', 'BOOL', "The event changed the descriptor's name."),
    future('fd.cip.name', 'CHARBUF', "The client's domain name."),
    future('fd.sip.name', 'CHARBUF', "The server's domain name."),
    future('fd.lip.name', 'CHARBUF', 'The local domain name.'),
    future('fd.rip.name', 'CHARBUF', 'The remote domain name.'),
  ],
};
