import { UserError } from '../shared/user-error.ts';
import type { AlertDefinitions, AlertPlatform, AlertRequest } from './alert-request.ts';
import {
  ALERTS,
  COVERAGE,
  INCIDENT_MINUTES,
  KNOWN_HOURS,
  leftOutRules,
  LOSS_PRIORITIES,
  LOSS_RULES,
  NO_TAIL_ALERT,
  prioritiesOf,
  scopeOf,
  SILENCE_MINUTES,
  todoOf,
} from './alert-request.ts';
import { checkedFields } from './fields.ts';
import { jsonDocument } from './quoting.ts';

/**
 * `source_type` is a tag, which what is in a message cannot be; the rest are attributes that Datadog takes from the line's
 * own JSON, which only matters for lines that have the tag.
 */
const FIELDS = {
  index: '*',
  source_type: 'source_type',
  rule: '@rule',
  priority: '@priority',
  incident: '@incident',
  app_id: '@app.guid',
  app_name: '@app.name',
  space: '@app.space',
} as const;

type Names = Readonly<Record<keyof typeof FIELDS, string>>;

/** Log monitors for Datadog: a multi-alert each, which notifies once an app and incident; of losses once an app and rule. */
export const datadog: AlertPlatform = {
  name: 'datadog',
  title: 'Datadog, log monitors',
  prints: 'an array of monitors (JSON)',
  fields: FIELDS,
  render(request: AlertRequest): AlertDefinitions {
    const names = checkedFields(FIELDS, request.fields, /^(?:\*|@?[A-Za-z][A-Za-z0-9_.:/-]*)$/);
    if (names.source_type.startsWith('@')) {
      throw new UserError(
        `--field source_type=${names.source_type}: an attribute can come from what an app prints, so that it could page whom it likes. It has to be a tag.`,
        { exitCode: 2 },
      );
    }
    const app = request.app?.by === 'guid' ? names.app_id : names.app_name;
    const coverage = [...scope(request, names), isOneOf(names.rule, [COVERAGE])];
    const monitors = [
      monitor(request, 'detection', {
        query: counted(names, detections(request, names), [app, names.incident]),
        condition: '> 0',
        threshold: 0,
        minutes: INCIDENT_MINUTES,
        subject: `incident {{[${names.incident}].name}} in {{[${app}].name}}`,
      }),
      monitor(request, 'loss', {
        query: counted(
          names,
          [
            ...scope(request, names),
            isOneOf(names.rule, LOSS_RULES),
            isOneOf(names.priority, LOSS_PRIORITIES),
          ],
          [app, names.rule],
        ),
        condition: '> 0',
        threshold: 0,
        minutes: INCIDENT_MINUTES,
        subject: `{{[${names.rule}].name}} in {{[${app}].name}}`,
      }),
      monitor(request, 'silence', {
        query: counted(names, coverage, request.app === undefined ? [app] : []),
        condition: '< 1',
        threshold: 1,
        minutes: SILENCE_MINUTES,
        subject: request.app === undefined ? `{{[${app}].name}}` : scopeOf(request),
      }),
    ];
    return { text: `${jsonDocument(monitors)}\n`, notes: notes(request, names) };
  },
};

function notes({ webhook }: AlertRequest, names: Names): string[] {
  return [
    'Where: each element is the body of POST /api/v1/monitor:',
    '  jq -c .[] varvel.json | while read -r monitor; do curl -fsS https://api.datadoghq.com/api/v1/monitor -H "DD-API-KEY: $DD_API_KEY" -H "DD-APPLICATION-KEY: $DD_APP_KEY" -H "Content-Type: application/json" -d "$monitor"; done',
    `What ships the logs has to give each line the tag ${names.source_type}, from the platform’s envelope or the syslog structured data. An attribute (@${names.source_type}) will not do: Datadog takes attributes from what an app prints.`,
    `Make facets of ${names.incident}, ${names.rule}, ${names.app_name} and ${names.app_id}, which the monitors group by.`,
    NO_TAIL_ALERT.join(' '),
    'An app that was stopped on purpose is silent too: mute its group, or delete its monitor.',
    ...(webhook === undefined
      ? ['Add to the message whom to page: @pagerduty, @slack-CHANNEL, or --webhook URL.']
      : [
          `The monitors notify @webhook-varvel. Make it once: Integrations, Webhooks, New, name varvel, URL ${webhook}`,
        ]),
  ];
}

function scope({ sourceType, app, space }: AlertRequest, names: Names): string[] {
  return [
    // Tags are in lower case.
    isOneOf(names.source_type, [sourceType.toLowerCase()]),
    ...(app === undefined
      ? []
      : [isOneOf(app.by === 'guid' ? names.app_id : names.app_name, [app.value])]),
    ...(space === undefined ? [] : [isOneOf(names.space, [space])]),
  ];
}

function detections(request: AlertRequest, names: Names): string[] {
  const leftOut = leftOutRules(request);
  return [
    ...scope(request, names),
    isOneOf(names.priority, prioritiesOf(request)),
    ...(request.rules.length === 0 ? [] : [isOneOf(names.rule, request.rules)]),
    ...(leftOut.length === 0 ? [] : [`-${isOneOf(names.rule, leftOut)}`]),
  ];
}

/** In quotes nothing is a wildcard or an operator; a quote and a backslash are escaped. */
function isOneOf(field: string, values: readonly string[]): string {
  const quoted = values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`);
  return `${field}:${quoted.length === 1 ? (quoted[0] ?? '') : `(${quoted.join(' OR ')})`}`;
}

function counted(names: Names, search: readonly string[], groups: readonly string[]): string {
  const by = groups.length === 0 ? '' : `.by(${JSON.stringify(groups.join(','))})`;
  return `logs(${JSON.stringify(search.join(' '))}).index(${JSON.stringify(names.index)}).rollup("count")${by}`;
}

interface Monitor {
  readonly query: string;
  readonly condition: string;
  readonly threshold: number;
  readonly minutes: number;
  readonly subject: string;
}

function monitor(
  request: AlertRequest,
  alert: keyof typeof ALERTS,
  { query, condition, threshold, minutes, subject }: Monitor,
): object {
  const of = scopeOf(request);
  const { title, summary } = ALERTS[alert];
  const notify = request.webhook === undefined ? '' : '\n@webhook-varvel';
  return {
    name: plain(`varvel ${title}${of === '' ? '' : `: ${of}`}`),
    type: 'log alert',
    query: `${query}.last("${minutes}m") ${condition}`,
    // What is in a name is not to be a template or a handle of somebody.
    message: `${plain(summary)}: ${subject === of ? plain(subject) : subject}\n${plain(todoOf(request, alert))}${notify}`,
    tags: ['service:varvel'],
    priority: alert === 'detection' ? 1 : 2,
    options: {
      thresholds: { critical: threshold },
      on_missing_data: 'default',
      group_retention_duration: `${KNOWN_HOURS}h`,
      groupby_simple_monitor: false,
      new_group_delay: 0,
      renotify_interval: 0,
      notify_audit: false,
      include_tags: true,
      enable_logs_sample: alert !== 'silence',
    },
  };
}

function plain(text: string): string {
  return text.replace(/[{}@]/g, ' ');
}
