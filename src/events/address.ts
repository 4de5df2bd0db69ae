import type { SocketAddress } from './event.ts';
import { RecentMap } from '../shared/recent-map.ts';
import { decodeText } from '../shared/text.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;

/** Addresses of each family whose texts are kept. */
const CACHED_TEXTS = 4096;

/**
 * Texts by address. Most connections go to few addresses. The same address is then the same string object, so that a table with
 * addresses as keys need not hash it again.
 */
const ipv4Texts = new RecentMap<number, string>(CACHED_TEXTS);
const ipv6Texts = new RecentMap<string, string>(CACHED_TEXTS);

function keep<Key>(texts: RecentMap<Key, string>, key: Key, text: string): string {
  texts.set(key, text);
  return text;
}

/** Dotted quad of 4 bytes in network order. */
export function formatIpv4(bytes: Buffer, at: number): string {
  const a = bytes[at] ?? 0;
  const b = bytes[at + 1] ?? 0;
  const c = bytes[at + 2] ?? 0;
  const d = bytes[at + 3] ?? 0;
  const key = (a << 24) | (b << 16) | (c << 8) | d;
  return ipv4Texts.get(key) ?? keep(ipv4Texts, key, `${a}.${b}.${c}.${d}`);
}

/** RFC 5952 text of 16 bytes; IPv4-mapped addresses as `::ffff:a.b.c.d`. */
export function formatIpv6(bytes: Buffer, at: number): string {
  const key = bytes.toString('latin1', at, at + 16);
  return ipv6Texts.get(key) ?? keep(ipv6Texts, key, ipv6Text(bytes, at));
}

function ipv6Text(bytes: Buffer, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(at + 2 * i));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${formatIpv4(bytes, at + 12)}`;
  }
  // The longest run of two or more zero groups, the first of equals, becomes '::'.
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    if (length > 0) i += length - 1;
  }
  const hex = groups.map((group) => group.toString(16));
  if (best < 0) return hex.join(':');
  return `${hex.slice(0, best).join(':')}::${hex.slice(best + bestLength).join(':')}`;
}

/** sun_path as text: abstract names (leading NUL) begin with '@'; NULs at the end of a path are padding. */
export function formatUnixPath(bytes: Buffer): string {
  if (bytes.length === 0) return '';
  if (bytes[0] === 0) return `@${decodeText(bytes.subarray(1))}`;
  const end = bytes.indexOf(0);
  return decodeText(end < 0 ? bytes : bytes.subarray(0, end));
}

/** A struct sockaddr as passed to a call; undefined when it is too short for its family. */
export function parseSockaddr(bytes: Buffer): SocketAddress | undefined {
  if (bytes.length < 2) return undefined;
  const family = bytes.readUInt16LE(0);
  if (family === AF_INET && bytes.length >= 8) {
    return { family, ip: formatIpv4(bytes, 4), port: bytes.readUInt16BE(2), unixPath: '' };
  }
  if (family === AF_INET6 && bytes.length >= 24) {
    return { family, ip: formatIpv6(bytes, 8), port: bytes.readUInt16BE(2), unixPath: '' };
  }
  if (family === AF_UNIX) {
    return { family, ip: '', port: 0, unixPath: formatUnixPath(bytes.subarray(2)) };
  }
  return { family, ip: '', port: 0, unixPath: '' };
}
