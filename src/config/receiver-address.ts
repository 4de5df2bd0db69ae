import { isIP } from 'node:net';

/** Address and transport of a syslog receiver. */
export type SyslogAddress =
  | { readonly kind: 'tcp' | 'tls' | 'udp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Address for the POST requests to an HTTP receiver. */
export interface HttpAddress {
  readonly secure: boolean;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** Path and query of the requests. */
  readonly path: string;
}

export const SYSLOG_FORMS =
  'syslog+tls://host:port, syslog+tcp://host:port, syslog+udp://host:port or unix:/path';

const HOST_NAME = /^(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?$/;

/**
 * Parses one of SYSLOG_FORMS. An IPv6 address needs brackets, and the port is required: receivers have different defaults. For
 * anything else, returns a phrase that says what it must be.
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
 * Parses an `http://` or `https://` URL. For anything else, returns a phrase that says what it must be. A password in it is
 * refused, since it would show wherever the configuration does: use token_file.
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

/** Whether it is `host:port`; an IPv6 address needs brackets. */
export function isHostAndPort(text: string): boolean {
  return typeof parseSyslogAddress(`syslog+tcp://${text}`) === 'object';
}

/** Formats an address for messages. */
export function formatSyslogAddress(address: SyslogAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `syslog+${address.kind}://${host}:${address.port}`;
}

function isHost(host: string, bracketed: boolean): boolean {
  if (bracketed) return isIP(host) === 6;
  return host.length <= 253 && HOST_NAME.test(host);
}
