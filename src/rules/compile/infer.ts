import { FALCO_EVENT_NAMES, isSyscall } from '../fields/falco-events.ts';
import { LanguageError } from '../language/errors.ts';
import type { Checked, CheckedMacro, Read, Test } from './checked.ts';

/** A set of Falco's events, also of those that the probe does not report: a bit for each, in order of FALCO_EVENT_NAMES. */
type Events = bigint;

/**
 * Events for which a condition can hold, and for which it can fail. Both are upper bounds: an event outside `holds` never
 * matches, one outside `fails` always does.
 */
interface Possible {
  readonly holds: Events;
  readonly fails: Events;
}

const NAMES = [...FALCO_EVENT_NAMES];
const BITS = new Map(NAMES.map((name, bit) => [name, 1n << BigInt(bit)]));
const NONE = 0n;

function setOf(names: Iterable<string>): Events {
  let events = NONE;
  for (const name of names) events |= BITS.get(name) ?? NONE;
  return events;
}

const ALL = setOf(NAMES);
/** Events that are no system calls. */
const OTHERS = setOf(NAMES.filter((event) => !isSyscall(event)));
const ANYTHING: Possible = { holds: ALL, fails: ALL };
const ALL_NAMES: ReadonlySet<string> = new Set(NAMES);

/** A condition that can hold for more events than this does not count as restricting the event type (R13). */
const TOO_MANY = 100;

/**
 * The events for which a condition can be true (R13); never one too few. Throws LanguageError for comparisons of
 * evt.type that cannot be read without the event: through a transformer, or with a field.
 */
export function inferEvents(condition: Checked): ReadonlySet<string> {
  const { holds } = possible(condition);
  if (holds === ALL) return ALL_NAMES;
  // As digits, as an `&` for each name is some hundred big integers.
  const digits = holds.toString(2);
  return new Set(NAMES.filter((_, index) => digits.charAt(digits.length - 1 - index) === '1'));
}

/** Does the condition say nothing of the event's type? */
export function isTooManyEvents(events: ReadonlySet<string>): boolean {
  return events.size > TOO_MANY;
}

/** Each macro is looked at once: references to references would otherwise double the work each time. */
const OF_MACROS = new WeakMap<CheckedMacro, Possible>();

function possible(condition: Checked): Possible {
  switch (condition.kind) {
    case 'and':
      return condition.operands.map(possible).reduce((left, right) => ({
        holds: left.holds & right.holds,
        fails: left.fails | right.fails,
      }));
    case 'or':
      return condition.operands.map(possible).reduce((left, right) => ({
        holds: left.holds | right.holds,
        fails: left.fails & right.fails,
      }));
    case 'not': {
      const { holds, fails } = possible(condition.operand);
      return { holds: fails, fails: holds };
    }
    case 'macro': {
      const known = OF_MACROS.get(condition.macro);
      if (known !== undefined) return known;
      const found = possible(condition.macro.body);
      OF_MACROS.set(condition.macro, found);
      return found;
    }
    case 'test':
      return ofTest(condition.test);
  }
}

const isEventType = (read: Read): boolean =>
  read.fields.some((name) => name === 'evt.type' || name === 'syscall.type');

function ofTest(test: Test): Possible {
  if (test.left.field === 'evt.num') return ofEventNumber(test);
  if (!isEventType(test.left)) return ANYTHING;
  if (!['=', '==', '!=', 'in', 'exists'].includes(test.operator)) return ANYTHING;
  const fail = (what: string): LanguageError =>
    new LanguageError('LOAD_ERR_COMPILE_CONDITION', what, test.span);
  if (test.left.field === undefined) {
    throw fail(`${test.left.key} hides the event's type, which a rule must tell: compare evt.type`);
  }
  if (test.right !== undefined) {
    throw fail(`${test.left.field} can only be compared with names of events`);
  }
  // syscall.type is absent for what is no system call, and then every comparison fails.
  const absent = test.left.field === 'evt.type' ? NONE : OTHERS;
  const present = ALL & ~absent;
  if (test.operator === 'exists') return { holds: present, fails: absent };
  if (test.modifier !== undefined) return { holds: present, fails: ALL };
  const named = setOf(test.values.map(String)) & present;
  const others = present & ~named;
  return test.operator === '!='
    ? { holds: others, fails: named | absent }
    : { holds: named, fails: others | absent };
}

/** Events are numbered from 1: `evt.num = 0` is the idiom for "never". */
function ofEventNumber(test: Test): Possible {
  if (test.modifier !== undefined || test.right !== undefined) return ANYTHING;
  const numbers = test.values.map(Number);
  const [number = 0] = numbers;
  const never: Possible = { holds: NONE, fails: ALL };
  const always: Possible = { holds: ALL, fails: NONE };
  switch (test.operator) {
    case 'in':
      return numbers.every((value) => value === 0) ? never : ANYTHING;
    case '=':
    case '==':
    case '<=':
      return number === 0 ? never : ANYTHING;
    case '<':
      return number <= 1 ? never : ANYTHING;
    case '!=':
    case '>':
      return number === 0 ? always : ANYTHING;
    case '>=':
      return number <= 1 ? always : ANYTHING;
    default:
      return ANYTHING;
  }
}
