import { MAX_TRANSFORMED } from '../compile/transform.ts';
import type { TransformerName } from '../language/ast.ts';
import { COST } from './constants.ts';
import type { ValueBound } from './value-bounds.ts';

/** What a text in a condition comes to. */
export const textBound = (text: string): ValueBound => ({
  length: text.length,
  values: 1,
  total: text.length,
  nanos: 0,
});

/** What a list that is written in a condition comes to. */
export function listBound(items: readonly ValueBound[]): ValueBound {
  return {
    length: items.reduce((most, { length }) => Math.max(most, length), 0),
    values: items.length,
    total: sum(items, ({ total }) => total),
    nanos: sum(items, ({ nanos }) => nanos) + items.length * COST.value,
  };
}

const sum = (bounds: readonly ValueBound[], of: (bound: ValueBound) => number): number =>
  bounds.reduce((all, one) => all + of(one), 0);

const single = (length: number, nanos: number): ValueBound => ({
  length,
  values: 1,
  total: length,
  nanos,
});

/** The most that a transformer makes of operands within these bounds. `argument` is getopt's. */
export function transformedBound(
  name: TransformerName,
  operands: readonly ValueBound[],
  argument: string | undefined,
): ValueBound {
  const given = listBound(operands);
  const { total, nanos } = given;
  const [first = given, second = given] = operands;
  switch (name) {
    case 'len':
      return single(8, nanos + total * COST.hashUnit);
    case 'tolower':
    case 'toupper':
      return { ...first, nanos: nanos + total * COST.caseUnit };
    case 'basename':
      return { ...first, nanos: nanos + total * COST.copyUnit };
    case 'b64':
      return { ...first, nanos: nanos + total * COST.base64Unit };
    case 'concat': {
      const length = Math.min(total, MAX_TRANSFORMED);
      return single(length, nanos + length * COST.copyUnit);
    }
    case 'join': {
      const all = second.total + first.length * Math.max(0, second.values - 1);
      const length = Math.min(all, MAX_TRANSFORMED);
      return single(length, nanos + length * COST.copyUnit + second.values * COST.value);
    }
    case 'getopt': {
      const spent = nanos + total * COST.optionUnit;
      if (argument !== undefined) return single(first.length, spent);
      // Each unit may be an option that is not known.
      return { length: first.length, values: first.total + 1, total: first.total, nanos: spent };
    }
  }
}
