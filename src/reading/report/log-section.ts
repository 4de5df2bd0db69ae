import {
  COVERAGE_RULE,
  LOST_RULE,
  SUPPRESSED_RULE,
  UNSEEN_RULE,
} from '../../streams/notice-rules.ts';
import { inBoth, sizeOf, type NumberRange } from '../../streams/number-range.ts';
import { coverageGaps } from './coverage.ts';
import { html } from './html.ts';
import { numberIn } from '../own-fields.ts';
import type { Html } from './html.ts';
import type { Incident, Instance } from './incident.ts';
import { anchorOf, counted, duration, nameOf, numbered, Times } from './parts.ts';
import { NOTICE_ADVICE } from './rule-guide.ts';

/** What the log is of, and how far it can be relied on. */
export function logSection(incident: Incident): Html {
  const times = new Times(incident.undated);
  return html`<h2 id="log">This log, and how far it can be relied on</h2>
    <section class="card">
      <ul class="checks">
        ${checksOf(incident).map(({ good, text }) => html`<li class="${good ? 'good' : 'bad'}"><b>${good ? '✓' : '!'}</b>${text}</li>`)}
      </ul>
      ${noticesOf(incident)} ${factsOf(incident, times)}
    </section>`;
}

/** What the agent said of itself, by what it is about: the lines are among the others. */
function noticesOf({ notices }: Incident): Html | undefined {
  if (notices.length === 0) return undefined;
  return html`<p class="meta">The agent said of itself:</p>
    <ul class="notices">
      ${notices.map(({ rule, count, shown }) => {
        const [first] = shown;
        const name =
          first === undefined ? html`${rule}` : html`<a href="#${anchorOf(first)}">${rule}</a>`;
        return html`<li>${name} × ${count}: ${NOTICE_ADVICE.get(rule) ?? 'not known here.'}</li>`;
      })}
    </ul>`;
}

function factsOf({ instances, lines, span }: Incident, times: Times): Html {
  const values = (of: (instance: Instance) => readonly (string | undefined)[]): string[] =>
    [
      ...new Set(instances.flatMap(of).filter((value) => value !== undefined && value !== '')),
    ] as string[];
  const app =
    (key: string) =>
    (instance: Instance): [string | undefined] => [instance.app?.[key]];
  const latest = instances.flatMap(({ coverage }) => coverage.slice(-1));
  const rows: readonly (readonly [string, string[]])[] = [
    ['App', values(app('name'))],
    ['App GUID', values(app('guid'))],
    ['Space', values(app('space'))],
    ['Org', values(app('org'))],
    ['Process type', values(app('process_type'))],
    ['Instance', values(app('instance'))],
    ['Container', values(({ containers }) => [...containers])],
    ['Host', values(({ hostname }) => [hostname])],
    [
      'Agent',
      [...new Set(latest.map(({ version, rules }) => `varvel ${version}, ${rules} rules`))],
    ],
    ['Agent’s lines', span === undefined ? [] : [`${times.span(span.firstMs, span.lastMs)} UTC`]],
    ['Log', [`${counted(lines, 'line')} read`]],
  ];
  return html`<dl>
    ${rows
      .filter(([, found]) => found.length > 0)
      .map(([name, found]) => {
        const more = found.length > 10 ? ` and ${found.length - 10} more` : '';
        return html`<dt>${name}</dt>
          <dd>${found.slice(0, 10).join(', ')}${more}</dd>`;
      })}
  </dl>`;
}

/** A sentence about the log; one that is not good is a reason for caution. */
export interface Check {
  readonly good: boolean;
  readonly text: string;
}

/** Statements on who wrote the lines, what is missing, what was not watched, and what this page leaves out. */
export function checksOf(incident: Incident): Check[] {
  const times = new Times(incident.undated);
  return [
    ...whoseWord(incident),
    ...numbersOf(incident),
    ...toldLosses(incident),
    ...coverageChecks(incident, times),
    ...leftOutOf(incident),
  ];
}

const bad = (text: string): Check => ({ good: false, text });
const good = (text: string): Check => ({ good: true, text });

function whoseWord({ origins, looksLike }: Incident): Check[] {
  const { varvel, unknown, forged, unreadable } = origins;
  const hint =
    looksLike === undefined
      ? ''
      : ` It looks like one of ${looksLike === 'cf' ? 'cf logs' : 'a syslog drain'}, which an app can print too. Whoever knows that it is one makes the report with --from ${looksLike}.`;
  return [
    ...(varvel > 0
      ? [
          good(
            `${counted(varvel, 'line')} of the agent by the log system’s word, which --from named: no app can write them there.`,
          ),
        ]
      : []),
    ...(unknown > 0
      ? [
          bad(
            `This log does not say who wrote ${counted(unknown, 'line')} here: the app may have printed some. Compare their ids with the operator’s copy, or read the log where the platform names the source.${hint}`,
          ),
        ]
      : []),
    ...(forged > 0
      ? [
          bad(
            `${counted(forged, 'line')} looked like a detection and came from elsewhere than the agent: an app can print anything. They are shown as the app’s own.`,
          ),
        ]
      : []),
    ...(unreadable > 0
      ? [
          bad(
            `${counted(unreadable, 'line')} of the agent could not be read: cut on the way, perhaps.`,
          ),
        ]
      : []),
  ];
}

function numbersOf({ instances }: Incident): Check[] {
  const numbered_ = instances.filter(({ numbers }) => numbers.first !== undefined);
  const missing = instances.flatMap(({ app, numbers, lost }): Check[] => {
    const holes = numbers.missing();
    if (holes.length === 0) return [];
    const total = sizeOf(holes);
    const said = inBoth(holes, lost);
    const told =
      said.length === 0
        ? ''
        : ` The agent says that it could not write lines with these numbers here: ${someOf(said)}.`;
    const atMost = numbers.overflowed ? 'at most ' : '';
    return [
      bad(
        `Of ${nameOf(app)} ${atMost}${counted(total, 'line')} ${total === 1 ? 'is' : 'are'} missing here by their numbers (seq): ${someOf(holes)}.${told}`,
      ),
    ];
  });
  if (missing.length > 0 || numbered_.length === 0) return missing;
  const ranges = numbered_
    .slice(0, 5)
    .map(({ numbers }) => `${numbered(numbers.first ?? 0)}–${numbered(numbers.last ?? 0)}`);
  return [
    good(
      `No number (seq) is missing between the first and the last here: ${ranges.join('; ')}${numbered_.length > 5 ? '; …' : ''}.`,
    ),
  ];
}

/** The first of them. */
function someOf(ranges: readonly NumberRange[]): string {
  const shown = ranges
    .slice(0, 8)
    .map(({ from, to }) => (from === to ? numbered(from) : `${numbered(from)}–${numbered(to)}`))
    .join(', ');
  return ranges.length > 8 ? `${shown} and ${ranges.length - 8} more holes` : shown;
}

/** What the agent told of losses. */
function toldLosses({ notices }: Incident): Check[] {
  const told = (rule: string, field: string, what: (count: string) => string): Check[] => {
    const group = notices.find((one) => one.rule === rule);
    if (group === undefined) return [];
    const counts = group.shown.map(({ fields }) => numberIn(fields, field));
    const sum = counts.reduce<number>((total, one) => total + (one ?? 0), 0);
    // Lines that were cut, and those of agents that wrote no fields, do not say it.
    const isMost = group.shown.some(({ fields }) => String(fields['lost.at_most']) === 'true');
    if (!counts.includes(undefined))
      return [bad(what(isMost ? `Up to ${numbered(sum)}` : numbered(sum)))];
    return [bad(what(sum === 0 ? 'An unknown number of' : `At least ${numbered(sum)}`))];
  };
  return [
    ...told(
      SUPPRESSED_RULE,
      'suppressed.count',
      (n) => `${n} more detections were counted instead of written.`,
    ),
    ...told(
      LOST_RULE,
      'lost.count',
      (n) => `${n} lines were lost on the way into this log, as the agent says.`,
    ),
    ...told(
      UNSEEN_RULE,
      'lost.count',
      (n) => `${n} events were not seen: the kernel could not hand them over.`,
    ),
  ];
}

function coverageChecks({ instances, notices }: Incident, times: Times): Check[] {
  const gaps = instances.flatMap(({ app, coverage, unwatched }) =>
    coverageGaps(coverage, unwatched).map(({ fromMs, toMs, why }) => {
      const when = `${times.span(fromMs, toMs)} (${duration(toMs - fromMs)})`;
      return bad(
        why === 'silent'
          ? `No word of the agent about ${nameOf(app)} ${when}, though it says every five minutes by default what it watched.`
          : `Nobody watched ${nameOf(app)} ${when}: the agent had ended${why === 'agent killed' ? ' unexpectedly' : ''}.`,
      );
    }),
  );
  if (gaps.length === 0 && !notices.some(({ rule }) => rule === COVERAGE_RULE))
    return [bad('No coverage line is here: nothing says what was watched, or when.')];
  const uncovered = instances.filter(({ coverage }) => coverage.length === 0).length;
  const shown = [
    ...gaps.slice(0, 10),
    ...(gaps.length > 10 ? [bad(`${gaps.length - 10} more gaps in the coverage.`)] : []),
    ...(uncovered > 0
      ? [bad(`Of ${counted(uncovered, 'app instance')} no coverage line is here.`)]
      : []),
  ];
  if (shown.length > 0) return shown;
  const latest = instances.flatMap(({ coverage }) => coverage.slice(-1));
  const sum = (of: 'events' | 'lost'): string =>
    numbered(latest.reduce((total, one) => total + one[of], 0));
  return [
    good(
      `Watched without a gap between the coverage lines: ${sum('events')} events seen, ${sum('lost')} lost.`,
    ),
  ];
}

function leftOutOf({ leftOut, undated }: Incident): Check[] {
  const parts = [
    [leftOut.outsideRange, 'line', 'outside of the time that was asked for'],
    [
      leftOut.undated,
      'line',
      'without a date, so that nobody knows whether they are in the time that was asked for',
    ],
    [leftOut.otherApps, 'line', 'of other apps'],
    [leftOut.again, 'detection', 'that came again (same id)'],
    [leftOut.ofARule, 'detection', 'beyond 200 of a rule: counted above, not drawn'],
    [leftOut.detections, 'detection', 'beyond 2,000: counted above, not drawn'],
    [leftOut.unknownRules, 'detection', 'of more than 100 rules that are not known here'],
    [
      leftOut.instances,
      'detection',
      'of more than 50 app instances: not looked at for missing numbers',
    ],
    [leftOut.incidents, 'detection', 'of more than 200 incidents: not grouped by incident'],
    [leftOut.cutLines, 'line', 'cut here: longer than 12,000 characters, or more than 4 Mi in all'],
  ] as const;
  const told = parts
    .filter(([count]) => count > 0)
    .map(([count, what, why]) => bad(`Left out: ${counted(count, what)} ${why}.`));
  return [
    ...told,
    ...(leftOut.unread ? [bad('Only the first GiB of the log was read.')] : []),
    ...(undated
      ? [bad('Lines here have a time of day and no date: days are counted from the first.')]
      : []),
  ];
}
