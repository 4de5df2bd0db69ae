import { COVERAGE_RULE, UNWATCHED_RULE } from '../../streams/notice-rules.ts';
import type { Found } from './found.ts';

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

/** A time of which no line says that the app was watched. */
export interface CoverageGap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly why: 'silent' | 'agent ended' | 'agent killed';
}

/** The agent says it every five minutes: twice that, and one for the way. */
const SILENCE_MS = 11 * 60_000;

const SENTENCE =
  /^This container (is watched|has ended and was watched|is watched by the next agent from now on, and was|is not watched from now on, and was) by varvel ([^\s]{1,60}) with (\d{1,9}) rules[^:]{0,60}: (\d{1,18}) events seen, (\d{1,18}) lost, (\d{1,18}) detections counted instead of written(?:; (?:its last line is number (\d{1,16})|it has no line yet))?/;
const NO_LINE = '; it has no line yet';

const WATCHED: Readonly<Record<string, Coverage['watched']>> = {
  'is watched': 'goes on',
  'has ended and was watched': 'container ended',
  'is watched by the next agent from now on, and was': 'next agent',
  'is not watched from now on, and was': 'agent ended',
};

/** What the line says, in either form, if it is a coverage line. */
export function coverageOf({ own, rule, output, atMs }: Found): Coverage | undefined {
  if (!own || rule !== COVERAGE_RULE) return undefined;
  const [said = '', when = '', version = '', ...numbers] = SENTENCE.exec(output) ?? [];
  const [rules, events, lost, suppressed, last] = numbers;
  const watched = WATCHED[when];
  if (watched === undefined) return undefined;
  return {
    ...{ atMs, watched, version, rules: Number(rules), events: Number(events) },
    ...{ lost: Number(lost), suppressed: Number(suppressed) },
    lastLine: last !== undefined ? Number(last) : said.endsWith(NO_LINE) ? 0 : undefined,
  };
}

const NOT_WATCHED =
  /^Nobody watched this container from (\S{20,40}) to (\S{20,40}): the agent (was stopped|ended without a word)/;

/** The time that the line says nobody watched, in either form, if it is such a line. */
export function unwatchedOf({ own, rule, output }: Found): CoverageGap | undefined {
  if (!own || rule !== UNWATCHED_RULE) return undefined;
  const [, from = '', to = '', how] = NOT_WATCHED.exec(output) ?? [];
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  if (Number.isNaN(fromMs) || Number.isNaN(toMs)) return undefined;
  return { fromMs, toMs, why: how === 'was stopped' ? 'agent ended' : 'agent killed' };
}

/**
 * Of one app instance: what `told` lines say nobody watched, and what follows from one coverage line and the next, in order
 * of time, where no such line says it better.
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
