import { LIMITS } from '../../events/table.gen.ts';
import type { Steps } from '../../shared/turns.ts';
import { automatonOf, type Automaton } from './automaton.ts';
import { withoutCovered, type Clause, type FileTest, type Literal } from './clauses.ts';
import { eachKind, NO_KINDS, type Judged } from './call-kinds.ts';
import { FORMS, PROGRAM_FORMS } from './form-tests.ts';
import { MASK_BYTES, NAMES, ROW, TABLE } from './layout.ts';
import { boundsOf, isOfBound } from './number-tests.ts';
import { anything } from './patterns.ts';
import { MACHINES, type Machine, type PathTest, type Point } from './path-tests.ts';
import type { CertainRule, RuleClauses } from './rule-clauses.ts';

const { VERDICT_MASKS, VERDICT_NEXT, VERDICT_STATES } = LIMITS;
const { VERDICT_NUMBERS, VERDICT_SEEN, VERDICT_SEEN_STATES } = LIMITS;
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
  let rules = certain;
  for (let left = clauses; ;) {
    const all: TableClauses = { may: left, certain: rules };
    const tests = testsOf(allOf(all));
    const { automata, bytes, full } = yield* attempt(all, tests);
    const own = tests.filter(({ machine }) => machine === full);
    if (full === undefined || own.length === 0) {
      const names = rules.map(({ name }) => name);
      const denied = rules.filter(({ denies }) => denies).map(({ name }) => name);
      const found = { clauses: left, widened, leftOut, certain: names, denied };
      return { bytes, ...found, ...sizesOf(automata) };
    }
    if (rules.length > 0) {
      // What is kept back comes first, but for what is denied.
      const denying = rules.filter(({ denies }) => denies);
      rules = denying.length < rules.length ? denying : [];
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

/** The clauses of a table: those of which one holds where a rule matches, and by rule those of which one holds where it fails. */
interface TableClauses {
  readonly may: readonly Clause[];
  readonly certain: readonly CertainRule[];
}

/** In the order of their bits. */
const allOf = ({ may, certain }: TableClauses): readonly Clause[] =>
  may.concat(certain.flatMap(({ failures }) => failures));

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
  const bytes = fits ? yield* new Writer(clauses).write(automata, tests) : undefined;
  return bytes === undefined ? { automata, bytes, full: largestOf(automata) } : { automata, bytes };
}

function* automatonFor(machine: Machine, own: readonly PathTest[]): Steps<Automaton | undefined> {
  if (own.reduce((sum, test) => sum + partsOf(test), 0) > PARTS_MAX) return undefined;
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

/** Number of cells of a state. */
const rowOf = ({ classCount }: Automaton): number => ROW.classes + classCount;

/** A text that may be anywhere is recorded where it ends: what follows would only add states. */
function whereFound(test: PathTest): PathTest {
  const patterns = test.patterns.map((pattern) => {
    const after = pattern.findLastIndex((part) => part === anything);
    return pattern.slice(0, Math.max(after, 1));
  });
  return { ...test, patterns, point: 'end' };
}

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

/** Lays a table out. */
class Writer {
  readonly #parts: TableClauses;
  readonly #clauses: readonly Clause[];
  readonly #bytes = new Uint8Array(TABLE.bytes);
  readonly #view = new DataView(this.#bytes.buffer);
  /** Numbers of the clause sets in the table, by their bits as text. */
  readonly #masks = new Map<string, number>();

  constructor(parts: TableClauses) {
    this.#parts = parts;
    this.#clauses = allOf(parts);
  }

  /** Undefined if there are more different clause sets than fit. */
  *write(
    automata: ReadonlyMap<Machine, Automaton>,
    tests: readonly PathTest[],
  ): Steps<Uint8Array | undefined> {
    for (const [kind, bit] of eachKind()) {
      const ofKind = this.#maskOf(({ kinds }) => (kinds & bit) !== NO_KINDS);
      this.#bytes.set(ofKind, TABLE.kinds + kind * MASK_BYTES);
    }
    const has = (are: (literal: Literal) => boolean): boolean =>
      this.#clauses.some(({ literals }) => literals.some(are));
    const about = new Set(
      this.#clauses.flatMap(({ literals }) => literals.map((one) => one.judged)),
    );
    // The name of a process is kept with its program.
    const hasPrograms =
      about.has('program') || about.has('process') || has(({ test }) => test.machine === 'program');
    this.#view.setUint32(TABLE.programs, hasPrograms ? 1 : 0, true);
    const hasNames = has(({ test, judged }) => test.machine === 'comm' && judged === 'process');
    const names = (hasNames ? NAMES.process : 0) | (about.has('thread') ? NAMES.thread : 0);
    this.#view.setUint32(TABLE.names, names, true);
    this.#setNumbers();
    const hasDots = has(
      ({ test, judged }) =>
        judged === 'file' && test.machine === 'form' && test.either !== undefined,
    );
    this.#view.setUint32(TABLE.dots, hasDots ? 1 : 0, true);
    this.#setAnswers();
    for (const [of, sets, count] of [
      ['file', TABLE.forms, FORMS.length],
      ['program', TABLE.programForms, PROGRAM_FORMS],
    ] as const) {
      for (let form = 0; form < count; form++) {
        const ofForm = this.#maskOfLiterals(({ test }) =>
          test.machine === 'form' && test.judged === of && test.either?.has(form) !== true
            ? test.forms.has(form)
            : undefined,
        );
        this.#bytes.set(ofForm, sets + form * MASK_BYTES);
      }
    }
    for (const same of [0, 1]) {
      this.#bytes.set(
        this.#maskOfLiterals(({ test }) => (test.machine === 'program' ? same === 1 : undefined)),
        TABLE.sameProgram + same * MASK_BYTES,
      );
    }
    this.#bytes.set(
      this.#ofPaths('name', 'end', () => false),
      TABLE.noName,
    );
    this.#bytes.set(
      this.#maskOfLiterals(({ test }) =>
        isPathTest(test) && test.point === 'slash' ? test.holdsForRoot !== test.negated : undefined,
      ),
      TABLE.root,
    );
    let start = 0;
    for (const [index, machine] of MACHINES.entries()) {
      const automaton = automata.get(machine);
      if (automaton === undefined) return undefined;
      const own = tests.filter((test) => test.machine === machine);
      this.#view.setUint32(TABLE.starts + 4 * index, start, true);
      const places = automaton.classes.map((byteClass) => ROW.classes + byteClass);
      this.#bytes.set(places, TABLE.classes + index * 256);
      yield* this.#setRows(automaton, machine, own, start);
      start += automaton.accepted.length * rowOf(automaton);
    }
    yield* this.#setSeen(tests.filter(({ machine }) => machine === 'anywhere'));
    return this.#masks.size <= VERDICT_MASKS ? this.#bytes : undefined;
  }

  /** Of a comparison that there is no room for, clauses may hold and fail. */
  #setNumbers(): void {
    const tests = this.#clauses.flatMap(({ literals }) => literals.map(({ test }) => test));
    const bounds = boundsOf(tests).slice(0, VERDICT_NUMBERS);
    this.#view.setUint32(TABLE.numbers, bounds.length, true);
    for (const [index, { number, bound }] of bounds.entries()) {
      this.#view.setUint32(TABLE.numberOf + 4 * index, number, true);
      this.#view.setBigUint64(TABLE.bounds + 8 * index, bound, true);
      const setFor = (isBelow: boolean): Uint8Array =>
        this.#maskOfLiterals(({ test }) =>
          isOfBound(test, number, bound) ? isBelow !== test.negated : undefined,
        );
      this.#bytes.set(setFor(true), TABLE.below + index * MASK_BYTES);
      this.#bytes.set(setFor(false), TABLE.above + index * MASK_BYTES);
    }
  }

  /** Which clauses say that a rule may match, and which that it may fail. */
  #setAnswers(): void {
    const { may, certain } = this.#parts;
    this.#view.setUint32(TABLE.certain, certain.length, true);
    const denying = certain.reduce(
      (bits, { denies }, rule) => (denies ? bits | (1 << rule) : bits),
      0,
    );
    this.#view.setUint32(TABLE.denying, denying, true);
    this.#bytes.set(this.#maskOfRange(0, may.length), TABLE.may);
    let from = may.length;
    for (const [rule, { failures }] of certain.entries()) {
      const mask = this.#maskOfRange(from, from + failures.length);
      this.#bytes.set(mask, TABLE.failures + rule * MASK_BYTES);
      from += failures.length;
    }
  }

  *#setRows(
    automaton: Automaton,
    machine: Machine,
    own: readonly PathTest[],
    start: number,
  ): Steps<void> {
    const { accepted, classCount, next } = automaton;
    const cells = rowOf(automaton);
    for (const [state, { end, slash }] of accepted.entries()) {
      const row = start + state * cells;
      const set = (place: number, value: number): void =>
        this.#view.setUint32(TABLE.next + 4 * (row + place), value, true);
      const keys = (numbers: ReadonlySet<number>): ReadonlySet<string | undefined> =>
        new Set([...numbers].map((number) => own[number]?.key));
      if (machine === 'comm') {
        for (const place of ['process', 'thread'] as const)
          set(ROW[place], this.#maskNumber(machine, place, keys(end)));
      } else if (machine === 'anywhere') {
        set(
          ROW.end,
          [...end].reduce((bits, test) => bits | (1 << test), 0),
        );
      } else {
        set(ROW.end, this.#maskNumber(machine, 'end', keys(end)));
        set(ROW.slash, this.#maskNumber(machine, 'slash', keys(slash)));
        set(ROW.program, this.#maskNumber(machine, 'program', keys(end)));
      }
      for (let one = 0; one < classCount; one++)
        set(ROW.classes + one, start + (next[state * classCount + one] ?? 0) * cells);
      yield;
    }
  }

  /** For each combination of texts found. */
  *#setSeen(own: readonly PathTest[]): Steps<void> {
    for (let seen = 0; seen < 1 << VERDICT_SEEN; seen++) {
      const found = new Set(own.flatMap(({ key }, bit) => ((seen >> bit) & 1 ? [key] : [])));
      for (const [place, sets] of [
        ['end', TABLE.seenEnd],
        ['slash', TABLE.seenSlash],
        ['program', TABLE.seenProgram],
      ] as const)
        this.#view.setUint16(sets + 2 * seen, this.#maskNumber('anywhere', place, found), true);
      yield;
    }
  }

  /** The number of the set of clauses that can hold if exactly these tests of the automaton match. */
  #maskNumber(machine: Machine, place: Place, matched: ReadonlySet<string | undefined>): number {
    const mask = this.#ofPaths(machine, place, ({ key, negated }) => matched.has(key) !== negated);
    const key = mask.join();
    const number = this.#masks.get(key) ?? this.#masks.size;
    if (!this.#masks.has(key)) {
      this.#masks.set(key, number);
      if (number < VERDICT_MASKS) this.#bytes.set(mask, TABLE.masks + number * MASK_BYTES);
    }
    return number;
  }

  /** The clauses whose literals of this automaton and place agree with `isHeld`. */
  #ofPaths(machine: Machine, place: Place, isHeld: (test: PathTest) => boolean): Uint8Array {
    return this.#maskOfLiterals(({ test, judged }) => {
      const of = isBeside(judged) ? judged : isPathTest(test) ? test.point : undefined;
      return isPathTest(test) && test.machine === machine && of === place
        ? isHeld(test)
        : undefined;
    });
  }

  /** The clauses whose literals have the results that `isHeld` says; undefined: it may be either. */
  #maskOfLiterals(isHeld: (literal: Literal) => boolean | undefined): Uint8Array {
    return this.#maskOf(({ literals }) =>
      literals.every((literal) => (isHeld(literal) ?? literal.holds) === literal.holds),
    );
  }

  #maskOfRange(from: number, to: number): Uint8Array {
    return this.#maskOf((_, bit) => bit >= from && bit < to);
  }

  #maskOf(has: (clause: Clause, bit: number) => boolean): Uint8Array {
    const mask = new Uint8Array(MASK_BYTES);
    for (const [bit, clause] of this.#clauses.entries())
      if (has(clause, bit)) mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (1 << (bit & 7));
    return mask;
  }
}

/** What is read by itself, beside a path of the call. */
const BESIDE = ['program', 'process', 'thread'] as const;
type Beside = (typeof BESIDE)[number];
const isBeside = (judged: Judged): judged is Beside =>
  (BESIDE as readonly string[]).includes(judged);

/** Where a state answers: at two points of a call's path or at the end of its address, or at the end of what is beside it. */
type Place = Point | Beside;

const isPathTest = (test: FileTest): test is PathTest =>
  test.machine !== 'form' && test.machine !== 'program' && test.machine !== 'number';
