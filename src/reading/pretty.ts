import { PRIORITIES } from '../rules/detection.ts';
import type { Priority } from '../rules/detection.ts';
import { isDrillRule } from '../shared/drill.ts';
import { escapeHidden, escapeText } from '../streams/escape.ts';
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
import type { ReadDetection } from './read-detection.ts';
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
/** Falco begins an output with the time and the priority, which stand in columns of their own here. */
const FALCO_START = /^\d\d:\d\d:\d\d\.\d{9}: \w+ /;
/** A rule's name that is safe to paste into a shell: a forged line may contain any name. */
const PLAIN_NAME = /^[\p{L}\p{N}][\p{L}\p{N} .,()/_-]{0,199}$/u;
const TECHNIQUE = /^T\d{4}(?:\.\d{3})?$/;

/** Numbers of one app instance's lines. */
interface Instance {
  readonly app: ReadDetection['app'];
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
  #date = '';
  #shown = 0;
  #drills = 0;
  #below = 0;
  #again = 0;
  #forged = 0;
  #unknown = 0;
  #looksLike: ReadLogLine['looksLike'];
  /** The first of the most severe detections shown. */
  #worst: Pick<ReadDetection, 'rule' | 'priority'> | undefined;

  constructor(options: PrettyOptions) {
    this.#options = options;
  }

  /** A line as it is to be shown, with its newline; '' for one that is not. */
  line(raw: string): string {
    const { from, sourceType } = this.#options;
    const { origin, looksLike, label, text, detection } = readLogLine(raw, from, sourceType);
    this.#looksLike ??= looksLike;
    if (origin === 'other' || (detection === undefined && origin === 'unknown')) {
      const forged = detection !== undefined;
      if (forged) this.#forged++;
      return this.#options.only && !forged ? '' : this.#appLine(label, text, forged);
    }
    if (detection === undefined) return this.#textLine(text);
    if (this.#ids.get(detection.id) === true) {
      this.#again++;
      return '';
    }
    this.#ids.set(detection.id, true);
    const gap = this.#gap(detection);
    if (PRIORITIES.indexOf(detection.priority) > PRIORITIES.indexOf(this.#options.minimum)) {
      this.#below++;
      return gap;
    }
    this.#shown++;
    if (isDrillRule(detection.rule)) this.#drills++;
    const doubt = origin === 'unknown' ? this.#doubt() : '';
    this.#weigh(detection);
    return doubt + this.#newDate(detection) + gap + this.#detection(detection);
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
      ...(this.#drills > 0
        ? [`${this.#drills} of them ${this.#drills === 1 ? 'a drill' : 'drills'}`]
        : []),
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
            `${count(this.#forged, 'line')} looked like a detection and came from elsewhere than ${sourceType}: an app can print anything.`,
          ]
        : []),
      ...(this.#unknown > 0
        ? [
            `This log does not say who wrote a line, so the app may have printed some: compare the ids with the operator’s copy, or read the log where the platform names the source.${this.#hint()}`,
          ]
        : []),
      ...(this.#worst === undefined ? [] : [`What to do: varvel explain -r "${this.#worst.rule}"`]),
    ];
    return `${all.map((one) => this.#tail(one)).join('')}${sentences.join('\n')}\n`;
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

  #weigh({ rule, priority, source }: ReadDetection): void {
    if (source === 'varvel' || !PLAIN_NAME.test(rule)) return;
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

  /** A line of the agent in its text format (`streams.*.format: text`), or one that was cut on its way. */
  #textLine(text: string): string {
    this.#shown++;
    return `${escapeText(text)}\n`;
  }

  #newDate({ time }: ReadDetection): string {
    const date = time.slice(0, 10);
    if (date === this.#date) return '';
    this.#date = date;
    return `${this.#paint('2', `-- ${date}, times in UTC --`)}\n`;
  }

  #gap({ app, seq, hostname, source, fields }: ReadDetection): string {
    const isOwn = source === 'varvel';
    const given = isOwn ? fields['coverage.last_line'] : undefined;
    const lost = isOwn ? parseRanges(fields['lost.numbers'], MAX_LOST_RANGES) : undefined;
    if (seq === 0 && typeof given !== 'number' && lost === undefined) return '';
    const key = JSON.stringify([app?.['guid'], app?.['name'], app?.['instance'], hostname]);
    const known = this.#instances.get(key);
    const instance = known ?? { app, numbers: new NumberRanges(), lost: [] };
    this.#instances.set(key, instance);
    const { numbers } = instance;
    if (typeof given === 'number') numbers.tell(given);
    for (const range of lost ?? []) instance.lost = withRange(instance.lost, range, MAX_RANGES);
    if (seq === 0) return '';
    const before = numbers.lastKnown;
    numbers.add(seq);
    return before === undefined || seq <= before + 1
      ? ''
      : this.#hole(app, { from: before + 1, to: seq - 1 }, ' so far');
  }

  #hole(app: ReadDetection['app'], { from, to }: NumberRange, when = ''): string {
    const numbers = from === to ? `number ${from}` : `numbers ${from} to ${to}`;
    return `${this.#paint('33', `-- ${numbers} of ${nameOf(app)} not in this log${when} --`)}\n`;
  }

  /** Lines after the last one here that the agent reports as written. */
  #tail({ app, numbers }: Instance): string {
    const tail = numbers.missing().at(-1);
    const isBehind = tail !== undefined && tail.to > (numbers.last ?? 0);
    return isBehind ? this.#hole(app, tail) : '';
  }

  #detection({ time, priority, rule, output, app, source, tags, seq }: ReadDetection): string {
    const columns = Math.max(this.#options.columns, MIN_COLUMNS);
    const own = source === 'varvel';
    const word = priority === 'Informational' ? 'INFO' : priority.toUpperCase();
    const techniques = tags.filter((tag) => TECHNIQUE.test(tag)).join(' ');
    const number = seq > 0 ? ` #${seq}` : '';
    const head = [
      `${time.slice(11, 23).padEnd(12)}  `,
      this.#paint(COLOURS[priority], word.padEnd(9)),
      ` ${nameOf(app)}${number}  `,
      this.#paint(own ? '2' : '1', escapeText(rule)),
      isDrillRule(rule) ? this.#paint('36', '  DRILL, nothing is wrong') : '',
      techniques === '' ? '' : this.#paint('2', `  ${techniques}`),
    ].join('');
    const said = output.replace(FALCO_START, '');
    const cut = said.length > MAX_SHOWN_CHARS ? '…' : '';
    // The agent's own is one visible line already; whatever else it holds is made so.
    const text = escapeHidden(said.slice(0, MAX_SHOWN_CHARS)) + cut;
    const body = hardWrap(text, columns - INDENT.length).map((line) => `${INDENT}${line}`);
    return `${[head, ...body.map((line) => (own ? this.#paint('2', line) : line))].join('\n')}\n`;
  }
}

function nameOf(app: ReadDetection['app']): string {
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
