import { parseHttpAddress, parseSyslogAddress } from './receiver-address.ts';
import type { HttpAddress, SyslogAddress } from './receiver-address.ts';
import { wrongMetadata } from './receiver-values.ts';
import type { ParsedConfig } from './schema.ts';

/** Files and names for TLS; file paths are absolute. */
export interface TlsFilesConfig {
  /** CA file, trusted instead of the system's CAs; undefined: the system's. */
  readonly ca: string | undefined;
  /** The client certificate and its key: both or neither. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** Expected name in the receiver's certificate; undefined: the host of the address. */
  readonly serverName: string | undefined;
}

/** On if a url is given; `address` is set if `enabled`. */
export interface SyslogStreamConfig {
  readonly enabled: boolean;
  readonly audience: 'tenant' | 'operator';
  readonly format: 'json' | 'text';
  readonly address: SyslogAddress | undefined;
  /** What becomes of lines that wait for another address: they go to this one, or are dropped. */
  readonly onUrlChange: 'keep' | 'drop';
  readonly sourceType: string;
  readonly tls: TlsFilesConfig;
}

/** On if a url is given; `address` is set if `enabled`. */
export interface HttpStreamConfig {
  readonly enabled: boolean;
  readonly audience: 'tenant' | 'operator';
  readonly format: 'falco' | 'json' | 'text';
  readonly address: HttpAddress | undefined;
  /** A unix socket to use instead of the address's host and port. */
  readonly socket: string | undefined;
  /** As of syslog; also when the socket is another. */
  readonly onUrlChange: 'keep' | 'drop';
  readonly batch: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly tokenFile: string | undefined;
  readonly tls: TlsFilesConfig;
}

/** On if a url is given; `address` is set if `enabled`. Of gRPC its path says nothing. */
export interface OtlpStreamConfig {
  readonly enabled: boolean;
  readonly audience: 'tenant' | 'operator';
  readonly protocol: 'grpc' | 'http/protobuf' | 'http/json';
  readonly address: HttpAddress | undefined;
  /** As of syslog. */
  readonly onUrlChange: 'keep' | 'drop';
  readonly compression: 'none' | 'gzip';
  readonly timeoutMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly tokenFile: string | undefined;
  readonly tls: TlsFilesConfig;
}

/** The files are set if `enabled`. */
export interface LoggregatorStreamConfig {
  readonly enabled: boolean;
  readonly format: 'json' | 'text';
  readonly address: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly serverName: string;
  readonly sourceType: string;
  readonly linesPerSecond: number;
  /** The agent's own metrics, sent with the same connection settings. */
  readonly metrics: {
    readonly enabled: boolean;
    readonly intervalMs: number;
    readonly sourceId: string;
  };
}

/** Of all streams to a receiver elsewhere. */
export type ReceiverConfigs = {
  readonly syslog: SyslogStreamConfig;
  readonly http: HttpStreamConfig;
  readonly otlp: OtlpStreamConfig;
  readonly loggregator: LoggregatorStreamConfig;
};

type Streams = ParsedConfig['streams'];

/** Streams whose receiver is named by a url; of the last two it is an HTTP one. */
const BY_URL = ['syslog', 'http', 'otlp'] as const;
const BY_HTTP = ['http', 'otlp'] as const;

/** Takes values that passed the schema and `receiverMistake`. `absolute` resolves the path of a value. */
export function receiverConfigs(
  streams: Streams,
  absolute: (path: string, ...at: string[]) => string,
): ReceiverConfigs {
  const { syslog, http, otlp, loggregator } = streams;
  const file = (
    name: (typeof BY_URL)[number] | 'loggregator',
    key: 'ca' | 'cert' | 'key',
  ): string | undefined => {
    const path = streams[name][key];
    return path === undefined ? undefined : absolute(path, 'streams', name, key);
  };
  const tokenFile = (name: (typeof BY_HTTP)[number]): string | undefined => {
    const path = streams[name].token_file;
    return path === undefined ? undefined : absolute(path, 'streams', name, 'token_file');
  };
  const tls = (name: (typeof BY_URL)[number]): TlsFilesConfig => ({
    ca: file(name, 'ca'),
    cert: file(name, 'cert'),
    key: file(name, 'key'),
    serverName: streams[name].server_name,
  });
  return {
    syslog: {
      enabled: syslog.enabled ?? syslog.url !== undefined,
      audience: syslog.audience,
      format: syslog.format,
      address: syslogAddress(syslog.url),
      onUrlChange: syslog.on_url_change,
      sourceType: syslog.source_type,
      tls: tls('syslog'),
    },
    http: {
      enabled: http.enabled ?? http.url !== undefined,
      audience: http.audience,
      format: http.format,
      address: httpAddress(http.url),
      socket: http.socket,
      onUrlChange: http.on_url_change,
      batch: http.batch,
      headers: http.headers,
      tokenFile: tokenFile('http'),
      tls: tls('http'),
    },
    otlp: {
      enabled: otlp.enabled ?? otlp.url !== undefined,
      audience: otlp.audience,
      protocol: otlp.protocol,
      address: otlpAddress(otlp.url),
      onUrlChange: otlp.on_url_change,
      compression: otlp.compression,
      timeoutMs: otlp.timeout,
      headers: otlp.headers,
      tokenFile: tokenFile('otlp'),
      tls: tls('otlp'),
    },
    loggregator: {
      enabled: loggregator.enabled,
      format: loggregator.format,
      address: loggregator.address,
      ca: file('loggregator', 'ca'),
      cert: file('loggregator', 'cert'),
      key: file('loggregator', 'key'),
      serverName: loggregator.server_name,
      sourceType: loggregator.source_type,
      linesPerSecond: loggregator.lines_per_second,
      metrics: {
        enabled: loggregator.metrics.enabled,
        intervalMs: loggregator.metrics.interval,
        sourceId: loggregator.metrics.source_id,
      },
    },
  };
}

/** Finds a conflict between settings of receiver streams: a sentence, and its keys below `streams`. */
export function receiverMistake(
  streams: Streams,
): { readonly at: readonly string[]; readonly says: string } | undefined {
  for (const name of BY_URL) {
    const stream = streams[name];
    const key = (of: string): string => `streams.${name}.${of}`;
    if (stream.enabled === true && stream.url === undefined) {
      const says = `streams.${name} is enabled but has no url: set ${key('url')}.`;
      return { at: [name, 'enabled'], says };
    }
    if (stream.url === undefined) continue;
    for (const of of ['ca', 'cert', 'key', 'server_name'] as const) {
      if (stream[of] === undefined || isTls(name, stream.url)) continue;
      const secure = name === 'syslog' ? 'syslog+tls://' : 'https://';
      const says = `"${key(of)}" is for ${secure} only, and ${key('url')} is another: nothing would be encrypted. Change the url, or remove it.`;
      return { at: [name, of], says };
    }
    if (stream.cert !== undefined && stream.key === undefined) {
      const says = `"${key('cert')}" needs its private key: set ${key('key')}.`;
      return { at: [name, 'cert'], says };
    }
    if (stream.key !== undefined && stream.cert === undefined) {
      const says = `"${key('key')}" needs its certificate: set ${key('cert')}.`;
      return { at: [name, 'key'], says };
    }
  }
  const { http, otlp, loggregator } = streams;
  for (const of of ['ca', 'cert', 'key'] as const) {
    if (!loggregator.enabled || loggregator[of] !== undefined) continue;
    const says = `streams.loggregator is enabled but has no ${of}: the platform's agent takes lines by mutual TLS only. Set streams.loggregator.${of} to a PEM file of a certificate that loggregator_ca has signed.`;
    return { at: ['loggregator', 'enabled'], says };
  }
  if (http.batch && http.format === 'text') {
    const says = `"streams.http.batch" sends JSON arrays: set streams.http.format to json, or batch to false.`;
    return { at: ['http', 'batch'], says };
  }
  for (const name of BY_HTTP) {
    const { token_file: file, headers } = streams[name];
    if (file !== undefined && 'authorization' in lowerCased(headers)) {
      const says = `"streams.${name}.token_file" and a header "Authorization" both set the credentials: remove one.`;
      return { at: [name, 'token_file'], says };
    }
  }
  if (otlp.protocol !== 'grpc') return undefined;
  if (httpAddress(otlp.url)?.path !== '/' && otlp.url !== undefined) {
    const says = `"streams.otlp.url" has a path, which gRPC has no use for: remove it, or set streams.otlp.protocol to http/protobuf.`;
    return { at: ['otlp', 'url'], says };
  }
  const wrong = wrongMetadata(otlp.headers);
  if (wrong !== undefined) {
    const says = `"streams.otlp.headers" ${wrong}: gRPC sends no others. Change them, or set streams.otlp.protocol to http/protobuf.`;
    return { at: ['otlp', 'headers'], says };
  }
  return undefined;
}

function isTls(name: (typeof BY_URL)[number], url: string): boolean {
  return name === 'syslog' ? syslogAddress(url)?.kind === 'tls' : httpAddress(url)?.secure === true;
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
}

function syslogAddress(url: string | undefined): SyslogAddress | undefined {
  const parsed = url === undefined ? undefined : parseSyslogAddress(url);
  return typeof parsed === 'string' ? undefined : parsed;
}

function httpAddress(url: string | undefined): HttpAddress | undefined {
  const parsed = url === undefined ? undefined : parseHttpAddress(url);
  return typeof parsed === 'string' ? undefined : parsed;
}

/** Where logs go by default, if the url names no path. */
function otlpAddress(url: string | undefined): HttpAddress | undefined {
  const address = httpAddress(url);
  return address?.path === '/' ? { ...address, path: '/v1/logs' } : address;
}
