import { cut, paint, wrap, type Style } from './report.ts';
import type { Tripped, WorkloadOutcome } from './run-benign.ts';

/** What the default rules said of ordinary apps (nothing, it should be), and what Falco's stable rules say. */
export function formatBenign(outcomes: readonly WorkloadOutcome[], style: Style): string {
  const withUpstream = outcomes.some(({ upstream }) => upstream !== undefined);
  const lines = [
    paint(style, '1', `${cut('ordinary app', NAME)} default rules at NOTICE or above`),
    ...outcomes.flatMap((outcome) => formatOurs(outcome, style)),
    '',
  ];
  if (withUpstream) {
    lines.push(paint(style, '1', `${cut('the same', NAME)} Falco’s stable rules`));
    for (const { workload, upstream = [] } of outcomes)
      lines.push(...table(workload.name, upstream));
    lines.push('');
  }
  const noisy = (of: (outcome: WorkloadOutcome) => readonly Tripped[]): string =>
    `${outcomes.filter((outcome) => of(outcome).length > 0).length}/${outcomes.length}`;
  lines.push(`default rules: ${noisy(({ ours }) => ours)} apps have detections`);
  if (withUpstream)
    lines.push(
      `Falco’s stable rules: ${noisy(({ upstream = [] }) => upstream)} apps have detections`,
    );
  return `${lines.join('\n')}\n`;
}

/** Whether every app did what it does, and no default rule said anything. */
export function isQuiet(outcomes: readonly WorkloadOutcome[]): boolean {
  return outcomes.every(({ ours, failure }) => ours.length === 0 && failure === undefined);
}

const NAME = 40;

function formatOurs(outcome: WorkloadOutcome, style: Style): string[] {
  const { workload, ours, failure } = outcome;
  const bad = ours.length > 0 || failure !== undefined;
  const lines = table(workload.name, ours);
  return [
    ...lines.map((line) => (bad ? paint(style, '31', line) : line)),
    ...ours.flatMap(({ first }) => wrap(`! ${first}`)),
    ...(failure === undefined ? [] : wrap(`! it did not work: ${failure}`)),
  ];
}

function table(name: string, tripped: readonly Tripped[]): string[] {
  if (tripped.length === 0) return [`${cut(name, NAME)} –`];
  return tripped.map(({ rule, priority, times }, i) => {
    const how = ` (${priority}${times > 1 ? `, ${times} times` : ''})`;
    const room = 99 - NAME - how.length;
    return `${cut(i === 0 ? name : '', NAME)} ${cut(rule, Math.min(rule.length, room))}${how}`;
  });
}
