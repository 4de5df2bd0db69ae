import type { Found } from '../found.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import type { Incident, RuleGroup } from './incident.ts';
import { anchorOf, chip, counted, severityOf, Times } from './parts.ts';
import type { Severity } from './parts.ts';

/** Rules that have a lane; the most severe ones. */
const MAX_LANES = 40;
/** Detections of a lane that are nearer to each other are one mark. */
const STEPS = 90;
const MAX_TICKS = 4;
/** Distances of ticks, ms. */
const DISTANCES = [
  1,
  5,
  10,
  50,
  100,
  200,
  500,
  ...[1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800].map((seconds) => seconds * 1000),
  ...[1, 2, 3, 6, 12, 24, 48, 168].map((hours) => hours * 3_600_000),
];

/** What is drawn from left to right. */
interface Scale {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A lane for each rule, marks where it fired; each mark leads to its line. */
export function timelineSection(incident: Incident): Html {
  const times = new Times(incident.undated);
  const scale = scaleOf(incident);
  if (scale === undefined) {
    return html`<h2 id="time">Timeline</h2>
      <p>There is nothing to draw.</p>`;
  }
  const lanes = incident.groups.slice(0, MAX_LANES);
  const ticks = ticksOf(scale);
  const inRange = incident.notices.flatMap(({ shown }) =>
    shown.filter(({ atMs }) => atMs >= scale.fromMs && atMs <= scale.toMs),
  );
  const left = incident.groups.length - lanes.length;
  return html`<h2 id="time">Timeline</h2>
    <figure class="card">
      <figcaption>
        ${times.span(scale.fromMs, scale.toMs)} UTC. A larger mark is more than one detection.
      </figcaption>
      ${axis(ticks, scale, times)}
      ${lanes.map((group, index) => ruleLane(group, index, ticks, scale, times))}
      ${inRange.length === 0 ? undefined : noticeLane(inRange, ticks, scale, times)}
      ${left === 0 ? undefined : html`<p class="meta">${counted(left, 'less severe rule')} not drawn.</p>`}
    </figure>`;
}

function scaleOf({ groups, span }: Incident): Scale | undefined {
  if (span === undefined) return undefined;
  const firstMs =
    groups.length === 0 ? span.firstMs : Math.min(...groups.map(({ first }) => first.atMs));
  const lastMs =
    groups.length === 0 ? span.lastMs : Math.max(...groups.map(({ last }) => last.atMs));
  const margin = Math.max(500, (lastMs - firstMs) / 25);
  return { fromMs: firstMs - margin, toMs: lastMs + margin };
}

function ticksOf({ fromMs, toMs }: Scale): number[] {
  const distance =
    DISTANCES.find((one) => (toMs - fromMs) / one <= MAX_TICKS) ?? (toMs - fromMs) / MAX_TICKS;
  const ticks: number[] = [];
  for (let at = Math.ceil(fromMs / distance) * distance; at <= toMs; at += distance) ticks.push(at);
  return ticks.slice(0, MAX_TICKS + 1);
}

/** In per cent of the width, within it: a mark at the edge is whole. */
function placeOf(ms: number, { fromMs, toMs }: Scale): string {
  const share = (ms - fromMs) / (toMs - fromMs);
  return `${(2 + Math.min(Math.max(share, 0), 1) * 96).toFixed(2)}%`;
}

function axis(ticks: readonly number[], scale: Scale, times: Times): Html {
  const long = scale.toMs - scale.fromMs > 2 * 86_400_000;
  const labels = ticks.map((ms) => {
    const text = long ? (times.day(ms) ?? times.short(ms)).slice(5) : times.short(ms);
    const fraction = ms % 1000 === 0 ? '' : times.clock(ms).slice(8).replace(/0+$/, '');
    const x = placeOf(ms, scale);
    const share = Number.parseFloat(x);
    const anchor = share < 12 ? 'start' : share > 88 ? 'end' : 'middle';
    return html`<text x="${x}" y="14" text-anchor="${anchor}">${text}${fraction}</text>`;
  });
  return html`<svg height="20" aria-hidden="true">${labels}</svg>`;
}

function ruleLane(
  { rule, priority, count, shown }: RuleGroup,
  index: number,
  ticks: readonly number[],
  scale: Scale,
  times: Times,
): Html {
  return html`<div class="lane">
    <div class="row">
      ${chip(priority)} <a class="name" href="#r${index}">${rule}</a>
      <span class="count">× ${count}</span>
    </div>
    ${drawn(shown, severityOf(priority), ticks, scale, times)}
  </div>`;
}

function noticeLane(
  found: readonly Found[],
  ticks: readonly number[],
  scale: Scale,
  times: Times,
): Html {
  return html`<div class="lane">
    <div class="row">
      <span class="name muted">What the agent said of itself</span>
      <span class="count">× ${found.length}</span>
    </div>
    ${drawn(found, 'info', ticks, scale, times)}
  </div>`;
}

function drawn(
  found: readonly Found[],
  severity: Severity,
  ticks: readonly number[],
  scale: Scale,
  times: Times,
): Html {
  const grid = ticks.map((ms) => {
    const x = placeOf(ms, scale);
    return html`<line class="grid" x1="${x}" x2="${x}" y1="0" y2="28"></line>`;
  });
  const marks = marksOf(found, scale).map(({ first, count }) => {
    const said = `${counted(count, 'detection')} at ${times.clock(first.atMs)}`;
    const radius = Math.min(10, 5 + Math.log2(count)).toFixed(1);
    return html`<a href="#${anchorOf(first)}" aria-label="${said}"
      ><circle class="mark ${severity}" cx="${placeOf(first.atMs, scale)}" cy="14" r="${radius}">
        <title>${said}</title>
      </circle></a
    >`;
  });
  return html`<svg height="28">
    ${grid}
    <line class="base" x1="0" x2="100%" y1="14" y2="14"></line>
    ${marks}
  </svg>`;
}

function marksOf(found: readonly Found[], scale: Scale): { first: Found; count: number }[] {
  const step = (scale.toMs - scale.fromMs) / STEPS;
  const marks: { first: Found; count: number }[] = [];
  for (const one of [...found].sort((left, right) => left.atMs - right.atMs)) {
    const last = marks.at(-1);
    if (last !== undefined && one.atMs - last.first.atMs < step) last.count++;
    else marks.push({ first: one, count: 1 });
  }
  return marks;
}
