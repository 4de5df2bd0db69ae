import { isIP } from 'node:net';

/** Where a syslog receiver listens, and how it is spoken to. */
export type SyslogAddress =
  | { readonly kind: 'tcp' | 'tls' | 'udp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Where an HTTP receiver takes POST requests. */
export interface HttpAddress {
  readonly secure: boolean;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** Path and query, as they are sent. */
  readonly path: string;
}

export const SYSLOG_FORMS =
  'syslog+tls://host:port, syslog+tcp://host:port, syslog+udp://host:port or unix:/path';

const HOST_NAME = /^(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?$/;

/**
 * One of SYSLOG_FORMS; an IPv6 address is in brackets, and the port is always said: receivers disagree about what
 * it is by default. Returns a phrase that says what it must be for anything else.
 */
export function parseSyslogAddress(text: string): SyslogAddress | string {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    return isSocketPath(path)
      ? { kind: 'unix', path }
      : 'unix: and an absolute path of at most 107 bytes';
  }
  const match = /^syslog\+(tcp|tls|udp):\/\/(?:\[([^\]]*)\]|([^:/]*)):(\d{1,5})\/?$/.exec(text);
  const [, kind, bracketed, plain, digits] = match ?? [];
  const host = bracketed ?? plain ?? '';
  const port = Number(digits);
  if (!isHost(host, bracketed !== undefined) || port < 1 || port > 65535) return SYSLOG_FORMS;
  return { kind: kind as 'tcp' | 'tls' | 'udp', host, port };
}

/**
 * An `http://` or `https://` URL. Returns a phrase that says what it must be for anything else. A password in it would be
 * shown wherever the configuration is: there is token_file.
 */
export function parseHttpAddress(text: string): HttpAddress | string {
  const form = 'a URL such as https://host:port/path';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return form;
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return form;
  if (url.username !== '' || url.password !== '')
    return 'a URL without a user or password: name a file with a bearer token as token_file, or set headers';
  if (url.hash !== '') return 'a URL without a fragment (#…)';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!isHost(host, isIP(host) === 6)) return form;
  const secure = url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  if (port === 0) return form;
  return { secure, host, port, path: `${url.pathname}${url.search}` };
}

/** sockaddr_un's sun_path (unix(7)) has 108 bytes, the last of them NUL. */
export function isSocketPath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && Buffer.byteLength(path) <= 107;
}

/** `host:port`; an IPv6 address is in brackets. */
export function isHostAndPort(text: string): boolean {
  return typeof parseSyslogAddress(`syslog+tcp://${text}`) === 'object';
}

/** What an address is called in sentences. */
export function formatSyslogAddress(address: SyslogAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `syslog+${address.kind}://${host}:${address.port}`;
}

function isHost(host: string, bracketed: boolean): boolean {
  if (bracketed) return isIP(host) === 6;
  return host.length <= 253 && HOST_NAME.test(host);
}
