import type { AttackRow, ImpossibleRow } from './row.ts';
import { formatLengths } from './line-lengths.ts';
import type { AttackRun, RowOutcome, RuleOutcome } from './run-attacks.ts';

export interface Style {
  readonly colour: boolean;
}

/** 100 columns: two marks and the spaces between take 9. */
const WIDTHS = { action: 26, upstream: 37, ours: 24, ms: 4 };

/** The table of a run, what went wrong, and the counts. */
export function formatAttacks(
  run: AttackRun,
  impossible: readonly ImpossibleRow[],
  style: Style,
): string {
  const { rows } = run;
  const withUpstream = rows.some(({ upstream }) => upstream !== undefined);
  const lines = [
    paint(style, '1', tableLine('action', '  Falco’s rule', '  default rule', 'ms')),
    ...rows.flatMap((row) => formatRow(row, withUpstream, style)),
    '',
    ...silentOnes(rows),
    ...missedOnes(rows),
    ...impossibleOnes(impossible),
    ...run.problems.map((problem) => paint(style, '31', `! ${problem}`)),
    `rows run: ${rows.length}, and ${impossible.length} that cannot run here`,
    ...(withUpstream
      ? [`Falco’s rules: ${count(rows.map(({ upstream }) => upstream))} fired`]
      : ['Falco’s rules: not run, their files are not here (--upstream DIR)']),
    `default rules: ${count(rows.map(({ ours }) => ours))} fired`,
    formatLengths(run.lengths),
    `else wrong: ${rows.reduce((sum, { problems }) => sum + problems.length, 0) + run.problems.length}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** Whether everything that had to fire did, and nothing else is wrong. */
export function isGood({ rows, problems }: Omit<AttackRun, 'lengths'>): boolean {
  return (
    problems.length === 0 &&
    rows.every(
      ({ upstream, ours, problems: own }) =>
        upstream?.fired !== false && ours?.fired !== false && own.length === 0,
    )
  );
}

function formatRow(outcome: RowOutcome, withUpstream: boolean, style: Style): string[] {
  const { row, upstream, ours, problems } = outcome;
  const latencyMs = upstream?.latencyMs ?? ours?.latencyMs;
  const bad = upstream?.fired === false || ours?.fired === false;
  const line = tableLine(
    row.action,
    withUpstream ? mark(upstream, row.upstream) : `· ${row.upstream}`,
    mark(ours, ours?.rule ?? 'none'),
    latencyMs === undefined ? '' : String(Math.round(latencyMs)),
  );
  return [
    bad ? paint(style, '31', line) : line,
    ...problems.map((problem) => paint(style, '31', `  ! ${problem}`)),
  ];
}

function mark(outcome: RuleOutcome | undefined, rule: string): string {
  if (outcome === undefined) return `· ${rule}`;
  return `${outcome.fired ? '✓' : '✗'} ${rule}`;
}

function tableLine(action: string, upstream: string, ours: string, ms: string): string {
  return [
    cut(action, WIDTHS.action),
    cut(upstream, WIDTHS.upstream + 2),
    cut(ours, WIDTHS.ours + 2),
    ms.padStart(WIDTHS.ms),
  ]
    .join(' ')
    .trimEnd();
}

/** Exactly as wide. */
export const cut = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);

/** Why no default rule is about an action, the actions of one reason together. */
function silentOnes(rows: readonly RowOutcome[]): string[] {
  const byReason = new Map<string, AttackRow[]>();
  for (const { row } of rows) {
    if (typeof row.ours === 'string') continue;
    const { none } = row.ours;
    byReason.set(none, [...(byReason.get(none) ?? []), row]);
  }
  if (byReason.size === 0) return [];
  return [
    'No default rule, because',
    ...[...byReason].flatMap(([reason, group]) =>
      wrap(`${reason}: ${group.map(({ action }) => action).join(', ')}`),
    ),
    '',
  ];
}

function missedOnes(rows: readonly RowOutcome[]): string[] {
  const missed = rows.flatMap(({ row: { action, upstreamMisses } }) =>
    upstreamMisses === undefined ? [] : wrap(`${upstreamMisses}: ${action}`),
  );
  return missed.length === 0 ? [] : ['Falco’s rule does not see it, because', ...missed, ''];
}

function impossibleOnes(rows: readonly ImpossibleRow[]): string[] {
  if (rows.length === 0) return [];
  return [
    'Cannot run here',
    ...rows.flatMap(({ action, upstream, because }) => wrap(`${action} (${upstream}): ${because}`)),
    '',
  ];
}

/** At most 100 columns, an item's further lines indented. */
export function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = ' ';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > 99) {
      lines.push(line);
      line = '   ';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

function count(outcomes: readonly (RuleOutcome | undefined)[]): string {
  const expected = outcomes.filter((outcome) => outcome !== undefined);
  return `${expected.filter(({ fired }) => fired).length}/${expected.length}`;
}

/** In colour on a terminal, as it is elsewhere. */
export function paint({ colour }: Style, code: string, text: string): string {
  return colour ? `\u001b[${code}m${text}\u001b[0m` : text;
}
