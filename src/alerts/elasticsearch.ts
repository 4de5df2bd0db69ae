import { createHash } from 'node:crypto';
import type { AlertDefinitions, AlertPlatform, AlertRequest } from './alert-request.ts';
import {
  ALERTS,
  COVERAGE,
  GRACE_MINUTES,
  INCIDENT_MINUTES,
  KNOWN_HOURS,
  leftOutRules,
  LOSS_PRIORITIES,
  LOSS_RULES,
  prioritiesOf,
  scopeOf,
  SILENCE_MINUTES,
  todoOf,
} from './alert-request.ts';
import { checkedFields } from './fields.ts';
import { asTag, comment, jsonDocument } from './quoting.ts';
import { escapeJson } from '../streams/escape.ts';
import { procId } from '../streams/syslog/rfc5424.ts';

/** As Elastic's syslog processor names them (ECS); `structured_data` is a flattened field, whose parts are keywords. */
const FIELDS = {
  index: 'logs-*',
  time: '@timestamp',
  source_type: 'log.syslog.structured_data.tags@47450.source_type',
  rule: 'log.syslog.structured_data.tags@47450.varvel_rule',
  priority: 'log.syslog.structured_data.tags@47450.varvel_priority',
  incident: 'log.syslog.structured_data.tags@47450.varvel_incident',
  app_id: 'log.syslog.structured_data.tags@47450.app_id',
  app_name: 'log.syslog.structured_data.tags@47450.app_name',
  space: 'log.syslog.structured_data.tags@47450.space_name',
  app: 'log.syslog.appname',
  host: 'log.syslog.hostname',
  message: 'message',
} as const;

type Names = Readonly<Record<keyof typeof FIELDS, string>>;

/** ES|QL does not see parts of flattened fields: there the source is PROCID, which only the platform and the agent write too. */
const PROC_ID = 'log.syslog.procid';
const MAX_GROUPS = 1000;

/**
 * Rules of Kibana, of the type "Elasticsearch query": they are in every licence, group by fields, and notify once an
 * alert. (Watcher is not in the free one, and throttles a watch as a whole.)
 */
export const elasticsearch: AlertPlatform = {
  name: 'elasticsearch',
  title: 'Elasticsearch, rules of Kibana',
  prints: 'requests for Dev Tools (JSON)',
  fields: FIELDS,
  render(request: AlertRequest): AlertDefinitions {
    const names = checkedFields(FIELDS, request.fields, /^[A-Za-z0-9_@*.,/-]+$/);
    const known = scope(request, names);
    const text = [
      comment('#', header(request, names)),
      ...(request.webhook === undefined
        ? []
        : [
            call(`POST kbn:/api/actions/connector/${connectorId(request.webhook)}`, {
              name: 'varvel',
              connector_type_id: '.webhook',
              config: {
                url: request.webhook,
                method: 'post',
                hasAuth: false,
                headers: { 'content-type': 'application/json' },
              },
              secrets: {},
            }),
          ]),
      rule(request, 'detection', {
        ...counted(names, [...known, ...detections(request, names)], INCIDENT_MINUTES),
        ...grouped(names.app, names.incident),
      }),
      rule(request, 'loss', {
        ...counted(
          names,
          [...known, isOneOf(names.priority, LOSS_PRIORITIES), isOneOf(names.rule, LOSS_RULES)],
          INCIDENT_MINUTES,
        ),
        ...grouped(names.app, names.rule),
      }),
      rule(request, 'tail', esqlOf(names, tail(request, names))),
      rule(request, 'silence', silence(request, names, known)),
    ];
    return { text: `${text.join('\n\n')}\n`, notes: [] };
  },
};

function header({ webhook }: AlertRequest, names: Names): string[] {
  return [
    'Where: Kibana, Dev Tools: paste all of it and send each request, the first one first. Kibana 8.18 or newer.',
    ...(webhook === undefined
      ? [
          'The rules have no action: add one in Stack Management, Rules, or: --webhook URL (its connector needs a Gold licence).',
        ]
      : []),
    `Lines are looked for in ${names.index} (--field index=PATTERN), by fields as Elastic’s syslog processor names them.`,
    'Others: --field source_type=FIELD, and so on. It has to be a field into which no pipeline puts what an app prints.',
    'One page an incident: an alert of an app and incident notifies when it becomes active, and recovers when 15 minutes had no',
    'line of it. It names the incident and not the rules: look for the incident in the log. Losses page once an app and rule.',
  ];
}

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

function isOneOf(field: string, values: readonly string[]): object {
  const tags = values.map(asTag);
  return tags.length === 1 ? { term: { [field]: tags[0] } } : { terms: { [field]: tags } };
}

function counted(names: Names, filter: readonly object[], minutes: number): object {
  return {
    searchType: 'esQuery',
    index: names.index.split(','),
    timeField: names.time,
    esQuery: JSON.stringify({ query: { bool: { filter } } }),
    size: 5,
    aggType: 'count',
    groupBy: 'all',
    threshold: [0],
    thresholdComparator: '>',
    timeWindowSize: minutes,
    timeWindowUnit: 'm',
    excludeHitsFromPreviousRun: false,
  };
}

function grouped(...termField: string[]): object {
  return { groupBy: 'top', termField, termSize: MAX_GROUPS };
}

/** Of one app: whether there was any line. Of all: which had lines today and have none now, the last not being its end. */
function silence(request: AlertRequest, names: Names, known: readonly object[]): object {
  if (request.app !== undefined) {
    return {
      ...counted(names, [...known, isOneOf(names.rule, [COVERAGE])], SILENCE_MINUTES),
      threshold: [1],
      thresholdComparator: '<',
    };
  }
  const esql = [
    ...ofTheDay(request, names),
    `    AND ${said(names, 'rule', COVERAGE)}`,
    `| EVAL ended_at = CASE(${said(names, 'coverage.when', 'stop')}, ${names.time})`,
    `| STATS last = MAX(${names.time}), ended = MAX(ended_at) BY ${names.host}, ${names.app}`,
    `| WHERE last < NOW() - ${SILENCE_MINUTES} minutes AND (ended IS NULL OR ended < last)`,
  ].join('\n');
  return esqlOf(names, esql);
}

/**
 * Apps with instances for which a coverage line reports a higher number than has arrived. It must also exceed the first
 * reported number: earlier lines may be older than the window. Without an instance, containers number their lines separately
 * under one name.
 */
function tail(request: AlertRequest, names: Names): string {
  // A quote that ends a key is never within a value: there it has a backslash before it.
  const part = (key: string, pattern: string): string =>
    `| GROK ${names.message} ${esqlString(`"${key}":${pattern}`)}`;
  return [
    ...ofTheDay(request, names),
    part('hostname', '"%{DATA:varvel_agent}"'),
    part('instance', '"%{DATA:varvel_instance}"'),
    part('process_type', '"%{DATA:varvel_process}"'),
    part('seq', '%{INT:varvel_seq}'),
    part('coverage.last_line', '%{INT:varvel_told}'),
    '| WHERE varvel_instance IS NOT NULL',
    '| EVAL seq = TO_LONG(varvel_seq), told = TO_LONG(varvel_told)',
    `| EVAL ready = CASE(${names.time} < NOW() - ${GRACE_MINUTES} minutes, told)`,
    `| STATS here = MAX(seq), first = MIN(told), given = MAX(ready) BY ${names.host}, ${names.app}, varvel_instance, varvel_process, varvel_agent`,
    '| WHERE given > here AND given > first',
    // A row is an alert: it must not contain anything that changes while the alert lasts.
    `| STATS instances = COUNT(*) BY ${names.host}, ${names.app}`,
    `| KEEP ${names.host}, ${names.app}`,
  ].join('\n');
}

/** Lines of the agent, of the app and space if any, as the beginning of ES|QL. */
function ofTheDay({ sourceType, app, space }: AlertRequest, names: Names): string[] {
  const source = procId(sourceType, undefined).replace(/\]$/, '');
  return [
    `FROM ${names.index}`,
    `| WHERE ${names.time} > NOW() - ${KNOWN_HOURS} hours`,
    `    AND (${PROC_ID} LIKE ${esqlString(`${likeText(source)}/*`)} OR ${PROC_ID} == ${esqlString(`${source}]`)})`,
    ...(space === undefined ? [] : [`    AND ${said(names, 'space', space)}`]),
    ...(app?.by === 'guid' ? [`    AND ${said(names, 'guid', app.value)}`] : []),
    // Processes have a "name" too.
    ...(app?.by === 'name' ? [`    AND ${said(names, 'app', app.value, '{"name":')}`] : []),
  ];
}

function said(names: Names, key: string, value: string, before = ''): string {
  const text = `"${key}":${before}${escapeJson(value)}`;
  return `${names.message} LIKE ${esqlString(`*${likeText(text)}*`)}`;
}

function esqlOf(names: Names, esql: string): object {
  return {
    searchType: 'esqlQuery',
    esqlQuery: { esql },
    timeField: names.time,
    size: 0,
    groupBy: 'row',
    threshold: [0],
    thresholdComparator: '>',
    timeWindowSize: 1,
    timeWindowUnit: 'd',
  };
}

/** Wildcards of ES|QL's LIKE, and its escape. */
function likeText(value: string): string {
  return value.replace(/[\\*?]/g, '\\$&');
}

function esqlString(value: string): string {
  const escapes = new Map([
    ['\n', '\\n'],
    ['\r', '\\r'],
    ['\t', '\\t'],
  ]);
  return `"${value.replace(/["\\\n\r\t]/g, (it) => escapes.get(it) ?? `\\${it}`)}"`;
}

function rule(request: AlertRequest, alert: keyof typeof ALERTS, params: object): string {
  const scopeText = scopeOf(request);
  const { summary } = ALERTS[alert];
  const isGrouped = !(alert === 'silence' && request.app !== undefined);
  const body = JSON.stringify({
    text: `${summary}: ${isGrouped ? '{{context.group}}' : plain(scopeText)}. ${plain(todoOf(request, alert))}`,
  });
  return call('POST kbn:/api/alerting/rule', {
    name: `varvel ${alert}${scopeText === '' ? '' : `: ${scopeText}`}`,
    tags: ['varvel'],
    consumer: 'stackAlerts',
    rule_type_id: '.es-query',
    schedule: { interval: alert === 'silence' || alert === 'tail' ? '5m' : '1m' },
    params,
    actions:
      request.webhook === undefined
        ? []
        : [
            {
              group: 'query matched',
              id: connectorId(request.webhook),
              params: { body },
              frequency: { summary: false, notify_when: 'onActionGroupChange', throttle: null },
            },
          ],
  });
}

/** Part of a message that is a template too. */
function plain(text: string): string {
  return text.replace(/[{}]/g, ' ');
}

/** Kibana wants a UUID: the same for the same address. */
function connectorId(url: string): string {
  const hash = createHash('sha256').update(`varvel ${url}`).digest('hex');
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}

function call(request: string, body: object): string {
  return `${request}\n${jsonDocument(body)}`;
}
