import { PRIORITIES } from '../rules/detection.ts';
import type { Priority } from '../rules/detection.ts';
import type { Origin } from '../rules/lineage.ts';
import { foundIn, isForged, LogClock, msOf, type Found } from './found.ts';
import { isDrillRule } from '../shared/drill.ts';
import { escapeHidden, escapeHiddenJson, escapeText } from '../streams/escape.ts';
import { COLOURS } from '../streams/format.ts';
import { MAX_LOST_RANGES } from '../streams/notices.ts';
import {
  inBoth,
  parseRanges,
  sizeOf,
  withRange,
  type NumberRange,
} from '../streams/number-range.ts';
import { RecentMap } from '../shared/recent-map.ts';
import { NumberRanges } from './number-ranges.ts';
import { numberIn } from './own-fields.ts';
import type { ReadLineage } from './read-detection.ts';
import { RuleSummary } from './rule-summary.ts';
import { readLogLine } from './read-log-line.ts';
import type { LogSystem, ReadLogLine } from './read-log-line.ts';

/** Limit on remembered ids and app instances; beyond it, a repeated line is shown again, and a gap goes unnoticed. */
const MAX_REMEMBERED = 10_000;
/** Limit on ranges of lost numbers; beyond it, too many are reported as lost. */
const MAX_RANGES = 1000;
/** Of a line of the app's, and of a detection's output. */
const MAX_SHOWN_CHARS = 4000;
const MIN_COLUMNS = 60;
const INDENT = '              ';
/** A sum of a whole and a fraction may be a hair less. */
const HAIR_MS = 1e-4;
/** A rule's name that is safe to paste into a shell: a forged line may contain any name. */
const PLAIN_NAME = /^[\p{L}\p{N}][\p{L}\p{N} .,()/_-]{0,199}$/u;
const TECHNIQUE = /^T\d{4}(?:\.\d{3})?$/;

/** Numbers of one app instance's lines. */
interface Instance {
  readonly app: Found['app'];
  readonly numbers: NumberRanges;
  /** Those that the agent says this log could not take: at most MAX_RANGES. */
  lost: readonly NumberRange[];
}

/** How lines are to look. */
export interface PrettyOptions {
  readonly columns: number;
  readonly colour: boolean;
  /** Less severe detections are left out. */
  readonly minimum: Priority;
  /** Lines that are no detection are left out. */
  readonly only: boolean;
  /** One JSON object for each detection, and nothing else. */
  readonly json?: boolean;
  /** Detections of other apps are left out. */
  readonly app?: string | undefined;
  /** What is older is left out; Unix ms. */
  readonly sinceMs?: number | undefined;
  /** Where the log is from; undefined: nobody said, so it proves nothing. */
  readonly from: LogSystem | undefined;
  readonly sourceType: string;
}

/**
 * Formats a log, line by line, for people. Who wrote a line is decided by what the log system says, never by what the line
 * says. Only detections begin in the first column, whatever an app prints. A warning precedes the first detection that an app
 * may have printed.
 */
export class Pretty {
  readonly #options: PrettyOptions;
  readonly #ids = new RecentMap<string, true>(MAX_REMEMBERED);
  readonly #instances = new RecentMap<string, Instance>(MAX_REMEMBERED);
  readonly #clock = new LogClock();
  readonly #rules = new RuleSummary();
  #place = 0;
  #date = '';
  #shown = 0;
  #own = 0;
  #unread = 0;
  #drills = 0;
  #below = 0;
  #again = 0;
  #others = 0;
  #older = 0;
  #forged = 0;
  #unknown = 0;
  #looksLike: ReadLogLine['looksLike'];
  /** The first of the most severe detections shown. */
  #worst: Pick<Found, 'rule' | 'priority'> | undefined;

  constructor(options: PrettyOptions) {
    this.#options = options;
  }

  /** A line as it is to be shown, with its newline; '' for one that is not. */
  line(raw: string): string {
    const { from, sourceType, only, json = false } = this.#options;
    const read = readLogLine(raw, from, sourceType);
    const { origin, looksLike, label, text } = read;
    this.#looksLike ??= looksLike;
    const found = foundIn(read, raw, ++this.#place, this.#clock);
    if (found !== undefined) return this.#found(found);
    if (origin === 'varvel') return this.#isOld(read) ? '' : this.#unreadLine(text);
    const forged = isForged(read);
    if (forged) this.#forged++;
    return json || (only && !forged) || this.#isOld(read) ? '' : this.#appLine(label, text, forged);
  }

  #found(found: Found): string {
    const { minimum, app, sinceMs = -Infinity, json = false } = this.#options;
    const { id, priority, own, rule } = found;
    if (id !== '' && this.#ids.get(id) === true) {
      this.#again++;
      return '';
    }
    if (id !== '') this.#ids.set(id, true);
    const isDated = found.form !== 'text' || this.#clock.isDated;
    // Whoever wrote the lines before may have told any day.
    const isCertain = isDated && (found.form !== 'text' || found.origin === 'varvel');
    if (isCertain && found.atMs < sinceMs) {
      this.#older++;
      return '';
    }
    if (app !== undefined && found.app?.['name'] !== app && found.app?.['guid'] !== app) {
      this.#others++;
      return '';
    }
    const gap = this.#gap(found);
    if (PRIORITIES.indexOf(priority) > PRIORITIES.indexOf(minimum)) {
      this.#below++;
      return json ? '' : gap;
    }
    if (own) this.#own++;
    else this.#count(found);
    if (isDrillRule(rule)) this.#drills++;
    const doubt = found.origin === 'unknown' ? this.#doubt() : '';
    this.#weigh(found);
    if (json) return `${asJson(found, isDated)}\n`;
    return doubt + this.#newDate(found, isDated) + gap + this.#detection(found);
  }

  #isOld({ time }: ReadLogLine): boolean {
    const { sinceMs } = this.#options;
    return sinceMs !== undefined && (msOf(time) ?? this.#clock.lastMs ?? Infinity) < sinceMs;
  }

  #count(found: Found): void {
    this.#shown++;
    this.#rules.add(found, nameOf(found.app));
  }

  /** What there is to say at the end, with its newlines. */
  end(): string {
    const all = [...this.#instances.entries()].map(([, instance]) => instance);
    const missing = all.reduce((sum, { numbers }) => sum + sizeOf(numbers.missing()), 0);
    const lost = all.reduce((sum, one) => sum + sizeOf(inBoth(one.numbers.missing(), one.lost)), 0);
    const { minimum, sourceType } = this.#options;
    const count = (number: number, what: string): string =>
      `${number} ${what}${number === 1 ? '' : 's'}`;
    const parts = [
      count(this.#shown, 'detection'),
      ...(this.#unread > 0
        ? [`${count(this.#unread, 'line')} of the agent that cannot be read`]
        : []),
      ...(this.#drills > 0
        ? [`${this.#drills} of them ${this.#drills === 1 ? 'a drill' : 'drills'}`]
        : []),
      ...(this.#own > 0 ? [`${count(this.#own, 'notice')} of the agent`] : []),
      ...(this.#older > 0 ? [`${this.#older} older left out`] : []),
      ...(this.#others > 0 ? [`${this.#others} of other apps left out`] : []),
      ...(this.#below > 0 ? [`${this.#below} below ${minimum} left out`] : []),
      ...(this.#again > 0 ? [`${this.#again} that came again (same id) left out`] : []),
      ...(missing > 0 ? [`${count(missing, 'line')} missing by their numbers`] : []),
      ...(lost > 0
        ? [`${lost} of them among the numbers that the agent says it could not write here`]
        : []),
    ];
    const sentences = [
      `${parts.join(', ')}.`,
      ...(this.#forged > 0
        ? [
            `${count(this.#forged, 'line')} looked like a detection and came from elsewhere than the agent (source type ${sourceType}): an app can print anything.`,
          ]
        : []),
      ...(this.#unknown > 0
        ? [
            `This log does not say who wrote a line, so the app may have printed some: compare the ids with the operator’s copy, or read the log where the platform names the source.${this.#hint()}`,
          ]
        : []),
      ...(this.#worst === undefined ? [] : [`What to do: varvel explain -r "${this.#worst.rule}"`]),
    ];
    const paint = (priority: Priority, text: string): string =>
      this.#paint(COLOURS[priority], text);
    const summary = this.#shown < 2 ? [] : this.#rules.lines(paint);
    const tails = all.map((one) => this.#tail(one)).join('');
    return `${tails}${summary.join('')}${sentences.join('\n')}\n`;
  }

  /** Once, before the first detection that an app may have printed. */
  #doubt(): string {
    if (this.#unknown++ > 0) return '';
    return `${this.#paint('33', '-- the app may have printed what follows: this log does not say who wrote a line --')}\n`;
  }

  #hint(): string {
    const looks = this.#looksLike;
    if (looks === undefined) return '';
    const name = looks === 'cf' ? 'cf logs' : 'a syslog drain';
    return ` It looks like one of ${name}; an app can print that too. If you know that it is one, say so: --from ${looks}.`;
  }

  #weigh({ rule, priority, own }: Found): void {
    if (own || !PLAIN_NAME.test(rule)) return;
    const isWorse = (than: Priority): boolean =>
      PRIORITIES.indexOf(priority) < PRIORITIES.indexOf(than);
    if (this.#worst === undefined || isWorse(this.#worst.priority))
      this.#worst = { rule, priority };
  }

  #paint(code: string, text: string): string {
    return this.#options.colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  }

  #appLine(label: string | undefined, text: string, forged: boolean): string {
    const who = label === undefined ? '' : `${escapeText(label)} `;
    const shown = escapeHidden(text.replaceAll('\t', '    ')).slice(0, MAX_SHOWN_CHARS);
    const cut = text.length > MAX_SHOWN_CHARS ? '…' : '';
    const mark = forged ? this.#paint('33', 'not Varvel’s: ') : '';
    return `${this.#paint('2', `  | ${who}`)}${mark}${this.#paint('2', `${shown}${cut}`)}\n`;
  }

  /** A line of the agent's source that is no detection, as one that was cut on its way. */
  #unreadLine(text: string): string {
    this.#unread++;
    return this.#options.json === true ? '' : `${escapeText(text)}\n`;
  }

  /** A text line has only the time of day, and perhaps nothing else told the day. */
  #newDate({ atMs }: Found, isDated: boolean): string {
    const date = isDated ? isoOf(atMs).slice(0, 10) : 'no day is told';
    if (date === this.#date) return '';
    this.#date = date;
    return `${this.#paint('2', `-- ${date}, times in UTC --`)}\n`;
  }

  #gap({ app, seq, hostname, own, fields }: Found): string {
    const given = own ? numberIn(fields, 'coverage.last_line') : undefined;
    const lost = own ? parseRanges(fields['lost.numbers'], MAX_LOST_RANGES) : undefined;
    if (seq === 0 && given === undefined && lost === undefined) return '';
    const key = JSON.stringify([app?.['guid'], app?.['name'], app?.['instance'], hostname]);
    const known = this.#instances.get(key);
    const instance = known ?? { app, numbers: new NumberRanges(), lost: [] };
    this.#instances.set(key, instance);
    const { numbers } = instance;
    if (given !== undefined) numbers.tell(given);
    for (const range of lost ?? []) instance.lost = withRange(instance.lost, range, MAX_RANGES);
    if (seq === 0) return '';
    const before = numbers.lastKnown;
    numbers.add(seq);
    return before === undefined || seq <= before + 1
      ? ''
      : this.#hole(app, { from: before + 1, to: seq - 1 }, ' so far');
  }

  #hole(app: Found['app'], { from, to }: NumberRange, when = ''): string {
    const numbers = from === to ? `number ${from}` : `numbers ${from} to ${to}`;
    return `${this.#paint('33', `-- ${numbers} of ${nameOf(app)} not in this log${when} --`)}\n`;
  }

  /** Lines after the last one here that the agent reports as written. */
  #tail({ app, numbers }: Instance): string {
    const tail = numbers.missing().at(-1);
    const isBehind = tail !== undefined && tail.to > (numbers.last ?? 0);
    return isBehind ? this.#hole(app, tail) : '';
  }

  #detection(found: Found): string {
    const { atMs, priority, rule, output, app, own, tags, seq, incident, lineage } = found;
    const columns = Math.max(this.#options.columns, MIN_COLUMNS);
    const word = priority === 'Informational' ? 'INFO' : priority.toUpperCase();
    const techniques = tags.filter((tag) => TECHNIQUE.test(tag)).join(' ');
    const number = seq > 0 ? ` #${seq}` : '';
    const head = [
      `${isoOf(atMs).slice(11, 23)}  `,
      this.#paint(COLOURS[priority], word.padEnd(9)),
      ` ${nameOf(app)}${number}  `,
      this.#paint(own ? '2' : '1', escapeText(rule)),
      isDrillRule(rule) ? this.#paint('36', '  DRILL, nothing is wrong') : '',
      techniques === '' ? '' : this.#paint('2', `  ${techniques}`),
      incident === undefined ? '' : this.#paint('2', `  incident ${escapeText(incident)}`),
    ].join('');
    const cut = output.length > MAX_SHOWN_CHARS ? '…' : '';
    // The agent's own is one visible line already; whatever else it holds is made so.
    const text = escapeHidden(output.slice(0, MAX_SHOWN_CHARS)) + cut;
    const wrapped = (said: string): string[] =>
      hardWrap(said, columns - INDENT.length).map((line) => `${INDENT}${line}`);
    const body = wrapped(text).map((line) => (own ? this.#paint('2', line) : line));
    const from = lineage === undefined ? [] : wrapped(`started by: ${lineageText(lineage)}`);
    return `${[head, ...body, ...from.map((line) => this.#paint('2', line))].join('\n')}\n`;
  }
}

const isoOf = (ms: number): string => new Date(ms + HAIR_MS).toISOString();

/** The process and those above it. */
function lineageText({ processes, above, origin }: ReadLineage): string {
  const end = { outside: [], more: ['…'], unknown: ['?'] }[above];
  const names = processes.map(({ name, pid }) => `${escapeText(name)} (${pid})`);
  const from = origin === undefined ? [] : [`[${ORIGIN[origin]}]`];
  return [...names, ...end, ...from].join(' ← ');
}

const ORIGIN: Readonly<Record<Origin, string>> = {
  start: 'started with the container',
  exec: 'exec from outside',
  ssh: 'cf ssh',
  probe: 'health check',
};

/** A detection for machines, in visible characters: what it says, and who wrote it as far as the log tells. */
function asJson(found: Found, isDated: boolean): string {
  const fields = Object.entries(found.fields).filter(([, value]) => isPlain(value));
  const json = JSON.stringify({
    time: isDated ? isoOf(found.atMs) : undefined,
    rule: found.rule,
    priority: found.priority,
    notice: found.own,
    output: found.output,
    tags: found.tags,
    app: found.app,
    hostname: found.hostname,
    container: found.container,
    id: found.id,
    seq: found.seq,
    incident: found.incident,
    lineage: found.lineage,
    fields: Object.fromEntries(fields),
    written_by: found.origin,
    format: found.form,
  });
  return escapeHiddenJson(json);
}

/** The agent's fields are no deeper; an app can print what no program can write down again. */
const isPlain = (value: unknown): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null));

function nameOf(app: Found['app']): string {
  if (app === undefined) return '(no app)';
  const { name = app['guid'] ?? '?', instance } = app;
  return escapeText(instance === undefined ? name : `${name}/${instance}`);
}

/** At blanks where there are any: no line is longer than `width`. */
function hardWrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const blank = rest.lastIndexOf(' ', width);
    const at = blank > width / 2 ? blank : width;
    lines.push(rest.slice(0, at).trimEnd());
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest.trimEnd()];
}
