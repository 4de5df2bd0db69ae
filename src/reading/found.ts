import type { Priority } from '../rules/detection.ts';
import { escapeHidden } from '../streams/escape.ts';
import { NOTICE_PREFIX } from '../streams/notice-rules.ts';
import { readFalcoDetection } from './read-detection.ts';
import type { ReadDetection, ReadLineage } from './read-detection.ts';
import type { ReadLogLine } from './read-log-line.ts';
import { readTextLine } from './read-text-line.ts';
import type { ReadTextLine } from './read-text-line.ts';

/** A detection, or what the agent says of itself, with its place in a log. */
export interface Found {
  readonly kind: 'found';
  /** Number of its line in the log, from 1. */
  readonly place: number;
  /** Who wrote it, as the log system says; `unknown` where it does not say. */
  readonly origin: 'varvel' | 'unknown';
  /** How the line is written: ours, or Falco's own JSON. */
  readonly form: 'json' | 'text' | 'falco';
  readonly label: string | undefined;
  /** The line as the log has it. */
  readonly raw: string;
  /** Unix ms with a fraction, by the line's own time. */
  readonly atMs: number;
  readonly rule: string;
  readonly priority: Priority;
  /** What the agent says of itself. */
  readonly own: boolean;
  /** Escaped: one line of visible text. */
  readonly output: string;
  readonly tags: readonly string[];
  readonly app: Readonly<Record<string, string>> | undefined;
  readonly hostname: string;
  readonly container: string | undefined;
  /** '' for Falco's. */
  readonly id: string;
  readonly seq: number;
  /** Of its incident; undefined where the line has none. */
  readonly incident: string | undefined;
  readonly lineage: ReadLineage | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Falco begins an output with the time and the priority, which stand elsewhere here. */
const FALCO_START = /^\d\d:\d\d:\d\d(?:\.\d{9})?: \w+ /;
const DAY_MS = 86_400_000;

/** Unix ms of an ISO time with any fraction and zone, also of one that `cf logs` prints (`+0000`); undefined for none. */
export function msOf(time: string | undefined): number | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)$/.exec(
    time ?? '',
  );
  if (match === null) return undefined;
  const [, seconds = '', fraction = '', zone = ''] = match;
  const ms = Date.parse(`${seconds}${zone.replace(/^(...)(\d\d)$/, '$1:$2')}`);
  return Number.isNaN(ms) ? undefined : ms + Number(`0.${fraction}0`) * 1000;
}

/** Dates the lines of a log in order: text lines have only a time of day, an app's lines perhaps none. */
export class LogClock {
  #lastMs: number | undefined;
  /** A text line came before any date was known: days are then counted from 1970. */
  undated = false;

  #isDated = false;

  /** The day is known of what was read last. */
  get isDated(): boolean {
    return this.#isDated;
  }

  /** The latest moment that the log has told; undefined before the first. */
  get lastMs(): number | undefined {
    return this.#lastMs;
  }

  /** Takes note of a moment. */
  at(ms: number | undefined): number | undefined {
    if (ms === undefined) return undefined;
    this.#isDated = true;
    this.#lastMs = ms;
    return ms;
  }

  /** The moment with this time of day nearest to the log system's time, or else to the previous line's. */
  timeOfDay(clock: string, system: number | undefined): number {
    const ofDay = msOf(`1970-01-01T${clock}Z`) ?? 0;
    const near = system ?? this.#lastMs;
    const day = near === undefined ? 1 : Math.round((near - ofDay) / DAY_MS);
    if (near === undefined) this.undated = true;
    if (system !== undefined) this.#isDated = true;
    this.#lastMs = day * DAY_MS + ofDay;
    return this.#lastMs;
  }
}

/** The detection in a line of the log; undefined if there is none, or if someone else wrote the line. */
export function foundIn(
  line: ReadLogLine,
  raw: string,
  place: number,
  clock: LogClock,
): Found | undefined {
  const { origin, label, text } = line;
  if (origin === 'other') return undefined;
  const where = { kind: 'found', place, origin, label, raw } as const;
  const system = msOf(line.time);
  const json = line.detection ?? readFalcoDetection(text);
  if (json !== undefined) {
    const atMs = clock.at(msOf(json.time)) ?? clock.at(system);
    if (atMs === undefined) return undefined;
    return { ...where, ...bounded(ofJson(json, line.detection === undefined)), atMs };
  }
  const read = readTextLine(text);
  if (read === undefined) return undefined;
  return { ...where, ...bounded(ofText(read)), atMs: clock.timeOfDay(read.clock, system) };
}

/** Longer than any that the agent writes: an app can print anything. */
const MAX_TEXT_CHARS = {
  rule: 512,
  hostname: 256,
  container: 128,
  id: 128,
  incident: 64,
  tag: 128,
  app: 256,
};
const MAX_TAGS = 20;
const MAX_NAME_CHARS = 64;

function capped(text: string, kind: keyof typeof MAX_TEXT_CHARS): string {
  const max = MAX_TEXT_CHARS[kind];
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

/** No text that a head, a lane or a tree shows is longer than one of the agent's could be. */
function bounded(what: What): What {
  const { rule, hostname, container, id, incident, tags, app, lineage } = what;
  return {
    ...what,
    rule: capped(rule, 'rule'),
    hostname: capped(hostname, 'hostname'),
    id: capped(id, 'id'),
    incident: incident === undefined ? undefined : capped(incident, 'incident'),
    container: container === undefined ? undefined : capped(container, 'container'),
    tags: tags.slice(0, MAX_TAGS).map((tag) => capped(tag, 'tag')),
    app:
      app &&
      Object.fromEntries(Object.entries(app).map(([key, value]) => [key, capped(value, 'app')])),
    lineage: lineage && {
      ...lineage,
      processes: lineage.processes.map(({ name, ...rest }) => {
        return { ...rest, name: name.slice(0, MAX_NAME_CHARS) };
      }),
    },
  };
}

type What = Omit<Found, 'kind' | 'place' | 'origin' | 'label' | 'raw' | 'atMs'>;

function ofJson(read: ReadDetection, falco: boolean): What {
  const { rule, priority, source, output, tags, app, hostname, fields } = read;
  const { id, seq, incident, lineage } = read;
  const container = fields['container.id'];
  return {
    form: falco ? 'falco' : 'json',
    rule,
    priority,
    tags,
    app,
    hostname,
    id,
    seq,
    incident,
    lineage,
    fields,
    own: !falco && source === 'varvel',
    output: escapeHidden(output.replace(FALCO_START, '')),
    container: typeof container === 'string' ? container : undefined,
  };
}

function ofText({ rule, priority, output, app, instance, container, ...read }: ReadTextLine): What {
  const { id, seq, incident, lineage, fields } = read;
  return {
    form: 'text',
    rule,
    priority,
    output,
    id,
    seq,
    incident,
    lineage,
    fields,
    own: rule.startsWith(NOTICE_PREFIX) && seq === 0,
    tags: [],
    app:
      app === undefined
        ? undefined
        : { name: app, ...(instance === undefined ? {} : { instance }) },
    hostname: '',
    container,
  };
}

/** Whether a line that someone else wrote looks like a detection: an app can print anything. */
export function isForged({ detection, text, origin }: ReadLogLine): boolean {
  return origin === 'other' && (detection !== undefined || readTextLine(text) !== undefined);
}
