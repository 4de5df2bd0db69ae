import type { KernelFile } from '../../events/event.ts';
import { directoryOf, fileNameOf } from '../../shared/path.ts';
import { PENDING } from './container.ts';
import {
  descriptorName,
  descriptorNumber,
  endOf,
  fileOf,
  hasFd,
  hasFile,
  ipVersion,
  isRaced,
  isServer,
  pathOf,
  PROTOCOLS,
  socketOf,
  tupleOf,
  typeChar,
  typeOf,
} from './descriptor.ts';
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

const AF_UNIX = 1;

/** `fd.directory`: the directory that a file is in, a directory itself. */
function directory(view: View): string | undefined {
  const path = pathOf(view);
  if (path === undefined) return undefined;
  return typeOf(view) === 'directory' ? path : (directoryOf(path) ?? '/');
}

/** What a part of the path can be where `fd.name` is known. */
function byPath(
  part: Implied['part'],
  values: (path: string) => readonly (string | undefined)[],
): Implied {
  return {
    by: 'fd.name',
    part,
    values: (path) => (path === undefined ? [undefined] : values(String(path))),
  };
}

type End = 'client' | 'server' | 'local' | 'remote';

const ip =
  (end: End) =>
  (view: View): string | undefined =>
    endOf(view, end)?.ip;

const port =
  (end: End) =>
  (view: View): number | undefined =>
    endOf(view, end)?.port;

const EITHER_END = { noVal: true, noTransformer: true, filterOnly: true };
const NO_VAL = { noVal: true, noTransformer: true };

/** `fd.sip.name`: all of the rules' names that lead to the address; `!=` holds when none is equal. */
function domainName(end: End): FieldDefinition {
  const address = ip(end);
  const names = (view: View): readonly string[] => {
    const found = address(view);
    return found === undefined ? [] : view.domains.namesOf(found);
  };
  const reader = (): AnyReader => ({
    shape: 'any',
    notEqual: 'all',
    read: names,
    output: (view) => names(view).join(' ') || null,
  });
  return fieldWithReader(
    `fd.${end.charAt(0)}ip.name`,
    'CHARBUF',
    `The ${end} address's domain name, of those that the rules name.`,
    reader,
    NO_VAL,
  );
}

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
        const one = client(view);
        const other = server(view);
        if (one !== undefined) values.push(one);
        if (other !== undefined) values.push(other);
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

const clientIp = ip('client');
const serverIp = ip('server');
const localIp = ip('local');
const remoteIp = ip('remote');
const clientPort = port('client');
const serverPort = port('server');
const localPort = port('local');
const remotePort = port('remote');

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
    field(
      'fd.type',
      'CHARBUF',
      "'file', 'directory', 'ipv4', 'ipv6', 'unix', 'pipe', 'memfd' and others.",
      typeOf,
      {
        pathDependent: true,
      },
    ),
    field(
      'fd.typechar',
      'CHARBUF',
      "The type in one letter: 'f', 'd', '4', '6', 'u', 'p', …; 'f' for a failed open.",
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
      const raw = v.event.open?.rawPath;
      return raw?.includes('//') === true ? raw.replace(/\/{2,}/g, '/') : raw;
    }),
    field(
      'fd.raced',
      'BOOL',
      'The kernel opened another file than the passed path names: a symbolic link, or the descriptor was replaced (our own).',
      (v) => (v.event.open === undefined ? undefined : isRaced(v)),
    ),
    field('fd.directory', 'CHARBUF', 'The directory a file is in; a directory itself.', directory, {
      pathDependent: true,
      implied: byPath('start', (path) => [path, directoryOf(path) ?? '/', undefined]),
    }),
    field(
      'fd.filename',
      'CHARBUF',
      "A file's name without its directory; of a failed open too, which in Falco has none.",
      (v) => {
        const path = pathOf(v);
        return path === undefined || typeOf(v) === 'directory' ? undefined : fileNameOf(path);
      },
      { pathDependent: true, implied: byPath('end', (path) => [fileNameOf(path), undefined]) },
    ),
    field(
      'fd.proc_pid',
      'INT64',
      'For a file below /proc/PID: that process, as the container numbers it (our own).',
      (v) => procPid(pathOf(v)),
      { pathDependent: true },
    ),
    eitherEnd('fd.ip', 'IPADDR', 'Address of either end.', clientIp, serverIp),
    field('fd.cip', 'IPADDR', "The client's address.", clientIp),
    field('fd.sip', 'IPADDR', "The server's address.", serverIp),
    field('fd.lip', 'IPADDR', 'The local address.', localIp),
    field('fd.rip', 'IPADDR', 'The remote address.', remoteIp),
    eitherEnd('fd.port', 'PORT', 'Port of either end.', clientPort, serverPort),
    field('fd.cport', 'PORT', "The client's port.", clientPort),
    field('fd.sport', 'PORT', "The server's port.", serverPort),
    field('fd.lport', 'PORT', 'The local port.', localPort),
    field('fd.rport', 'PORT', 'The remote port.', remotePort),
    eitherEnd('fd.net', 'IPNET', 'Network of either end.', clientIp, serverIp),
    field('fd.cnet', 'IPNET', "The client's network.", clientIp, EITHER_END),
    field('fd.snet', 'IPNET', "The server's network.", serverIp, EITHER_END),
    field('fd.lnet', 'IPNET', 'The local network.', localIp, EITHER_END),
    field('fd.rnet', 'IPNET', 'The remote network.', remoteIp, EITHER_END),
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
      const tuple = tupleOf(v);
      if (tuple === undefined) return hasFile(v) ? false : undefined;
      return ipVersion(tuple) === undefined ? false : isServer(v, tuple);
    }),
    field('fd.connected', 'BOOL', 'The socket is connected.', (v) => {
      const isConnect = v.event.type === 'connect' && tupleOf(v) !== undefined;
      // A request of io_uring may have no number of a descriptor.
      if (!isConnect && !hasFd(v)) return undefined;
      // While a connection is being made the kernel has its state already.
      return v.event.type === 'connect' ? v.event.result === 0 : (socketOf(v)?.connected ?? false);
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
    eitherEnd('fd.proto', 'PORT', 'Port of either end, by its service.', clientPort, serverPort),
    field('fd.cproto', 'CHARBUF', "The client's port, as text.", portText(clientPort)),
    field('fd.sproto', 'CHARBUF', "The server's port, as text.", portText(serverPort)),
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
    field(
      'fd.name_changed',
      'BOOL',
      'A message of an unconnected socket has another peer than the one before, or connects it; true for connect.',
      (v) => {
        if (v.event.type === 'connect' && tupleOf(v) !== undefined) return true;
        if (!hasFd(v)) return undefined;
        if (v.event.type === 'connect') return false;
        return socketOf(v)?.peerChanged ?? false;
      },
    ),
    domainName('client'),
    domainName('server'),
    domainName('local'),
    domainName('remote'),
  ],
};
