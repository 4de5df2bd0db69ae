import type { Checked, CheckedMacro, Test } from '../rules/compile/checked.ts';

/** The kinds of an event, as bits, for which a condition can hold, and for which it can fail: upper bounds. */
export interface Possible {
  readonly holds: number;
  readonly fails: number;
}

/** The possible kinds for one comparison; `undefined` if it does not restrict them. */
export type KindsOfTest = (test: Test) => Possible | undefined;

export function not({ holds, fails }: Possible): Possible {
  return { holds: fails, fails: holds };
}

/** The kinds, of `all`, for which the condition can hold: an upper bound. */
export function kindsThatCanMatch(condition: Checked, all: number, ofTest: KindsOfTest): number {
  const anything: Possible = { holds: all, fails: all };
  const macros = new Map<CheckedMacro, Possible>();
  const possible = (one: Checked): Possible => {
    switch (one.kind) {
      case 'and': {
        const parts = one.operands.map(possible);
        return {
          holds: parts.reduce((kinds, part) => kinds & part.holds, all),
          fails: parts.reduce((kinds, part) => kinds | part.fails, 0),
        };
      }
      case 'or': {
        const parts = one.operands.map(possible);
        return {
          holds: parts.reduce((kinds, part) => kinds | part.holds, 0),
          fails: parts.reduce((kinds, part) => kinds & part.fails, all),
        };
      }
      case 'not':
        return not(possible(one.operand));
      case 'macro': {
        const known = macros.get(one.macro);
        if (known !== undefined) return known;
        const found = possible(one.macro.body);
        macros.set(one.macro, found);
        return found;
      }
      case 'test':
        return ofTest(one.test) ?? anything;
    }
  };
  return possible(condition).holds;
}

/** The constants one of which the field (with its argument: `evt.arg.domain`) must equal; undefined for another comparison or field. */
export function valuesOf(test: Test, field: string): readonly unknown[] | undefined {
  const isPlain = test.modifier === undefined && test.right === undefined;
  const isOneOf = test.operator === '=' || test.operator === '==' || test.operator === 'in';
  return isPlain && isOneOf && test.left.key === field ? test.values : undefined;
}

/** The parts of a comparison of one field with one constant by `=` or `!=`; undefined for any other. */
export function equality(
  test: Test,
): { readonly field: string; readonly value: unknown; readonly equal: boolean } | undefined {
  const { field } = test.left;
  if (test.modifier !== undefined || test.right !== undefined || test.values.length !== 1)
    return undefined;
  const equal = test.operator === '=' || test.operator === '==';
  if (field === undefined || !(equal || test.operator === '!=')) return undefined;
  return { field, value: test.values[0], equal };
}
