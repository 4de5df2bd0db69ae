import type { AlertDefinitions, AlertPlatform, AlertRequest } from './alert-request.ts';
import {
  ALERTS,
  COVERAGE,
  GRACE_MINUTES,
  KNOWN_HOURS,
  leftOutRules,
  LOSS_PRIORITIES,
  LOSS_RULES,
  prioritiesOf,
  SILENCE_MINUTES,
  todoOf,
} from './alert-request.ts';
import { PRIORITIES } from '../rules/detection.ts';
import { checkedFields } from './fields.ts';
import { comment, suffixOf } from './quoting.ts';

/** As the Splunk Firehose Nozzle for Cloud Foundry names them; the line itself is JSON in `msg`. */
const FIELDS = {
  index: '*',
  source_type: 'source_type',
  message: 'msg',
  app_id: 'cf_app_id',
  app_name: 'cf_app_name',
  space: 'cf_space_name',
} as const;

type Names = Readonly<Record<keyof typeof FIELDS, string>>;

/** Saved searches for Splunk. Only lines of the agent's source type are looked into. */
export const splunk: AlertPlatform = {
  name: 'splunk',
  title: 'Splunk, saved searches',
  prints: 'stanzas for savedsearches.conf',
  fields: FIELDS,
  render(request: AlertRequest): AlertDefinitions {
    const names = checkedFields(FIELDS, request.fields, /^[A-Za-z0-9_*.:@-]+$/);
    const suffix = suffixOf(request);
    const name = (alert: string): string => `varvel ${alert}${suffix === '' ? '' : ` ${suffix}`}`;
    const from = source(request, names);
    const text = [
      comment('#', [
        'Where: $SPLUNK_HOME/etc/apps/search/local/savedsearches.conf (or an app of your own), then restart Splunk or',
        'reload by /debug/refresh. Splunk Cloud: Settings, Searches, New alert; the values below are its fields.',
        'Fields are named as the Splunk Firehose Nozzle does; other names: --field source_type=my_field. An index: --field index=main.',
        'Searches go by the time at which a line was indexed, so that those which come late page too.',
        'One page an incident, which names its most severe rule; of losses one an app and rule. None of it pages again for an hour (alert.suppress).',
      ]),
      '',
      stanza(name('detection'), request.webhook, {
        search: `${from} | ${where(detections(request))} | ${WORST_OF_INCIDENT}`,
        ...EVERY_MINUTE,
        'alert.suppress.fields': 'app,incident',
        description: `${ALERTS.detection.summary}. ${todoOf(request, 'detection')}`,
      }),
      stanza(name('loss'), request.webhook, {
        search: `${from} | ${where([isOneOf('rule', LOSS_RULES), isOneOf('priority', LOSS_PRIORITIES)])} | ${FIRST_BY_RULE}`,
        ...EVERY_MINUTE,
        description: `${ALERTS.loss.summary}. ${todoOf(request, 'loss')}`,
      }),
      stanza(name('tail loss'), request.webhook, {
        search: tail(from, names),
        ...OF_THE_DAY,
        description: `${ALERTS.tail.summary}. ${todoOf(request, 'tail')}`,
      }),
      stanza(name('silence'), request.webhook, {
        search: silence(request, from),
        ...OF_THE_DAY,
        description: `${ALERTS.silence.summary}. ${todoOf(request, 'silence')}`,
      }),
    ].join('\n');
    return { text: `${text.trimEnd()}\n`, notes: [] };
  },
};

/** Most severe first: `stats` takes rule and priority from there. */
const WORST_OF_INCIDENT = [
  `eval severity=case(${PRIORITIES.map((priority, at) => `priority="${priority}", ${at}`).join(', ')})`,
  'sort 0 severity _time',
  'stats count min(_time) as first first(output) as output first(rule) as rule first(priority) as priority by app_name app incident',
].join(' | ');

const FIRST_BY_RULE =
  'stats count min(_time) as first latest(output) as output by app_name app rule priority';

const EVERY_MINUTE = {
  cron_schedule: '* * * * *',
  // Covers the last minute, and again the one before it; the suppression merges both results.
  'dispatch.earliest_time': `-${KNOWN_HOURS}h`,
  'dispatch.latest_time': '+1h',
  'dispatch.index_earliest': '-2m@m',
  'dispatch.index_latest': '@m',
  'alert.suppress.fields': 'app,rule',
  'alert.suppress.period': '1h',
};

const OF_THE_DAY = {
  cron_schedule: '*/5 * * * *',
  'dispatch.earliest_time': `-${KNOWN_HOURS}h`,
  'dispatch.latest_time': 'now',
  'alert.suppress.fields': 'app',
  'alert.suppress.period': `${KNOWN_HOURS}h`,
};

function stanza(
  name: string,
  webhook: string | undefined,
  settings: Readonly<Record<string, string>>,
): string {
  const all = {
    ...settings,
    enableSched: '1',
    counttype: 'number of events',
    relation: 'greater than',
    quantity: '0',
    'alert.digest_mode': '0',
    'alert.suppress': '1',
    'alert.severity': '5',
    'alert.track': '1',
    ...(webhook === undefined
      ? {}
      : {
          actions: 'webhook',
          'action.webhook': '1',
          // The only characters of an address that a .conf file or Splunk's $tokens$ could take otherwise.
          'action.webhook.param.url': webhook.replaceAll('\\', '%5C').replaceAll('$', '%24'),
        }),
  };
  return [`[${name}]`, ...Object.entries(all).map(([key, value]) => `${key} = ${value}`), ''].join(
    '\n',
  );
}

/** Events of the agent, with what is looked at in fields of their own. */
function source({ sourceType, app, space }: AlertRequest, names: Names): string {
  const { message } = names;
  const inMessage = (key: string): string => `'${message}.${key}'`;
  const conditions = [
    equals(names.source_type, sourceType),
    ...(app === undefined
      ? []
      : [equals(app.by === 'guid' ? names.app_id : names.app_name, app.value)]),
    ...(space === undefined ? [] : [equals(names.space, space)]),
  ];
  return [
    // Before the first pipe "*" is a wildcard and case does not count: what is exact comes after it.
    `search index=${names.index} ${names.source_type}=${/^[A-Za-z0-9_-]+$/.test(sourceType) ? sourceType : '*'}`,
    where(conditions),
    `spath`,
    [
      `eval rule=${inMessage('rule')}`,
      `priority=${inMessage('priority')}`,
      `output=${inMessage('output')}`,
      `incident=coalesce(${inMessage('incident')}, ${inMessage('rule')})`,
      `when=${inMessage('output_fields.coverage.when')}`,
      `app=coalesce('${names.app_id}', ${inMessage('app.guid')}, ${inMessage('app.name')}, "-")`,
      `app_name=coalesce('${names.app_name}', ${inMessage('app.name')}, "-")`,
      `instance=coalesce(${inMessage('app.instance')}, "-")`,
    ].join(', '),
  ].join(' | ');
}

function detections(request: AlertRequest): string[] {
  const leftOut = leftOutRules(request);
  return [
    isOneOf('priority', prioritiesOf(request)),
    ...(request.rules.length === 0 ? [] : [isOneOf('rule', request.rules)]),
    ...(leftOut.length === 0 ? [] : [`NOT ${isOneOf('rule', leftOut)}`]),
  ];
}

/**
 * Apps with instances for which a coverage line reports a higher number than has arrived. It must also exceed the first
 * reported number: earlier lines may be older than the window. Without an instance, containers number their lines separately
 * under one name.
 */
function tail(from: string, { message }: Names): string {
  const number = (key: string): string => `tonumber('${message}.${key}')`;
  return [
    from,
    where(['instance != "-"']),
    `eval agent=coalesce('${message}.hostname', "-"), process=coalesce('${message}.app.process_type', "-"), seq=${number('seq')}, told=if(${isOneOf('rule', [COVERAGE])}, ${number('output_fields.coverage.last_line')}, null())`,
    `eval ready=if(_indextime < now() - ${GRACE_MINUTES * 60}, told, null())`,
    'stats max(seq) as here min(told) as first max(ready) as given latest(app_name) as app_name by app instance process agent',
    where(['given > here', 'given > first']),
    'stats count as instances latest(app_name) as app_name by app',
  ].join(' | ');
}

/** With an app one result where there is no line; else one for each instance that had lines, and that has not ended. */
function silence(request: AlertRequest, from: string): string {
  const coverage = `${from} | ${where([isOneOf('rule', [COVERAGE])])}`;
  const ago = `now() - ${SILENCE_MINUTES * 60}`;
  if (request.app !== undefined) {
    return `${coverage} | stats count max(_time) as last latest(when) as when | where count = 0 OR (last < ${ago} AND when != "stop") | eval app=${text(request.app.value)}`;
  }
  return `${coverage} | stats max(_time) as last latest(when) as when by app_name app instance | where last < ${ago} AND when != "stop"`;
}

function where(conditions: readonly string[]): string {
  return `where ${conditions.join(' AND ')}`;
}

function isOneOf(field: string, values: readonly string[]): string {
  const parts = values.map((value) => equals(field, value));
  return parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(' OR ')})`;
}

function equals(field: string, value: string): string {
  return `'${field}' = ${text(value)}`;
}

/**
 * A string for `where` and `eval`. Splunk interprets quotes, escapes, macros, `$token$` and line ends in several places. So
 * their characters are percent-encoded, and a function decodes them.
 */
function text(value: string): string {
  if (/^[A-Za-z0-9 _.:/-]*$/.test(value)) return `"${value}"`;
  const encoded = encodeURIComponent(value.replace(/\p{Cs}/gu, '\ufffd')).replace(
    /[!'()*~]/g,
    (it) => `%${it.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `urldecode("${encoded}")`;
}
