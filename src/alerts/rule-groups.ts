import { INCIDENT_MINUTES } from './alert-request.ts';
import { comment, yamlString } from './quoting.ts';

/** A rule of Prometheus or of Loki's ruler. */
export interface AlertRule {
  readonly alert: string;
  /** PromQL or LogQL with escaped values, so that it contains no character that YAML needs to escape. */
  readonly expr: string;
  /** How long it has to be true; at once by default. */
  readonly hold?: string;
  readonly severity: 'page' | 'ticket';
  readonly summary: string;
  readonly description: string;
}

/** One group of rules in the YAML that both take. */
export function alertRules(group: string, rules: readonly AlertRule[]): string {
  const lines = ['groups:', `  - name: ${yamlString(group)}`, '    interval: 1m', '    rules:'];
  for (const { alert, expr, hold, severity, summary, description } of rules) {
    lines.push(
      `      - alert: ${alert}`,
      '        expr: |-',
      ...expr.split('\n').map((line) => `          ${line}`),
      ...(hold === undefined ? [] : [`        for: ${hold}`]),
      '        labels:',
      `          severity: ${severity}`,
      '        annotations:',
      `          summary: ${yamlString(summary)}`,
      `          description: ${yamlString(description)}`,
    );
  }
  return lines.join('\n');
}

/** An incident pages once, also when more of its rules fire later: it is over long before the next day. */
function incidentRoute(label: string, groupBy: readonly string[]): string[] {
  return [
    `      - matchers: ['alertname="VarvelDetection"', '${label}!=""']`,
    '        receiver: varvel',
    `        group_by: [${['alertname', ...groupBy, label].join(', ')}]`,
    '        group_wait: 10s',
    '        group_interval: 24h',
    '        repeat_interval: 24h',
  ];
}

/** What Alertmanager needs for one page an incident, as a comment: it goes into another file. */
export function alertmanager(
  webhook: string,
  groupBy: readonly string[],
  incident?: { readonly label: string; readonly groupBy: readonly string[] },
): string {
  return comment('#', [
    '',
    'For alertmanager.yml: one page for an incident, none for what goes on.',
    '  route:',
    '    routes:',
    ...(incident === undefined ? [] : incidentRoute(incident.label, incident.groupBy)),
    '      - matchers: [\'alertname=~"Varvel.*"\']',
    '        receiver: varvel',
    `        group_by: [${['alertname', ...groupBy].join(', ')}]`,
    '        group_wait: 10s',
    `        group_interval: ${INCIDENT_MINUTES}m`,
    '        repeat_interval: 24h',
    '  receivers:',
    '    - name: varvel',
    '      webhook_configs:',
    `        - url: ${yamlString(webhook)}`,
    '          send_resolved: false',
  ]);
}
