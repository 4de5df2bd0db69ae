import { UserError } from '../shared/user-error.ts';
import type { AlertDefinitions, AlertPlatform, AlertRequest } from './alert-request.ts';
import {
  ALERTS,
  COVERAGE,
  leftOutRules,
  LOSS_PRIORITIES,
  LOSS_RULES,
  NO_TAIL_ALERT,
  prioritiesOf,
  todoOf,
} from './alert-request.ts';
import { checkedFields } from './fields.ts';
import { escapeHidden, escapeJson } from '../streams/escape.ts';
import { procId } from '../streams/syslog/rfc5424.ts';

/** Searches and alerts for Papertrail, which are entered by hand: its API makes searches, but no alerts. */
export const papertrail: AlertPlatform = {
  name: 'papertrail',
  title: 'SolarWinds Papertrail',
  prints: 'searches and alerts to be entered',
  fields: {},
  render(request: AlertRequest): AlertDefinitions {
    checkedFields({}, request.fields, /^$/);
    const { app, space, webhook } = request;
    const scope = [
      `program:${phrase(procId(request.sourceType, undefined).slice(1, -1))}`,
      ...(app === undefined ? [] : [member(app.by === 'guid' ? 'guid' : 'name', app.value)]),
      ...(space === undefined ? [] : [member('space', space)]),
    ];
    const leftOut = leftOutRules(request);
    const target =
      webhook === undefined ? 'a service of your choice' : `Webhook, URL ${escapeHidden(webhook)}`;
    const entry = (
      alert: keyof typeof ALERTS,
      search: readonly string[],
      when: string,
    ): string[] => [
      `## varvel ${ALERTS[alert].title}`,
      `   Search: ${[...scope, ...search].join(' ')}`,
      `   Alert:  ${when}`,
      `   Notify: ${target}`,
      `   Means:  ${alert === 'silence' ? 'no coverage line from varvel for an hour' : ALERTS[alert].summary}.`,
      `   Do:     ${todoOf(request, alert)}`,
      '',
    ];
    const newMatches = 'when new events match, frequency: every hour (at most one page an hour)';
    const lines = [
      '# Where: Events: paste the search, Save Search, name it, Save & Setup an Alert.',
      '# The program of a line is what syslog says of its source (APP-NAME/PROCID), which an app cannot print. Then the line’s',
      '# own JSON is looked at. Papertrail groups neither by app nor by incident or rule: make an entry per app (--app), and per',
      '# rule (--rule) where each is to be a page of its own. Incidents of the same hour are one page.',
      ...NO_TAIL_ALERT.map((line) => `# ${line}`),
      '',
      ...entry(
        'detection',
        [
          anyOf(prioritiesOf(request).map((priority) => member('priority', priority))),
          ...(request.rules.length === 0
            ? []
            : [anyOf(request.rules.map((rule) => member('rule', rule)))]),
          ...leftOut.map((rule) => `-${member('rule', rule)}`),
        ],
        newMatches,
      ),
      ...entry(
        'loss',
        [
          anyOf(LOSS_RULES.map((rule) => member('rule', rule))),
          anyOf(LOSS_PRIORITIES.map((priority) => member('priority', priority))),
        ],
        newMatches,
      ),
      ...entry(
        'silence',
        [member('rule', COVERAGE)],
        'inactivity: when no new events match, frequency: every hour (Papertrail has none of 15 minutes)',
      ),
    ];
    return { text: `${lines.join('\n').trimEnd()}\n`, notes: [] };
  },
};

/** As the agent writes it: `"key":"value"`. */
function member(key: string, value: string): string {
  return phrase(`"${key}":${escapeJson(value)}`);
}

/** Single quotes hold what has double ones; the syntax has no documented escape. */
function phrase(text: string): string {
  if (!text.includes('"') && /^[A-Za-z0-9_./-]+$/.test(text)) return text;
  if (text.includes("'")) {
    throw new UserError(
      `Papertrail’s searches cannot look for ${text.slice(0, 100)}: they have no way to write a ' in a phrase. Leave it out, or use another platform for it.`,
      { exitCode: 2 },
    );
  }
  return `'${text}'`;
}

function anyOf(phrases: readonly string[]): string {
  return phrases.length === 1 ? (phrases[0] ?? '') : `(${phrases.join(' OR ')})`;
}
