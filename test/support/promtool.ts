// Prometheus's own promtool runs the recording rules and the alerts over scenarios.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './temporary-folder.ts';

const DASHBOARDS = join(import.meta.dirname, '../../manifests/dashboards');
/** The files of rules and alerts that an operator gives Prometheus. */
export const RULES = ['recording.yaml', 'alerts.yaml'].map((name) => join(DASHBOARDS, name));
const folder = temporaryFolder('varvel-recording-');

/** `[series, values]`, a value each minute in promtool's notation. */
export type Input = readonly [string, string];
/** At this time the expression has these series (with their labels) and no other. */
export type Expected = readonly [
  at: string,
  expr: string,
  found: readonly (readonly [labels: string, value: number])[],
];

/** What promtool says against it; empty when all is as expected. `rules`: files of rules, by default those of this clone. */
export function promtool(
  inputs: readonly Input[],
  expected: readonly Expected[],
  rules: readonly string[] = RULES,
): string {
  const document = {
    rule_files: rules,
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: inputs.map(([series, values]) => ({ series, values })),
        promql_expr_test: expected.map(([at, expr, found]) => ({
          eval_time: at,
          expr,
          exp_samples: found.map(([labels, value]) => ({ labels, value })),
        })),
      },
    ],
  };
  // JSON is YAML.
  const file = join(folder, 'test.yaml');
  writeFileSync(file, JSON.stringify(document));
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], {
    encoding: 'utf8',
  });
  return status === 0 ? '' : stdout + stderr;
}

export function holds(inputs: readonly Input[], expected: readonly Expected[]): void {
  assert.equal(promtool(inputs, expected), '');
}
