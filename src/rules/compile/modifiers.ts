import type { Value } from '../fields/field.ts';
import type { Modifier } from '../language/ast.ts';
import type { Test } from './checked.ts';
import { OPERATORS } from './operators.ts';
import type { Predicate } from './operators.ts';

/** How many have to hold for a modifier; false over none (E4). */
function enough(modifier: Modifier, held: number, all: number): boolean {
  switch (modifier) {
    case 'anyof':
      return held > 0;
    case 'allof':
      return all > 0 && held === all;
    case 'oneof':
      return held === 1;
  }
}

/** The comparison with each constant on its own. */
function eachConstant({ operator, left, values }: Test): Predicate[] {
  if (operator === 'exists') return [];
  return values.map((value) => OPERATORS[operator].predicate(left.kind, [value]));
}

/** A test with a modifier, of one value. */
function modified(modifier: Modifier, each: readonly Predicate[]): Predicate {
  return (value) => {
    let held = 0;
    for (const predicate of each) if (predicate(value)) held += 1;
    return enough(modifier, held, each.length);
  };
}

/** A test with constants on its right, of one value that is there. */
export function predicateOf(test: Test): Predicate {
  if (test.operator === 'exists') return () => true;
  if (test.modifier !== undefined) return modified(test.modifier, eachConstant(test));
  return OPERATORS[test.operator].predicate(test.left.kind, test.values);
}

/**
 * A test with a modifier over several values: the comparison with each constant is that of the field as a whole,
 * which `every` value has to satisfy or any.
 */
export function modifiedOverValues(
  test: Test,
  modifier: Modifier,
  every: boolean,
): (values: readonly Value[]) => boolean {
  const each = eachConstant(test);
  return (values) => {
    if (values.length === 0) return false;
    let held = 0;
    for (const predicate of each) {
      if (every ? values.every(predicate) : values.some(predicate)) held += 1;
    }
    return enough(modifier, held, each.length);
  };
}
