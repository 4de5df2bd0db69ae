import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';

import { nearestWord } from '../shared/nearest.ts';
import { UserError } from '../shared/user-error.ts';
import type { SourcePosition } from '../shared/user-error.ts';
import { folderOf, RULE_KEYS, toAgentConfig } from './config.ts';
import type { AgentConfig } from './config.ts';
import { at, didYouMean, get, isSection, toUserError } from './config-mistakes.ts';
import { canaryMistake } from './canary-config.ts';
import { receiverMistake } from './receiver-config.ts';
import { formatListenAddress } from './listen-address.ts';
import { CONFIG_SCHEMA, keysAt, VALUE_PATHS, valueAt, variableOf } from './schema.ts';
import type { ValueKind } from './value-types.ts';
import { formatDurationMs } from './units.ts';
import { YamlFile } from './yaml-file.ts';

/** Read if it exists and neither `--config` nor VARVEL_CONFIG names a file. */
export const DEFAULT_CONFIG_FILE = '/etc/varvel/varvel.yaml';

/** Variables that are not configuration values; the bundle sets VARVEL_PROGRAM. */
const OTHER_VARIABLES = ['VARVEL_CONFIG', 'VARVEL_DEBUG', 'VARVEL_PROGRAM'];

export interface ConfigSources {
  /** From `--config`. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** From `--set KEY=VALUE`, in order; they override the environment, which overrides the file. */
  readonly settings?: readonly string[];
  /** Default DEFAULT_CONFIG_FILE. */
  readonly defaultFile?: string;
}

/** An effective value and its source: `default`, `FILE:LINE`, `VARVEL_X` or `--set`. */
export interface EffectiveSetting {
  readonly key: string;
  readonly value: unknown;
  readonly source: string;
}

export interface LoadedConfig {
  readonly config: AgentConfig;
  /** The file that was read, if any. */
  readonly file: string | undefined;
  /** Sentences for the log. */
  readonly warnings: readonly string[];
  readonly settings: readonly EffectiveSetting[];
}

/** A value that was given as text. */
interface Given {
  readonly source: string;
  readonly at: readonly string[];
}

/**
 * Loads the configuration from file, environment and flags. No file is needed: everything has a default. Throws UserError with
 * file, line and column (or the variable's name) and, for a mistyped key, the nearest valid one.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const named = sources.file ?? sources.env['VARVEL_CONFIG'];
  const fallback = sources.defaultFile ?? DEFAULT_CONFIG_FILE;
  if (named === '') throw new UserError('The name of the configuration file is empty.');
  const path = named ?? (existsSync(fallback) ? fallback : undefined);
  const file = path === undefined ? undefined : YamlFile.read(path);
  const root = rootOf(file);

  const given: Given[] = [];
  const warnings: string[] = [];
  const byVariable = new Map(VALUE_PATHS.map((at) => [variableOf(at), at]));
  for (const [name, text] of Object.entries(sources.env)) {
    if (!name.startsWith('VARVEL_') || text === undefined) continue;
    const at = byVariable.get(name);
    if (at !== undefined) {
      set(root, at, textToValue(text, at, name));
      given.push({ source: name, at });
    } else if (!OTHER_VARIABLES.includes(name) && !/^VARVEL_(?:SERVICE|PORT)(?:_|$)/.test(name)) {
      // (Kubernetes sets VARVEL_SERVICE_… and VARVEL_PORT_… itself for a service named varvel.)
      const near = nearestWord(name, [...byVariable.keys(), ...OTHER_VARIABLES]);
      warnings.push(`The variable ${name} is not one of varvel's.${didYouMean(near)}`);
    }
  }
  for (const setting of sources.settings ?? []) {
    const [key, text] = splitSetting(setting);
    const at = VALUE_PATHS.find((it) => it.join('.') === key);
    if (at === undefined) {
      const near = nearestWord(
        key,
        VALUE_PATHS.map((it) => it.join('.')),
      );
      throw new UserError(`--set: there is no key "${key}".${didYouMean(near)}`, { exitCode: 2 });
    }
    const source = `--set ${key}`;
    set(root, at, textToValue(text, at, source));
    given.push({ source, at });
  }

  const place = (at: readonly PropertyKey[]): SourcePosition | undefined => {
    const last = given.findLast((it) => it.at.every((key, index) => key === at[index]));
    return last === undefined ? file?.positionOf(at) : { file: last.source };
  };
  const parsed = CONFIG_SCHEMA.safeParse(root);
  if (!parsed.success) throw toUserError(parsed.error.issues, root, place, file);
  const { streams, runtimes } = parsed.data;
  if (runtimes.cri.enabled === true && runtimes.cri.socket === undefined) {
    throw new UserError(
      'runtimes.cri is enabled but has no socket: set runtimes.cri.socket, such as /run/containerd/containerd.sock.',
      { ...at(place(['runtimes', 'cri', 'enabled'])) },
    );
  }
  if (parsed.data.policies.before_identity === 'enforce' && parsed.data.mode === 'opt-in') {
    throw new UserError(
      'policies.before_identity cannot be enforce with "mode: opt-in": most containers may not be asked for there, and before it is known of one, it must be left alone. Set mode to always or opt-out, or before_identity to report.',
      { ...at(place(['policies', 'before_identity'])) },
    );
  }
  if (streams.file.enabled === true && streams.file.path === undefined) {
    throw new UserError('streams.file is enabled but has no path: set streams.file.path.', {
      ...at(place(['streams', 'file', 'enabled'])),
    });
  }

  for (const [section, mistake] of [
    ['streams', receiverMistake(streams)],
    ['canary', canaryMistake(parsed.data.canary)],
  ] as const) {
    if (mistake === undefined) continue;
    throw new UserError(mistake.says, { ...at(place([section, ...mistake.at])) });
  }

  const fromFile = (path: readonly string[]): boolean => !given.some((it) => same(it.at, path));
  const config = toAgentConfig(
    parsed.data,
    (path) => (file !== undefined && fromFile(path) ? folderOf(file.path) : process.cwd()),
    place,
  );
  const anyStream = Object.values(config.streams).some((stream) => stream.enabled);
  if (!anyStream)
    warnings.push(
      'No log stream is enabled: detections are counted, but written nowhere. Enable one below streams.',
    );
  const settings = VALUE_PATHS.map((path) => ({
    key: path.join('.'),
    value: effective(path.join('.'), config) ?? get(parsed.data, path),
    source: sourceOf(path, root, place),
  }));
  return { config, file: path, warnings, settings };
}

/** Keys with changed values, except those of rules: they take effect only after a restart. */
export function changedKeys(before: LoadedConfig, after: LoadedConfig): readonly string[] {
  const old = new Map(before.settings.map(({ key, value }) => [key, JSON.stringify(value)]));
  return after.settings
    .filter(({ key, value }) => !RULE_KEYS.includes(key) && old.get(key) !== JSON.stringify(value))
    .map(({ key }) => key);
}

/** Values whose default depends on others or on the host, and values that read better as written. */
function effective(key: string, config: AgentConfig): unknown {
  switch (key) {
    case 'rules_files':
      return config.rulesFiles;
    case 'metrics.listen':
      return formatListenAddress(config.metrics.listen);
    case 'hostname':
      return config.hostname;
    case 'streams.file.enabled':
      return config.streams.file.enabled;
    case 'runtimes.cri.enabled':
      return config.runtimes.cri.enabled;
    case 'runtimes.cri.socket':
      return config.runtimes.cri.socket;
    case 'runtimes.cri.state_dir':
      return config.runtimes.cri.stateDir;
    case 'streams.file.path':
      return config.streams.file.path;
    case 'streams.syslog.enabled':
      return config.streams.syslog.enabled;
    case 'streams.http.enabled':
      return config.streams.http.enabled;
    case 'streams.otlp.enabled':
      return config.streams.otlp.enabled;
    case 'streams.otlp.timeout':
      return formatDurationMs(config.streams.otlp.timeoutMs);
    case 'streams.otlp.headers':
      return hiddenValues(config.streams.otlp.headers);
    case 'streams.http.headers':
      return hiddenValues(config.streams.http.headers);
    case 'rescan_interval':
      return formatDurationMs(config.rescanIntervalMs);
    case 'hold_time':
      return formatDurationMs(config.holdTimeMs);
    case 'policies.budget.at_once':
      return formatDurationMs(config.policies.budget.atOnceMs);
    case 'coverage.interval':
      return formatDurationMs(config.coverage.intervalMs);
    case 'canary.app.name':
      return config.canary.app.name;
    case 'canary.interval':
      return formatDurationMs(config.canary.intervalMs);
    case 'canary.timeout':
      return formatDurationMs(config.canary.timeoutMs);
    case 'limits.summary_interval':
      return config.limits && formatDurationMs(config.limits.summaryMs);
    default:
      return undefined;
  }
}

/** Changes between reloads show, but the values (API keys, for example) do not. */
const HIDING_KEY = randomBytes(16);

function hiddenValues(headers: Readonly<Record<string, string>>): Record<string, string> {
  const mark = (value: string): string =>
    createHmac('sha256', HIDING_KEY).update(value).digest('hex').slice(0, 8);
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, `(hidden, ${mark(value)})`]),
  );
}

function rootOf(file: YamlFile | undefined): Record<string, unknown> {
  const content = file?.content;
  if (file === undefined || content === undefined) return {};
  if (!isSection(content)) {
    throw new UserError('The configuration must be keys with values, such as "mode: opt-in".', {
      position: file.positionOf([]),
    });
  }
  return withoutEmptySections(content, []);
}

/** A section that contains only comments reads as null: it sets nothing. */
function withoutEmptySections(
  section: Record<string, unknown>,
  at: readonly string[],
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(section)) {
    const below = [...at, key];
    if (value === null && keysAt(below) !== undefined) continue;
    const inner = isSection(value) && keysAt(below) !== undefined;
    Object.defineProperty(result, key, {
      value: inner ? withoutEmptySections(value, below) : value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return result;
}

function set(root: Record<string, unknown>, at: readonly string[], value: unknown): void {
  let section = root;
  for (const key of at.slice(0, -1)) {
    const next = section[key];
    // If the file has something else in place of a section, the schema reports that error.
    if (next !== undefined && !isSection(next)) return;
    section = next ?? (section[key] = {});
  }
  section[at.at(-1) ?? ''] = value;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((key, index) => key === b[index]);
}

function splitSetting(setting: string): [string, string] {
  const equals = setting.indexOf('=');
  if (equals > 0) return [setting.slice(0, equals).trim(), setting.slice(equals + 1)];
  throw new UserError(
    `--set takes KEY=VALUE, such as --set streams.file.path=/var/log/varvel.log; it got "${setting}".`,
    {
      exitCode: 2,
    },
  );
}

/** Text that does not fit `kind` stays text: the schema then says what it must be. */
function textToValue(text: string, at: readonly string[], source: string): unknown {
  const kind: ValueKind = valueAt(at)?.kind ?? 'text';
  const trimmed = text.trim();
  switch (kind) {
    case 'number':
      return /^-?\d{1,15}$/.test(trimmed) ? Number(trimmed) : text;
    case 'boolean':
    case 'auto-boolean':
      if (/^(?:true|1|yes|on)$/i.test(trimmed)) return true;
      return /^(?:false|0|no|off)$/i.test(trimmed) ? false : trimmed;
    case 'list':
      if (!trimmed.startsWith('['))
        return trimmed
          .split(',')
          .map((item) => item.trim())
          .filter((item) => item !== '');
      return parseJson(trimmed, '["/etc/varvel/rules.d"]', source);
    case 'json':
      return parseJson(trimmed, valueAt(at)?.example ?? '[]', source);
    case 'text':
      return text;
  }
}

function parseJson(text: string, example: string, source: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new UserError(`This must be JSON, such as ${example}.`, {
      position: { file: source },
    });
  }
}

function sourceOf(
  path: readonly string[],
  root: unknown,
  place: (at: readonly PropertyKey[]) => SourcePosition | undefined,
): string {
  if (get(root, path) === undefined) return 'default';
  const position = place(path);
  if (position === undefined) return 'default';
  return position.line === undefined ? position.file : `${position.file}:${position.line}`;
}
