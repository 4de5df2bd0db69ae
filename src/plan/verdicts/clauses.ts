import { atOnce, type Steps } from '../../shared/turns.ts';
import type { Checked, CheckedMacro, Test } from '../../rules/compile/checked.ts';
import { layerTestOf, type LayerTest } from './layer-tests.ts';
import { containerTestOf, isContainerTest } from './container-tests.ts';
import { pathTestOf, type PathTest } from './path-tests.ts';
import { ALL_KINDS, kindsOf } from './open-kinds.ts';

/** A comparison of the file that the kernel can decide. */
export type FileTest = PathTest | LayerTest;

/** A comparison that has to hold, or has to fail. */
export interface Literal {
  readonly test: FileTest;
  readonly holds: boolean;
}

/** What has to be so all at once: an open of one of these kinds, and its file as the literals say. */
export interface Clause {
  /** Bits, see open-kinds.ts. */
  readonly kinds: number;
  /** No test twice. */
  readonly literals: readonly Literal[];
}

/** Clauses of one condition, at most: with more, literals are left out. */
export const CONDITION_CLAUSES_MAX = 64;

const ALWAYS: Clause = { kinds: ALL_KINDS, literals: [] };

/**
 * The opens for which a condition can hold in a container of this type, or of any: if it holds for an open, one of the clauses does.
 * What the kernel cannot tell (a process, the file's mode …) can hold and can fail. The other way round nothing is said: a clause may do
 * without the condition.
 */
export function clausesOf(
  condition: Checked,
  containerType: string | undefined,
): readonly Clause[] {
  return new Reader(containerType).clauses(condition, true);
}

/** Whether the kernel decides a comparison of an open. */
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

  /** For which opens it can hold, or with `holds` false: can fail. */
  clauses(condition: Checked, holds: boolean): readonly Clause[] {
    switch (condition.kind) {
      case 'and':
      case 'or': {
        const parts = condition.operands.map((operand) => this.clauses(operand, holds));
        // Not all of them hold: one of them fails.
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

/** Without those that another one stands for. */
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

/** Each of one with each of the other. */
function allOf(parts: readonly (readonly Clause[])[]): readonly Clause[] {
  // Those that say least last, so that what is left out for their number is least.
  const fewestFirst = [...parts].sort((one, other) => one.length - other.length);
  return fewestFirst.reduce<readonly Clause[]>(
    (so, part) => {
      const next = so.length * part.length <= CONDITION_CLAUSES_MAX ? part : [withoutFiles(part)];
      return anyOf(so.flatMap((one) => next.map((other) => both(one, other))));
    },
    [ALWAYS],
  );
}

/** One that holds where any of them does, and says nothing of files. */
export function withoutFiles(clauses: readonly Clause[]): Clause {
  return { kinds: clauses.reduce((kinds, clause) => kinds | clause.kinds, 0), literals: [] };
}

function both(one: Clause, other: Clause): Clause {
  const literals = [...one.literals];
  for (const literal of other.literals) {
    const same = literals.find(({ test }) => test.key === literal.test.key);
    if (same === undefined) literals.push(literal);
    // It cannot hold and fail.
    else if (same.holds !== literal.holds) return { kinds: 0, literals: [] };
  }
  return { kinds: one.kinds & other.kinds, literals };
}

/** Does `wide` hold wherever `narrow` does? */
function covers(wide: Clause, narrow: Clause): boolean {
  const isIn = ({ test, holds }: Literal): boolean =>
    narrow.literals.some((one) => one.test.key === test.key && one.holds === holds);
  return (narrow.kinds & ~wide.kinds) === 0 && wide.literals.every(isIn);
}
