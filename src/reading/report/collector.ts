import { LOST_RULE } from '../../streams/notice-rules.ts';
import { MAX_LOST_RANGES } from '../../streams/notices.ts';
import { parseRanges, withRange, type NumberRange } from '../../streams/number-range.ts';
import { RecentMap } from '../../shared/recent-map.ts';
import { readLogLine } from '../read-log-line.ts';
import type { LogSystem, ReadLogLine } from '../read-log-line.ts';
import { coverageOf, unwatchedOf } from './coverage.ts';
import type { Coverage, CoverageGap } from './coverage.ts';
import { foundIn, isForged, LogClock, msOf } from '../found.ts';
import type { Found } from '../found.ts';
import { Groups } from './groups.ts';
import { IncidentGroups } from './incident-groups.ts';
import {
  AROUND_MS,
  LINES_AFTER,
  LINES_BEFORE,
  MAX_ALL_CHARS,
  MAX_APP_LINE_CHARS,
  MAX_APP_LINES,
  MAX_IDS,
  MAX_INSTANCES,
  MAX_RAW_CHARS,
  MAX_WAITING,
} from './incident.ts';
import type { Incident, Instance, OtherLine, Skipped } from './incident.ts';
import { NumberRanges } from '../number-ranges.ts';

/** Unix ms, both included; undefined for no end. */
export interface TimeRange {
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
}

/** Which part of a log the report is about. */
export interface IncidentOptions extends TimeRange {
  /** Name or GUID. */
  readonly app: string | undefined;
  /** The detection that it is about: five minutes before it, and after. */
  readonly id: string | undefined;
  /** Where the log is from; undefined: nobody said, so it proves nothing. */
  readonly from: LogSystem | undefined;
  /** The source type of the agent's lines. */
  readonly sourceType: string;
  /** Names of rules that the reader knows. */
  readonly knownRules: ReadonlySet<string>;
}

/** A line with what is needed to place it. */
interface Entry {
  readonly item: Found | OtherLine;
  /** When it was written; a line that does not say so came right after the one before it. */
  readonly atMs: number | undefined;
  readonly undated: boolean;
  /** Of the whole line. */
  readonly chars: number;
}

type MutableInstance = {
  -readonly [K in keyof Instance]: Instance[K];
} & { containers: Set<string>; coverage: Coverage[]; unwatched: CoverageGap[] };

const MAX_CONTAINERS = 20;
const MAX_COVERAGE = 2000;
/** Limit on ranges of lost numbers per app instance; beyond it, too many are reported as lost. */
const MAX_LOST_NUMBERS = 1000;

/** Takes a log line by line and keeps what a report is made of: bounded, and what is left out is counted. */
export class IncidentCollector {
  readonly #options: IncidentOptions;
  readonly #clock = new LogClock();
  readonly #ids = new RecentMap<string, true>(MAX_IDS);
  readonly #instances = new Map<string, MutableInstance>();
  readonly #groups: Groups;
  readonly #incidents = new IncidentGroups();
  readonly #story: (Found | OtherLine | Skipped)[] = [];
  readonly #origins = { varvel: 0, unknown: 0, forged: 0, unreadable: 0 };
  readonly #leftOut = {
    outsideRange: 0,
    undated: 0,
    otherApps: 0,
    again: 0,
    appLines: 0,
    cutLines: 0,
    instances: 0,
  };
  #looksLike: ReadLogLine['looksLike'];
  #range: TimeRange | undefined;
  #waiting: Entry[] = [];
  #waitingChars = 0;
  #before: OtherLine[] = [];
  #after = 0;
  #afterLabel: string | undefined;
  #appLines = 0;
  #chars = 0;
  #place = 0;
  #span: { firstMs: number; lastMs: number } | undefined;

  constructor(options: IncidentOptions) {
    this.#options = options;
    this.#groups = new Groups(options.knownRules);
    if (options.id === undefined) this.#range = options;
  }

  /** The next line of the log. Never throws. */
  line(raw: string): void {
    this.#place++;
    if (raw === '') return;
    const { from, sourceType } = this.#options;
    const line = readLogLine(raw, from, sourceType);
    this.#looksLike ??= line.looksLike;
    const entry = this.#entry(line, raw);
    if (this.#range === undefined) this.#wait(entry);
    else this.#take(entry, this.#range);
  }

  /**
   * Returns the incident; undefined if the detection of `id` is not in the log. `unread`: the log was longer than what was
   * read.
   */
  end(unread = false): Incident | undefined {
    if (this.#range === undefined) return undefined;
    this.#skip(this.#before.length);
    this.#before = [];
    return {
      lines: this.#place,
      ...this.#groups.all(),
      incidents: this.#incidents.all(),
      story: this.#story,
      instances: [...this.#instances.values()].map((instance) => ({
        ...instance,
        coverage: instance.coverage.sort((left, right) => left.atMs - right.atMs),
      })),
      origins: this.#origins,
      looksLike: this.#looksLike,
      leftOut: {
        ...this.#leftOut,
        ...this.#groups.leftOut,
        incidents: this.#incidents.leftOut,
        unread,
      },
      span: this.#span,
      undated: this.#clock.undated,
    };
  }

  #entry(line: ReadLogLine, raw: string): Entry {
    const found = foundIn(line, raw, this.#place, this.#clock);
    const undated = this.#clock.undated && found?.form === 'text';
    const chars = raw.length;
    if (found !== undefined) return { item: found, atMs: found.atMs, undated, chars };
    const whose = isForged(line) ? 'forged' : line.origin === 'varvel' ? 'agent' : 'app';
    const text = line.text.replaceAll('\t', '    ');
    const shown = text.length > MAX_APP_LINE_CHARS ? `${text.slice(0, MAX_APP_LINE_CHARS)}…` : text;
    const atMs = this.#clock.at(msOf(line.time)) ?? this.#clock.lastMs;
    return { item: { kind: 'line', whose, label: line.label, text: shown }, atMs, undated, chars };
  }

  /** Buffers the lines before the detection that the report is about, until it is found. */
  #wait(entry: Entry): void {
    const { item, atMs } = entry;
    this.#waiting.push(entry);
    this.#waitingChars += entry.chars;
    while (this.#waiting.length > MAX_WAITING || this.#waitingChars > MAX_ALL_CHARS) {
      this.#waitingChars -= this.#waiting.shift()?.chars ?? 0;
      this.#leftOut.outsideRange++;
    }
    if (item.kind !== 'found' || item.id !== this.#options.id || atMs === undefined) return;
    const { sinceMs, untilMs } = this.#options;
    this.#range = {
      sinceMs: Math.max(sinceMs ?? -Infinity, atMs - AROUND_MS),
      untilMs: Math.min(untilMs ?? Infinity, atMs + AROUND_MS),
    };
    for (const one of this.#waiting) this.#take(one, this.#range);
    this.#waiting = [];
  }

  #take({ item, atMs, undated }: Entry, { sinceMs, untilMs }: TimeRange): void {
    const limited = (sinceMs ?? untilMs) !== undefined;
    if (limited && undated && this.#options.id === undefined) {
      this.#leftOut.undated++;
      return;
    }
    const outside =
      limited &&
      (atMs === undefined || atMs < (sinceMs ?? -Infinity) || atMs > (untilMs ?? Infinity));
    if (outside) this.#leftOut.outsideRange++;
    else if (item.kind === 'found') this.#detection(item);
    else this.#line(item);
  }

  #detection(found: Found): void {
    const { app: wanted } = this.#options;
    const { app, id, origin, own, atMs } = found;
    if (wanted !== undefined && app?.['name'] !== wanted && app?.['guid'] !== wanted) {
      this.#leftOut.otherApps++;
      return;
    }
    if (id !== '' && this.#ids.get(id) === true) {
      this.#leftOut.again++;
      return;
    }
    if (id !== '') this.#ids.set(id, true);
    this.#origins[origin]++;
    this.#noteInstance(found);
    this.#span = {
      firstMs: Math.min(this.#span?.firstMs ?? Infinity, atMs),
      lastMs: Math.max(this.#span?.lastMs ?? -Infinity, atMs),
    };
    const shown = this.#groups.add(this.#cut(found));
    this.#incidents.add(found, shown !== undefined);
    if (shown === undefined) return;
    if (!own) this.#showContext(found);
    this.#story.push(shown);
  }

  #cut(found: Found): Found {
    const { raw } = found;
    const room = Math.min(MAX_RAW_CHARS, Math.max(0, MAX_ALL_CHARS - this.#chars));
    this.#chars += Math.min(raw.length, room);
    if (raw.length <= room) return found;
    this.#leftOut.cutLines++;
    return { ...found, raw: `${raw.slice(0, room)}…`, output: `${found.output.slice(0, room)}…` };
  }

  #noteInstance(found: Found): void {
    const { app, hostname, container, seq } = found;
    const key = instanceKey(found);
    let instance = this.#instances.get(key);
    if (instance === undefined) {
      if (this.#instances.size === MAX_INSTANCES) {
        this.#leftOut.instances++;
        return;
      }
      const numbers = new NumberRanges();
      const lost: readonly NumberRange[] = [];
      const containers = new Set<string>();
      instance = { app, hostname, containers, numbers, lost, coverage: [], unwatched: [] };
      this.#instances.set(key, instance);
    }
    if (container !== undefined && instance.containers.size < MAX_CONTAINERS)
      instance.containers.add(container);
    if (seq > 0) instance.numbers.add(seq);
    for (const range of lostIn(found))
      instance.lost = withRange(instance.lost, range, MAX_LOST_NUMBERS);
    const coverage = coverageOf(found);
    if (coverage?.lastLine !== undefined) instance.numbers.tell(coverage.lastLine);
    if (coverage !== undefined && instance.coverage.length < MAX_COVERAGE)
      instance.coverage.push(coverage);
    const unwatched = unwatchedOf(found);
    if (unwatched !== undefined && instance.unwatched.length < MAX_COVERAGE)
      instance.unwatched.push(unwatched);
  }

  #line(line: OtherLine): void {
    if (line.whose === 'forged') this.#origins.forged++;
    if (line.whose === 'agent') this.#origins.unreadable++;
    const follows = this.#after > 0 && this.#belongs(line, this.#afterLabel);
    if (follows || line.whose !== 'app') {
      if (follows) this.#after--;
      this.#show(line);
      return;
    }
    this.#before.push(line);
    if (this.#before.length > LINES_BEFORE) {
      this.#before.shift();
      this.#skip(1);
    }
  }

  #showContext({ label }: Found): void {
    for (const line of this.#before) {
      if (this.#belongs(line, label)) this.#show(line);
      else this.#skip(1);
    }
    this.#before = [];
    this.#after = LINES_AFTER;
    this.#afterLabel = label;
  }

  /** Where several containers write into one log, each line has its container's name before it. */
  #belongs(line: OtherLine, label: string | undefined): boolean {
    return line.label === label || line.label?.includes('/') !== false;
  }

  #show(line: OtherLine): void {
    if (this.#appLines === MAX_APP_LINES) {
      this.#skip(1);
      return;
    }
    this.#appLines++;
    this.#story.push(line);
  }

  #skip(count: number): void {
    if (count === 0) return;
    this.#leftOut.appLines += count;
    const last = this.#story.at(-1);
    if (last?.kind === 'skipped')
      this.#story[this.#story.length - 1] = { kind: 'skipped', count: last.count + count };
    else this.#story.push({ kind: 'skipped', count });
  }
}

function lostIn({ own, rule, fields }: Found): readonly NumberRange[] {
  if (!own || rule !== LOST_RULE) return [];
  return parseRanges(fields['lost.numbers'], MAX_LOST_RANGES) ?? [];
}

/** Key of the unit that numbers lines: an app instance on a host. */
export function instanceKey({ app, hostname }: Pick<Found, 'app' | 'hostname'>): string {
  return JSON.stringify([app?.['guid'], app?.['name'], app?.['instance'], hostname]);
}
