import type { Modifier, Operator, Span } from '../language/ast.ts';
import type { ValueBound } from '../cost/value-bounds.ts';
import type { FieldType, Implied, Reader, Value, ValueKind } from '../fields/field.ts';

/** A field, perhaps transformed, as one use of it reads it. Uses with the same key share one. */
export interface Read {
  /** Canonical text: `tolower(proc.aname[2])`. */
  readonly key: string;
  readonly type: FieldType;
  /** That of the items when the reader's shape is a list. */
  readonly kind: ValueKind;
  readonly reader: Reader;
  readonly pathDependent: boolean;
  /** The field's name when it is read as it is: event inference looks for evt.type. */
  readonly field: string | undefined;
  /** The names of all fields that it is made of. */
  readonly fields: readonly string[];
  /** Neither in `val(…)` nor compared with it. */
  readonly noVal: boolean;
  readonly noTransformer: boolean;
  /** What it can be where another field's value is known; undefined where that says nothing. */
  readonly implied: Implied | undefined;
  /** The most there can be of it, and what reading it may cost. */
  readonly bound: ValueBound;
  /** Takes few values, again and again: worth remembering what follows from them. */
  readonly recurring: boolean;
}

/** One comparison with its right side typed, or `exists`. */
export interface Test {
  /** Canonical text of the comparison: equal keys are equal tests. */
  readonly key: string;
  readonly left: Read;
  readonly operator: Operator | 'exists';
  readonly modifier: Modifier | undefined;
  /** The constants of the right side, of the left side's kind; empty with `exists` and with `right`. */
  readonly values: readonly Value[];
  /** The field on the right side. */
  readonly right: Read | undefined;
  /** Where it stands in its condition's text. */
  readonly span: Span;
}

/** A macro's condition, shared by all that refer to it. */
export interface CheckedMacro {
  readonly name: string;
  readonly body: Checked;
}

/**
 * A condition whose names and types are known: what the generator and the event inference read. `height` counts
 * the nodes to the deepest test, macros included: at most MAX_HEIGHT, so that walks may recurse.
 */
export type Checked = { readonly height: number } & (
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Checked[] }
  | { readonly kind: 'not'; readonly operand: Checked }
  | { readonly kind: 'macro'; readonly macro: CheckedMacro }
  | { readonly kind: 'test'; readonly test: Test }
);

/** Parentheses, `not`s and macros within each other, at most. */
export const MAX_HEIGHT = 1000;

/**
 * Does `visit` hold for a test anywhere in the condition? It is told whether the test has to hold for the condition to, or to fail
 * (within `not`). Each macro is looked at once in each way.
 */
export function someTest(
  condition: Checked,
  visit: (test: Test, isWanted: boolean) => boolean,
): boolean {
  const seen = { wanted: new Set<CheckedMacro>(), unwanted: new Set<CheckedMacro>() };
  const some = (part: Checked, isWanted: boolean): boolean => {
    switch (part.kind) {
      case 'and':
      case 'or':
        return part.operands.some((operand) => some(operand, isWanted));
      case 'not':
        return some(part.operand, !isWanted);
      case 'macro': {
        const before = isWanted ? seen.wanted : seen.unwanted;
        if (before.has(part.macro)) return false;
        before.add(part.macro);
        return some(part.macro.body, isWanted);
      }
      case 'test':
        return visit(part.test, isWanted);
    }
  };
  return some(condition, true);
}

/** Is a part of the condition read differently from the path that was passed? */
export function isPathDependent(condition: Checked): boolean {
  return someTest(
    condition,
    (test) => test.left.pathDependent || test.right?.pathDependent === true,
  );
}

/** Do they say the same, word for word? False also for some that mean the same. */
export function isSameCondition(one: Checked, other: Checked): boolean {
  const known = new Map<CheckedMacro, CheckedMacro>();
  const isSame = (a: Checked, b: Checked | undefined): boolean => {
    if (a === b) return true;
    switch (a.kind) {
      case 'and':
      case 'or':
        return (
          b?.kind === a.kind &&
          a.operands.length === b.operands.length &&
          a.operands.every((operand, at) => isSame(operand, b.operands[at]))
        );
      case 'not':
        return b?.kind === 'not' && isSame(a.operand, b.operand);
      case 'macro':
        if (b?.kind !== 'macro') return false;
        // Once for each: macros within each other would take exponential time.
        if (known.get(a.macro) === b.macro) return true;
        if (!isSame(a.macro.body, b.macro.body)) return false;
        known.set(a.macro, b.macro);
        return true;
      case 'test':
        return b?.kind === 'test' && a.test.key === b.test.key;
    }
  };
  return isSame(one, other);
}
