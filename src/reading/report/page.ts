import { firedSection } from './fired.ts';
import { headSection, titleOf } from './head.ts';
import { documentOf, html } from './html.ts';
import type { Html } from './html.ts';
import type { Incident } from './incident.ts';
import { incidentSection } from './incident-section.ts';
import { logSection } from './log-section.ts';
import type { RuleGuide } from './rule-guide.ts';
import { storySection } from './story.ts';
import { CSS } from './style.ts';
import { timelineSection } from './timeline.ts';
import { treeSection } from './tree.ts';

/** What a page says besides the incident. */
export interface PageOptions {
  readonly guide: RuleGuide;
  /** Of the varvel that makes it. */
  readonly version: string;
  /** What was asked for, in words; '' for the whole log. */
  readonly asked: string;
}

/**
 * The incident as one page of HTML: no script, nothing from elsewhere, and a policy in it that forbids both. Whatever the log
 * holds is text in it. The same incident gives the same page.
 */
export function renderReport(incident: Incident, { guide, version, asked }: PageOptions): string {
  const subject = titleOf(incident);
  const body = html`<main>
    ${headSection(incident, subject)} ${treeSection(incident)} ${incidentSection(incident)}
    ${firedSection(incident, guide)} ${timelineSection(incident)} ${logSection(incident)}
    ${storySection(incident)} ${readingSection(version, asked)}
  </main>`;
  return documentOf(`Incident report: ${subject === '' ? 'no app' : subject}`, CSS, body);
}

function readingSection(version: string, asked: string): Html {
  return html`<h2 id="reading">How to read this</h2>
    <section class="card">
      <ul>
        <li>
          <b>Whose word it is.</b> Who wrote a line, the log system says (its source), if whoever
          made this page named that system (<span class="nowrap">--from</span>). Where it does not,
          the page says so, and an app may have printed what looks like a detection. File names,
          commands, addresses and process names in a detection were chosen by whoever ran them: only
          rule, priority, time, app, container, number and id are the agent’s own. Lines with a grey
          bar are the app’s output.
        </li>
        <li>
          <b>The way in</b> is the first line of what the agent says has one cause. What no rule
          looks for may have come before.
        </li>
        <li>
          <b>Why it matters, what to do</b> is from the rules that this varvel comes with and their
          runbook, or those named by <span class="nowrap">--rules</span>; the agent that wrote the
          log may have had others.
        </li>
        <li>
          <b>Processes</b> have the numbers that the container sees. Drawn are those in which
          something was detected, and their ancestors: at most eight a detection, from inside of the
          container.
        </li>
        <li>
          <b>Characters</b> that steer a terminal, hide or reorder text are shown as
          <code>\\x1b</code> or <code>\\u202e</code>.
        </li>
        <li><b>Times</b> are UTC, as the kernel of the host had them.</li>
      </ul>
      <p>
        <b>What is not in it:</b> what no rule looks for, what the agent was not there to see, what
        this log had already lost or dropped, other apps, and what the process did afterwards. A
        page without detections proves nothing unless the coverage above is whole.
      </p>
    </section>
    <footer>
      Made by varvel ${version} report${asked === '' ? undefined : `, ${asked}`}. This page loads
      nothing, runs nothing and sends nothing; links to attack.mitre.org open only when they are
      followed.
    </footer>`;
}
