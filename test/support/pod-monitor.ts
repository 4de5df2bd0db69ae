import { Ajv } from 'ajv';

// What the Prometheus Operator's PodMonitor (monitoring.coreos.com/v1) has of the fields that are used here. Kubernetes' own types do not
// have it.

export interface PodMonitor {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly podMetricsEndpoints: readonly { readonly port: string; readonly interval?: string }[];
  };
}

const text = { type: 'string', minLength: 1 };
const texts = { type: 'object', additionalProperties: text };
const object = (
  properties: Readonly<Record<string, object>>,
  required: readonly string[],
): object => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
});
const check = new Ajv({ allErrors: true }).compile(
  object(
    {
      apiVersion: { const: 'monitoring.coreos.com/v1' },
      kind: { const: 'PodMonitor' },
      metadata: object({ name: text, namespace: text, labels: texts }, ['name', 'namespace']),
      spec: object(
        {
          selector: object({ matchLabels: texts }, ['matchLabels']),
          podMetricsEndpoints: {
            type: 'array',
            minItems: 1,
            items: object(
              {
                port: { type: 'string', pattern: '^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$' },
                path: { type: 'string', pattern: '^/' },
                interval: { type: 'string', pattern: '^([0-9]+(ms|s|m|h))+$' },
                relabelings: {
                  type: 'array',
                  items: object(
                    {
                      sourceLabels: {
                        type: 'array',
                        items: { type: 'string', pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' },
                      },
                      targetLabel: text,
                    },
                    ['sourceLabels', 'targetLabel'],
                  ),
                },
              },
              ['port', 'path'],
            ),
          },
        },
        ['selector', 'podMetricsEndpoints'],
      ),
    },
    ['apiVersion', 'kind', 'metadata', 'spec'],
  ),
);

/** What is wrong with it; empty: nothing. */
export function checkPodMonitor(value: object): string {
  if (check(value)) return '';
  return check.errors!.map(({ instancePath, message }) => `${instancePath} ${message}`).join('\n');
}
