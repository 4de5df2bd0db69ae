import { RUNBOOK_PAGE, silenceText, tellText } from '../../rules/loader/runbook.ts';
import type { RunbookEntry } from '../../rules/loader/runbook.ts';
import { factOf } from './fact.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import type { Incident, RuleGroup } from './incident.ts';
import { anchorOf, chip, counted, duration, nameOf, severityOf, tagList, Times } from './parts.ts';
import type { RuleGuide } from './rule-guide.ts';

/** Each rule that fired: what its first line is about, why it matters, what to do. */
export function firedSection(incident: Incident, guide: RuleGuide): Html {
  const times = new Times(incident.undated);
  const { groups } = incident;
  const body =
    groups.length === 0
      ? html`<p>No rule fired. Whether that means something, the coverage below says.</p>`
      : html`${groups.map((group, index) => ruleCard(group, index, guide, times))}`;
  const hasRunbook = groups.some(({ rule }) => guide.get(rule)?.runbook !== undefined);
  return html`<h2 id="fired">What fired</h2>
    ${hasRunbook ? html`<p class="muted">${RUNBOOK_PAGE}</p>` : undefined} ${body}`;
}

function ruleCard(group: RuleGroup, index: number, guide: RuleGuide, times: Times): Html {
  const { rule, priority, count, first, last, tags, shown } = group;
  const advice = guide.get(rule);
  const apps = [...new Set(shown.map(({ app }) => nameOf(app)))];
  const when =
    count === 1
      ? html`<time>${times.clock(first.atMs)}</time>`
      : html`<time>${times.clock(first.atMs)} – ${times.clock(last.atMs)}</time>
          (${duration(last.atMs - first.atMs)})`;
  return html`<section class="card edge rule ${severityOf(priority)}" id="r${index}">
    <div class="row">
      ${chip(priority)}
      <h3>${rule}</h3>
      <span class="count">× ${count}</span>
    </div>
    <p class="meta">
      ${when}
      ${apps.length > 1 ? html`in ${counted(apps.length, 'app instance')} ` : undefined}${shown[0] === undefined ? undefined : html`<a href="#${anchorOf(shown[0])}">first line</a>`}
    </p>
    <p class="fact">
      ${factOf(first)}${count === 1 ? undefined : html` <span class="muted">(its first line)</span>`}
    </p>
    ${adviceOf(advice)}
    ${tags.length === 0 ? undefined : html`<p class="meta">${tagList(tags)}</p>`}
  </section>`;
}

function adviceOf(advice: ReturnType<RuleGuide['get']>): Html {
  if (advice === undefined)
    return html`<p class="muted">
      This rule is not among those that this varvel comes with, so that what it is for is not known
      here: it is an operator’s, an app’s or Falco’s, of another version, or made up where an app
      can print lines. Name its file with --rules.
    </p>`;
  const { why, runbook, todo } = advice;
  if (runbook !== undefined)
    return html`<p>${why}</p>
      ${runbookParts(runbook)}`;
  return html`<p>${why}</p>
    ${
      todo === undefined
        ? html`<p class="muted">It has no runbook, and its description does not say what to do.</p>`
        : html`<div class="call"><b>What to do now</b>${todo}</div>`
    }`;
}

/** The runbook's entry, in the order in which somebody acts; what helps to judge is folded. */
function runbookParts(entry: RunbookEntry): Html {
  const { means, look, benign, attack, contain, rotate, keep } = entry;
  const steps: readonly (readonly [heading: string, text: string | undefined])[] = [
    ['Keep', keep],
    ['Contain', contain],
    ['Rotate', rotate],
    ['Tell', tellText(entry)],
  ];
  return html`<div class="call">
      <b>What to do now</b>
      <p>${prose(means)}</p>
      <p>Look first at:</p>
      <ol>
        ${look.map((text) => html`<li>${prose(text)}</li>`)}
      </ol>
      ${steps.map(([heading, text]) => (text === undefined ? html`` : html`<p><em>${heading}:</em> ${prose(text)}</p>`))}
    </div>
    <details>
      <summary>Benign, or an attack? How to silence it</summary>
      <p><em>Benign:</em> ${prose(benign)}</p>
      <p><em>An attack:</em> ${prose(attack)}</p>
      <p><em>Silence:</em> ${prose(silenceText(entry))}</p>
    </details>`;
}

/** The runbook's text, with what stands between backquotes as code. */
function prose(text: string): Html {
  const parts = text.split('`');
  // An odd number of backquotes: the last one is a character like others.
  const odd = parts.length % 2 === 0;
  return html`${parts.map((part, at) => {
    if (odd && at === parts.length - 1) return html`\`${part}`;
    return at % 2 === 1 ? html`<code>${part}</code>` : html`${part}`;
  })}`;
}
