import { LIMITS } from '../../events/table.gen.ts';
import { encodeText } from '../../shared/text.ts';
import type { Steps } from '../../shared/turns.ts';
import { Answers, matchedOf, type Matched } from './answers.ts';
import type { Automaton } from './automaton.ts';
import {
  ALL_KINDS,
  ancestorAt,
  ANY_ANCESTOR,
  ARGV_TEXTS,
  eachKind,
  isAncestor,
  NO_KINDS,
  VARIABLE,
  variableOf,
  type Judged,
  type Kinds,
  type Variable,
} from './call-kinds.ts';
import { isPathTest, type Clause, type Literal } from './conjunctions.ts';
import { FORMS, PROGRAM_FORMS, type FormTest } from './form-tests.ts';
import { MASK_BYTES, NAMES, ROW, TABLE, VARIABLE_BYTES } from './layout.ts';
import { boundsOf, isInsideAge, isOfBound, isOneWayNumber } from './number-tests.ts';
import { MACHINES, type Machine, type PathTest, type Point } from './path-tests.ts';
import type { CertainRule } from './rule-clauses.ts';
import { IS_AFTER, SETTLED } from './settled.ts';

const { VERDICT_LEVELS, VERDICT_MASKS, VERDICT_NUMBERS, VERDICT_SEEN, VERDICT_WITHIN } = LIMITS;

/** The clauses of a table: those of which one holds where a rule matches, and by rule those of which one holds where it fails. */
export interface TableClauses {
  readonly may: readonly Clause[];
  readonly certain: readonly CertainRule[];
}

/** In the order of their bits. */
export const allOf = ({ may, certain }: TableClauses): readonly Clause[] =>
  may.concat(certain.flatMap(({ failures }) => failures));

/** Number of cells of a state. */
export const rowOf = ({ classCount }: Automaton): number => ROW.classes + classCount;

/** Lays a table out. */
export class TableWriter {
  readonly #parts: TableClauses;
  readonly #clauses: readonly Clause[];
  readonly #bytes = new Uint8Array(TABLE.bytes);
  readonly #view = new DataView(this.#bytes.buffer);
  /** Numbers of the clause sets in the table, by their bits as text. */
  readonly #masks = new Map<string, number>();
  /** By automaton and place that clauses ask for. */
  readonly #answers = new Map<string, Answers>();
  /** What the automata of words read, in the order of a row. */
  readonly #texts: readonly Text[];

  constructor(parts: TableClauses) {
    this.#parts = parts;
    this.#clauses = allOf(parts);
    for (const [bit, { literals }] of this.#clauses.entries()) {
      for (const { test, judged, holds } of literals)
        if (isPathTest(test))
          this.#answersAt(test.machine, placeOf(test, judged)).add(bit, test, holds);
    }
    const variables = variablesOf(this.#clauses).map((name) => `${VARIABLE}${name}` as const);
    this.#texts = [...ARGV_TEXTS, ...variables];
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
    const hasAncestors = [...about].some(isAncestor) || has(({ test }) => isInsideAge(test));
    this.#view.setUint32(TABLE.ancestors, hasAncestors ? 1 : 0, true);
    const hasPrograms =
      hasAncestors ||
      this.#texts.some((text) => about.has(text)) ||
      about.has('program') ||
      about.has('process') ||
      has(({ test }) => test.machine === 'program');
    this.#view.setUint32(TABLE.programs, hasPrograms ? 1 : 0, true);
    const hasNames = has(({ test, judged }) => test.machine === 'comm' && judged === 'process');
    const names = (hasNames ? NAMES.process : 0) | (about.has('thread') ? NAMES.thread : 0);
    this.#view.setUint32(TABLE.names, names, true);
    this.#setNumbers();
    const argv = this.#texts.reduce(
      (bits, text, bit) => bits | (about.has(text) ? 1 << bit : 0),
      0,
    );
    this.#view.setUint32(TABLE.argv, argv, true);
    this.#setVariables();
    this.#setWithin(tests.filter(({ machine }) => machine === 'within'));
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
          test.machine === 'form' && formsOf(test) === of && test.either?.has(form) !== true
            ? test.forms.has(form)
            : undefined,
        );
        this.#bytes.set(ofForm, sets + form * MASK_BYTES);
      }
    }
    for (const [index, level] of LEVELS.entries()) {
      const none = this.#maskOfLiterals(({ judged }) =>
        judged === ancestorAt(level, true) ? false : undefined,
      );
      this.#bytes.set(none, TABLE.noAncestor + index * MASK_BYTES);
    }
    this.#bytes.set(
      this.#maskOfLiterals(({ judged }) => (judged === ANY_ANCESTOR ? false : undefined)),
      TABLE.metByNone,
    );
    this.#bytes.set(
      this.#maskOfLiterals(({ test }) => (test.machine === 'loads' ? false : undefined)),
      TABLE.metWithoutLoads,
    );
    for (const same of [0, 1]) {
      this.#bytes.set(
        this.#maskOfLiterals(({ test }) => (test.machine === 'program' ? same === 1 : undefined)),
        TABLE.sameProgram + same * MASK_BYTES,
      );
    }
    this.#bytes.set(
      this.#maskOfLiterals(({ test, judged }) =>
        isPathTest(test) && test.machine === 'name' && placeOf(test, judged) === 'end'
          ? false
          : undefined,
      ),
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
          isOfBound(test, number, bound) && !(isBelow && isOneWayNumber(test))
            ? isBelow !== test.negated
            : undefined,
        );
      this.#bytes.set(setFor(true), TABLE.below + index * MASK_BYTES);
      this.#bytes.set(setFor(false), TABLE.above + index * MASK_BYTES);
    }
  }

  #setVariables(): void {
    for (const [index, text] of this.#texts.slice(ARGV_TEXTS.length).entries()) {
      const name = encodeText(`${variableOf(text) ?? ''}=`);
      const at = TABLE.variables + index * VARIABLE_BYTES;
      this.#view.setUint32(at, name.length, true);
      this.#bytes.set(name, at + 4);
    }
  }

  /** By text of the words, and by comparison: the clauses that can hold where it is not found, and where it is. */
  #setWithin(own: readonly PathTest[]): void {
    // Of numbers without a comparison all clauses can hold.
    this.#bytes.fill(0xff, TABLE.within, TABLE.kinds);
    for (const [text, judged] of this.#texts.entries()) {
      const asked = own.reduce(
        (bits, { key }, bit) => (this.#isAsked(judged, key) ? bits | (1 << bit) : bits),
        0,
      );
      this.#view.setUint32(TABLE.askedWithin + 4 * text, asked, true);
      for (const [bit, { key, negated }] of own.entries()) {
        for (const found of [0, 1]) {
          const mask = this.#maskOfLiterals((literal) =>
            literal.judged === judged && literal.test.key === key
              ? (found === 1) !== negated
              : undefined,
          );
          const at = (text * VERDICT_WITHIN + bit) * 2 + found;
          this.#bytes.set(mask, TABLE.within + at * MASK_BYTES);
        }
      }
    }
  }

  /** Whether a clause compares this in this way. */
  #isAsked(judged: Judged, key: string): boolean {
    return this.#clauses.some(({ literals }) =>
      literals.some((literal) => literal.judged === judged && literal.test.key === key),
    );
  }

  /** Which clauses say that a rule may match, and which that it may fail. */
  #setAnswers(): void {
    const { may, certain } = this.#parts;
    this.#view.setUint32(TABLE.certain, certain.length, true);
    const denied = certain.map(({ denies, failures }) =>
      denies ? ALL_KINDS & ~alwaysAmong(failures) : NO_KINDS,
    );
    for (const [kind, bit] of eachKind()) {
      const bits = denied.reduce(
        (all, kinds, n) => ((kinds & bit) !== NO_KINDS ? all | (1 << n) : all),
        0,
      );
      this.#view.setUint32(TABLE.denying + 4 * kind, bits, true);
    }
    this.#bytes.set(this.#maskOfRange(0, may.length), TABLE.may);
    for (const [at, stage] of SETTLED.entries())
      this.#bytes.set(
        this.#maskOf(({ literals }) => !literals.some(IS_AFTER[stage])),
        TABLE.settled + at * MASK_BYTES,
      );
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
      const atEnd = matchedOf(end, own);
      const atSlash = matchedOf(slash, own);
      if (machine !== 'argv' && machine !== 'anywhere' && machine !== 'within')
        for (const [at, place] of ANCESTOR_PLACES.entries())
          set(ROW.ancestors + at, this.#maskNumber(machine, place, atEnd));
      if (machine === 'comm') {
        for (const place of ['process', 'thread'] as const)
          set(ROW[place], this.#maskNumber(machine, place, atEnd));
      } else if (machine === 'argv') {
        for (const [at, text] of this.#texts.entries())
          set(ROW.texts + at, this.#maskNumber(machine, text, atEnd));
      } else if (machine === 'anywhere' || machine === 'within') {
        set(
          ROW.end,
          [...end].reduce((bits, test) => bits | (1 << test), 0),
        );
      } else {
        set(ROW.end, this.#maskNumber(machine, 'end', atEnd));
        set(ROW.slash, this.#maskNumber(machine, 'slash', atSlash));
        set(ROW.program, this.#maskNumber(machine, 'program', atEnd));
      }
      for (let one = 0; one < classCount; one++)
        set(ROW.classes + one, start + (next[state * classCount + one] ?? 0) * cells);
      yield;
    }
  }

  /** For each combination of texts found. */
  *#setSeen(own: readonly PathTest[]): Steps<void> {
    for (let seen = 0; seen < 1 << VERDICT_SEEN; seen++) {
      const found = matchedOf(new Set([...own.keys()].filter((bit) => (seen >> bit) & 1)), own);
      for (const [place, sets] of SEEN_PLACES)
        this.#view.setUint16(sets + 2 * seen, this.#maskNumber('anywhere', place, found), true);
      yield;
    }
  }

  #answersAt(machine: Machine, place: Place): Answers {
    const key = `${machine} ${place}`;
    const answers = this.#answers.get(key) ?? new Answers(this.#maskOf(() => true));
    this.#answers.set(key, answers);
    return answers;
  }

  /** The number of the set of clauses that can hold if exactly the tests with these keys match. */
  #maskNumber(machine: Machine, place: Place, matched: Matched): number {
    const answers = this.#answersAt(machine, place);
    const known = answers.numbers.get(matched.id);
    if (known !== undefined) return known;
    const mask = answers.maskOf(matched.keys);
    const key = mask.join();
    const number = this.#masks.get(key) ?? this.#masks.size;
    if (!this.#masks.has(key)) {
      this.#masks.set(key, number);
      if (number < VERDICT_MASKS) this.#bytes.set(mask, TABLE.masks + number * MASK_BYTES);
    }
    answers.numbers.set(matched.id, number);
    return number;
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

const LEVELS = Array.from({ length: VERDICT_LEVELS }, (_, index) => index + 1);
/** In the order of a row. */
const ANCESTOR_PLACES = [
  ...LEVELS.map((level) => `ancestor ${level}` as const),
  'any ancestor',
] as const;

/** By the texts found in a path. */
const SEEN_PLACES: readonly (readonly [Place, number])[] = [
  ['end', TABLE.seenEnd],
  ['slash', TABLE.seenSlash],
  ['program', TABLE.seenProgram],
  ...ANCESTOR_PLACES.map(
    (place, at) => [place, TABLE.seenAncestor + at * 2 * (1 << VERDICT_SEEN)] as const,
  ),
];

/** The kinds for which one of them holds whatever else is known of the call. */
const alwaysAmong = (clauses: readonly Clause[]): Kinds =>
  clauses.reduce(
    (all, { kinds, literals }) => (literals.length === 0 ? all | kinds : all),
    NO_KINDS,
  );

/** Of the calls with these forms: a program that is run opens no file. */
const formsOf = ({ judged }: FormTest): 'file' | 'program' =>
  judged === 'program' ? 'program' : 'file';

/** What is read by itself, beside a path of the call. */
const BESIDE = ['program', 'process', 'thread', ...ARGV_TEXTS] as const;
type Beside = (typeof BESIDE)[number];
const isBeside = (judged: Judged): judged is Beside | Variable =>
  (BESIDE as readonly string[]).includes(judged) || variableOf(judged) !== undefined;

/** Where a state answers: at two points of a call's path or at the end of its address, or at the end of what is beside it. */
type Place = Point | Beside | Variable | (typeof ANCESTOR_PLACES)[number];
/** What the automata of words read. */
type Text = (typeof ARGV_TEXTS)[number] | Variable;

function placeOf({ point }: PathTest, judged: Judged): Place {
  if (isBeside(judged)) return judged;
  // Only where there is none it counts whether the others are the container's.
  return isAncestor(judged) ? (judged.replace('inner ', '') as Place) : point;
}

/** The variables of the environment that the clauses ask for, in order of appearance. */
export function variablesOf(clauses: readonly Clause[]): readonly string[] {
  const names = clauses.flatMap(({ literals }) => literals.map(({ judged }) => variableOf(judged)));
  return [...new Set(names.filter((name) => name !== undefined))];
}
