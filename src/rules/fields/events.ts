import { EVENT_TABLE, MORE_HOOKS } from '../../events/table.gen.ts';
import type { EventName } from '../../events/table.gen.ts';
import { NOT_X86_64 } from './falco-event-table.ts';
import { isSyscall } from './falco-events.ts';

const ELSEWHERE: ReadonlySet<string> = new Set(NOT_X86_64.trim().split(/\s+/));

/** Does the probe report this event? */
export function isEventName(name: string): name is EventName {
  return Object.hasOwn(EVENT_TABLE, name);
}

const REPORTED_AS: ReadonlyMap<string, string> = new Map(
  Object.entries(MORE_HOOKS).map(([event, call]) => [call, event]),
);

/** The name of an event that the probe does not report, and the one as which the probe reports such a call, if there is one. */
export function unreportedText(name: string): string {
  const as = REPORTED_AS.get(name);
  return as === undefined ? name : `${name} (reported as ${as})`;
}

/**
 * Whether rules can match an event: `reported` by the probe, `not yet` for the other system calls of x86-64,
 * `not here` for those of other processors and for what only Falco itself sends.
 */
export type EventStatus = 'reported' | 'not yet' | 'not here';

/** See EventStatus; `not here` for what is no event at all. */
export function eventStatus(name: string): EventStatus {
  if (isEventName(name)) return 'reported';
  return isSyscall(name) && !ELSEWHERE.has(name) ? 'not yet' : 'not here';
}
