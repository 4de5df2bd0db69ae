import { createHash } from 'node:crypto';
import { escapeText } from '../../streams/escape.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import type { Found } from '../found.ts';
import { beginnings, originText } from './beginnings.ts';
import type { Incident } from './incident.ts';
import { anchorOf, counted, nameOf, severityOf, Times } from './parts.ts';
import { processForest } from './process-forest.ts';
import type { ProcessNode, ProcessTree } from './process-forest.ts';

/** Deeper levels are not indented any more: a phone has no room for them. */
const MAX_INDENT = 12;
/** Deeper levels are not nested at all: browsers limit the depth. */
const MAX_DEPTH = 100;
/** Detections of one process that are named. */
const MAX_HITS = 12;
/** Equal processes are merged from this count on. */
const ALIKE = 3;
const MAX_COMMAND_CHARS = 400;

/** What happened: how each incident began, who started whom, and what was detected in each; nothing without a detection. */
export function treeSection(incident: Incident): Html | undefined {
  if (incident.groups.length === 0) return undefined;
  const times = new Times(incident.undated);
  const forest = processForest(incident.groups.flatMap(({ shown }) => shown).sort(byPlace));
  const { trees, untold, leftOut, byName } = forest;
  return html`<h2 id="processes">What happened</h2>
    ${beginnings(incident, times)}
    ${trees.length === 0 ? undefined : trees.map((tree) => treeCard(tree, times))}
    ${
      byName
        ? html`<p class="muted">
            Some lines name processes without their numbers (they are of an older agent, or
            Falco’s): two of the same name in the same place are drawn as one.
          </p>`
        : undefined
    }
    ${
      untold.length > 0
        ? html`<p class="muted">
            Of ${counted(untold.length, 'detection')} the line does not tell the process, so that
            nobody knows here where in the tree it belongs.
          </p>`
        : undefined
    }
    ${
      leftOut > 0
        ? html`<p class="muted">
            ${counted(leftOut, 'detection')} of more than 1,000 processes not drawn.
          </p>`
        : undefined
    }`;
}

const byPlace = (left: Found, right: Found): number => left.place - right.place;

function treeCard({ app, hostname, roots }: ProcessTree, times: Times): Html {
  const host = hostname === '' ? '' : ` on ${escapeText(hostname)}`;
  return html`<figure class="card">
    <figcaption>${nameOf(app)}${host}: who started whom, from the top</figcaption>
    <ul class="tree">
      ${roots.map((root) => html`<li>${aboveOf(root)}${nodeParts(root, 0, times)}</li>`)}
    </ul>
  </figure>`;
}

function aboveOf({ above, origins, pid }: ProcessNode): Html {
  const [origin] = origins.size === 1 ? origins : [];
  return html`<div class="origin">${originText(above, origin, pid)}</div>`;
}

function nodeParts(node: ProcessNode, depth: number, times: Times): Html {
  return html`${processLine(node)}${hits(node, times)}${childList(node, depth, times)}`;
}

function processLine({ names, pid, commands, exe }: ProcessNode): Html {
  const name = names.map(escapeText).join(' → ');
  const number = pid === undefined ? undefined : html`<span class="num muted">pid ${pid}</span>`;
  const shown = commands.map((command) => html`<code>${short(command)}</code>`);
  const file =
    exe === undefined || commands.length === 0 ? undefined : html`<code>(${short(exe)})</code>`;
  return html`<div class="proc"><span class="name">${name}</span> ${number} ${shown} ${file}</div>`;
}

function short(text: string): string {
  const cut = text.length > MAX_COMMAND_CHARS ? `${text.slice(0, MAX_COMMAND_CHARS)}…` : text;
  return escapeText(cut);
}

function hits({ found }: ProcessNode, times: Times): Html | undefined {
  if (found.length === 0) return undefined;
  const more = found.length - MAX_HITS;
  return html`<ul class="hits">
    ${found
      .slice(0, MAX_HITS)
      .map(
        (one) =>
          html`<li>
            <span class="dot ${severityOf(one.priority)}"></span
            ><a href="#${anchorOf(one)}">${one.rule}</a> <time>${times.clock(one.atMs)}</time>
          </li>`,
      )}
    ${more > 0 ? html`<li class="muted">and ${more} more</li>` : undefined}
  </ul>`;
}

function childList(node: ProcessNode, depth: number, times: Times): Html | undefined {
  if (node.children.length === 0) return undefined;
  if (depth === MAX_DEPTH)
    return html`<p class="muted">Its descendants are not drawn: too many levels.</p>`;
  const groups = alike(node.children);
  return html`<ul class="${depth >= MAX_INDENT ? 'deep' : 'level'}">
    ${groups.map(([first, ...others]) => {
      if (first === undefined) return html``;
      const item = (one: ProcessNode): Html => html`<li>${nodeParts(one, depth + 1, times)}</li>`;
      if (others.length + 1 < ALIKE) return html`${[first, ...others].map(item)}`;
      return html`${item(first)}
        <li class="like">${others.length} more like the one above: ${pidsOf(others)}</li>`;
    })}
  </ul>`;
}

function pidsOf(nodes: readonly ProcessNode[]): string {
  const pids = nodes.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  if (pids.length === 0) return 'their numbers are not known';
  return `pid ${pids.slice(0, 30).join(', ')}${pids.length > 30 ? ', …' : ''}`;
}

/** Children that ran the same, with the same found and the same below them, together. */
function alike(nodes: readonly ProcessNode[]): ProcessNode[][] {
  const groups = new Map<string, ProcessNode[]>();
  for (const node of nodes) {
    const key = shapeOf(node, 0);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [node]);
    else group.push(node);
  }
  return [...groups.values()];
}

function shapeOf({ names, commands, found, children }: ProcessNode, depth: number): string {
  const below = depth === MAX_DEPTH ? [] : children.map((child) => shapeOf(child, depth + 1));
  const shape = JSON.stringify([names, commands, found.map(({ rule }) => rule), below]);
  return createHash('sha256').update(shape).digest('base64');
}
