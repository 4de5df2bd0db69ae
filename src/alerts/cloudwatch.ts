import { UserError } from '../shared/user-error.ts';
import type { AlertDefinitions, AlertPlatform, AlertRequest } from './alert-request.ts';
import {
  ALERTS,
  COVERAGE,
  INCIDENT_MINUTES,
  leftOutRules,
  LOSS_PRIORITIES,
  LOSS_RULES,
  NO_TAIL_ALERT,
  prioritiesOf,
  SILENCE_MINUTES,
  todoOf,
} from './alert-request.ts';
import { CANARY_RULE } from '../shared/drill.ts';
import { NOTICE_PREFIX } from '../streams/notice-rules.ts';
import { checkedFields } from './fields.ts';
import { asTag, jsonDocument, suffixOf } from './quoting.ts';

/** Log events are JSON with the tags of the line beside its message. */
const FIELDS = {
  source_type: 'source_type',
  rule: 'varvel_rule',
  priority: 'varvel_priority',
  app_id: 'app_id',
  app_name: 'app_name',
  space: 'space_name',
} as const;

/** Rules of the agent's own lines, with the wildcard of a filter pattern: it has no room for all their names. */
const NOT_OF_THE_AGENT = [`${NOTICE_PREFIX}*`, CANARY_RULE] as const;

/** Of a filter pattern (PutMetricFilter). */
const MAX_PATTERN = 1024;
/** Of an alarm's description; what is longer is cut. */
const MAX_DESCRIPTION = 1024;
const COVERAGE_PERIOD_S = 300;

type Names = Readonly<Record<keyof typeof FIELDS, string>>;

/** Metric filters and alarms for CloudWatch, as a stack. An alarm cannot be by app: there is a stack for each. */
export const cloudwatch: AlertPlatform = {
  name: 'cloudwatch',
  title: 'AWS CloudWatch Logs, metric filters and alarms',
  prints: 'a CloudFormation template (JSON)',
  fields: FIELDS,
  render(request: AlertRequest): AlertDefinitions {
    const names = checkedFields(FIELDS, request.fields, /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/);
    const name = (part: string): string =>
      ['varvel', part, suffixOf(request)].filter((it) => it !== '').join('-');
    const alarms = [
      ...(request.rules.length === 0
        ? [alarm(request, 'Detection', name('detections'), detections(request, names, []))]
        : request.rules.map((rule, index) =>
            alarm(
              request,
              `Detection${index + 1}`,
              name(`detections-${index + 1}`),
              detections(request, names, [rule]),
            ),
          )),
      alarm(request, 'Loss', name('losses'), [
        ...scope(request, names),
        isOneOf(names.rule, LOSS_RULES),
        isOneOf(names.priority, LOSS_PRIORITIES),
      ]),
      alarm(request, 'Silence', name('coverage-lines'), [
        ...scope(request, names),
        isOneOf(names.rule, [COVERAGE]),
      ]),
    ];
    const template = {
      AWSTemplateFormatVersion: '2010-09-09',
      Description: 'Alarms for what varvel writes into the logs of apps',
      Parameters: {
        LogGroupName: { Type: 'String', Description: 'The log group of the app' },
      },
      Resources: {
        Pages: { Type: 'AWS::SNS::Topic', Properties: {} },
        ...(request.webhook === undefined ? {} : { Webhook: subscription(request.webhook) }),
        ...Object.fromEntries(alarms.flatMap((resources) => Object.entries(resources))),
      },
      Outputs: { Topic: { Value: { Ref: 'Pages' } } },
    };
    return { text: `${jsonDocument(template)}\n`, notes: notes(request, names) };
  },
};

function notes({ webhook, app }: AlertRequest, names: Names): string[] {
  return [
    'Where: aws cloudformation deploy --stack-name varvel-alerts --template-file varvel.json --parameter-overrides LogGroupName=NAME',
    `Log events have to be JSON objects with the line’s tags at their top (${Object.values(names).join(', ')}), as what ships the logs takes them from the platform’s envelope or the syslog structured data. It must not put there what an app prints. Other names: --field rule=tags.varvel_rule.`,
    webhook === undefined
      ? 'Subscribe whom to page to the topic of the stack: aws sns subscribe --topic-arn … --protocol email --notification-endpoint …'
      : 'SNS sends the webhook a request to confirm first (SubscribeURL in its body).',
    ...(app === undefined
      ? [
          'An alarm is one page, and cannot be by app or by incident: these stand for the log group as a whole. Print them once an app: --app NAME.',
        ]
      : []),
    'An incident that begins while the alarm is on does not page again; the alarm ends 15 minutes after the last line.',
    NO_TAIL_ALERT.join(' '),
    'Silence does not tell an app that was stopped on purpose: aws cloudwatch disable-alarm-actions for that time.',
  ];
}

function scope({ sourceType, app, space }: AlertRequest, names: Names): string[] {
  return [
    isOneOf(names.source_type, [sourceType]),
    ...(app === undefined
      ? []
      : [isOneOf(app.by === 'guid' ? names.app_id : names.app_name, [app.value])]),
    ...(space === undefined ? [] : [isOneOf(names.space, [space])]),
  ];
}

function detections(request: AlertRequest, names: Names, rules: readonly string[]): string[] {
  const leftOut = leftOutRules(request);
  return [
    ...scope(request, names),
    isOneOf(names.priority, prioritiesOf(request)),
    ...(rules.length === 0 ? [] : [isOneOf(names.rule, rules)]),
    ...(leftOut.length === 0 ? [] : NOT_OF_THE_AGENT.map((it) => `($.${names.rule} != "${it}")`)),
  ];
}

function isOneOf(field: string, values: readonly string[]): string {
  const parts = values.map((value) => `($.${field} = ${text(value)})`);
  return parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(' || ')})`;
}

/** A string of a filter pattern. Its syntax has a wildcard and no documented way to mean the character. */
function text(value: string): string {
  const tag = asTag(value);
  const bad = /["\\*]/.exec(tag);
  if (bad !== null) {
    throw new UserError(
      `CloudWatch’s filter patterns cannot look for ${JSON.stringify(value.slice(0, 100))}: they have no way to write ${bad[0]}. Leave it out, or use another platform for it.`,
      { exitCode: 2 },
    );
  }
  return `"${tag}"`;
}

function subscription(webhook: string): object {
  return {
    Type: 'AWS::SNS::Subscription',
    Properties: {
      TopicArn: { Ref: 'Pages' },
      Protocol: webhook.startsWith('https:') ? 'https' : 'http',
      Endpoint: webhook,
    },
  };
}

/** A metric filter and its alarm, which stays on until the window holds nothing: one page. */
function alarm(
  request: AlertRequest,
  id: string,
  metric: string,
  conditions: readonly string[],
): Record<string, object> {
  const pattern = `{ ${conditions.join(' && ')} }`;
  if (pattern.length > MAX_PATTERN) {
    throw new UserError(
      `A filter pattern of CloudWatch has at most ${MAX_PATTERN} characters; this one has ${pattern.length}. Use shorter names (--field) or a higher --priority.`,
      { exitCode: 2 },
    );
  }
  const isSilence = id === 'Silence';
  const alert = isSilence ? 'silence' : id === 'Loss' ? 'loss' : 'detection';
  const which = request.rules.length === 0 || isSilence ? '' : ` (${metric})`;
  const description = `${ALERTS[alert].summary}${which}. ${todoOf(request, alert)}`;
  const periodS = isSilence ? COVERAGE_PERIOD_S : 60;
  const periods = ((isSilence ? SILENCE_MINUTES : INCIDENT_MINUTES) * 60) / periodS;
  return {
    [`${id}Filter`]: {
      Type: 'AWS::Logs::MetricFilter',
      Properties: {
        LogGroupName: { Ref: 'LogGroupName' },
        FilterPattern: pattern,
        MetricTransformations: [
          { MetricNamespace: 'Varvel', MetricName: metric, MetricValue: '1', DefaultValue: 0 },
        ],
      },
    },
    [`${id}Alarm`]: {
      Type: 'AWS::CloudWatch::Alarm',
      Properties: {
        AlarmDescription: description.slice(0, MAX_DESCRIPTION),
        Namespace: 'Varvel',
        MetricName: metric,
        Statistic: 'Sum',
        Period: periodS,
        EvaluationPeriods: periods,
        DatapointsToAlarm: isSilence ? periods : 1,
        Threshold: 1,
        ComparisonOperator: isSilence ? 'LessThanThreshold' : 'GreaterThanOrEqualToThreshold',
        TreatMissingData: isSilence ? 'breaching' : 'notBreaching',
        AlarmActions: [{ Ref: 'Pages' }],
      },
    },
  };
}
