import type { AlertPlatform, AlertRequest, FieldName } from '../alerts/alert-request.ts';
import { FIELD_NAMES, LOG_READERS } from '../alerts/alert-request.ts';
import { PLATFORMS } from '../alerts/platforms.ts';
import { nearestWord } from '../shared/nearest.ts';
import { replaceControls } from '../shared/text.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';
import { priorityOf } from './priority-option.ts';
import { textTable } from './text-table.ts';

export interface AlertsArgs {
  readonly platform: string | undefined;
  readonly priority: string | undefined;
  readonly rules: readonly string[];
  readonly app: string | undefined;
  readonly space: string | undefined;
  readonly webhook: string | undefined;
  readonly sourceType: string | undefined;
  /** How the app's team reads its log. */
  readonly from: string | undefined;
  /** `NAME=FIELD`. */
  readonly fields: readonly string[];
  readonly version: string;
}

/** Tags of syslog lines are cut beyond 256 bytes, quotes escaped: what is looked for has to fit. */
const MAX_VALUE_BYTES = 128;
const MAX_RULES = 50;
const MAX_URL = 2000;
const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * `varvel alerts [PLATFORM]`: alert definitions to stdout, ready for the platform; without one, the list of platforms.
 * Resolves to the exit code. Throws UserError for values that are wrong or that the platform's language cannot say.
 */
export function runAlerts(args: AlertsArgs, io: Io): number {
  if (args.platform === undefined) {
    io.stdout(platformList(io.columns));
    return 0;
  }
  const platform = platformNamed(args.platform);
  const { text, notes } = platform.render(requestOf(args));
  io.stdout(text);
  for (const note of notes) io.stderr(`${replaceControls(note)}\n`);
  return 0;
}

function platformList(columns: number): string {
  const rows = PLATFORMS.map(({ name, title, prints }) => ({
    cells: [name],
    text: `${title}: ${prints}`,
  }));
  return [
    'varvel alerts PLATFORM prints alert definitions for:',
    ...textTable(rows, columns),
    '',
    'Each has an alert for detections, one for silence and one for what was lost. See varvel alerts --help.',
    '',
  ].join('\n');
}

function platformNamed(name: string): AlertPlatform {
  const found = PLATFORMS.find((platform) => platform.name === name.toLowerCase());
  if (found !== undefined) return found;
  const names = PLATFORMS.map((platform) => platform.name);
  const near = nearestWord(name, names);
  const help = near === undefined ? '' : ` Did you mean ${near}?`;
  throw wrong(
    `There are no alert definitions for "${name.slice(0, 100)}".${help} There are some for: ${names.join(', ')}.`,
  );
}

function requestOf(args: AlertsArgs): AlertRequest {
  if (args.rules.length > MAX_RULES) {
    throw wrong(`--rule was given ${args.rules.length} times; ${MAX_RULES} are the most.`);
  }
  const app = args.app === undefined ? undefined : valueOf('--app', args.app);
  return {
    // Who names a rule wants to hear of it, however severe it is.
    minimum: priorityOf(args.priority ?? (args.rules.length > 0 ? 'debug' : 'warning')),
    rules: args.rules.map((rule) => valueOf('--rule', rule)),
    app:
      app === undefined
        ? undefined
        : GUID.test(app)
          ? { by: 'guid', value: app.toLowerCase() }
          : { by: 'name', value: app },
    space: args.space === undefined ? undefined : valueOf('--space', args.space),
    webhook: args.webhook === undefined ? undefined : urlOf(args.webhook),
    sourceType: valueOf('--source-type', args.sourceType ?? 'VARVEL'),
    from: readerOf(args.from),
    fields: fieldsOf(args.fields),
    version: args.version,
  };
}

function readerOf(name = 'cf'): AlertRequest['from'] {
  const known = LOG_READERS.find((reader) => reader === name);
  if (known !== undefined) return known;
  throw wrong(
    `--from must be ${LOG_READERS.slice(0, -1).join(', ')} or ${LOG_READERS.at(-1)}, by which the app’s team reads its log; it is "${name.slice(0, 40)}".`,
  );
}

function valueOf(option: string, value: string): string {
  if (value === '') throw wrong(`${option} is empty.`);
  if (Buffer.byteLength(value) > MAX_VALUE_BYTES) {
    throw wrong(
      `${option} is longer than ${MAX_VALUE_BYTES} bytes: what is longer is cut in some logs, so that an alert would not find it.`,
    );
  }
  return value;
}

function urlOf(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong(`--webhook must be a URL such as https://hooks.example.org/varvel.`);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw wrong(`--webhook must begin with https:// or http://.`);
  }
  if (url.href.length > MAX_URL) throw wrong(`--webhook is longer than ${MAX_URL} characters.`);
  return url.href;
}

function fieldsOf(given: readonly string[]): AlertRequest['fields'] {
  const fields: Partial<Record<FieldName, string>> = {};
  for (const text of given) {
    const at = text.indexOf('=');
    const name = FIELD_NAMES.find((it) => it === text.slice(0, Math.max(at, 0)));
    if (name === undefined) {
      throw wrong(
        `--field must be NAME=FIELD with one of ${FIELD_NAMES.join(', ')}; it is "${text.slice(0, 100)}".`,
      );
    }
    fields[name] = text.slice(at + 1);
  }
  return fields;
}

function wrong(message: string): UserError {
  return new UserError(message, { exitCode: 2 });
}
