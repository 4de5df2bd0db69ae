import type { AlertDefinitions, AlertPlatform, AlertRequest } from './alert-request.ts';
import { INCIDENT_MINUTES, NO_TAIL_ALERT, prioritiesOf } from './alert-request.ts';
import { checkedFields } from './fields.ts';
import { anyOf, comment, goString, suffixOf } from './quoting.ts';
import { alertmanager, alertRules } from './rule-groups.ts';
import type { AlertRule } from './rule-groups.ts';

/** Labels of an incident. */
const GROUPS = ['instance', 'rule', 'org', 'space', 'app', 'stream'];
const WINDOW = `${INCIDENT_MINUTES}m`;

/**
 * Rules for Prometheus, over the agent's own metrics: for operators, who can reach them. One incident is one page, but for
 * chosen rules: the metric of incidents has only the rule that made each severe enough, so that lines of rules are counted then.
 * Those know no app. What concerns the agents themselves is in manifests/dashboards/alerts.yaml.
 */
export const prometheus: AlertPlatform = {
  name: 'prometheus',
  title: 'Prometheus with Alertmanager, over the agents’ own metrics',
  prints: 'a rule file (YAML)',
  fields: {},
  render(request: AlertRequest): AlertDefinitions {
    checkedFields({}, request.fields, /^$/u);
    const rules = [...detections(request), eventsLost(request)];
    const name = ['varvel', suffixOf(request)].filter((part) => part !== '').join('-');
    const text = [
      comment('#', header(request)),
      alertRules(name, rules),
      ...(request.webhook === undefined ? [] : [alertmanager(request.webhook, GROUPS)]),
    ].join('\n');
    return { text: `${text.trimEnd()}\n`, notes: [] };
  },
};

function header(request: AlertRequest): string[] {
  return [
    'Where: a file that rule_files in prometheus.yml names; then reload Prometheus (kill -HUP, or POST /-/reload).',
    'The agent serves metrics on its host only (metrics.listen): what scrapes it has to run there too, or varvel expose-metrics has to.',
    'Load varvel’s manifests/dashboards/alerts.yaml and recording.yaml beside this file: alerts on the agents themselves. They',
    'tell of agents that are down, of lines that got lost, and of what is not watched. Nothing below does.',
    ...NO_TAIL_ALERT,
    ...aboutDetections(request),
    ...(request.app?.by === 'guid'
      ? ['Metrics have names of apps and no GUIDs: no alert below can fire. Use --app NAME.']
      : []),
  ];
}

function aboutDetections(request: AlertRequest): string[] {
  if (request.rules.length === 0)
    return [
      'An incident pages once, by its first line that is severe enough. Incidents of 15 minutes that the same rule began in the same',
      'app of a host are one alert. Beyond 1,000 series a host counts them as those of the app "other".',
    ];
  if (isForOneApp(request))
    return [
      'Metrics do not say in which app a chosen rule detected something: take another platform for that, or leave out --rule.',
    ];
  return [
    'One alert stands for one chosen rule on one host: metrics do not say in which app. Its log does. An incident with several',
    'of these rules is several alerts.',
  ];
}

const isForOneApp = ({ app, space }: AlertRequest): boolean =>
  app !== undefined || space !== undefined;

/** That a counter grew: increase() alone does not see the first time, since the series begins with it. */
function grew(series: string): string {
  return [
    `(increase(${series}[${WINDOW}]) > 0)`,
    `or ((${series} > 0) unless (${series} offset ${WINDOW}))`,
  ].join('\n  ');
}

function sumOf(by: string, ...series: readonly string[]): string {
  return `sum by (${by}) (\n  ${series.map(grew).join('\n  or ')}\n)`;
}

function detections(request: AlertRequest): AlertRule[] {
  if (request.rules.length === 0) return [incident(request)];
  return isForOneApp(request) ? [] : [detection(request)];
}

function incident(request: AlertRequest): AlertRule {
  const matchers = [`at_least=${goString(request.minimum)}`, ...ofApp(request)].join(', ');
  return {
    alert: 'VarvelIncident',
    expr: sumOf('job, instance, org, space, app, rule', `varvel_incidents_total{${matchers}}`),
    severity: 'page',
    summary: '{{ $labels.rule }} in app {{ $labels.app }} on {{ $labels.instance }}',
    description:
      'varvel detected something in the app. What it is, and all lines of the incident, are in the log of the app and in the operator’s copy (streams.file).',
  };
}

function detection(request: AlertRequest): AlertRule {
  const { rules } = request;
  const matchers = [
    `priority=~${goString(anyOf(prioritiesOf(request)))}`,
    `rule=~${goString(anyOf(rules))}`,
  ].join(', ');
  return {
    alert: 'VarvelDetection',
    expr: sumOf('job, instance, rule, priority', `varvel_detections_total{${matchers}}`),
    severity: 'page',
    summary: '{{ $labels.rule }} ({{ $labels.priority }}) on {{ $labels.instance }}',
    description:
      'varvel detected something in an app of this host. In which one, and what, is in the log of the app and in the operator’s copy (streams.file).',
  };
}

const ofApp = ({ app, space }: AlertRequest): string[] => [
  ...(app === undefined ? [] : [`app=${goString(app.value)}`]),
  ...(space === undefined ? [] : [`space=${goString(space)}`]),
];

function eventsLost(request: AlertRequest): AlertRule {
  const matchers = ofApp(request).join(', ');
  return {
    alert: 'VarvelEventsLost',
    expr: sumOf(
      'job, instance, org, space, app',
      `varvel_app_records_dropped_total${matchers === '' ? '' : `{${matchers}}`}`,
    ),
    severity: 'page',
    summary: 'Events of the app {{ $labels.app }} on {{ $labels.instance }} were not seen',
    description:
      'What happened in them is not known. varvel status on the host says which container makes so many.',
  };
}
