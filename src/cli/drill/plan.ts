import { readFileSync } from 'node:fs';
import { parseDurationMs } from '../../config/units.ts';
import type { DrillPriority } from '../../shared/drill.ts';
import { DRILL_RULES } from '../../shared/drill.ts';
import { UserError } from '../../shared/user-error.ts';
import type { LogSystem } from '../../reading/read-log-line.ts';
import { logSystemOf } from '../log-input.ts';
import { priorityOf } from '../priority-option.ts';

/** A drill as the command line has it. */
export interface DrillArgs {
  readonly run: string | undefined;
  readonly logs: string | undefined;
  readonly expect: string | undefined;
  readonly listen: string | undefined;
  readonly headers: readonly string[];
  readonly expectText: string | undefined;
  readonly app: string | undefined;
  readonly priority: string | undefined;
  readonly timeout: string | undefined;
  /** Which system the log of `logs` is from. */
  readonly from: string | undefined;
  readonly sourceType: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The same, checked. */
export interface DrillPlan {
  readonly run: string | undefined;
  readonly logs: string | undefined;
  readonly page:
    | { readonly kind: 'expect'; readonly url: URL; readonly headers: Record<string, string> }
    | { readonly kind: 'listen'; readonly host: string; readonly port: number }
    | undefined;
  /** Instead of the token, in the page. */
  readonly expectText: string | undefined;
  readonly app: string | undefined;
  readonly priority: DrillPriority;
  readonly timeoutMs: number;
  /** Undefined: neither said nor to be seen from the command, so the log proves nothing. */
  readonly from: LogSystem | undefined;
  readonly sourceType: string;
}

const MIN_TIMEOUT_MS = 1000;
const MAX_TIMEOUT_MS = 6 * 3_600_000;
/** Log platforms look for alerts once a minute or less often. */
const PAGE_TIMEOUT_MS = 5 * 60_000;
const TIMEOUT_MS = 60_000;
const MAX_HEADER_BYTES = 8192;
const MAX_TEXT = 200;

/** Throws UserError (2) for what is wrong. */
export function planOf(args: DrillArgs): DrillPlan {
  const { run, logs, expect, listen, headers, expectText, app } = args;
  for (const [option, value] of Object.entries({ run, logs, app, 'expect-text': expectText }))
    if (value?.trim() === '') throw wrong(`--${option} is empty.`);
  if (expect !== undefined && listen !== undefined)
    throw wrong('--expect and --listen are two ways for the same: give one of them.');
  if (headers.length > 0 && expect === undefined)
    throw wrong('--header is for the page of --expect, which is not there.');
  if (expectText !== undefined && expect === undefined && listen === undefined)
    throw wrong('--expect-text is for the alert: give --expect or --listen too.');
  if (args.from !== undefined && logs === undefined)
    throw wrong('--from is for the log of --logs, which is not there.');
  if (expectText !== undefined && expectText.length > MAX_TEXT)
    throw wrong(`--expect-text is longer than ${MAX_TEXT} characters.`);
  const page =
    expect !== undefined
      ? ({ kind: 'expect', url: urlOf(expect), headers: headersOf(headers, args.env) } as const)
      : listen !== undefined
        ? ({ kind: 'listen', ...addressOf(listen) } as const)
        : undefined;
  return {
    run,
    logs,
    page,
    expectText,
    app,
    priority: drillPriorityOf(args.priority ?? 'warning'),
    timeoutMs: timeoutOf(args.timeout) ?? (page === undefined ? TIMEOUT_MS : PAGE_TIMEOUT_MS),
    from: logSystemOf(args.from) ?? systemOfCommand(logs),
    sourceType: args.sourceType ?? 'VARVEL',
  };
}

/** A command that begins as that system's own tool prints that system's log. */
function systemOfCommand(command: string | undefined): LogSystem | undefined {
  if (command === undefined) return undefined;
  const [first = '', second] = command.trim().split(/\s+/);
  if (first === 'cf') return second === 'logs' ? 'cf' : undefined;
  return first === 'docker' || first === 'kubectl' ? first : undefined;
}

function drillPriorityOf(text: string): DrillPriority {
  const priority = priorityOf(text);
  if (Object.hasOwn(DRILL_RULES, priority)) return priority as DrillPriority;
  throw wrong(
    '--priority must be warning or critical: there are drills of these two. An alert that begins at error is tried with critical.',
  );
}

function timeoutOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDurationMs(text);
  if (ms === undefined || ms < MIN_TIMEOUT_MS || ms > MAX_TIMEOUT_MS)
    throw wrong(
      `--timeout must be from 1s to 6h, such as 90s or 10m; it is "${text.slice(0, 40)}".`,
    );
  return ms;
}

function urlOf(text: string): URL {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text))
    throw wrong('--expect must be a URL that begins with https:// or http://.');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '')
    throw wrong(
      '--expect must not hold a password: every user of this host can read it there. Use --header Authorization=env:NAME.',
    );
  return url;
}

/** Values come from files and variables: what is on the command line, every user of the host can read. */
function headersOf(given: readonly string[], env: DrillArgs['env']): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const text of given) {
    const [, name, kind, from] = /^([!#$%&'*+.^_`|~\w-]+)=(env|file):(.+)$/s.exec(text) ?? [];
    if (name === undefined || from === undefined)
      throw wrong(
        '--header must be NAME=env:VARIABLE or NAME=file:PATH, whose value is the whole header’s: on the command line every user of this host could read it.',
      );
    headers[name] = headerValue(name, kind === 'env' ? env[from] : contentOf(name, from), from);
  }
  return headers;
}

function headerValue(name: string, raw: string | undefined, from: string): string {
  const value = raw?.replace(/\r?\n$/, '');
  if (value === undefined || value === '')
    throw wrong(`--header ${name}: ${from.slice(0, 100)} is not set, or empty.`);
  if (Buffer.byteLength(value) > MAX_HEADER_BYTES || !/^[\t\x20-\x7e]+$/.test(value))
    throw wrong(
      `--header ${name}: what ${from.slice(0, 100)} holds cannot be a header: one line of printable ASCII, at most ${MAX_HEADER_BYTES} bytes.`,
    );
  return value;
}

function contentOf(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UserError(`--header ${name}: the file cannot be read (${code ?? 'unknown error'}).`, {
      position: { file },
      exitCode: 2,
    });
  }
}

function addressOf(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+))?:)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw wrong(
      `--listen must be PORT or HOST:PORT, such as 9099 or 0.0.0.0:9099; it is "${text.slice(0, 100)}".`,
    );
  // Nothing is opened to a network unasked.
  return { host: match[1] ?? match[2] ?? '127.0.0.1', port };
}

function wrong(message: string): UserError {
  return new UserError(message, { exitCode: 2 });
}
