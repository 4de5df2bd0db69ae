import { COVERAGE_RULE, UNWATCHED_RULE } from '../../streams/notice-rules.ts';
import { numberIn, textIn } from '../own-fields.ts';
import type { Found } from '../found.ts';

/** What a coverage line says. */
export interface Coverage {
  readonly atMs: number;
  readonly watched: 'goes on' | 'container ended' | 'agent ended' | 'next agent';
  readonly version: string;
  readonly rules: number;
  readonly events: number;
  readonly lost: number;
  readonly suppressed: number;
  /** The number of the app instance's last line, 0 before the first; undefined where the line does not say it. */
  readonly lastLine: number | undefined;
}

/** A period without evidence that the app was watched. */
export interface CoverageGap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly why: 'silent' | 'agent ended' | 'agent killed';
}

/** Coverage lines come every five minutes: two intervals, and one minute of delay. */
const SILENCE_MS = 11 * 60_000;

const WATCHED: Readonly<Record<string, Coverage['watched']>> = {
  start: 'goes on',
  running: 'goes on',
  stop: 'container ended',
  replaced: 'next agent',
  'agent stop': 'agent ended',
};

/** What the line says, in either form, if it is a coverage line. */
export function coverageOf({ own, rule, fields, atMs }: Found): Coverage | undefined {
  if (!own || rule !== COVERAGE_RULE) return undefined;
  const watched = WATCHED[textIn(fields, 'coverage.when') ?? ''];
  const version = textIn(fields, 'coverage.version');
  const [rules, events] = [numberIn(fields, 'coverage.rules'), numberIn(fields, 'coverage.events')];
  const lost = numberIn(fields, 'coverage.lost');
  const suppressed = numberIn(fields, 'coverage.suppressed');
  if (watched === undefined || version === undefined || rules === undefined) return undefined;
  if (events === undefined || lost === undefined || suppressed === undefined) return undefined;
  const lastLine = numberIn(fields, 'coverage.last_line');
  return { atMs, watched, version, rules, events, lost, suppressed, lastLine };
}

/** The time that the line says nobody watched, in either form, if it is such a line. */
export function unwatchedOf({ own, rule, fields }: Found): CoverageGap | undefined {
  if (!own || rule !== UNWATCHED_RULE) return undefined;
  const fromNs = numberIn(fields, 'unwatched.from');
  const toNs = numberIn(fields, 'unwatched.to');
  if (fromNs === undefined || toNs === undefined) return undefined;
  const why = textIn(fields, 'unwatched.why') === 'stopped' ? 'agent ended' : 'agent killed';
  return { fromMs: fromNs / 1e6, toMs: toNs / 1e6, why };
}

/**
 * The unwatched periods of one app instance: those that `told` lines report, then those between coverage lines, in order of
 * time. Leaves out an `agent ended` period that a `told` one overlaps.
 */
export function coverageGaps(
  lines: readonly Coverage[],
  told: readonly CoverageGap[] = [],
): CoverageGap[] {
  const isTold = ({ fromMs, toMs, why }: CoverageGap): boolean =>
    why === 'agent ended' && told.some((one) => one.fromMs <= toMs && one.toMs >= fromMs);
  return [...told, ...between(lines).filter((gap) => !isTold(gap))];
}

function between(lines: readonly Coverage[]): CoverageGap[] {
  return lines.slice(1).flatMap<CoverageGap>(({ atMs }, index) => {
    const before = lines[index];
    if (before === undefined || before.watched === 'container ended') return [];
    const gap = { fromMs: before.atMs, toMs: atMs };
    if (before.watched === 'agent ended') return [{ ...gap, why: 'agent ended' }];
    return atMs - before.atMs > SILENCE_MS ? [{ ...gap, why: 'silent' }] : [];
  });
}
