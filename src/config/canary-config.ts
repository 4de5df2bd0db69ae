import { parseHttpAddress } from './receiver-address.ts';
import type { HttpAddress } from './receiver-address.ts';
import type { TlsFilesConfig } from './receiver-config.ts';
import type { ParsedConfig } from './schema.ts';

/** The agent's own canary: a container that does what a drill does, and the check that its line arrives in the log system. */
export interface CanaryConfig {
  readonly enabled: boolean;
  /** Time between two runs. */
  readonly intervalMs: number;
  /** Time from the action until its line must have been read back, or delivered by every stream. */
  readonly timeoutMs: number;
  /** The app that its lines are attributed to; the guid is set if `enabled`. */
  readonly app: {
    readonly name: string;
    readonly guid: string | undefined;
    readonly space: string | undefined;
    readonly org: string | undefined;
  };
  /** Where its line is looked up; undefined: nowhere. */
  readonly logCache: LogCacheConfig | undefined;
}

/** The HTTPS interface of a Log Cache. */
export interface LogCacheConfig {
  readonly address: HttpAddress;
  readonly tls: TlsFilesConfig;
  readonly tokenFile: string | undefined;
}

const DEFAULT_NAME = 'varvel-canary';

type Parsed = ParsedConfig['canary'];

/** Takes values that passed the schema and `canaryMistake`. `absolute` resolves the path of a value. */
export function canaryConfig(
  parsed: Parsed,
  absolute: (path: string, ...at: string[]) => string,
): CanaryConfig {
  const { app } = parsed;
  return {
    enabled: parsed.enabled,
    intervalMs: parsed.interval,
    timeoutMs: parsed.timeout,
    app: { name: app.name ?? DEFAULT_NAME, guid: app.guid, space: app.space, org: app.org },
    logCache: logCacheConfig(parsed.read.log_cache, absolute),
  };
}

function logCacheConfig(
  parsed: Parsed['read']['log_cache'],
  absolute: (path: string, ...at: string[]) => string,
): LogCacheConfig | undefined {
  const address = parsed.address === undefined ? undefined : parseHttpAddress(parsed.address);
  if (address === undefined || typeof address === 'string') return undefined;
  const file = (key: 'ca' | 'cert' | 'key' | 'token_file'): string | undefined => {
    const path = parsed[key];
    return path === undefined ? undefined : absolute(path, 'canary', 'read', 'log_cache', key);
  };
  return {
    address,
    tls: { ca: file('ca'), cert: file('cert'), key: file('key'), serverName: parsed.server_name },
    tokenFile: file('token_file'),
  };
}

/** Finds a conflict between settings of the section: a sentence, and its keys below `canary`. */
export function canaryMistake(
  parsed: Parsed,
): { readonly at: readonly string[]; readonly says: string } | undefined {
  const { enabled, interval, timeout, app } = parsed;
  const { address, ...files } = parsed.read.log_cache;
  const of = (key: string): string => `canary.read.log_cache.${key}`;
  const at = (key: string): readonly string[] => ['read', 'log_cache', key];
  if (enabled && app.guid === undefined) {
    const says =
      'canary is enabled but has no app: set canary.app.guid to the guid of one, in whose log its lines may be.';
    return { at: ['enabled'], says };
  }
  if (timeout >= interval) {
    const says =
      '"canary.timeout" must be less than canary.interval: a run ends before the next one.';
    return { at: ['timeout'], says };
  }
  if (address === undefined) {
    const [key] = Object.entries(files).find(([, value]) => value !== undefined) ?? [];
    if (key === undefined) return undefined;
    return { at: at(key), says: `"${of(key)}" needs ${of('address')}: set it, or remove this.` };
  }
  const { cert, key, token_file: tokenFile } = files;
  if (cert !== undefined && key === undefined) {
    return { at: at('cert'), says: `"${of('cert')}" needs its private key: set ${of('key')}.` };
  }
  if (key !== undefined && cert === undefined) {
    return { at: at('key'), says: `"${of('key')}" needs its certificate: set ${of('cert')}.` };
  }
  if (cert === undefined && tokenFile === undefined) {
    const says = `"${of('address')}" needs something to show: set ${of('token_file')}, or ${of('cert')} and ${of('key')}.`;
    return { at: at('address'), says };
  }
  return undefined;
}
