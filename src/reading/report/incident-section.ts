import { escapeText } from '../../streams/escape.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import type { Incident } from './incident.ts';
import type { IncidentGroup } from './incident-groups.ts';
import { anchorOf, chip, counted, duration, nameOf, severityOf, Times } from './parts.ts';

/** Rules of an incident that are named; the others are counted. */
const MAX_NAMED = 12;

/** What belongs together, as the agent says; nothing where no line names an incident. */
export function incidentSection(incident: Incident): Html | undefined {
  const { incidents } = incident;
  if (incidents.length === 0) return undefined;
  const times = new Times(incident.undated);
  const cards = new Map(incident.groups.map(({ rule }, index) => [rule, `r${index}`]));
  return html`<h2 id="incidents">Incidents</h2>
    <p class="muted">
      Lines of one process, what it started and what started it: one cause, as the agent says.
    </p>
    ${incidents.map((one) => card(one, cards, times))}`;
}

function card(
  { id, app, priority, count, firstMs, lastMs, first, rules }: IncidentGroup,
  cards: ReadonlyMap<string, string>,
  times: Times,
): Html {
  const named = [...rules].slice(0, MAX_NAMED);
  const more = rules.size - named.length;
  const items = named.map(([rule, lines]) => {
    const to = cards.get(rule);
    const name = to === undefined ? html`${rule}` : html`<a href="#${to}">${rule}</a>`;
    return html`<li>${name} × ${lines}</li>`;
  });
  return html`<section class="card edge ${severityOf(priority)}">
    <div class="row">
      ${chip(priority)}
      <h3>${nameOf(app)}</h3>
      <span class="count">${counted(count, 'line')}</span>
    </div>
    <p class="meta">
      Incident ${escapeText(id)}, <time>${times.clock(firstMs)} – ${times.clock(lastMs)}</time>
      (${duration(lastMs - firstMs)})
      ${first === undefined ? undefined : html`<a href="#${anchorOf(first)}">first line</a>`}
    </p>
    <ul class="notices">
      ${items} ${more > 0 ? html`<li class="muted">and ${more} more rules</li>` : undefined}
    </ul>
  </section>`;
}
