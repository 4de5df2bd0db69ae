import { formatIpv4, formatIpv6 } from './address.ts';
import type { RecordBytes } from './batch.ts';
import type { SocketTuple } from './event.ts';
import type { CALL } from './table.gen.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const NO_IP = (): string => '';

/** Where a kind of record has the fields of a socket (the table's SOCKET). */
type SocketOffsets = Pick<
  { readonly [Name in keyof typeof CALL]: number },
  'family' | 'protocol' | 'socket_type' | 'laddr' | 'lport' | 'raddr' | 'rport'
>;

/** The ends of the socket in the record at `at`. */
export function readTuple(
  r: RecordBytes,
  at: number,
  offsets: SocketOffsets,
  unixPath: string,
): SocketTuple {
  const family = r.short(at + offsets.family);
  const format = family === AF_INET ? formatIpv4 : family === AF_INET6 ? formatIpv6 : NO_IP;
  return {
    family,
    protocol: r.short(at + offsets.protocol),
    socketType: r.short(at + offsets.socket_type),
    localIp: format(r.bytes, at + offsets.laddr),
    localPort: r.short(at + offsets.lport),
    remoteIp: format(r.bytes, at + offsets.raddr),
    remotePort: r.short(at + offsets.rport),
    unixPath,
  };
}
