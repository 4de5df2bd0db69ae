import { html } from './html.ts';
import type { Html } from './html.ts';
import { countsOf } from './incident.ts';
import type { Incident } from './incident.ts';
import { checksOf } from './log-section.ts';
import { chip, counted, duration, nameOf, Times } from './parts.ts';

/** Apps and places that are named in the head; the others are counted. */
const MAX_NAMED = 3;

/** The names of the apps. */
export function titleOf({ instances }: Incident): string {
  return listed(
    instances.map(({ app }) => nameOf(app?.['name'] === undefined ? app : { name: app['name'] })),
  );
}

/** The first thing that is read: how bad, when, where, and whether to be careful with it. */
export function headSection(incident: Incident, subject: string): Html {
  const times = new Times(incident.undated);
  const { groups } = incident;
  const [worst] = groups;
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  const firstMs = Math.min(...groups.map(({ first }) => first.atMs));
  const lastMs = Math.max(...groups.map(({ last }) => last.atMs));
  const of = incident.incidents.length;
  const incidents =
    of === 0 ? undefined : html` in <a href="#incidents">${counted(of, 'incident')}</a>`;
  const earliest = groups.find(({ first }) => first.atMs === firstMs);
  const began =
    earliest === undefined || earliest === worst
      ? undefined
      : html`It began with <a href="#r${groups.indexOf(earliest)}">${earliest.rule}</a>.`;
  const lead =
    worst === undefined
      ? html`Nothing was detected in this part of the log.`
      : html`<b>${counted(total, 'detection')}</b> of ${counted(groups.length, 'rule')}${incidents}
          in ${duration(lastMs - firstMs)}. ${began} Most severe: <a href="#r0">${worst.rule}</a>.`;
  const cautions = checksOf(incident).filter(({ good }) => !good).length;
  return html`<header>
    <p class="kicker">Varvel incident report</p>
    <h1>${subject === '' ? 'No app' : subject}</h1>
    <div class="row">
      ${countsOf(groups).map(({ priority, count }) => html`${chip(priority, count)} `)}
    </div>
    <p class="lead">${lead}</p>
    ${worst === undefined ? undefined : html`<p><time>${times.span(firstMs, lastMs)} UTC</time></p>`}
    <p class="muted">${whereOf(incident)}</p>
    ${
      cautions === 0
        ? undefined
        : html`<p class="caution">
            <b>!</b> <a href="#log">${counted(cautions, 'reason')} to be careful with this log</a>
          </p>`
    }
    <nav>
      ${worst === undefined ? undefined : html`<a href="#processes">What happened</a>`}${of === 0 ? undefined : html`<a href="#incidents">Incidents</a>`}<a
        href="#fired"
        >What fired</a
      ><a href="#time">Timeline</a><a href="#log">This log</a><a href="#lines">Lines</a
      ><a href="#reading">How to read this</a>
    </nav>
  </header>`;
}

function whereOf({ instances }: Incident): string {
  const of = (what: string, values: readonly (string | undefined)[]): string[] => {
    const known = values.filter((value) => value !== undefined && value !== '') as string[];
    return known.length === 0 ? [] : [`${what} ${listed(known)}`];
  };
  const app = (key: string): (string | undefined)[] => instances.map((one) => one.app?.[key]);
  return [
    ...of('instance', app('instance')),
    ...of('space', app('space')),
    ...of('org', app('org')),
    ...of(
      'container',
      instances.flatMap(({ containers }) => [...containers]),
    ),
    ...of(
      'host',
      instances.map(({ hostname }) => hostname),
    ),
  ].join(' · ');
}

function listed(values: readonly string[]): string {
  const all = [...new Set(values)];
  const more = all.length > MAX_NAMED ? ` and ${all.length - MAX_NAMED} more` : '';
  return `${all.slice(0, MAX_NAMED).join(', ')}${more}`;
}
