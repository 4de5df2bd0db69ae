import { escapeText } from '../../streams/escape.ts';
import type { Found } from '../found.ts';
import { withoutRule } from './fact.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import type { Incident, OtherLine } from './incident.ts';
import { anchorOf, chip, counted, nameOf, severityOf, signed, Times } from './parts.ts';

/** Detections of one rule in a row are folded from so many on. */
const MIN_FOLDED = 4;

/** The lines themselves, in the log's order, with the app's own around them. */
export function storySection(incident: Incident): Html {
  const times = new Times(incident.undated);
  const startMs = Math.min(...incident.groups.map(({ first }) => first.atMs));
  return html`<h2 id="lines">The lines</h2>
    <ol class="story">
      ${runsOf(incident.story).map((run) => html`<li>${runParts(run, startMs, times)}</li>`)}
    </ol>`;
}

type Item = Incident['story'][number];

/** Detections of one rule with nothing between them, together. */
function runsOf(story: readonly Item[]): Item[][] {
  const runs: Item[][] = [];
  for (const item of story) {
    const run = runs.at(-1);
    const [before] = run ?? [];
    const same =
      item.kind === 'found' &&
      before?.kind === 'found' &&
      item.rule === before.rule &&
      item.own === before.own;
    if (run !== undefined && same) run.push(item);
    else runs.push([item]);
  }
  return runs;
}

function runParts(run: readonly Item[], startMs: number, times: Times): Html {
  const parts = run.map((item) => itemOf(item, startMs, times));
  const [first] = run;
  const last = run.at(-1);
  if (run.length < MIN_FOLDED || first?.kind !== 'found' || last?.kind !== 'found')
    return html`${parts}`;
  return html`${parts.slice(0, 1)}
    <details class="same">
      <summary>
        ${run.length - 1} more lines of ${first.rule}, until ${times.clock(last.atMs)}
      </summary>
      ${parts.slice(1)}
    </details>`;
}

function itemOf(item: Item, startMs: number, times: Times): Html {
  switch (item.kind) {
    case 'skipped':
      return html`<p class="skipped">
        ${counted(item.count, 'line')} of the app’s own left out here
      </p>`;
    case 'line':
      return otherLine(item);
    case 'found':
      return detection(item, startMs, times);
  }
}

function otherLine({ whose, label, text }: OtherLine): Html {
  const mark = {
    app: undefined,
    agent: html`<b>of the agent, not readable: </b>`,
    forged: html`<b>not Varvel’s, though it looks so: </b>`,
  }[whose];
  const who = label === undefined ? undefined : html`${escapeText(label)} `;
  return html`<p class="app">${who}${mark}<span class="mono">${text}</span></p>`;
}

function detection(found: Found, startMs: number, times: Times): Html {
  const { priority, rule, own, atMs, output, app, seq, id, origin, form, raw, hostname } = found;
  const { incident } = found;
  const offset = own || atMs === startMs ? undefined : html` (${signed(atMs - startMs)})`;
  const day = times.day(atMs);
  const who =
    origin === 'varvel'
      ? 'The agent’s line, as the log system says.'
      : 'This log does not say who wrote this line.';
  const written = form === 'falco' ? 'Written as Falco writes it.' : undefined;
  return html`<article
    class="hit edge ${severityOf(priority)}${own ? ' own' : ''}"
    id="${anchorOf(found)}"
  >
    <div class="row">
      ${chip(priority)}
      <h3>${rule}</h3>
      <time>${times.clock(atMs)}${offset}</time>
    </div>
    <p class="what mono">${withoutRule(output, rule)}</p>
    <details>
      <summary>${nameOf(app)}${seq > 0 ? ` #${seq}` : undefined}; the whole line</summary>
      <p class="meta">
        ${who} ${written} ${day === undefined ? undefined : `${day}.`}
        ${hostname === '' ? undefined : `Host ${escapeText(hostname)}.`}
        ${id === '' ? undefined : `Id ${escapeText(id)}.`}
        ${incident === undefined ? undefined : `Incident ${escapeText(incident)}.`} Line
        ${found.place} of the log.
      </p>
      <pre>${raw}</pre>
    </details>
  </article>`;
}
