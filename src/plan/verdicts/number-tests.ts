import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';

/** What of a process is compared with numbers, in the order of shared.h (NUMBER_*): ages are in ns. */
export const NUMBERS = [
  'proc.duration',
  'proc.ppid.duration',
  'container.duration',
  'proc.is_from_outside',
  'proc.vpid',
  'proc.pvpid',
] as const;
type Field = (typeof NUMBERS)[number];

/** The first process of a pid namespace. */
const FIRST = 1;

/** Of containers of these types no runtime tells when they started: their age is that of the oldest process above, in the container. */
const WITHOUT_START: readonly (string | undefined)[] = ['garden', 'cgroup'];
export const isAgeOfProcesses = (type: string | undefined): boolean => WITHOUT_START.includes(type);

/** The age of a container by its processes: the kernel knows that it is at least that of those that it has found. */
export const isInsideAge = (test: { readonly machine: string }): boolean =>
  isNumberTest(test) && NUMBERS[test.number] === 'container.duration';

/** Whether the kernel decides a comparison only where the number is not below the bound. */
export const isOneWayNumber = (test: { readonly machine: string }): boolean =>
  isNumberTest(test) && ONE_WAY.includes(NUMBERS[test.number]);
const ONE_WAY: readonly (Field | undefined)[] = ['container.duration', 'proc.vpid', 'proc.pvpid'];

/** A comparison of a number: it holds below the bound, or where `negated` from it on. */
export interface NumberTest {
  readonly key: string;
  readonly machine: 'number';
  /** Its place in NUMBERS. */
  readonly number: number;
  readonly bound: bigint;
  readonly negated: boolean;
}

/** A comparison of a number of the process that makes a call, in a container of this type; undefined for any other. */
export function numberTestOf(test: Test, type?: string): NumberTest | undefined {
  const { key, left, modifier, operator, right, values } = test;
  const number = NUMBERS.findIndex((name) => name === left.field);
  if (number < 0 || right !== undefined || operator === 'exists') return undefined;
  if (left.field === 'container.duration' && !isAgeOfProcesses(type)) return undefined;
  const of = (bound: bigint, negated = false): NumberTest => ({
    key,
    machine: 'number',
    number,
    bound,
    negated,
  });
  // The kernel knows it only of a process whose parent is in scope: the number 0.
  if (left.kind === 'bool') return of(predicateOf(test)(false) ? 1n : 0n);
  const [value] = values;
  if (values.length !== 1 || modifier !== undefined) return undefined;
  // The agent may not know it, and takes it for another number then: only "not the first one" is certain.
  if (left.kind === 'number') return operator === '=' && value === FIRST ? of(2n) : undefined;
  if (typeof value !== 'bigint' || value > BOUND_MAX) return undefined;
  switch (operator) {
    case '<':
      return of(value);
    case '<=':
      return of(value + 1n);
    case '>':
      return of(value + 1n, true);
    case '>=':
      return of(value, true);
    default:
      return undefined;
  }
}

/** Nothing runs for 146 years. */
const BOUND_MAX = 2n ** 62n;

type Bound = Pick<NumberTest, 'number' | 'bound'>;

/** Whether it is a comparison with this bound, in one direction or the other. */
export const isOfBound = (
  test: { readonly machine: string },
  number: number,
  bound: bigint,
): test is NumberTest => isNumberTest(test) && test.number === number && test.bound === bound;

const isNumberTest = (test: { readonly machine: string }): test is NumberTest =>
  test.machine === 'number';

/** The bounds of all comparisons of numbers among these, each once. */
export function boundsOf(tests: readonly { readonly machine: string }[]): readonly Bound[] {
  const found: Bound[] = [];
  for (const test of tests) {
    if (!isNumberTest(test)) continue;
    if (!found.some(({ number, bound }) => isOfBound(test, number, bound))) found.push(test);
  }
  return found;
}
