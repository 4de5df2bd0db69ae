// Clauses, and how they are combined within bounds.
import { atOnce, type Steps } from '../../shared/turns.ts';
import { ALL_KINDS, ANY_ANCESTOR, NO_KINDS, type Judged, type Kinds } from './call-kinds.ts';
import type { FormTest } from './form-tests.ts';
import type { NumberTest } from './number-tests.ts';
import type { PathTest } from './path-tests.ts';
import type { ProgramTest } from './program-tests.ts';
import type { LoadsTest } from './variable-tests.ts';

/** A comparison of a call, or of what makes it, that can be decided in the kernel. */
export type FileTest = PathTest | FormTest | ProgramTest | NumberTest | LoadsTest;

export const isPathTest = (test: FileTest): test is PathTest =>
  test.machine !== 'form' &&
  test.machine !== 'program' &&
  test.machine !== 'number' &&
  test.machine !== 'loads';

/** A comparison that must hold, or must fail. */
export interface Literal {
  readonly test: FileTest;
  /** What of the call it is about. */
  readonly judged: Judged;
  readonly holds: boolean;
  /** As the rule has it. */
  readonly text: string;
}

/** A conjunction: a call of one of these kinds, whose files fulfil all literals. */
export interface Clause {
  readonly kinds: Kinds;
  /** Contains no test of the same file twice. */
  readonly literals: readonly Literal[];
}

/** Limit on clauses of one condition; beyond it, literals are dropped. */
export const CONDITION_CLAUSES_MAX = 64;
/** Limit on clauses of a product before those that others cover are removed. */
const PRODUCT_MAX = 1024;

/** Holds for every call. */
export const ALWAYS: Clause = { kinds: ALL_KINDS, literals: [] };
/** Removes clauses that another clause covers. */
export function* withoutCovered(clauses: readonly Clause[]): Steps<readonly Clause[]> {
  const kept: Clause[] = [];
  const fewestFirst = clauses
    .filter(({ kinds }) => kinds !== NO_KINDS)
    .sort((one, other) => one.literals.length - other.literals.length);
  for (const clause of fewestFirst) {
    if (!kept.some((one) => covers(one, clause))) kept.push(clause);
    yield;
  }
  return kept;
}

/**
 * Beyond the limit names are dropped, of which programs have any. If that does not help, so is what a file must not be, and then what it
 * must be.
 */
export function anyOf(clauses: readonly Clause[]): readonly Clause[] {
  let kept = atOnce(withoutCovered(clauses));
  for (const drop of [withoutNames, withoutNegatives]) {
    if (kept.length <= CONDITION_CLAUSES_MAX) return kept;
    kept = atOnce(withoutCovered(kept.map(drop)));
  }
  return kept.length <= CONDITION_CLAUSES_MAX ? kept : [withoutFiles(kept)];
}

/** The product: each clause of one part with each of the others. */
export function allOf(parts: readonly (readonly Clause[])[]): readonly Clause[] {
  // The least specific parts come last, so that little is lost if the limit drops their literals.
  const fewestFirst = [...parts].sort((one, other) => one.length - other.length);
  return fewestFirst.reduce<readonly Clause[]>(
    (so, part) => {
      const next = withinProduct(so.length, part);
      return anyOf(so.flatMap((one) => next.map((other) => both(one, other))));
    },
    [ALWAYS],
  );
}

function withinProduct(factor: number, part: readonly Clause[]): readonly Clause[] {
  if (factor * part.length <= PRODUCT_MAX) return part;
  const wider = atOnce(withoutCovered(part.map(withoutNames)));
  return factor * wider.length <= PRODUCT_MAX ? wider : [withoutFiles(part)];
}

/** The same without comparisons of names: it holds for more calls. */
export function withoutNames({ kinds, literals }: Clause): Clause {
  const isName = ({ judged }: Literal): boolean => judged === 'process' || judged === 'thread';
  return { kinds, literals: literals.filter((literal) => !isName(literal)) };
}

function withoutNegatives({ kinds, literals }: Clause): Clause {
  return { kinds, literals: literals.filter(({ holds }) => holds) };
}

/** One clause that holds if any of them does, without file literals. */
export function withoutFiles(clauses: readonly Clause[]): Clause {
  return { kinds: clauses.reduce((kinds, clause) => kinds | clause.kinds, NO_KINDS), literals: [] };
}

const isOfAny = ({ judged }: Literal): boolean => judged === ANY_ANCESTOR;

const isOfSame = (one: Literal, other: Literal): boolean =>
  one.test.key === other.test.key && one.judged === other.judged;

function both(one: Clause, other: Clause): Clause {
  const kinds = one.kinds & other.kinds;
  if (kinds === NO_KINDS) return { kinds, literals: [] };
  const literals = [...one.literals];
  for (const literal of other.literals) {
    const same = literals.find((own) => isOfSame(own, literal));
    // Each may be true of another ancestor: one of them is enough.
    if (isOfAny(literal) && literals.some(isOfAny)) continue;
    if (same === undefined) literals.push(literal);
    // A test cannot both hold and fail.
    else if (same.holds !== literal.holds) return { kinds: NO_KINDS, literals: [] };
  }
  return { kinds, literals };
}

/** Whether `wide` holds wherever `narrow` does. */
function covers(wide: Clause, narrow: Clause): boolean {
  const isIn = (literal: Literal): boolean =>
    narrow.literals.some((own) => isOfSame(own, literal) && own.holds === literal.holds);
  return (narrow.kinds & ~wide.kinds) === NO_KINDS && wide.literals.every(isIn);
}
