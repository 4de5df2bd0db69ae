import { EVENT_NAMES } from '../../events/table.gen.ts';
import type { EventName } from '../../events/table.gen.ts';
import { isEventName } from '../fields/events.ts';
import type { Checked, CheckedMacro, Test } from './checked.ts';

type Events = ReadonlySet<EventName>;

/**
 * The events that a condition can hold for, and those that it can fail for. Both are upper bounds: an
 * event outside is certain.
 */
interface Possible {
  readonly holds: Events;
  readonly fails: Events;
}

const ALL: Events = new Set(EVENT_NAMES);
const NONE: Events = new Set();
const ANYTHING: Possible = { holds: ALL, fails: ALL };

/** The events for which a condition can be true (R13); never one too few. */
export function inferEvents(condition: Checked): ReadonlySet<EventName> {
  // A macro is looked at once: references to references would otherwise double the work each time.
  return possible(condition, new Map()).holds;
}

/** Does the condition say nothing of the event's type? */
export function isAnyEvent(events: ReadonlySet<EventName>): boolean {
  return events.size === EVENT_NAMES.length;
}

function possible(condition: Checked, macros: Map<CheckedMacro, Possible>): Possible {
  switch (condition.kind) {
    case 'and':
      return condition.operands
        .map((operand) => possible(operand, macros))
        .reduce((left, right) => ({
          holds: both(left.holds, right.holds),
          fails: either(left.fails, right.fails),
        }));
    case 'or':
      return condition.operands
        .map((operand) => possible(operand, macros))
        .reduce((left, right) => ({
          holds: either(left.holds, right.holds),
          fails: both(left.fails, right.fails),
        }));
    case 'not': {
      const { holds, fails } = possible(condition.operand, macros);
      return { holds: fails, fails: holds };
    }
    case 'macro': {
      const known = macros.get(condition.macro);
      if (known !== undefined) return known;
      const found = possible(condition.macro.body, macros);
      macros.set(condition.macro, found);
      return found;
    }
    case 'test':
      return ofTest(condition.test);
  }
}

function ofTest(test: Test): Possible {
  // The idiom for "never": no event has number 0.
  if (test.left.field === 'evt.num' && test.operator === '=' && test.values[0] === 0) {
    return { holds: NONE, fails: ALL };
  }
  if (test.left.field !== 'evt.type' && test.left.field !== 'syscall.type') return ANYTHING;
  if (test.modifier !== undefined || test.right !== undefined) return ANYTHING;
  const named = new Set(test.values.map(String).filter(isEventName));
  // syscall.type is absent for what is no system call, and then every comparison fails.
  const alwaysFails = test.left.field === 'syscall.type';
  switch (test.operator) {
    case '=':
    case '==':
    case 'in':
    case 'intersects':
      return { holds: named, fails: alwaysFails ? ALL : without(ALL, named) };
    case '!=':
      return { holds: without(ALL, named), fails: alwaysFails ? ALL : named };
    default:
      return ANYTHING;
  }
}

const both = (left: Events, right: Events): Events =>
  new Set([...left].filter((event) => right.has(event)));

const either = (left: Events, right: Events): Events => new Set([...left, ...right]);

const without = (left: Events, right: Events): Events =>
  new Set([...left].filter((event) => !right.has(event)));
