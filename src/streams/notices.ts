import type { Container } from '../apps/identity.ts';
import type { Detection } from '../rules/detection.ts';
import type { LimitOptions, Suppressed } from './limiter.ts';
import { formatRanges, sizeOf, type NumberRange } from './number-range.ts';
import type { NumberGap } from './numbering/numbered.ts';
import {
  COVERAGE_RULE,
  GAP_RULE,
  LOST_RULE,
  NO_ROOM_RULE,
  OWN_RULES_RULE,
  POLICY_RULE,
  SHED_RULE,
  DENIAL_RULE,
  UNSEEN_DENIALS_RULE,
  STATE_RULE,
  SUPPRESSED_RULE,
  UNSEEN_RULE,
  UNWATCHED_RULE,
} from './notice-rules.ts';
import { isoTime } from './time.ts';
import type { UnseenSum } from './unseen.ts';

// Lines that the agent writes of itself, where its detections are: what is missing there.

/** What is to be told of an app's policy. */
export interface PolicyState {
  readonly container: Container;
  readonly state: 'in force' | 'refused';
  readonly text: string;
  /** SHA-256 of its text, when it is in force. */
  readonly digest: string | undefined;
}

/** What became of an app's own rules while they ran. */
export interface OwnRulesState {
  readonly container: Container;
  readonly state: 'paused' | 'resumed' | 'rule failed';
  /** That cost most, or that failed. */
  readonly rule: string | undefined;
  /** CPU ms used, which is above the limit. */
  readonly spentMs?: number;
  readonly text: string;
}

/** What was watched of a container so far. */
export interface Coverage {
  /** Why it is said now. */
  readonly when: 'start' | 'running' | 'stop' | 'agent stop' | 'replaced';
  readonly version: string;
  /** Rules that are on. */
  readonly rules: number;
  readonly events: number;
  /** Events that the kernel could not hand over. */
  readonly lost: number;
  /** Detections counted instead of written. */
  readonly suppressed: number;
  /** Of the app's own policy; undefined when it has none. */
  readonly policy?: PolicyState['state'] | undefined;
  /** Whether the app's own rules are paused. */
  readonly ownRulesPaused?: boolean | undefined;
  /** Rules that are off for now, as a reader is told. */
  readonly notWatchedFor?: string | undefined;
  /** Number of rules by which the kernel denies in the container; undefined: not known, as it has ended. */
  readonly denies?: number | undefined;
  /** Events on the host, since the agent began, that the kernel did not report; some may be of this container. Undefined: not known. */
  readonly skippedOnHost?: number | undefined;
  /** Since when lines for a receiver of the app's team wait, Unix ms; undefined: none do. */
  readonly waitingSinceMs?: number | undefined;
  /** Number of the previous line, 0 if there is none; undefined if unknown. It lets a reader detect missing lines. */
  readonly lastLine?: number | undefined;
}

/** Ranges of numbers that a notice of lost lines names: they take at most 600 bytes of it. */
export const MAX_LOST_RANGES = 16;

/** Lines that a stream did not take, of one container. */
export interface Lost {
  readonly container: Container | undefined;
  readonly count: number;
  /** Not more than `count` of them are missing, and maybe none: the receiver did not say which of several apps’ it rejected. */
  readonly atMost?: boolean;
  /** Unix ns of the first and the last of their detections. */
  readonly firstNs: bigint;
  readonly lastNs: bigint;
  /**
   * Their numbers, at most MAX_LOST_RANGES ranges: they hold `count` numbers, or more if ranges were merged. Undefined if the
   * app instance that numbered them is unknown.
   */
  readonly numbers: readonly NumberRange[] | undefined;
}

/** That detections were counted instead of written. */
export function suppressedNotice(
  { rule, priority, count, firstNs, lastNs, container }: Suppressed,
  { burst, perMinute }: LimitOptions,
): Detection {
  const of = count === 1 ? 'detection' : 'detections';
  return notice(SUPPRESSED_RULE, lastNs, container, {
    output: `${count} more ${of} of "${rule}" (${priority}) from ${isoTime(firstNs)} to ${isoTime(lastNs)} were counted, not written: more than ${burst} lines at once and ${perMinute} a minute`,
    outputFields: {
      'suppressed.rule': rule,
      'suppressed.priority': priority,
      'suppressed.count': count,
      'suppressed.first': firstNs,
      'suppressed.last': lastNs,
    },
  });
}

/** That lines are missing in a stream. */
export function lostNotice(stream: string, lost: Lost): Detection {
  const { count, firstNs, lastNs, container, numbers, atMost } = lost;
  const exact = count === 1 ? '1 line is' : `${count} lines are`;
  const lines = atMost ? `Up to ${count} ${count === 1 ? 'line may be' : 'lines may be'}` : exact;
  return notice(LOST_RULE, lastNs, container, {
    output: `${lines} missing here, of detections from ${isoTime(firstNs)} to ${isoTime(lastNs)}: this log could not take them. ${whichNumbers(lost)}`,
    outputFields: {
      'lost.stream': stream,
      'lost.count': count,
      ...(atMost ? { 'lost.at_most': true } : {}),
      'lost.numbers': numbers === undefined ? null : formatRanges(numbers),
      'lost.first': firstNs,
      'lost.last': lastNs,
    },
  });
}

function whichNumbers({ count, numbers }: Lost): string {
  if (numbers === undefined) return 'Their numbers (seq) are missing too';
  const among = sizeOf(numbers) > count ? 'are among' : count === 1 ? 'is' : 'are';
  return `${count === 1 ? 'Its number' : 'Their numbers'} (seq) ${among} ${formatRanges(numbers)}`;
}

const GAP_WHY: Readonly<Record<NumberGap['why'], string>> = {
  ended:
    'the previous agent ended while these lines were being delivered. Those that are missing here were not written',
  host: 'the host went down without a shutdown, and it is not known which number was the last. Those that are missing here were not written, or never given',
  forgotten:
    'the agent lost count. It had too many app instances to remember, or its file of numbers was damaged or could not be used. Other instances or earlier lines of this one have these numbers, or no line has',
};

/** Which numbers may be missing although nothing was lost since, and why. */
export function gapNotice(
  { from, to, why }: NumberGap,
  container: Container | undefined,
  timeNs: bigint,
): Detection {
  return notice(GAP_RULE, timeNs, container, {
    output: `Of the numbers (seq) ${from} to ${to} some may be missing here: ${GAP_WHY[why]}. Numbers go on after ${to}`,
    outputFields: { 'gap.from': from, 'gap.to': to, 'gap.why': why },
  });
}

/** That events of the container were not looked at, and why. */
export function unseenNotice(unseen: UnseenSum): Detection {
  const { count, firstNs, lastNs, container, reasons, lateNs } = unseen;
  const events = count === 1 ? '1 event was' : `${count} events were`;
  return notice(UNSEEN_RULE, lastNs, container, {
    output: `${events} not seen from ${isoTime(firstNs)} to ${isoTime(lastNs)}: ${whyUnseen(unseen)}. What happened in them is not known`,
    outputFields: {
      'lost.count': count,
      'lost.first': firstNs,
      'lost.last': lastNs,
      'lost.own_share': reasons.ownShare,
      'lost.agent_late': reasons.agentLate,
      'lost.agent_late_ms': Math.round(lateNs / 1e6),
    },
  });
}

function whyUnseen({ reasons, lateNs }: UnseenSum): string {
  const late = `the agent was up to ${(lateNs / 1e9).toFixed(1)} s late`;
  const found = [
    [reasons.ownShare, 'this container makes more of them than the host can look at'],
    [reasons.agentLate, late],
    [reasons.noRoom, 'there was no room for them, and this container had not used up its share'],
    [reasons.starting, 'the agent was starting and could not keep them'],
    [reasons.unknown, 'it was not known yet whose container this is, and no more could be kept'],
  ] as const;
  const some = found.filter(([count]) => count > 0);
  const [only] = some;
  if (some.length === 1 && only !== undefined) return only[1];
  return some.map(([count, why]) => `${count} because ${why}`).join(', ');
}

/** Notice: the probe has no room for the container, so it is not watched; or it is watched from now on. */
export function noRoomNotice(unwatched: boolean, container: Container, timeNs: bigint): Detection {
  return {
    ...notice(NO_ROOM_RULE, timeNs, container, {
      output: unwatched
        ? 'This container is not watched: the host has more containers than varvel can watch (16384). Nothing that happens in it is seen'
        : 'There is room for this container again: it is watched from now on',
      outputFields: { 'watched.now': !unwatched },
    }),
    priority: unwatched ? 'Warning' : 'Informational',
  };
}

/** A time in which no agent watched a container that was there. */
export interface UnwatchedTime {
  readonly container: Container;
  /** Unix ns. */
  readonly fromNs: bigint;
  readonly toNs: bigint;
  /** The previous agent was stopped; otherwise it ended without a stop notice. */
  readonly stopped: boolean;
}

/** Notice: nobody watched the container for a while. A warning if the agent was not stopped: an intruder may have killed it. */
export function unwatchedNotice({ container, fromNs, toNs, stopped }: UnwatchedTime): Detection {
  const why = stopped ? 'the agent was stopped' : 'the agent ended unexpectedly';
  return {
    ...notice(UNWATCHED_RULE, toNs, container, {
      output: `Nobody watched this container from ${isoTime(fromNs)} to ${isoTime(toNs)}: ${why}. What happened meanwhile is not known`,
      outputFields: {
        'unwatched.from': fromNs,
        'unwatched.to': toNs,
        'unwatched.why': stopped ? 'stopped' : 'killed',
      },
    }),
    priority: stopped ? 'Notice' : 'Warning',
  };
}

/** That a part of the agent's state cannot be kept on disk, or is kept again (`trouble` undefined). For operators. */
export function stateNotice(
  part: string,
  trouble: { readonly why: string; readonly means: string } | undefined,
  timeNs: bigint,
): Detection {
  const output =
    trouble === undefined
      ? `Kept on disk again: ${part}`
      : `Not kept on disk: ${part}, because ${trouble.why}. ${trouble.means} The agent goes on and tries again`;
  return {
    ...notice(STATE_RULE, timeNs, undefined, {
      output,
      outputFields: { 'state.part': part, 'state.kept': trouble === undefined },
    }),
    priority: trouble === undefined ? 'Notice' : 'Warning',
  };
}

const WHEN: Readonly<Record<Coverage['when'], string>> = {
  start: 'is watched',
  running: 'is watched',
  stop: 'has ended and was watched',
  replaced: 'is watched by the next agent from now on, and was',
  'agent stop': 'is not watched from now on, and was',
};

/** That rules are off for now, or on again (`without` undefined). */
export function shedNotice(
  without: string | undefined,
  rules: number,
  container: Container,
  timeNs: bigint,
): Detection {
  return {
    ...notice(SHED_RULE, timeNs, container, {
      output:
        without === undefined
          ? 'This container is watched with all rules again'
          : `This container is not watched for: ${without}. All other rules go on`,
      outputFields: { 'shed.rules': rules, 'shed.not_watched': without ?? null },
    }),
    priority: without === undefined ? 'Informational' : 'Warning',
  };
}

/** That nothing is denied in the container's app any more. */
export function denialNotice(why: string, container: Container, timeNs: bigint): Detection {
  return {
    ...notice(DENIAL_RULE, timeNs, container, {
      output: `Nothing is denied any more in this app, only reported, until the operator loads the rules again: ${why}`,
      outputFields: { 'denial.ended': why },
    }),
    priority: 'Warning',
  };
}

/** That so much was denied to the container while no agent was there to tell of it. */
export function unseenDenialsNotice(
  count: number,
  container: Container,
  timeNs: bigint,
): Detection {
  return notice(UNSEEN_DENIALS_RULE, timeNs, container, {
    output: `${count} ${count === 1 ? 'call or program was' : 'calls or programs were'} denied to this container while no agent was there: no line says which`,
    outputFields: { 'denial.unseen': count },
  });
}

/** Coverage line: what was watched, so that a log without detections is meaningful. */
export function coverageNotice(
  coverage: Coverage,
  container: Container,
  timeNs: bigint,
): Detection {
  const { when, version, rules, policy, ownRulesPaused, events, lost, suppressed } = coverage;
  const { notWatchedFor, lastLine, denies, waitingSinceMs, skippedOnHost } = coverage;
  const denied = denies === undefined || denies === 0 ? '' : `, of which ${denies} deny`;
  const since = waitingSinceMs === undefined ? null : new Date(waitingSinceMs).toISOString();
  const waiting = since === null ? '' : `; a receiver takes no lines since ${since}, they wait`;
  const skipped =
    skippedOnHost === undefined || skippedOnHost === 0
      ? ''
      : `; the kernel skipped ${skippedOnHost} events on this host so far, some may be of this container`;
  const off = notWatchedFor === undefined ? '' : `; not watched for: ${notWatchedFor}`;
  const last =
    lastLine === undefined
      ? ''
      : `; ${lastLine === 0 ? 'it has no line yet' : `its last line is number ${lastLine}`}`;
  const paused = ownRulesPaused === true ? ', its own rules are paused' : '';
  return {
    ...notice(COVERAGE_RULE, timeNs, container, {
      output: `This container ${WHEN[when]} by varvel ${version} with ${rules} rules${denied}${policy === undefined ? '' : ` (its own policy is ${policy}${paused})`}: ${events} events seen, ${lost} lost, ${suppressed} detections counted instead of written${last}${off}${skipped}${waiting}`,
      outputFields: {
        'coverage.when': when,
        'coverage.version': version,
        'coverage.rules': rules,
        'coverage.policy': policy ?? 'none',
        'coverage.own_rules_paused': ownRulesPaused === true,
        'coverage.events': events,
        'coverage.lost': lost,
        'coverage.suppressed': suppressed,
        'coverage.last_line': lastLine ?? null,
        'coverage.not_watched': notWatchedFor ?? null,
        'coverage.denies': denies ?? null,
        'coverage.skipped_on_host': skippedOnHost ?? null,
        'coverage.lines_wait_since': since,
      },
    }),
    priority: 'Informational',
  };
}

/** Notice: state of the app's own policy. A refused policy is a warning: its team may believe that other rules apply. */
export function policyNotice(
  { container, state, text, digest }: PolicyState,
  timeNs: bigint,
): Detection {
  const outputFields = { 'policy.state': state, 'policy.digest': digest ?? null };
  return {
    ...notice(POLICY_RULE, timeNs, container, { output: text, outputFields }),
    priority: state === 'refused' ? 'Warning' : 'Informational',
  };
}

/** That an app's own rules are paused, run again, or that one of them fails. */
export function ownRulesNotice(
  { container, state, rule, spentMs, text }: OwnRulesState,
  timeNs: bigint,
): Detection {
  return {
    ...notice(OWN_RULES_RULE, timeNs, container, {
      output: text,
      outputFields: {
        'own_rules.state': state,
        'own_rules.rule': rule ?? null,
        'own_rules.spent_ms': spentMs === undefined ? null : Math.round(spentMs * 10) / 10,
      },
    }),
    priority: state === 'resumed' ? 'Informational' : 'Warning',
  };
}

/** One of the agent’s own lines, of priority Notice. */
export function notice(
  rule: string,
  timeNs: bigint,
  container: Container | undefined,
  more: Pick<Detection, 'output' | 'outputFields'>,
): Detection {
  return {
    rule,
    priority: 'Notice',
    source: 'varvel',
    tags: ['varvel'],
    timeNs,
    bootNs: 0n,
    eventNum: 0,
    cgroupId: 0,
    container,
    ...more,
  };
}
