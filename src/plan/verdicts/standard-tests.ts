import type { Test } from '../../rules/compile/checked.ts';
import type { FormTest } from './form-tests.ts';

const NAMES = ['proc.stdin.name', 'proc.stdout.name', 'proc.stderr.name'];
/** All ways in which descriptors 0 to 2 can be connections: bit n is set where descriptor n is one. */
const STANDARD_FORMS = 1 << NAMES.length;
/** What the name of a connection contains, and that of no other socket does. */
const ARROW = '->';

/** A comparison of whether a standard descriptor of a program is a connection when it is run; undefined for any other. */
export function standardTestOf(test: Test): FormTest | undefined {
  const { key, left, operator, modifier, right, values } = test;
  const fd = NAMES.indexOf(left.key);
  if (fd < 0 || right !== undefined || values.length === 0) return undefined;
  if (operator !== 'contains' && operator !== 'icontains') return undefined;
  if (modifier !== undefined && modifier !== 'anyof') return undefined;
  if (!values.every((value) => value === ARROW)) return undefined;
  const forms = Array.from({ length: STANDARD_FORMS }, (_, form) => form);
  return {
    key,
    machine: 'form',
    judged: 'standard',
    forms: new Set(forms.filter((form) => (form >> fd) & 1)),
  };
}
