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
import { asTag, comment, jsonDocument } from './quoting.ts';

/** As Vector’s syslog source names them, with the mapping that OpenSearch makes of itself (text with a keyword in it). */
const FIELDS = {
  index: 'logs-*',
  time: '@timestamp',
  source_type: 'tags@47450.source_type.keyword',
  rule: 'tags@47450.varvel_rule.keyword',
  priority: 'tags@47450.varvel_priority.keyword',
  incident: 'tags@47450.varvel_incident.keyword',
  app_id: 'tags@47450.app_id.keyword',
  app_name: 'tags@47450.app_name.keyword',
  space: 'tags@47450.space_name.keyword',
  app: 'appname.keyword',
  host: 'hostname.keyword',
  message: 'message',
} as const;

type Names = Readonly<Record<keyof typeof FIELDS, string>>;

const CHANNEL = 'varvel-webhook';
/** Buckets that one run of a monitor looks at. */
const MAX_GROUPS = 1000;

/** Monitors for OpenSearch's Alerting plugin: a bucket for each app and incident (of losses: rule), which pages when it is new. */
export const opensearch: AlertPlatform = {
  name: 'opensearch',
  title: 'OpenSearch, its Alerting plugin',
  prints: 'requests for Dev Tools (JSON)',
  fields: FIELDS,
  render(request: AlertRequest): AlertDefinitions {
    const names = checkedFields(FIELDS, request.fields, /^[A-Za-z0-9_@*.,/-]+$/);
    const known = scope(request, names);
    const text = [
      comment('#', header(request, names)),
      ...(request.webhook === undefined
        ? []
        : [call('POST _plugins/_notifications/configs', channel(request.webhook))]),
      call(
        'POST _plugins/_alerting/monitors',
        monitor(request, names, 'detection', {
          minutes: INCIDENT_MINUTES,
          filters: [...known, ...detections(request, names)],
          groups: [names.host, names.app, names.incident],
          condition: WITH_LINES,
        }),
      ),
      call(
        'POST _plugins/_alerting/monitors',
        monitor(request, names, 'loss', {
          minutes: INCIDENT_MINUTES,
          filters: [
            ...known,
            isOneOf(names.priority, LOSS_PRIORITIES),
            isOneOf(names.rule, LOSS_RULES),
          ],
          groups: [names.host, names.app, names.rule],
          condition: WITH_LINES,
        }),
      ),
      call('POST _plugins/_alerting/monitors', silence(request, names, known)),
    ];
    return { text: `${text.join('\n\n')}\n`, notes: [] };
  },
};

function header({ webhook }: AlertRequest, names: Names): string[] {
  return [
    'Where: OpenSearch Dashboards, Dev Tools: paste all of it and send each request, the first one first.',
    ...(webhook === undefined
      ? [
          `Actions go to the notification channel "${CHANNEL}": make one with this id, put in the id of yours, or: --webhook URL.`,
        ]
      : []),
    `Lines are looked for in ${names.index} (--field index=PATTERN), by fields as Vector’s syslog source makes them of the`,
    'structured data. Others: --field source_type=FIELD, and so on. It has to be a field into which no pipeline puts what an app',
    'prints: see the mapping with GET INDEX/_mapping. A field of type keyword is named without ".keyword".',
    ...NO_TAIL_ALERT,
    'One page an incident: an alert of an app and incident is new once, and completed when 15 minutes had no line of it. It names',
    'the incident and not the rules: look for the incident in the log. Losses page once an app and rule.',
  ];
}

/**
 * In the JSON of a coverage line: its container has ended. As a phrase it is two words of the standard analyzer, of which
 * `"agent stop"` has another between them.
 */
const ENDED = '"coverage.when":"stop"';

const WITH_LINES = { buckets_path: { lines: '_count' }, script: 'params.lines > 0' };

function scope({ sourceType, app, space }: AlertRequest, names: Names): object[] {
  return [
    isOneOf(names.source_type, [sourceType]),
    ...(app === undefined
      ? []
      : [isOneOf(app.by === 'guid' ? names.app_id : names.app_name, [app.value])]),
    ...(space === undefined ? [] : [isOneOf(names.space, [space])]),
  ];
}

function detections(request: AlertRequest, names: Names): object[] {
  const leftOut = leftOutRules(request);
  return [
    isOneOf(names.priority, prioritiesOf(request)),
    ...(request.rules.length === 0 ? [] : [isOneOf(names.rule, request.rules)]),
    ...(leftOut.length === 0 ? [] : [{ bool: { must_not: [isOneOf(names.rule, leftOut)] } }]),
  ];
}

/** The query is a template of Mustache before it is JSON: two braces would begin one. */
function isOneOf(field: string, values: readonly string[]): object {
  const tags = values.map(asTag);
  const template = tags.find((tag) => tag.includes('{{'));
  if (template !== undefined) {
    throw new UserError(
      `OpenSearch’s monitors cannot look for ${JSON.stringify(template.slice(0, 100))}: they take {{ for a template. Leave it out, or use another platform for it.`,
      { exitCode: 2 },
    );
  }
  return tags.length === 1 ? { term: { [field]: tags[0] } } : { terms: { [field]: tags } };
}

function since(names: Names, ago: string): object {
  return {
    range: {
      [names.time]: {
        gte: `{{period_end}}||-${ago}`,
        lte: '{{period_end}}',
        format: 'epoch_millis',
      },
    },
  };
}

interface Condition {
  readonly buckets_path: Readonly<Record<string, string>>;
  readonly script: string;
  readonly gap_policy?: 'insert_zeros';
}

function monitor(
  request: AlertRequest,
  names: Names,
  alert: keyof typeof ALERTS,
  query: {
    readonly minutes: number;
    readonly filters: readonly object[];
    readonly groups: readonly string[];
    readonly condition: Condition;
    readonly inner?: object;
  },
): object {
  const sources = query.groups.map((field, index) => ({
    [nameOf(field, names) ?? `group${index}`]: { terms: { field } },
  }));
  return {
    ...head(request, alert, 'bucket_level_monitor'),
    inputs: [
      {
        search: {
          indices: names.index.split(','),
          query: {
            size: 0,
            query: { bool: { filter: [since(names, `${query.minutes}m`), ...query.filters] } },
            aggregations: {
              composite_agg: {
                composite: { size: MAX_GROUPS, sources },
                ...(query.inner === undefined ? {} : { aggregations: query.inner }),
              },
            },
          },
        },
      },
    ],
    triggers: [
      {
        bucket_level_trigger: {
          name: `varvel ${alert}`,
          severity: alert === 'detection' ? '1' : '2',
          condition: {
            buckets_path: query.condition.buckets_path,
            parent_bucket_path: 'composite_agg',
            script: { source: query.condition.script, lang: 'painless' },
            gap_policy: query.condition.gap_policy ?? 'skip',
          },
          actions: [
            {
              ...action(request, alert, '{{#ctx.newAlerts}} [{{bucket_keys}}]{{/ctx.newAlerts}}'),
              action_execution_policy: {
                action_execution_scope: { per_alert: { actionable_alerts: ['NEW'] } },
              },
            },
          ],
        },
      },
    ],
  };
}

const nameOf = (field: string, names: Names): string | undefined =>
  Object.entries(names).find(([, its]) => its === field)?.[0];

/** Of one app: whether there was any line. Of all: which had lines today and have none now, the last not being its end. */
function silence(request: AlertRequest, names: Names, known: readonly object[]): object {
  const coverage = [...known, isOneOf(names.rule, [COVERAGE])];
  if (request.app === undefined) {
    const last = { max: { field: names.time } };
    return monitor(request, names, 'silence', {
      minutes: KNOWN_HOURS * 60,
      filters: coverage,
      groups: [names.host, names.app],
      inner: {
        recent: { filter: since(names, `${SILENCE_MINUTES}m`) },
        last,
        ended: {
          filter: { match_phrase: { [names.message]: ENDED } },
          aggregations: { at: last },
        },
      },
      condition: {
        buckets_path: { recent: 'recent._count', last: 'last', ended: 'ended>at' },
        script: 'params.recent == 0 && params.ended < params.last',
        gap_policy: 'insert_zeros',
      },
    });
  }
  return {
    ...head(request, 'silence', 'query_level_monitor'),
    inputs: [
      {
        search: {
          indices: names.index.split(','),
          query: {
            size: 0,
            query: { bool: { filter: [since(names, `${SILENCE_MINUTES}m`), ...coverage] } },
          },
        },
      },
    ],
    triggers: [
      {
        query_level_trigger: {
          name: 'varvel silence',
          severity: '2',
          condition: {
            script: { source: 'ctx.results[0].hits.total.value == 0', lang: 'painless' },
          },
          actions: [
            {
              ...action(request, 'silence', ` ${plain(scopeOf(request))}`),
              throttle_enabled: true,
              throttle: { value: KNOWN_HOURS * 60, unit: 'MINUTES' },
            },
          ],
        },
      },
    ],
  };
}

function head(request: AlertRequest, alert: keyof typeof ALERTS, type: string): object {
  const scope = scopeOf(request);
  return {
    type: 'monitor',
    name: `varvel ${alert}${scope === '' ? '' : `: ${scope}`}`,
    monitor_type: type,
    enabled: true,
    schedule: { period: { interval: alert === 'silence' ? 5 : 1, unit: 'MINUTES' } },
  };
}

function action(request: AlertRequest, alert: keyof typeof ALERTS, of: string): object {
  const { summary } = ALERTS[alert];
  return {
    name: 'page',
    destination_id: CHANNEL,
    subject_template: { source: `varvel ${alert}`, lang: 'mustache' },
    // What Slack, Mattermost and Teams take; Mustache escapes the quotes in names.
    message_template: {
      source: `{"text":"${plain(summary)}:${of}. ${plain(todoOf(request, alert))}"}`,
      lang: 'mustache',
    },
    throttle_enabled: false,
  };
}

/** Part of a message that is both a template and JSON. */
function plain(text: string): string {
  return asTag(text).replace(/["\\{}]/g, ' ');
}

function channel(url: string): object {
  return {
    config_id: CHANNEL,
    config: {
      name: CHANNEL,
      description: 'Pages of varvel',
      config_type: 'webhook',
      is_enabled: true,
      webhook: { url },
    },
  };
}

function call(request: string, body: object): string {
  return `${request}\n${jsonDocument(body)}`;
}
