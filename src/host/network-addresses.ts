import { closeSync, openSync } from 'node:fs';
import { isIP } from 'node:net';
import { readAtMost } from '../shared/bounded-file.ts';

/** Limits on what is read, and on the addresses of one container and on the name servers of the host. */
const MAX_BYTES = 64 * 1024;
const MAX_ADDRESSES = 64;
const MAX_SERVERS = 8;

/** Addresses of the process's network namespace, from /proc/PID/net, but for loopback; at most 64. None if it has ended. */
export function addressesOf(pid: number, proc = '/proc'): readonly string[] {
  const [trie, inet6] = ['fib_trie', 'if_inet6'].map((name) => read(`${proc}/${pid}/net/${name}`));
  return [...new Set([...ipv4Of(trie ?? ''), ...ipv6Of(inet6 ?? '')])].slice(0, MAX_ADDRESSES);
}

/** The host's name servers (resolv.conf(5)), but for loopback; at most 8. */
export function nameServers(file = '/etc/resolv.conf'): readonly string[] {
  const servers = read(file)
    .split('\n')
    .flatMap((line) => /^nameserver\s+([\da-f.:]+)/i.exec(line)?.[1] ?? [])
    .filter((server) => isIP(server) !== 0 && !isLoopback(server));
  return [...new Set(servers)].slice(0, MAX_SERVERS);
}

/** An address stands in the line above what it is for: `|-- 172.17.0.2`, then `/32 host LOCAL`. */
function* ipv4Of(trie: string): Generator<string> {
  let address: string | undefined;
  for (const line of trie.split('\n')) {
    address = /\|-- ([\d.]+)$/.exec(line)?.[1] ?? address;
    if (address !== undefined && line.endsWith('/32 host LOCAL') && !isLoopback(address))
      yield address;
  }
}

/** 32 hexadecimal digits, then what else is known of it. */
function* ipv6Of(inet6: string): Generator<string> {
  for (const line of inet6.split('\n')) {
    const groups = /^[\da-f]{32} /.exec(line)?.[0].match(/[\da-f]{4}/g);
    const address = groups?.join(':');
    if (address !== undefined && !isLoopback(address)) yield address;
  }
}

const isLoopback = (address: string): boolean =>
  address.startsWith('127.') || /^(?:0*:)*:?0*1$/.test(address);

/** '' for what cannot be read. */
function read(path: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    return readAtMost(fd, MAX_BYTES)?.toString('latin1') ?? '';
  } catch {
    return '';
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
