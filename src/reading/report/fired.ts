import { html } from './html.ts';
import type { Html } from './html.ts';
import type { Incident, RuleGroup } from './incident.ts';
import { anchorOf, chip, counted, duration, nameOf, severityOf, tagList, Times } from './parts.ts';
import type { RuleGuide } from './rule-guide.ts';

/** Each rule that fired: why it matters, what to do. */
export function firedSection(incident: Incident, guide: RuleGuide): Html {
  const times = new Times(incident.undated);
  const { groups } = incident;
  const body =
    groups.length === 0
      ? html`<p>No rule fired. Whether that means something, the coverage below says.</p>`
      : html`${groups.map((group, index) => ruleCard(group, index, guide, times))}`;
  return html`<h2 id="fired">What fired</h2>
    ${body}`;
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
  const todo =
    advice.todo === undefined
      ? html`<p class="muted">Its description does not say what to do.</p>`
      : html`<div class="call"><b>What to do now</b>${advice.todo}</div>`;
  return html`<p>${advice.why}</p>
    ${todo}`;
}
