import type { Priority } from '../../rules/detection.ts';
import { escapeText } from '../../streams/escape.ts';
import type { Found } from '../found.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

// Small parts that several sections have.

/** A word of the style sheet for a priority. */
export type Severity = 'critical' | 'error' | 'warning' | 'notice' | 'info';

const SEVERITIES: Readonly<Record<Priority, Severity>> = {
  Emergency: 'critical',
  Alert: 'critical',
  Critical: 'critical',
  Error: 'error',
  Warning: 'warning',
  Notice: 'notice',
  Informational: 'info',
  Debug: 'info',
};

export const severityOf = (priority: Priority): Severity => SEVERITIES[priority];

/** The priority as a coloured word, with a number if there is one. */
export function chip(priority: Priority, count?: number): Html {
  const word = priority === 'Informational' ? 'Info' : priority;
  const number = count === undefined ? undefined : html` <b>${count}</b>`;
  return html`<span class="chip ${severityOf(priority)}">${word}${number}</span>`;
}

/** Where a detection stands on the page. */
export const anchorOf = ({ place }: Found): string => `l${place}`;

/** How times are shown: UTC, with the date where the log tells it. */
export class Times {
  readonly #undated: boolean;

  constructor(undated: boolean) {
    this.#undated = undated;
  }

  clock(ms: number): string {
    return iso(ms).slice(11, 23);
  }

  short(ms: number): string {
    return iso(ms).slice(11, 19);
  }

  day(ms: number): string | undefined {
    return this.#undated ? undefined : iso(ms).slice(0, 10);
  }

  /** With the date, to the second. */
  full(ms: number): string {
    const day = this.day(ms);
    return day === undefined ? this.short(ms) : `${day} ${this.short(ms)}`;
  }

  /** The same, not naming a day twice. */
  span(fromMs: number, toMs: number): string {
    if (this.full(fromMs) === this.full(toMs)) return this.full(fromMs);
    const to = this.day(fromMs) === this.day(toMs) ? this.short(toMs) : this.full(toMs);
    return `${this.full(fromMs)} – ${to}`;
  }
}

/** The furthest moments that a Date can hold; a log may claim any. */
const MAX_MS = 253_402_300_799_999;

function iso(ms: number): string {
  return new Date(Math.min(Math.max(Math.floor(ms), 0), MAX_MS)).toISOString();
}

/** `0.97 s`, `12 s`, `4 min 10 s`, `3 h 5 min`, `2 d 1 h`. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(2).replace(/\.?0+$/, '')} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
  if (whole < 3600) return two(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(seconds / 3600);
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** The same with its sign, for a moment before or after another. */
export function signed(ms: number): string {
  return ms < 0 ? `−${duration(-ms)}` : `+${duration(ms)}`;
}

/** `1 line`, `2 lines`; thousands apart. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${numbered(count)} ${count === 1 ? one : many}`;
}

export const numbered = (count: number): string => count.toLocaleString('en-GB');

/** `shop/0`. */
export function nameOf(app: Found['app']): string {
  if (app === undefined) return 'no app';
  const { name = app['guid'] ?? '?', instance } = app;
  return escapeText(instance === undefined ? name : `${name}/${instance}`);
}

const TECHNIQUE = /^T(\d{4})(?:\.(\d{3}))?$/;

/** MITRE ATT&CK techniques as links, other tags as words. */
export function tagList(tags: readonly string[]): Html[] {
  return [...new Set(tags)].slice(0, 20).map((tag) => {
    const [, technique, sub] = TECHNIQUE.exec(tag) ?? [];
    if (technique === undefined)
      return html`<span class="tag"
        >${escapeText(tag.replace(/^mitre_/, '').replaceAll('_', ' '))}</span
      > `;
    const path = sub === undefined ? `T${technique}` : `T${technique}/${sub}`;
    return html`<a class="tag" rel="noreferrer" href="https://attack.mitre.org/techniques/${path}/"
      >${tag}</a
    > `;
  });
}
