import { readFileSync } from 'node:fs';
import type { Tripped, WorkloadOutcome } from './run-benign.ts';

/** The table of ordinary apps in manifests/COVERAGE.md: one row an app, with the rules that it tripped. */
export function benignTable(outcomes: readonly WorkloadOutcome[]): string[] {
  const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    row('app', 'default rules', 'Falco’s stable rules'),
    row('---', '---', '---'),
    ...outcomes.map(({ workload, ours, upstream = [] }) =>
      row(workload.name, named(ours), named(upstream)),
    ),
  ];
}

/** Rows of the table that the page does not have as they are; spaces at the cells' ends do not count. */
export function rowsMissingInPage(outcomes: readonly WorkloadOutcome[]): string[] {
  const bare = (line: string): string => line.replaceAll(/\s*\|\s*/g, '|');
  const page = new Set(readFileSync('manifests/COVERAGE.md', 'utf8').split('\n').map(bare));
  const [header = '', , ...rows] = benignTable(outcomes);
  return [header, ...rows].filter((line) => !page.has(bare(line)));
}

/** By name: which was the first to fire is chance. */
function named(tripped: readonly Tripped[]): string {
  const rules = tripped.map(({ rule, priority }) => `${rule} (${priority})`).sort();
  return rules.length === 0 ? 'nothing' : rules.join(', ');
}
