import { LIMITS } from '../../events/table.gen.ts';
import type { Steps } from '../../shared/turns.ts';
import { automatonOf, type Automaton } from './automaton.ts';
import { isPathTest, withoutCovered, type Clause } from './conjunctions.ts';
import { anything } from './patterns.ts';
import { MACHINES, type Machine, type PathTest } from './path-tests.ts';
import type { CertainRule, RuleClauses } from './rule-clauses.ts';
import { allOf, rowOf, TableWriter, variablesOf, type TableClauses } from './table-writer.ts';

const { VERDICT_NEXT, VERDICT_SEEN, VERDICT_SEEN_STATES, VERDICT_STATES } = LIMITS;
const { VERDICT_WITHIN, VERDICT_WITHIN_STATES } = LIMITS;
/** Limit for one automaton: three quarters of all, so that one set of tests leaves room for the others. */
const STATES_MAX = (VERDICT_STATES * 3) / 4;
/** Limit on pattern bytes of one automaton: beyond it, there would be too many states, so it is not tried. */
const PARTS_MAX = 4 * STATES_MAX;

/** The rules about judged calls, for the kernel: no rule can match a call for which no clause can hold. */
export interface VerdictTable {
  /** `struct verdict_table`; undefined if it does not fit: every call passes. */
  readonly bytes: Uint8Array | undefined;
  readonly clauses: readonly Clause[];
  /** Names of the rules whose path comparisons were dropped because of the limit. */
  readonly widened: readonly string[];
  /** Comparisons that fit into no automaton, as rules have them. */
  readonly leftOut: readonly string[];
  /** Names of the rules that the kernel can be certain of, and of those of them that deny. */
  readonly certain: readonly string[];
  /** By its places in the table: rule n by its name. One may have two. */
  readonly places: readonly string[];
  readonly denied: readonly string[];
  /** Sums over all automata. */
  readonly states: number;
  readonly transitions: number;
}

/**
 * Lays out the clauses, which takes some 100 ms for a hundred rules. Comparisons that do not fit are dropped, largest first: of
 * each automaton one, then two, then four, so that few attempts are needed.
 */
export function* verdictTableOf({ clauses, widened, certain }: RuleClauses): Steps<VerdictTable> {
  const leftOut: string[] = [];
  const attempts = new Map<Machine, number>();
  let rules = withinVariables(certain);
  for (let left = clauses; ;) {
    const all: TableClauses = { may: left, certain: rules };
    const tests = testsOf(allOf(all));
    const { automata, bytes, full } = yield* attempt(all, tests);
    const own = tests.filter(({ machine }) => machine === full);
    if (full === undefined || own.length === 0) {
      const names = rules.map(({ name }) => name);
      const denied = rules.filter(({ denies }) => denies).map(({ name }) => name);
      const once = (all: readonly string[]): readonly string[] => [...new Set(all)];
      const found = {
        clauses: left,
        widened,
        leftOut,
        certain: once(names),
        denied: once(denied),
        places: names,
      };
      return { bytes, ...found, ...sizesOf(automata) };
    }
    // Only failures ask for the words of programs. Of the rules that do, one that has no room by itself cannot be certain, or the last.
    if (full === 'argv' || full === 'within') {
      const asking = rules.filter((rule) => askedOf(rule, full).length > 0);
      const alone = asking.find((rule) => askedOf(rule, full).length > VERDICT_WITHIN);
      const without = full === 'within' ? (alone ?? asking.at(-1)) : asking.at(-1);
      rules = rules.filter((rule) => rule !== without);
      continue;
    }
    if (rules.length > 0) {
      // What is kept back comes first, but for what is denied.
      const denying = rules.filter(({ denies }) => denies);
      // Then of those the last that asks for this automaton, or else the last.
      const last = rules.findLast((rule) => askedOf(rule, full).length > 0) ?? rules.at(-1);
      rules = denying.length < rules.length ? denying : rules.filter((rule) => rule !== last);
      continue;
    }
    const count = attempts.get(full) ?? 1;
    attempts.set(full, 2 * count);
    const most =
      full === 'anywhere' ? Math.min(VERDICT_SEEN, own.length - count) : own.length - count;
    const without = [...own].sort(bySize).slice(Math.max(0, most));
    const keys = new Set(without.map(({ key }) => key));
    leftOut.push(...textsOf(left, keys));
    left = yield* withoutTests(left, keys);
  }
}

/** The rules, first to last, as far as there is room for the variables that they ask for: only failures do. */
function withinVariables(rules: readonly CertainRule[]): readonly CertainRule[] {
  const kept: CertainRule[] = [];
  for (const rule of rules) {
    const failures = [...kept, rule].flatMap((one) => one.failures);
    if (variablesOf(failures).length <= LIMITS.VERDICT_VARIABLES) kept.push(rule);
  }
  return kept;
}

interface Attempt {
  readonly automata: ReadonlyMap<Machine, Automaton>;
  readonly bytes: Uint8Array | undefined;
  /** The automaton that does not fit; if all together are too large, the largest. */
  readonly full?: Machine;
}

function* attempt(clauses: TableClauses, tests: readonly PathTest[]): Steps<Attempt> {
  const automata = new Map<Machine, Automaton>();
  for (const machine of MACHINES) {
    const automaton = yield* automatonFor(
      machine,
      tests.filter((test) => test.machine === machine),
    );
    if (automaton === undefined) return { automata, bytes: undefined, full: machine };
    automata.set(machine, automaton);
  }
  const { states, transitions } = sizesOf(automata);
  const fits = states <= VERDICT_STATES && transitions <= VERDICT_NEXT;
  const bytes = fits ? yield* new TableWriter(clauses).write(automata, tests) : undefined;
  return bytes === undefined ? { automata, bytes, full: largestOf(automata) } : { automata, bytes };
}

function* automatonFor(machine: Machine, own: readonly PathTest[]): Steps<Automaton | undefined> {
  if (own.reduce((sum, test) => sum + partsOf(test), 0) > PARTS_MAX) return undefined;
  if (machine === 'within') {
    if (own.length > VERDICT_WITHIN) return undefined;
    return yield* automatonOf(own.map(whereFound), VERDICT_WITHIN_STATES);
  }
  if (machine !== 'anywhere') return yield* automatonOf(own, STATES_MAX);
  if (own.length > VERDICT_SEEN) return undefined;
  return yield* automatonOf(own.map(whereFound), VERDICT_SEEN_STATES);
}

function largestOf(automata: ReadonlyMap<Machine, Automaton>): Machine {
  const size = (machine: Machine): number => automata.get(machine)?.next.length ?? 0;
  return MACHINES.reduce((largest, one) => (size(one) > size(largest) ? one : largest));
}

function sizesOf(
  automata: ReadonlyMap<Machine, Automaton>,
): Pick<VerdictTable, 'states' | 'transitions'> {
  const sum = (of: (one: Automaton) => number): number =>
    [...automata.values()].reduce((all, one) => all + of(one), 0);
  const states = sum(({ accepted }) => accepted.length);
  return { states, transitions: sum((one) => one.accepted.length * rowOf(one)) };
}

/** A text that may be anywhere is recorded where it ends: what follows would only add states. */
function whereFound(test: PathTest): PathTest {
  const patterns = test.patterns.map((pattern) => {
    const after = pattern.findLastIndex((part) => part === anything);
    return pattern.slice(0, Math.max(after, 1));
  });
  return { ...test, patterns, point: 'end' };
}

/** The comparisons of the automaton that the failures of a rule ask for. */
const askedOf = ({ failures }: CertainRule, machine: Machine): readonly PathTest[] =>
  testsOf(failures).filter((test) => test.machine === machine);

const bySize = (one: PathTest, other: PathTest): number => sizeOf(one) - sizeOf(other);
const partsOf = ({ patterns }: PathTest): number =>
  patterns.reduce((sum, parts) => sum + parts.length, 0);
/** An estimate of its states: each repeated part adds as many as the pattern has parts. */
const sizeOf = ({ patterns }: PathTest): number =>
  patterns.reduce(
    (sum, parts) => sum + parts.length * (1 + parts.filter(({ many }) => many).length),
    0,
  );

function testsOf(clauses: readonly Clause[]): readonly PathTest[] {
  const tests = new Map<string, PathTest>();
  for (const { test } of clauses.flatMap(({ literals }) => literals))
    if (isPathTest(test)) tests.set(test.key, test);
  return [...tests.values()];
}

function textsOf(clauses: readonly Clause[], keys: ReadonlySet<string>): Iterable<string> {
  const literals = clauses.flatMap((clause) => clause.literals);
  return new Set(literals.filter(({ test }) => keys.has(test.key)).map(({ text }) => text));
}

function withoutTests(
  clauses: readonly Clause[],
  keys: ReadonlySet<string>,
): Steps<readonly Clause[]> {
  return withoutCovered(
    clauses.map(({ kinds, literals }) => ({
      kinds,
      literals: literals.filter(({ test }) => !keys.has(test.key)),
    })),
  );
}
