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
  SILENCE_MINUTES,
  todoOf,
} from './alert-request.ts';
import { checkedFields } from './fields.ts';
import { anyOf, asTag, comment, goString, goTemplate, suffixOf } from './quoting.ts';
import { alertmanager, alertRules } from './rule-groups.ts';

/** Labels, named as the tags are. */
const FIELDS = {
  source_type: 'source_type',
  rule: 'varvel_rule',
  priority: 'varvel_priority',
  app: 'app',
  app_id: 'app_id',
  app_name: 'app_name',
  space: 'space_name',
  host: 'host',
} as const;

/** What syslog calls them (Alloy and Promtail, `label_structured_data`). */
const FROM = {
  source_type: '__syslog_message_sd_tags_47450_source_type',
  rule: '__syslog_message_sd_tags_47450_varvel_rule',
  priority: '__syslog_message_sd_tags_47450_varvel_priority',
  app: '__syslog_message_app_name',
  app_id: '__syslog_message_sd_tags_47450_app_id',
  app_name: '__syslog_message_sd_tags_47450_app_name',
  space: '__syslog_message_sd_tags_47450_space_name',
  host: '__syslog_message_hostname',
} as const;

/** A label of the query, not of a stream: each value would be a stream of its own. */
const INCIDENT = 'varvel_incident';

/** Finds the incident where the agent writes it, in JSON and in text: in a value, a quote has a backslash before it in both. */
const FIND_INCIDENT = [
  String.raw`^(?:\{.*?"incident":"|[^\[]*\[(?:[a-z]+=(?:"(?:[^"\\]|\\.)*"|[^ "\]]+) )*?incident=)`,
  `(?P<${INCIDENT}>[a-z][0-9a-z]{7})`,
].join('');

const NAMES = Object.keys(FIELDS) as (keyof typeof FIELDS)[];

type Labels = Readonly<Record<keyof typeof FIELDS, string>>;

/** Rules for Grafana Loki's ruler. Labels come from syslog's structured data, which no app writes. */
export const loki: AlertPlatform = {
  name: 'loki',
  title: 'Grafana Loki, its ruler',
  prints: 'a rule file (YAML)',
  fields: FIELDS,
  render(request: AlertRequest): AlertDefinitions {
    const labels = checkedFields(FIELDS, request.fields, /^[A-Za-z_][A-Za-z0-9_]*$/);
    const name = ['varvel', suffixOf(request)].filter((part) => part !== '').join('-');
    const lines = (more: readonly string[]): string =>
      `{${[...scope(request, labels), ...more].join(', ')}}`;
    const by = `${labels.host}, ${labels.app}`;
    const rules = [
      {
        alert: 'VarvelDetection',
        expr: counted(
          `${by}, ${INCIDENT}, ${labels.rule}, ${labels.priority}`,
          `${lines(detections(request, labels))} | regexp \`${FIND_INCIDENT}\` `,
        ),
        severity: 'page',
        summary: `{{ $labels.${labels.rule} }} ({{ $labels.${labels.priority} }}) in {{ $labels.${labels.host} }}`,
        description: goTemplate(todoOf(request, 'detection')),
      },
      {
        alert: 'VarvelLoss',
        expr: counted(
          `${by}, ${labels.rule}`,
          lines([isOneOf(labels.rule, LOSS_RULES), isOneOf(labels.priority, LOSS_PRIORITIES)]),
        ),
        severity: 'page',
        summary: `{{ $labels.${labels.rule} }} in {{ $labels.${labels.host} }}`,
        description: goTemplate(todoOf(request, 'loss')),
      },
      {
        alert: 'VarvelTailLoss',
        expr: tail(by, lines([]), lines([isOneOf(labels.rule, [COVERAGE])])),
        severity: 'page',
        summary: `{{ $labels.${labels.host} }}: ${ALERTS.tail.summary}`,
        description: goTemplate(todoOf(request, 'tail')),
      },
      {
        alert: 'VarvelSilence',
        expr: silence(request, labels, lines([isOneOf(labels.rule, [COVERAGE])])),
        severity: 'page',
        summary:
          request.app === undefined
            ? `{{ $labels.${labels.host} }}: ${ALERTS.silence.summary}`
            : ALERTS.silence.summary,
        description: goTemplate(todoOf(request, 'silence')),
      },
    ] as const;
    const text = [comment('#', header(labels)), alertRules(name, rules)];
    if (request.webhook !== undefined)
      text.push(
        alertmanager(request.webhook, [labels.host, labels.app, labels.rule], {
          label: INCIDENT,
          groupBy: [labels.host, labels.app],
        }),
      );
    return { text: `${text.join('\n')}\n`, notes: [] };
  },
};

function scope({ sourceType, app, space }: AlertRequest, labels: Labels): string[] {
  const is = (label: string, value: string): string => `${label}=${goString(asTag(value))}`;
  return [
    is(labels.source_type, sourceType),
    ...(app === undefined
      ? []
      : [is(app.by === 'guid' ? labels.app_id : labels.app_name, app.value)]),
    ...(space === undefined ? [] : [is(labels.space, space)]),
  ];
}

function detections(request: AlertRequest, labels: Labels): string[] {
  const leftOut = leftOutRules(request);
  return [
    isOneOf(labels.priority, prioritiesOf(request)),
    ...(request.rules.length === 0 ? [] : [isOneOf(labels.rule, request.rules)]),
    ...(leftOut.length === 0 ? [] : [`${labels.rule}!~${goString(anyOf(leftOut))}`]),
  ];
}

function isOneOf(label: string, values: readonly string[]): string {
  const [first = '', ...more] = values.map(asTag);
  return more.length === 0
    ? `${label}=${goString(first)}`
    : `${label}=~${goString(anyOf([first, ...more]))}`;
}

function counted(by: string, selector: string): string {
  return `sum by (${by}) (\n  count_over_time(${selector}[${INCIDENT_MINUTES}m])\n) > 0`;
}

/**
 * App instances for which a coverage line reports a higher number than has arrived. It must also exceed the first reported
 * number: earlier lines may be older than the window. Without an instance, containers number their lines separately under one
 * name.
 */
function tail(by: string, all: string, coverage: string): string {
  const whose =
    'varvel_agent="hostname", varvel_instance="app.instance", varvel_process="app.process_type"';
  const number = (aggregation: string, selector: string, path: string, offset = ''): string =>
    [
      `${aggregation}(`,
      `    ${selector}[${KNOWN_HOURS}h]${offset} | json ${whose}, varvel_number=${goString(path)}`,
      `    | __error__="" | varvel_instance!="" | varvel_number=~"[0-9]+" | unwrap varvel_number`,
      `  ) by (${by}, varvel_agent, varvel_instance, varvel_process)`,
    ].join('\n');
  const told = 'output_fields["coverage.last_line"]';
  const given = number('max_over_time', coverage, told, ` offset ${GRACE_MINUTES}m`);
  return [
    `max by (${by}) (`,
    `  ${given}`,
    `  > ${number('max_over_time', all, 'seq')}`,
    `  > ${number('min_over_time', coverage, told)}`,
    `)`,
  ].join('\n');
}

/**
 * Without an app: those that had coverage lines today and have none now, but for those of which the last one says that the
 * app has ended. LogQL has no clock to compare with, so the times of lines are compared with each other.
 */
function silence(request: AlertRequest, labels: Labels, coverage: string): string {
  const now = `count_over_time(${coverage}[${SILENCE_MINUTES}m])`;
  if (request.app !== undefined) {
    return `absent_over_time(${coverage}[${SILENCE_MINUTES}m])`;
  }
  const by = `${labels.host}, ${labels.app}`;
  const last = (filter: string): string =>
    [
      `max by (${by}) (`,
      `  max_over_time(${coverage}${filter} | label_format seen=\`{{ __timestamp__ | unixEpoch }}\` | unwrap seen [${KNOWN_HOURS}h])`,
      ')',
    ].join('\n');
  const stopped = last(' |= `"coverage.when":"stop"`');
  return [
    `(`,
    last(''),
    `unless on (${by}) sum by (${by}) (${now})`,
    `)`,
    `unless on (${by}) (`,
    last(''),
    `== on (${by})`,
    stopped,
    `)`,
  ].join('\n');
}

function header(labels: Labels): string[] {
  return [
    'Where: the ruler’s rules folder (ruler_storage: local: directory/TENANT/varvel.yaml), or: lokitool rules sync varvel.yaml',
    'The labels come from syslog’s structured data, which only the platform and the agent write. In Alloy:',
    '',
    '  loki.relabel "varvel" {',
    '    forward_to = []',
    ...NAMES.flatMap((name) => [
      '    rule {',
      `      source_labels = ["${FROM[name]}"]`,
      `      target_label  = "${labels[name]}"`,
      '    }',
    ]),
    '  }',
    '  loki.source.syslog "drains" {',
    '    listener {',
    '      address               = "0.0.0.0:6514"',
    '      label_structured_data = true',
    '      max_message_length    = 16384',
    '    }',
    '    relabel_rules = loki.relabel.varvel.rules',
    '    forward_to    = [loki.write.default.receiver]',
    '  }',
    '',
    'One page an incident: what fires is an alert for each rule in it, and Alertmanager (see --webhook) groups them by',
    `${INCIDENT}, which is read from the line: as a label of streams it would make too many.`,
    'Other names for the labels: --field rule=my_label.',
  ];
}
