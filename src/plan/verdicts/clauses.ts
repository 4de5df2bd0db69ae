import { atOnce, type Steps } from '../../shared/turns.ts';
import type { Checked, CheckedMacro, Test } from '../../rules/compile/checked.ts';
import { layerTestOf, type LayerTest } from './layer-tests.ts';
import { containerTestOf, isContainerTest } from './container-tests.ts';
import { pathTestOf, type PathTest } from './path-tests.ts';
import { ALL_KINDS, kindsOf } from './open-kinds.ts';

/** A comparison of the file that can be decided in the kernel. */
export type FileTest = PathTest | LayerTest;

/** A comparison that must hold, or must fail. */
export interface Literal {
  readonly test: FileTest;
  readonly holds: boolean;
}

/** A conjunction: an open of one of these kinds, whose file fulfils all literals. */
export interface Clause {
  /** Bits, see open-kinds.ts. */
  readonly kinds: number;
  /** Contains no test twice. */
  readonly literals: readonly Literal[];
}

/** Limit on clauses of one condition; beyond it, literals are dropped. */
export const CONDITION_CLAUSES_MAX = 64;

const ALWAYS: Clause = { kinds: ALL_KINDS, literals: [] };

/**
 * The opens for which a condition can hold in a container of this type, or of any. If it holds for an open, one of the clauses
 * does. What the kernel does not know (a process, the file's mode …) can hold and can fail. The reverse is not guaranteed: a
 * clause may hold when the condition does not.
 */
export function clausesOf(
  condition: Checked,
  containerType: string | undefined,
): readonly Clause[] {
  return new Reader(containerType).clauses(condition, true);
}

/** Whether the kernel decides this comparison of an open. */
export const isDecided = (test: Test): boolean =>
  isContainerTest(test) ||
  kindsOf(test) !== undefined ||
  (pathTestOf(test) ?? layerTestOf(test)) !== undefined;

class Reader {
  readonly #containerType: string | undefined;
  readonly #tests = new Map<string, FileTest | undefined>();
  readonly #macros = new Map<
    CheckedMacro,
    { holds?: readonly Clause[]; fails?: readonly Clause[] }
  >();

  constructor(containerType: string | undefined) {
    this.#containerType = containerType;
  }

  /** The opens for which it can hold, or with `holds` false, can fail. */
  clauses(condition: Checked, holds: boolean): readonly Clause[] {
    switch (condition.kind) {
      case 'and':
      case 'or': {
        const parts = condition.operands.map((operand) => this.clauses(operand, holds));
        // If not all of them hold, one of them fails.
        return (condition.kind === 'and') === holds ? allOf(parts) : anyOf(parts.flat());
      }
      case 'not':
        return this.clauses(condition.operand, !holds);
      case 'macro': {
        const known = this.#macros.get(condition.macro) ?? {};
        this.#macros.set(condition.macro, known);
        if (holds) return (known.holds ??= this.clauses(condition.macro.body, true));
        return (known.fails ??= this.clauses(condition.macro.body, false));
      }
      case 'test':
        return this.#ofTest(condition.test, holds);
    }
  }

  #ofTest(test: Test, holds: boolean): readonly Clause[] {
    const ofContainer = containerTestOf(test, this.#containerType);
    if (ofContainer !== undefined) return ofContainer === holds ? [ALWAYS] : [];
    const kinds = kindsOf(test);
    if (kinds !== undefined)
      return anyOf([{ kinds: holds ? kinds.holds : kinds.fails, literals: [] }]);
    if (!this.#tests.has(test.key))
      this.#tests.set(test.key, pathTestOf(test) ?? layerTestOf(test));
    const ofFile = this.#tests.get(test.key);
    return ofFile === undefined
      ? [ALWAYS]
      : [{ kinds: ALL_KINDS, literals: [{ test: ofFile, holds }] }];
  }
}

/** Removes clauses that another clause covers. */
export function* withoutCovered(clauses: readonly Clause[]): Steps<readonly Clause[]> {
  const kept: Clause[] = [];
  const fewestFirst = clauses
    .filter(({ kinds }) => kinds !== 0)
    .sort((one, other) => one.literals.length - other.literals.length);
  for (const clause of fewestFirst) {
    if (!kept.some((one) => covers(one, clause))) kept.push(clause);
    yield;
  }
  return kept;
}

function anyOf(clauses: readonly Clause[]): readonly Clause[] {
  const kept = atOnce(withoutCovered(clauses));
  return kept.length <= CONDITION_CLAUSES_MAX ? kept : [withoutFiles(kept)];
}

/** The product: each clause of one part with each of the others. */
function allOf(parts: readonly (readonly Clause[])[]): readonly Clause[] {
  // The least specific parts come last, so that little is lost if the limit drops their literals.
  const fewestFirst = [...parts].sort((one, other) => one.length - other.length);
  return fewestFirst.reduce<readonly Clause[]>(
    (so, part) => {
      const next = so.length * part.length <= CONDITION_CLAUSES_MAX ? part : [withoutFiles(part)];
      return anyOf(so.flatMap((one) => next.map((other) => both(one, other))));
    },
    [ALWAYS],
  );
}

/** One clause that holds if any of them does, without file literals. */
export function withoutFiles(clauses: readonly Clause[]): Clause {
  return { kinds: clauses.reduce((kinds, clause) => kinds | clause.kinds, 0), literals: [] };
}

function both(one: Clause, other: Clause): Clause {
  const literals = [...one.literals];
  for (const literal of other.literals) {
    const same = literals.find(({ test }) => test.key === literal.test.key);
    if (same === undefined) literals.push(literal);
    // A test cannot both hold and fail.
    else if (same.holds !== literal.holds) return { kinds: 0, literals: [] };
  }
  return { kinds: one.kinds & other.kinds, literals };
}

/** Whether `wide` holds wherever `narrow` does. */
function covers(wide: Clause, narrow: Clause): boolean {
  const isIn = ({ test, holds }: Literal): boolean =>
    narrow.literals.some((one) => one.test.key === test.key && one.holds === holds);
  return (narrow.kinds & ~wide.kinds) === 0 && wide.literals.every(isIn);
}
