import type { Checked, CheckedMacro, Test } from '../../rules/compile/checked.ts';
import { ALWAYS, allOf, anyOf, type Clause, type FileTest } from './conjunctions.ts';
import { formTestOf } from './form-tests.ts';
import { connectTestOf, type ConnectTest } from './connect-tests.ts';
import {
  containerTestOf,
  isAgeTest,
  isContainerTest,
  type ContainerFacts,
} from './container-tests.ts';
import { ancestorTestOf } from './ancestor-tests.ts';
import { argvTestOf } from './argv-tests.ts';
import { nameTestOf } from './name-tests.ts';
import { isOneWayNumber, numberTestOf, type NumberTest } from './number-tests.ts';
import { absentKinds, pathFieldOf, type PathField } from './path-fields.ts';
import { pathTestOf } from './path-tests.ts';
import { programTestOf } from './program-tests.ts';
import { standardTestOf } from './standard-tests.ts';
import { loadsTestOf, variableTestOf } from './variable-tests.ts';
import { WAY_KINDS, waysOfArgument } from './ways.ts';
import {
  ALL_KINDS,
  ANY_ANCESTOR,
  ANY_PATH,
  CONNECT_KINDS,
  deniableAmong,
  EXEC_KINDS,
  IP_KINDS,
  isPathOfCall,
  KINDS_OF,
  kindsOf,
  kindsOfEvents,
  NO_KINDS,
  OPEN_EVENTS,
  type JudgedPath,
  type Kinds,
} from './call-kinds.ts';

const OPENS = kindsOfEvents(OPEN_EVENTS);
/** The calls that can be denied but connections to IP addresses: their hooks look at ancestors. */
const WITH_ANCESTORS = deniableAmong(ALL_KINDS) & ~IP_KINDS;

/**
 * The calls for which a condition can hold in a container of which this is known, or in any. If it holds for a call, one of the clauses
 * does. What the kernel does not know (a parent, the file's mode …) can hold and can fail. The reverse is not guaranteed: a
 * clause may hold when the condition does not.
 */
export function clausesOf(
  condition: Checked,
  container: ContainerFacts | undefined,
): readonly Clause[] {
  const clauses = new Reader(container).clauses(condition, true);
  return anyOf(clauses.map((clause) => ofOnePath(clause)));
}

/**
 * The calls for which a condition can fail, in the same way: where none of these clauses holds, the condition certainly does, if
 * the call is judged at all. `ancestorsOf`: of which calls ancestors are looked at; by default those that can be denied. Others have
 * clauses about them as well, which then hold.
 */
export function failuresOf(
  condition: Checked,
  container: ContainerFacts | undefined,
  ancestorsOf: Kinds = WITH_ANCESTORS,
): readonly Clause[] {
  const failures = new Reader(container, ancestorsOf).clauses(condition, false);
  return anyOf(failures.map((clause) => ofOnePath(clause)));
}

/**
 * The same of calls with two paths, where clauses about both become ones about this path. A rule that asks for one of two paths
 * (`evt.arg.oldpath = A or evt.arg.newpath = A`) certainly matches where it does so by either.
 */
export function failuresByPath(
  condition: Checked,
  container: ContainerFacts | undefined,
  path: JudgedPath,
): readonly Clause[] {
  const failures = new Reader(container, WITH_ANCESTORS).clauses(condition, false);
  return anyOf(failures.map((clause) => ofOnePath(clause, path)));
}

/** Whether the comparison is with an empty list: it never holds, whatever is compared. */
const neverHolds = ({ operator, right, values }: Test): boolean =>
  operator === 'in' && right === undefined && values.length === 0;

/** Whether the kernel decides this comparison of a call. */
export const isDecided = (test: Test): boolean =>
  neverHolds(test) || isDecidedElsewhere(test) || connectTestOf(test) !== undefined;

/** The same of calls but connects. */
function isDecidedElsewhere(test: Test): boolean {
  const field = pathFieldOf(test);
  return (
    isContainerTest(test) ||
    kindsOf(test) !== undefined ||
    waysOfArgument(test) !== undefined ||
    (formTestOf(test) ?? programTestOf(test) ?? nameTestOf(test) ?? numberTestOf(test)) !==
      undefined ||
    (field !== undefined && pathTestOf(test, field) !== undefined)
  );
}

/** Whether the kernel decides this comparison of a program that is run, whatever its result. */
export const isDecidedOfExec = (test: Test): boolean => {
  if (isAgeTest(test) || neverHolds(test) || ofExec(test) !== undefined) return true;
  const form = formTestOf(test);
  if (form !== undefined) return form.judged === 'program' && form.either === undefined;
  const unknown = pathFieldOf(test)?.unknown ?? NO_KINDS;
  return isDecidedElsewhere(test) && (unknown & EXEC_KINDS) === NO_KINDS;
};

/** Whether it is about ancestors, which the kernel looks at before it denies a program or a call on a file. */
export const isDecidedOfAncestors = (test: Test): boolean => ancestorTestOf(test) !== undefined;

/** Whether the kernel decides of this comparison only that it fails: no ancestor makes it true, or the process is not the first one. */
export const isDecidedOneWay = (test: Test): boolean => {
  const number = numberTestOf(test);
  if (number !== undefined) return isOneWayNumber(number);
  return (ancestorTestOf(test) ?? loadsTestOf(test))?.judged === ANY_ANCESTOR;
};

/** The calls for which something can hold, and for which it can fail. */
interface BothWays {
  holds: readonly Clause[];
  fails: readonly Clause[];
}

class Reader {
  readonly #container: ContainerFacts | undefined;
  readonly #ancestorsOf: Kinds;
  readonly #asksForFailures: boolean;
  readonly #tests = new Map<string, BothWays>();
  readonly #macros = new Map<CheckedMacro, Partial<BothWays>>();

  /** `ancestorsOf`: it is about failures, and of these calls ancestors are looked at; undefined: it is about what can match. */
  constructor(container: ContainerFacts | undefined, ancestorsOf?: Kinds) {
    this.#container = container;
    this.#asksForFailures = ancestorsOf !== undefined;
    this.#ancestorsOf = ancestorsOf ?? EXEC_KINDS;
  }

  /** The calls for which it can hold, or with `holds` false, can fail. */
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
    const ofContainer = containerTestOf(test, this.#container);
    if (ofContainer !== undefined) return ofContainer === holds ? [ALWAYS] : [];
    const known = this.#tests.get(test.key) ?? this.#bothWaysOf(test);
    this.#tests.set(test.key, known);
    return holds ? known.holds : known.fails;
  }

  #bothWaysOf(test: Test): BothWays {
    const number = numberTestOf(test, this.#container?.type);
    // To filter by them would take many clauses for little.
    if (!this.#asksForFailures && number !== undefined && isOneWayNumber(number)) return UNKNOWN;
    return bothWaysOf(test, this.#ancestorsOf, number);
  }
}

/** Of connects some fields are decided in other ways than of the other calls, and so are arguments of calls that are judged by who makes them. */
function bothWaysOf(test: Test, ancestorsOf: Kinds, number: NumberTest | undefined): BothWays {
  if (neverHolds(test)) return { holds: [], fails: [ALWAYS] };
  const known =
    ofKind(test) ??
    ofExec(test, ancestorsOf) ??
    ofForm(test) ??
    ofProgram(test) ??
    ofProcess(test, number) ??
    ofPath(test) ??
    UNKNOWN;
  const connect = connectTestOf(test);
  const ways = waysOfArgument(test);
  if (ways !== undefined) {
    const but = (clauses: readonly Clause[], kinds: Kinds): readonly Clause[] => [
      ...clauses.map((clause) => ({ ...clause, kinds: clause.kinds & ~WAY_KINDS })),
      { kinds, literals: [] },
    ];
    return {
      holds: anyOf(but(known.holds, ways.holds)),
      fails: anyOf(but(known.fails, ways.fails)),
    };
  }
  if (connect === undefined) return known;
  const of = (holds: boolean): readonly Clause[] => {
    const others = (holds ? known.holds : known.fails).map((clause) => ({
      ...clause,
      kinds: clause.kinds & ~CONNECT_KINDS,
    }));
    return anyOf([...others, ...ofConnect(test, connect, holds)]);
  };
  return { holds: of(true), fails: of(false) };
}

function ofConnect(
  { key }: Test,
  { holds, fails, decided }: ConnectTest,
  isHeld: boolean,
): readonly Clause[] {
  const always: Clause = { kinds: isHeld ? holds : fails, literals: [] };
  if (decided === undefined) return [always];
  const { kinds, ...literal } = decided;
  return [always, { kinds, literals: [{ ...literal, holds: isHeld, text: key }] }];
}

function ofKind(test: Test): BothWays | undefined {
  const kinds = kindsOf(test);
  if (kinds === undefined) return undefined;
  return {
    holds: anyOf([{ kinds: kinds.holds, literals: [] }]),
    fails: anyOf([{ kinds: kinds.fails, literals: [] }]),
  };
}

/** A comparison of a name or of a number of what makes the call, which each call has. */
function ofProcess(test: Test, number: NumberTest | undefined): BothWays | undefined {
  const decided = nameTestOf(test) ?? (number && ({ test: number, judged: 'process' } as const));
  if (decided === undefined) return undefined;
  const of = (holds: boolean): readonly Clause[] => [
    { kinds: ALL_KINDS, literals: [{ ...decided, holds, text: test.key }] },
  ];
  return { holds: of(true), fails: of(false) };
}

/**
 * A comparison of what is known only when a program is run: its words, its environment, its standard descriptors; and of ancestors,
 * which are looked at for these calls.
 */
function ofExec(test: Test, ancestorsOf: Kinds = EXEC_KINDS): BothWays | undefined {
  const standard = standardTestOf(test);
  const ancestor = ancestorTestOf(test);
  const decided =
    argvTestOf(test) ??
    variableTestOf(test) ??
    ancestor ??
    loadsTestOf(test) ??
    (standard && ({ test: standard, judged: 'standard' } as const));
  if (decided === undefined) return undefined;
  // Of other calls it is known whether there is a variable LD_*.
  const others = ofForm(test) ?? UNKNOWN;
  const own = ancestor === undefined ? EXEC_KINDS : ancestorsOf;
  const of = (holds: boolean): readonly Clause[] => [
    { kinds: own, literals: [{ ...decided, holds, text: test.key }] },
    ...(holds ? others.holds : others.fails).map(({ kinds, literals }) => ({
      kinds: kinds & ~own,
      literals,
    })),
  ];
  // The kernel looks whether one ancestor makes it true, not whether all make it false.
  return { holds: of(true), fails: decided.judged === ANY_ANCESTOR ? [ALWAYS] : of(false) };
}

const UNKNOWN: BothWays = { holds: [ALWAYS], fails: [ALWAYS] };

/** A comparison of the layer or type of an opened file, or of the layer of a program. */
function ofForm(test: Test): BothWays | undefined {
  const form = formTestOf(test);
  if (form === undefined) return undefined;
  const { judged, either } = form;
  // The environment of a program that is run is looked at later.
  const ofProgram = either === undefined ? ALL_KINDS : ALL_KINDS & ~EXEC_KINDS;
  const kinds = judged === 'program' ? ofProgram : OPENS;
  const others: Clause = { kinds: ALL_KINDS & ~kinds, literals: [] };
  const of = (holds: boolean): readonly Clause[] =>
    anyOf([{ kinds, literals: [{ test: form, judged, holds, text: test.key }] }, others]);
  return { holds: of(true), fails: either === undefined ? of(false) : [ALWAYS] };
}

/** A comparison of a path with that of the program. */
function ofProgram(test: Test): BothWays | undefined {
  const program = programTestOf(test);
  return program && ofField(test, program, program.field);
}

/** A comparison of a path. */
function ofPath(test: Test): BothWays | undefined {
  const field = pathFieldOf(test);
  if (field === undefined) return undefined;
  const path = pathTestOf(test, field);
  return path && ofField(test, path, field);
}

function ofField(test: Test, decided: FileTest, field: PathField): BothWays {
  const { sources, unknown } = field;
  const of = (holds: boolean): Clause[] => [
    { kinds: unknown, literals: [] },
    ...sources
      // It fails only if it fails for all values: those that are always there will do.
      .filter(({ optional }) => holds || optional !== true)
      .map(({ judged, kinds }): Clause => ({
        kinds,
        literals: [{ test: decided, judged, holds, text: test.key }],
      })),
  ];
  // No comparison of an absent field holds.
  const absent: Clause = { kinds: absentKinds(field), literals: [] };
  return { holds: anyOf(of(true)), fails: anyOf([absent, ...of(false)]) };
}

/**
 * A clause about two paths of a call becomes one about the path that more comparisons restrict, or the preferred one: the kernel
 * judges each path by itself, and reports the call if one of them passes. Its kinds are then those of that path.
 */
function ofOnePath({ kinds, literals }: Clause, preferred?: JudgedPath): Clause {
  const paths = new Map<JudgedPath, number>();
  for (const { judged, holds } of literals)
    // What a path is restricts more than what it is not.
    if (isPathOfCall(judged)) paths.set(judged, (paths.get(judged) ?? 0) + (holds ? 100 : 1));
  const [most] = [...paths].sort(([, one], [, other]) => other - one);
  if (most === undefined) return { kinds: kinds & ANY_PATH, literals };
  const path = preferred !== undefined && paths.has(preferred) ? preferred : most[0];
  return {
    kinds: kinds & KINDS_OF[path],
    literals: literals.filter(({ judged }) => judged === path || !isPathOfCall(judged)),
  };
}
