import { isIP } from 'node:net';

/** Address of the agent's local endpoint (metrics, status). */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'off' };

/**
 * Parses `off`, `unix:/path` or `host:port` with a loopback host (`127.0.0.0/8`, `[::1]`, `localhost`). For anything else,
 * returns a phrase that says what it must be. The endpoint reports on every app of the host without authentication, so it is
 * never open to a network.
 */
export function parseListenAddress(text: string): ListenAddress | string {
  if (text === 'off') return { kind: 'off' };
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (!path.startsWith('/')) return 'an absolute path after "unix:"';
    // sockaddr_un's sun_path (unix(7)) has 108 bytes, the last of them NUL.
    if (Buffer.byteLength(path) > 107 || path.includes('\0'))
      return 'a socket path of at most 107 bytes';
    return { kind: 'unix', path };
  }
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65535) return 'unix:/path, 127.0.0.1:port or off';
  if (!isLoopback(host))
    return 'a loopback address (127.0.0.1, [::1]), since it tells about every app on this host without asking who is there';
  return { kind: 'tcp', host: host === 'localhost' ? '127.0.0.1' : host, port };
}

function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

/** Formats it as in the configuration. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'off') return 'off';
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}
