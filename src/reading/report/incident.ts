import { PRIORITIES } from '../../rules/detection.ts';
import type { Priority } from '../../rules/detection.ts';
import type { Coverage, CoverageGap } from './coverage.ts';
import type { Found } from '../found.ts';
import type { IncidentGroup } from './incident-groups.ts';
import type { NumberRange } from '../../streams/number-range.ts';
import type { NumberRanges } from '../number-ranges.ts';

// What a report is made of, and how much of it there can be.

/** Detections of one rule that are shown; the others are counted. */
export const MAX_OF_A_RULE = 200;
/** Limit on rules that the reader does not know, since an app can print any name. Built-in rules do not count. */
export const MAX_UNKNOWN_RULES = 100;
export const MAX_DETECTIONS = 2000;
/** The app's own lines before and after a detection. */
export const LINES_BEFORE = 4;
export const LINES_AFTER = 2;
export const MAX_APP_LINES = 1000;
export const MAX_APP_LINE_CHARS = 2000;
/** Of a detection's line: all that the agent writes, and what the log system puts before it. */
export const MAX_RAW_CHARS = 12_000;
/** Of all lines of detections together. */
export const MAX_ALL_CHARS = 4 << 20;
export const MAX_INSTANCES = 50;
export const MAX_IDS = 100_000;
/** Before and after the detection of `--id`. */
export const AROUND_MS = 5 * 60_000;
/** Of a log: what comes after is not read. */
export const MAX_LOG_BYTES = 2 ** 30;
/** Lines that are remembered before that detection is found; together at most MAX_ALL_CHARS. */
export const MAX_WAITING = 5000;

/** A line that is no detection: whose it is, the log system says, if it does. */
export interface OtherLine {
  readonly kind: 'line';
  /** `agent`: the agent's, by its source, but not readable as a detection (cut on its way). */
  readonly whose: 'app' | 'agent' | 'forged';
  readonly label: string | undefined;
  readonly text: string;
}

/** Lines that are left out here. */
export interface Skipped {
  readonly kind: 'skipped';
  readonly count: number;
}

/** All detections of a rule. */
export interface RuleGroup {
  readonly rule: string;
  readonly own: boolean;
  /** The most severe that a line said. */
  readonly priority: Priority;
  readonly count: number;
  readonly first: Found;
  readonly last: Found;
  readonly tags: readonly string[];
  /** In the log's order, at most MAX_OF_A_RULE. */
  readonly shown: readonly Found[];
}

/** An app instance on a host: what numbers lines. */
export interface Instance {
  readonly app: Readonly<Record<string, string>> | undefined;
  readonly hostname: string;
  readonly containers: ReadonlySet<string>;
  readonly numbers: NumberRanges;
  /** Numbers of lines that the agent says this log could not take. */
  readonly lost: readonly NumberRange[];
  readonly coverage: readonly Coverage[];
  /** What lines say nobody watched. */
  readonly unwatched: readonly CoverageGap[];
}

/** What was read and is not on the page, by why. */
export interface LeftOut {
  readonly outsideRange: number;
  readonly undated: number;
  readonly otherApps: number;
  readonly again: number;
  readonly ofARule: number;
  readonly unknownRules: number;
  readonly detections: number;
  readonly appLines: number;
  readonly cutLines: number;
  readonly instances: number;
  readonly incidents: number;
  /** The log went on: only so much of it was read. */
  readonly unread: boolean;
}

/** An incident, out of a log. */
export interface Incident {
  readonly lines: number;
  /** Detections only, most severe first, then by time. */
  readonly groups: readonly RuleGroup[];
  /** The same by what the agent says belongs together; lines without an incident are in none. */
  readonly incidents: readonly IncidentGroup[];
  /** What the agent said of itself, by its rule. */
  readonly notices: readonly RuleGroup[];
  /** In the log's order. */
  readonly story: readonly (Found | OtherLine | Skipped)[];
  readonly instances: readonly Instance[];
  /** Lines by who wrote them, as far as the log says. */
  readonly origins: {
    readonly varvel: number;
    readonly unknown: number;
    readonly forged: number;
    readonly unreadable: number;
  };
  /** If the reader named no log system: the one whose frame the agent's lines seem to have. */
  readonly looksLike: 'cf' | 'syslog' | undefined;
  readonly leftOut: LeftOut;
  /** Of the detections and what the agent said. */
  readonly span: { readonly firstMs: number; readonly lastMs: number } | undefined;
  /** Its lines tell no date. */
  readonly undated: boolean;
}

/** How many detections, by priority, most severe first. */
export function countsOf(groups: readonly RuleGroup[]): { priority: Priority; count: number }[] {
  return PRIORITIES.map((priority) => ({
    priority,
    count: groups
      .filter((group) => group.priority === priority)
      .reduce((sum, { count }) => sum + count, 0),
  })).filter(({ count }) => count > 0);
}

/** The more severe first; of one priority, the one that began first. */
export function bySeverity(left: RuleGroup, right: RuleGroup): number {
  const severity = PRIORITIES.indexOf(left.priority) - PRIORITIES.indexOf(right.priority);
  return severity !== 0 ? severity : left.first.atMs - right.first.atMs;
}
