// The documented shapes of what platforms take, as far as it is used here: nothing beside them may be printed.
import { z } from 'zod';

/** Anything that a test looks at no closer. */
const any = z.unknown();

const action = z.strictObject({
  name: z.string(),
  destination_id: z.string(),
  subject_template: z.strictObject({ source: z.string(), lang: z.literal('mustache') }),
  message_template: z.strictObject({ source: z.string(), lang: z.literal('mustache') }),
  throttle_enabled: z.boolean(),
  throttle: z.strictObject({ value: z.int(), unit: z.literal('MINUTES') }).optional(),
  action_execution_policy: z
    .strictObject({
      action_execution_scope: z.strictObject({
        per_alert: z.strictObject({
          actionable_alerts: z.array(z.enum(['NEW', 'DEDUPED', 'COMPLETED'])),
        }),
      }),
    })
    .optional(),
});
const painless = z.strictObject({ source: z.string(), lang: z.literal('painless') });
const severity = z.enum(['1', '2', '3', '4', '5']);

/** OpenSearch, Alerting API, "Create a query-level monitor" and "Create a bucket-level monitor". */
export const OPENSEARCH_MONITOR = z.strictObject({
  type: z.literal('monitor'),
  name: z.string(),
  monitor_type: z.enum(['query_level_monitor', 'bucket_level_monitor']),
  enabled: z.literal(true),
  schedule: z.strictObject({
    period: z.strictObject({ interval: z.int(), unit: z.literal('MINUTES') }),
  }),
  inputs: z.tuple([
    z.strictObject({
      search: z.strictObject({
        indices: z.array(z.string()),
        query: z.strictObject({
          size: z.literal(0),
          query: z.strictObject({
            bool: z.strictObject({ filter: z.array(z.record(z.string(), any)) }),
          }),
          aggregations: z
            .record(
              z.string(),
              z.strictObject({
                composite: z.strictObject({
                  size: z.int().max(10_000),
                  sources: z.array(
                    z.record(
                      z.string(),
                      z.strictObject({ terms: z.strictObject({ field: z.string() }) }),
                    ),
                  ),
                }),
                aggregations: z.record(z.string(), any).optional(),
              }),
            )
            .optional(),
        }),
      }),
    }),
  ]),
  triggers: z.tuple([
    z.union([
      z.strictObject({
        query_level_trigger: z.strictObject({
          name: z.string(),
          severity,
          condition: z.strictObject({ script: painless }),
          actions: z.tuple([action]),
        }),
      }),
      z.strictObject({
        bucket_level_trigger: z.strictObject({
          name: z.string(),
          severity,
          condition: z.strictObject({
            buckets_path: z.record(z.string(), z.string()),
            parent_bucket_path: z.string(),
            script: painless,
            gap_policy: z.enum(['skip', 'insert_zeros']),
          }),
          actions: z.tuple([action]),
        }),
      }),
    ]),
  ]),
});

/** OpenSearch, Notifications API, "Create channel configuration". */
export const OPENSEARCH_CHANNEL = z.strictObject({
  config_id: z.string(),
  config: z.strictObject({
    name: z.string(),
    description: z.string(),
    config_type: z.literal('webhook'),
    is_enabled: z.literal(true),
    webhook: z.strictObject({ url: z.url() }),
  }),
});

const esQueryCommon = {
  timeField: z.string(),
  size: z.int().min(0).max(10_000),
  threshold: z.tuple([z.int()]),
  thresholdComparator: z.enum(['>', '<']),
  timeWindowSize: z.int(),
  timeWindowUnit: z.enum(['m', 'd']),
};

/** Kibana, "Create a rule", with the params of the type `.es-query`. */
export const KIBANA_RULE = z.strictObject({
  name: z.string(),
  tags: z.tuple([z.literal('varvel')]),
  consumer: z.literal('stackAlerts'),
  rule_type_id: z.literal('.es-query'),
  schedule: z.strictObject({ interval: z.string().regex(/^[15]m$/) }),
  params: z.discriminatedUnion('searchType', [
    z.strictObject({
      searchType: z.literal('esQuery'),
      index: z.array(z.string()),
      esQuery: z.string(),
      aggType: z.literal('count'),
      groupBy: z.enum(['all', 'top']),
      termField: z.array(z.string()).max(4).optional(),
      termSize: z.int().optional(),
      excludeHitsFromPreviousRun: z.boolean(),
      ...esQueryCommon,
    }),
    z.strictObject({
      searchType: z.literal('esqlQuery'),
      esqlQuery: z.strictObject({ esql: z.string() }),
      groupBy: z.literal('row'),
      ...esQueryCommon,
    }),
  ]),
  actions: z.array(
    z.strictObject({
      group: z.literal('query matched'),
      id: z.uuid(),
      params: z.strictObject({ body: z.string() }),
      frequency: z.strictObject({
        summary: z.literal(false),
        notify_when: z.literal('onActionGroupChange'),
        throttle: z.null(),
      }),
    }),
  ),
});

/** The query within a rule's params. */
export const ES_QUERY = z.strictObject({
  query: z.strictObject({
    bool: z.strictObject({ filter: z.array(z.record(z.string(), any)) }),
  }),
});

/** Kibana, "Create a connector", of the type `.webhook`. */
export const KIBANA_CONNECTOR = z.strictObject({
  name: z.string(),
  connector_type_id: z.literal('.webhook'),
  config: z.strictObject({
    url: z.url(),
    method: z.literal('post'),
    hasAuth: z.literal(false),
    headers: z.record(z.string(), z.string()),
  }),
  secrets: z.strictObject({}),
});

/** Datadog, API v1, "Create a monitor". */
export const DATADOG_MONITORS = z.array(
  z.strictObject({
    name: z.string(),
    type: z.literal('log alert'),
    query: z.string(),
    message: z.string(),
    tags: z.array(z.string()),
    priority: z.int().min(1).max(5),
    options: z.strictObject({
      thresholds: z.strictObject({ critical: z.number() }),
      on_missing_data: z.literal('default'),
      group_retention_duration: z.string().regex(/^\d+[mhd]$/),
      groupby_simple_monitor: z.literal(false),
      new_group_delay: z.int(),
      renotify_interval: z.literal(0),
      notify_audit: z.boolean(),
      include_tags: z.boolean(),
      enable_logs_sample: z.boolean(),
    }),
  }),
);

const duration = z.string().regex(/^(?:PT[15]M|PT15M|PT30M|P1D)$/);

/** Microsoft.Insights/scheduledQueryRules 2023-12-01 */
export const AZURE_RULE = z.strictObject({
  type: z.literal('Microsoft.Insights/scheduledQueryRules'),
  apiVersion: z.literal('2023-12-01'),
  name: z.string().regex(/^[a-z][a-z0-9-]{1,80}$/),
  location: z.literal("[parameters('location')]"),
  kind: z.literal('LogAlert'),
  dependsOn: z.array(z.string()).optional(),
  properties: z.strictObject({
    displayName: z.string(),
    description: z.string(),
    severity: z.int().min(0).max(4),
    enabled: z.literal(true),
    scopes: z.tuple([z.literal("[parameters('workspaceId')]")]),
    evaluationFrequency: duration,
    windowSize: duration,
    criteria: z.strictObject({
      allOf: z.tuple([
        z.strictObject({
          query: z.string(),
          timeAggregation: z.literal('Count'),
          operator: z.literal('GreaterThan'),
          threshold: z.literal(0),
          dimensions: z.array(
            z.strictObject({
              name: z.string(),
              operator: z.literal('Include'),
              values: z.tuple([z.literal('*')]),
            }),
          ),
          failingPeriods: z.strictObject({
            numberOfEvaluationPeriods: z.literal(1),
            minFailingPeriodsToAlert: z.literal(1),
          }),
        }),
      ]),
    }),
    autoMitigate: z.literal(true),
    actions: z.strictObject({ actionGroups: z.tuple([z.string()]) }),
  }),
});

/** Microsoft.Insights/actionGroups 2023-01-01 */
export const AZURE_GROUP = z.strictObject({
  type: z.literal('Microsoft.Insights/actionGroups'),
  apiVersion: z.literal('2023-01-01'),
  name: z.string(),
  location: z.literal('Global'),
  properties: z.strictObject({
    groupShortName: z.string().max(12),
    enabled: z.literal(true),
    webhookReceivers: z.tuple([
      z.strictObject({
        name: z.string(),
        serviceUri: z.url(),
        useCommonAlertSchema: z.literal(true),
      }),
    ]),
  }),
});

/** Azure Resource Manager, the deployment template of 2019-04-01. */
export const AZURE_TEMPLATE = z.strictObject({
  $schema: z.literal(
    'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#',
  ),
  contentVersion: z.literal('1.0.0.0'),
  parameters: z.record(z.string(), any),
  resources: z.array(z.union([AZURE_RULE, AZURE_GROUP])),
});

/** AWS CloudFormation; the properties of resources are compared with AWS's specification. */
export const CLOUDFORMATION = z.strictObject({
  AWSTemplateFormatVersion: z.literal('2010-09-09'),
  Description: z.string(),
  Parameters: z.record(z.string(), any),
  Resources: z.record(
    z.string().regex(/^[A-Za-z0-9]{1,255}$/),
    z.strictObject({ Type: z.string(), Properties: z.record(z.string(), any) }),
  ),
  Outputs: z.record(z.string(), any),
});
