import { COVERAGE_RULE } from '../../streams/notices.ts';
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
}

/** A time of which no line says that the app was watched. */
export interface CoverageGap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly why: 'silent' | 'agent ended';
}

/** The agent says it every five minutes: twice that, and one for the way. */
const SILENCE_MS = 11 * 60_000;

const SENTENCE =
  /^This container (is watched|has ended and was watched|is watched by the next agent from now on, and was|is not watched from now on, and was) by varvel ([^\s]{1,60}) with (\d{1,9}) rules[^:]{0,60}: (\d{1,18}) events seen, (\d{1,18}) lost, (\d{1,18}) detections/;

const WATCHED: Readonly<Record<string, Coverage['watched']>> = {
  'is watched': 'goes on',
  'has ended and was watched': 'container ended',
  'is watched by the next agent from now on, and was': 'next agent',
  'is not watched from now on, and was': 'agent ended',
};

/** What the line says, in either form, if it is a coverage line. */
export function coverageOf({ own, rule, output, atMs }: Found): Coverage | undefined {
  if (!own || rule !== COVERAGE_RULE) return undefined;
  const [, when = '', version = '', rules, events, lost, suppressed] = SENTENCE.exec(output) ?? [];
  const watched = WATCHED[when];
  if (watched === undefined) return undefined;
  return {
    ...{ atMs, watched, version, rules: Number(rules), events: Number(events) },
    ...{ lost: Number(lost), suppressed: Number(suppressed) },
  };
}

/** Between one coverage line and the next, of one app instance in order of time. */
export function coverageGaps(lines: readonly Coverage[]): CoverageGap[] {
  return lines.slice(1).flatMap<CoverageGap>(({ atMs }, index) => {
    const before = lines[index];
    if (before === undefined || before.watched === 'container ended') return [];
    const gap = { fromMs: before.atMs, toMs: atMs };
    if (before.watched === 'agent ended') return [{ ...gap, why: 'agent ended' }];
    return atMs - before.atMs > SILENCE_MS ? [{ ...gap, why: 'silent' }] : [];
  });
}
