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
 * Rules for Prometheus, over the agent's own metrics: for operators, who can reach them. Metrics know no app of a detection,
 * so that with an app or a space only its losses are left. What concerns the agents themselves is in
 * manifests/dashboards/alerts.yaml.
 */
export const prometheus: AlertPlatform = {
  name: 'prometheus',
  title: 'Prometheus with Alertmanager, over the agents’ own metrics',
  prints: 'a rule file (YAML)',
  fields: {},
  render(request: AlertRequest): AlertDefinitions {
    checkedFields({}, request.fields, /^$/u);
    const isForOneApp = request.app !== undefined || request.space !== undefined;
    const rules = [...(isForOneApp ? [] : [detection(request)]), eventsLost(request)];
    const name = ['varvel', suffixOf(request)].filter((part) => part !== '').join('-');
    const text = [
      comment('#', header(request, isForOneApp)),
      alertRules(name, rules),
      ...(request.webhook === undefined ? [] : [alertmanager(request.webhook, GROUPS)]),
    ].join('\n');
    return { text: `${text.trimEnd()}\n`, notes: [] };
  },
};

function header({ app }: AlertRequest, isForOneApp: boolean): string[] {
  return [
    'Where: a file that rule_files in prometheus.yml names; then reload Prometheus (kill -HUP, or POST /-/reload).',
    'The agent serves metrics on its host only (metrics.listen): what scrapes it has to run there too, or varvel expose-metrics has to.',
    'Load varvel’s manifests/dashboards/alerts.yaml and recording.yaml beside this file: alerts on the agents themselves. They',
    'tell of agents that are down, of lines that got lost, and of what is not watched. Nothing below does.',
    ...NO_TAIL_ALERT,
    ...(isForOneApp
      ? [
          'Metrics say of which app events were lost, not in which one something was detected, and not that one is silent:',
          'take another platform for that, or leave out --app and --space for all apps of the hosts.',
          ...(app?.by === 'guid'
            ? ['Metrics have names of apps and no GUIDs: no alert below can fire. Use --app NAME.']
            : []),
        ]
      : [
          'One alert stands for one rule on one host: metrics do not say in which app. Its log does. They know no incident',
          'either: one with several rules is several alerts, and pages once a rule.',
        ]),
  ];
}

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

function detection(request: AlertRequest): AlertRule {
  const { rules } = request;
  const matchers = [
    `priority=~${goString(anyOf(prioritiesOf(request)))}`,
    ...(rules.length === 0 ? [] : [`rule=~${goString(anyOf(rules))}`]),
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

function eventsLost({ app, space }: AlertRequest): AlertRule {
  const matchers = [
    ...(app === undefined ? [] : [`app=${goString(app.value)}`]),
    ...(space === undefined ? [] : [`space=${goString(space)}`]),
  ].join(', ');
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
