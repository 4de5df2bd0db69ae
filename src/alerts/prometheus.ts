import type { AlertDefinitions, AlertPlatform, AlertRequest } from './alert-request.ts';
import { INCIDENT_MINUTES, NO_TAIL_ALERT, prioritiesOf, SILENCE_MINUTES } from './alert-request.ts';
import { checkedFields } from './fields.ts';
import { anyOf, comment, goString, suffixOf } from './quoting.ts';
import { alertmanager, alertRules } from './rule-groups.ts';
import type { AlertRule } from './rule-groups.ts';

const FIELDS = { job: 'varvel' } as const;
/** Labels of an incident. */
const GROUPS = ['instance', 'rule', 'org', 'space', 'app', 'stream'];
const WINDOW = `${INCIDENT_MINUTES}m`;

/**
 * Rules for Prometheus, over the agent's own metrics: for operators, who can reach them. Metrics know no app of a detection,
 * so that with an app or a space only its losses are left.
 */
export const prometheus: AlertPlatform = {
  name: 'prometheus',
  title: 'Prometheus with Alertmanager, over the agents’ own metrics',
  prints: 'a rule file (YAML)',
  fields: FIELDS,
  render(request: AlertRequest): AlertDefinitions {
    const { job } = checkedFields(FIELDS, request.fields, /^.+$/su);
    const isForOneApp = request.app !== undefined || request.space !== undefined;
    const rules = isForOneApp
      ? [eventsLost(request)]
      : [detection(request), eventsLost(request), ...OF_THE_HOST, ...silence(job)];
    const name = ['varvel', suffixOf(request)].filter((part) => part !== '').join('-');
    const text = [
      comment('#', header(request, job, isForOneApp)),
      alertRules(name, rules),
      ...(request.webhook === undefined ? [] : [alertmanager(request.webhook, GROUPS)]),
    ].join('\n');
    return { text: `${text.trimEnd()}\n`, notes: [] };
  },
};

function header({ app }: AlertRequest, job: string, isForOneApp: boolean): string[] {
  return [
    'Where: a file that rule_files in prometheus.yml names; then reload Prometheus (kill -HUP, or POST /-/reload).',
    `The scrape job of the agents has to be called ${job} (or: --field job=NAME). The agent serves metrics on this`,
    'host only (metrics.listen): what scrapes it has to run there too.',
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

const OF_THE_HOST: readonly AlertRule[] = [
  {
    alert: 'VarvelLinesLost',
    expr: sumOf(
      'job, instance, stream, result',
      'varvel_stream_deliveries_total{result=~"refused|failed|dropped"}',
    ),
    severity: 'page',
    summary:
      'The stream {{ $labels.stream }} on {{ $labels.instance }} did not take all detections',
    description:
      'Lines are missing there ({{ $labels.result }}). The agent’s own log (stderr) says why.',
  },
  {
    alert: 'VarvelContainersNotWatched',
    expr: sumOf(
      'job, instance',
      'varvel_scope_full_total',
      'varvel_held_events_dropped_total',
      'varvel_held_events_expired_total',
    ),
    severity: 'page',
    summary:
      'Not all containers of {{ $labels.instance }} are watched, or it is not known whose some are',
    description: 'varvel status on the host names them, and says why.',
  },
  {
    alert: 'VarvelRulesNotReloaded',
    expr: 'varvel_rules_last_reload_successful == 0',
    hold: '5m',
    severity: 'ticket',
    summary: 'The rules on {{ $labels.instance }} have an error; the previous rules stay in force',
    description: 'varvel check FILES says where.',
  },
];

function silence(name: string): readonly AlertRule[] {
  const job = goString(name);
  return [
    {
      alert: 'VarvelAgentDown',
      expr: `up{job=${job}} == 0`,
      hold: '5m',
      severity: 'page',
      summary: 'The agent on {{ $labels.instance }} does not answer: nobody watches its apps',
      description: 'Look at the host: is the agent running, and what did it say last (stderr)?',
    },
    {
      alert: 'VarvelNoAgents',
      expr: `absent(up{job=${job}})`,
      hold: `${SILENCE_MINUTES}m`,
      severity: 'page',
      summary: 'Prometheus knows no agent at all',
      description: 'The scrape job is gone, has another name, or finds no host.',
    },
  ];
}
