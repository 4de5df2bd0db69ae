import { PRIORITIES } from '../../rules/detection.ts';
import type { Origin } from '../../rules/lineage.ts';
import { escapeText } from '../../streams/escape.ts';
import type { Found } from '../found.ts';
import type { ReadLineage } from '../read-detection.ts';
import { instanceKey } from './collector.ts';
import { factOf } from './fact.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import type { Incident } from './incident.ts';
import { anchorOf, chip, counted, nameOf, signed, Times } from './parts.ts';

/** Incidents whose beginning is told, the most severe ones; the others are counted. */
const MAX_TOLD = 5;

/** What an incident began with, and the worst that came of it. */
export interface Beginning {
  readonly first: Found;
  /** The most severe of its lines; of one priority, the earliest. */
  readonly worst: Found;
  /** It has no other line here. */
  readonly alone: boolean;
}

/**
 * The beginning of each incident, and of the lines without one in each app instance: the earliest line first. Of the lines
 * that are shown; a rule's very first counts too.
 */
export function beginningsOf({ groups }: Pick<Incident, 'groups'>): readonly Beginning[] {
  const all = new Set(groups.flatMap(({ first, shown }) => [first, ...shown]));
  const byCause = new Map<string, Beginning>();
  for (const found of [...all].sort(byTime)) {
    const key = JSON.stringify([instanceKey(found), found.incident]);
    const known = byCause.get(key);
    if (known === undefined) {
      byCause.set(key, { first: found, worst: found, alone: true });
      continue;
    }
    const worst = severity(found) < severity(known.worst) ? found : known.worst;
    byCause.set(key, { first: known.first, worst, alone: false });
  }
  return [...byCause.values()];
}

const byTime = (one: Found, other: Found): number =>
  one.atMs - other.atMs || one.place - other.place;
const severity = ({ priority }: Found): number => PRIORITIES.indexOf(priority);

/** How each incident began, before the worst of it. */
export function beginnings(incident: Incident, times: Times): Html {
  const all = beginningsOf(incident);
  const told = [...all]
    .sort((one, other) => severity(one.worst) - severity(other.worst))
    .slice(0, MAX_TOLD)
    .sort((one, other) => byTime(one.first, other.first));
  const shown = new Set(incident.groups.flatMap((group) => group.shown));
  const more = all.length - told.length;
  return html`${told.map((one) => card(one, shown, times))}
  ${
    more === 0
      ? undefined
      : html`<p class="muted">
          How ${counted(more, 'less severe incident')} began is not told here: the lines below tell
          it.
        </p>`
  }`;
}

function card({ first, worst, alone }: Beginning, shown: ReadonlySet<Found>, times: Times): Html {
  const { app, incident, lineage } = first;
  const named = incident === undefined ? '' : `, incident ${escapeText(incident)}`;
  const label = first === worst && !alone ? 'The way in, and the most severe line' : 'The way in';
  const later = html`<time>${times.clock(worst.atMs)} (${signed(worst.atMs - first.atMs)})</time>`;
  return html`<section class="card">
    <p class="meta">${nameOf(app)}${named}</p>
    <ol class="steps">
      ${step(label, first, html`<time>${times.clock(first.atMs)}</time>`, shown)}
      ${first === worst ? undefined : step('The most severe line', worst, later, shown)}
    </ol>
    <p class="muted"><em>From:</em> ${cameFrom(lineage)}</p>
  </section>`;
}

function step(label: string, found: Found, time: Html, shown: ReadonlySet<Found>): Html {
  const { rule, priority } = found;
  const name = shown.has(found) ? html`<a href="#${anchorOf(found)}">${rule}</a>` : html`${rule}`;
  return html`<li>
    <b>${label}</b>
    <div class="row">${chip(priority)} <span>${name}</span> ${time}</div>
    <p class="fact">${factOf(found)}</p>
  </li>`;
}

/** The processes of the first line, the oldest first, and how the oldest came into the container. */
function cameFrom(lineage: ReadLineage | undefined): Html {
  if (lineage === undefined) return html`its line does not tell the process.`;
  const { processes, above, origin } = lineage;
  const oldest = processes.at(-1);
  const chain = [...processes]
    .reverse()
    .map(({ name, pid }) => (pid === 0 ? escapeText(name) : `${escapeText(name)} (${pid})`))
    .join(' → ');
  return html`${originText(above, origin, oldest?.pid)}. <span class="mono">${chain}</span>`;
}

const ABOVE: Readonly<Record<ReadLineage['above'], string>> = {
  outside: 'Started from outside of the container: its first process, or an exec or ssh into it',
  more: 'There are older ancestors, which the lines do not tell',
  unknown: 'What started it is not known',
};

const ORIGIN: Readonly<Record<Origin, string>> = {
  start: 'Started with the container, by its runtime or the platform',
  exec: 'Put into the container later, by exec from outside (docker exec, kubectl exec; a probe or a hook of the kubelet)',
  ssh: 'Somebody logged in by cf ssh',
  probe: 'A health check, started by the runtime or the platform',
};

const FIRST = 'The container’s first process, started by its runtime';

/** How the oldest process of a lineage came into the container: a sentence without its end. */
export function originText(
  above: ReadLineage['above'],
  origin: Origin | undefined,
  pid: number | undefined,
): string {
  // Not told where no container runtime made the cgroup.
  const known = origin ?? (above === 'outside' && pid === 1 ? 'start' : undefined);
  if (known === undefined) return ABOVE[above];
  const older = above === 'more' ? `${ABOVE.more}. ` : '';
  return `${older}${known === 'start' && pid === 1 ? FIRST : ORIGIN[known]}`;
}
