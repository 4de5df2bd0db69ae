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
import { jsonDocument, suffixOf } from './quoting.ts';

/** As Microsoft's nozzle for Cloud Foundry writes them; the line itself is JSON in the message. */
const FIELDS = {
  index: 'CF_LogMessage_CL',
  source_type: 'SourceType_s',
  message: 'Message_s',
} as const;

type Names = Readonly<Record<keyof typeof FIELDS, string>>;

/** Scheduled query rules over a Log Analytics workspace, as a deployment template. */
export const azure: AlertPlatform = {
  name: 'azure',
  title: 'Azure Monitor, Log Analytics',
  prints: 'a deployment template (ARM JSON)',
  fields: FIELDS,
  render(request: AlertRequest): AlertDefinitions {
    const names = checkedFields(FIELDS, request.fields, /^[A-Za-z_][A-Za-z0-9_]*$/);
    const suffix = suffixOf(request);
    const template = {
      $schema: 'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#',
      contentVersion: '1.0.0.0',
      parameters: {
        workspaceId: {
          type: 'string',
          metadata: { description: 'Resource id of the Log Analytics workspace.' },
        },
        location: { type: 'string', defaultValue: '[resourceGroup().location]' },
        ...(request.webhook === undefined
          ? {
              actionGroupId: {
                type: 'string',
                metadata: { description: 'Resource id of the action group that pages.' },
              },
            }
          : {}),
      },
      resources: [
        ...(request.webhook === undefined ? [] : [actionGroup(request.webhook, suffix)]),
        rule(request, 'detection', suffix, {
          query: `${source(request, names)}\n| where ${detections(request).join(' and ')}\n${FIRST}`,
          dimensions: ['App', 'Incident', 'Rule'],
          // Longer than an incident: its first line names it as long as there is one.
          window: `PT${2 * INCIDENT_MINUTES}M`,
        }),
        rule(request, 'loss', suffix, {
          query: `${source(request, names)}\n| where ${isOneOf('Rule', LOSS_RULES)} and ${isOneOf('Priority', LOSS_PRIORITIES)}\n${NEWEST}`,
          dimensions: ['App', 'Rule'],
          window: `PT${INCIDENT_MINUTES}M`,
        }),
        rule(request, 'tail', suffix, {
          query: tail(request, names),
          dimensions: ['App'],
          window: `P1D`,
        }),
        rule(request, 'silence', suffix, {
          query: silence(request, names),
          dimensions: ['App'],
          window: `P1D`,
        }),
      ],
    };
    return { text: `${jsonDocument(template)}\n`, notes: notes(request, names) };
  },
};

function notes({ webhook }: AlertRequest, names: Names): string[] {
  return [
    'Where: az deployment group create -g GROUP -f varvel.json -p workspaceId=/subscriptions/…/workspaces/NAME' +
      (webhook === undefined ? ' actionGroupId=/subscriptions/…/actionGroups/NAME' : ''),
    `The table and its columns are those of Microsoft’s Log Analytics nozzle for Cloud Foundry (${names.index}, ${names.source_type}, ${names.message}). Others: --field index=TABLE, --field source_type=COLUMN, --field message=COLUMN; the source has to be a column that no app writes, the message the line as the agent wrote it (JSON).`,
    'One page an incident: its alert names the app, the incident and the rule of its first line; it notifies once. Losses page once an app and rule, until there was no line for 15 minutes.',
  ];
}

const NEWEST =
  '| summarize Lines = count(), Last = max(TimeGenerated) by App, AppName, Rule, Priority';

/** One row an incident. Its rule and priority are those of its first line. */
const FIRST =
  '| summarize Lines = count(), Last = max(TimeGenerated), arg_min(TimeGenerated, Rule, Priority) by App, AppName, Incident';

/** Parses the agent's lines; a line that an app prints does not pass the first condition. */
function source(request: AlertRequest, names: Names): string {
  const { sourceType, app, space } = request;
  return [
    names.index,
    `| where ${names.source_type} == ${text(sourceType)}`,
    `| extend Line = parse_json(${names.message})`,
    '| extend Rule = tostring(Line.rule), Priority = tostring(Line.priority), When = tostring(Line.output_fields["coverage.when"])',
    '| extend Incident = iff(isempty(tostring(Line.incident)), Rule, tostring(Line.incident))',
    '| extend AppName = tostring(Line.app.name), Space = tostring(Line.app.space), Instance = tostring(Line.app.instance)',
    '| extend App = iff(isempty(tostring(Line.app.guid)), AppName, tostring(Line.app.guid))',
    ...(app === undefined
      ? []
      : [`| where ${app.by === 'guid' ? 'App' : 'AppName'} == ${text(app.value)}`]),
    ...(space === undefined ? [] : [`| where Space == ${text(space)}`]),
  ].join('\n');
}

function detections(request: AlertRequest): string[] {
  const leftOut = leftOutRules(request);
  return [
    isOneOf('Priority', prioritiesOf(request)),
    ...(request.rules.length === 0 ? [] : [isOneOf('Rule', request.rules)]),
    ...(leftOut.length === 0 ? [] : [`not(${isOneOf('Rule', leftOut)})`]),
  ];
}

/**
 * Apps with instances for which a coverage line reports a higher number than has arrived. It must also exceed the first
 * reported number: earlier lines may be older than the window. Without an instance, containers number their lines separately
 * under one name.
 */
function tail(request: AlertRequest, names: Names): string {
  const told = `iff(${isOneOf('Rule', [COVERAGE])}, tolong(Line.output_fields["coverage.last_line"]), long(null))`;
  return [
    source(request, names),
    '| where Instance != ""',
    `| extend Agent = tostring(Line.hostname), Process = tostring(Line.app.process_type), Seq = tolong(Line.seq), Told = ${told}`,
    `| extend Ready = iff(ingestion_time() < ago(${GRACE_MINUTES}m), Told, long(null))`,
    '| summarize Here = max(Seq), First = min(Told), Given = max(Ready) by App, Instance, Process, Agent',
    '| where Given > Here and Given > First',
    '| summarize Instances = count() by App',
  ].join('\n');
}

/** One row for each app without a coverage line; the last line of one that has ended says so. */
function silence(request: AlertRequest, names: Names): string {
  const coverage = `${source(request, names)}\n| where ${isOneOf('Rule', [COVERAGE])}`;
  const silent = `Last < ago(${SILENCE_MINUTES}m) and When != "stop"`;
  if (request.app !== undefined) {
    return [
      coverage,
      '| summarize arg_max(TimeGenerated, When)',
      '| extend Last = TimeGenerated',
      `| where isnull(Last) or (${silent})`,
      `| project App = ${text(request.app.value)}, Last`,
    ].join('\n');
  }
  return [
    coverage,
    `| where TimeGenerated > ago(${KNOWN_HOURS}h)`,
    '| summarize arg_max(TimeGenerated, When) by App, AppName, Instance',
    '| extend Last = TimeGenerated',
    `| where ${silent}`,
    '| summarize Last = max(Last) by App, AppName',
  ].join('\n');
}

function isOneOf(column: string, values: readonly string[]): string {
  return values.length === 1
    ? `${column} == ${text(values[0] ?? '')}`
    : `${column} in (${values.map(text).join(', ')})`;
}

/** A string of KQL: backslash escapes, as `\uXXXX` for what is hidden. */
function text(value: string): string {
  const escaped = value.replace(
    /["'\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu,
    (it) => {
      if (it === '"' || it === "'" || it === '\\') return `\\${it}`;
      return it
        .split('')
        .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
        .join('');
    },
  );
  return `"${escaped}"`;
}

/** Text that Resource Manager does not take for an expression. */
function literal(value: string): string {
  return value.startsWith('[') ? `[${value}` : value;
}

interface Query {
  readonly query: string;
  readonly dimensions: readonly string[];
  readonly window: string;
}

function rule(
  request: AlertRequest,
  alert: keyof typeof ALERTS,
  suffix: string,
  { query, dimensions, window }: Query,
): object {
  const { title, summary } = ALERTS[alert];
  const scope = scopeOf(request);
  return {
    type: 'Microsoft.Insights/scheduledQueryRules',
    apiVersion: '2023-12-01',
    name: ['varvel', title.replace(' ', '-'), suffix].filter((part) => part !== '').join('-'),
    location: "[parameters('location')]",
    kind: 'LogAlert',
    ...(request.webhook === undefined ? {} : { dependsOn: [actionGroupId(suffix)] }),
    properties: {
      displayName: `varvel ${title}${scope === '' ? '' : `: ${scope}`}`,
      description: `${summary}. ${todoOf(request, alert)}`,
      severity: alert === 'detection' ? 0 : 1,
      enabled: true,
      scopes: ["[parameters('workspaceId')]"],
      evaluationFrequency: alert === 'silence' || alert === 'tail' ? 'PT5M' : 'PT1M',
      windowSize: window,
      criteria: {
        allOf: [
          {
            query: literal(query),
            timeAggregation: 'Count',
            operator: 'GreaterThan',
            threshold: 0,
            dimensions: dimensions.map((name) => ({ name, operator: 'Include', values: ['*'] })),
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 },
          },
        ],
      },
      autoMitigate: true,
      actions: {
        actionGroups: [
          request.webhook === undefined ? "[parameters('actionGroupId')]" : actionGroupId(suffix),
        ],
      },
    },
  };
}

const actionGroupName = (suffix: string): string =>
  ['varvel', suffix].filter((part) => part !== '').join('-');

function actionGroupId(suffix: string): string {
  return `[resourceId('Microsoft.Insights/actionGroups', '${actionGroupName(suffix)}')]`;
}

function actionGroup(webhook: string, suffix: string): object {
  return {
    type: 'Microsoft.Insights/actionGroups',
    apiVersion: '2023-01-01',
    name: actionGroupName(suffix),
    location: 'Global',
    properties: {
      groupShortName: 'varvel',
      enabled: true,
      webhookReceivers: [{ name: 'varvel', serviceUri: webhook, useCommonAlertSchema: true }],
    },
  };
}
