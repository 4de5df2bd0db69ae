// The dashboards, alerts and recording rules in manifests/dashboards, as they are shipped.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const FOLDER = join(import.meta.dirname, '../../manifests/dashboards');
export const ALERTS = join(FOLDER, 'alerts.yaml');
export const RECORDING = join(FOLDER, 'recording.yaml');

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly targets?: readonly {
    readonly refId: string;
    readonly datasource: { readonly type: string; readonly uid: string };
    readonly expr: string;
    readonly legendFormat: string;
  }[];
}
/** Of a file of alerts, or of recording rules. */
export interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
}
interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}
const read = (name: string): Dashboard =>
  JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as Dashboard;
export const agents = read('varvel.json');
export const detections = read('detections.json');
const rulesOf = (file: string): Rule[] =>
  (parse(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
    ({ rules }) => rules,
  );
export const alerts = rulesOf(ALERTS);
export const recording = rulesOf(RECORDING);

/** As Grafana fills them in, for an interval of the test's. */
const filled = (expr: string): string =>
  expr
    .replaceAll('$__rate_interval', '10s')
    .replaceAll('$__range', '1h')
    .replaceAll('$instance', '.*');

const targets = [agents, detections].flatMap(({ panels }) =>
  panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat, datasource }) => ({
      what: title,
      expr: filled(expr),
      legendFormat,
      isLoki: datasource.type === 'loki',
    })),
  ),
);
export const logQueries = targets.filter(({ isLoki }) => isLoki);
export const queries = [
  ...targets.filter(({ isLoki }) => !isLoki),
  ...agents.annotations.list.map(({ expr }) => ({
    what: 'annotation',
    expr: filled(expr),
    legendFormat: '',
  })),
  ...[...alerts, ...recording].map(({ alert, record, expr }) => ({
    what: alert ?? record ?? '',
    expr,
    legendFormat: '',
  })),
];
