import type { RE2JS } from 're2js';
import { charClasses } from './char-classes.ts';
import type { CharClasses } from './char-classes.ts';

/**
 * What a table may be at most. A table has one row per state and one column per class of characters, 2 bytes a cell.
 * The work counts the instructions that are looked at while it is made: it bounds the time that takes, about 10 ms.
 */
export const MAX_CELLS = 16_384;
export const MAX_WORK = 400_000;

/** A regular expression as a table of states: a match is one look-up per character, whatever the pattern. */
export interface RegexTable {
  /** Does the whole value match? */
  readonly test: (value: string) => boolean;
  readonly states: number;
  readonly cells: number;
  /** How many classes of characters it tells apart. */
  readonly classes: number;
  /** Instructions that were looked at to make it. */
  readonly work: number;
}

/** The library's instruction; these names and numbers are those of its version, which package.json pins. */
interface Instruction {
  readonly op: number;
  readonly out: number;
  readonly arg: number;
  matchRune(rune: number): boolean;
}

interface Program {
  readonly start: number;
  numInst(): number;
  getInst(pc: number): Instruction;
}

const [ALT, ALT_MATCH, CAPTURE, EMPTY_WIDTH, MATCH, NOP] = [1, 2, 3, 4, 6, 7];
const [RUNE, RUNE1, RUNE_ANY, RUNE_ANY_NOT_NEWLINE] = [8, 9, 10, 11];
/** What `^` and `$` ask for: the bits of an EMPTY_WIDTH. */
const [BEGIN_LINE, END_LINE, BEGIN_TEXT, END_TEXT] = [1, 2, 4, 8];
const NEWLINE = 10;

/**
 * Makes the table of a compiled expression; undefined when it would be over the limits, as with `.*a.{30}b`, which has
 * 2^30 states.
 */
export function regexTable(compiled: RE2JS): RegexTable | undefined {
  const library = compiled.re2();
  const program = library.prog as Program;
  const bounds = (library.dfa as { readonly classBounds: Int32Array }).classBounds;
  return new TableMaker(program, charClasses(bounds)).make();
}

/** Instructions that wait for the next character, and whether the value may end here. */
interface Closure {
  readonly waiting: readonly number[];
  readonly matches: boolean;
}

/** A state before its next character, which may be a newline, the end of the value, or anything else. */
interface State {
  readonly offset: number;
  readonly middle: Closure;
  readonly beforeNewline: Closure;
  readonly accepts: boolean;
}

/** The usual subset construction. @internal */
class TableMaker {
  readonly #program: Program;
  readonly #classes: CharClasses;
  readonly #cells = new Uint16Array(MAX_CELLS);
  readonly #states = new Map<string, State>();
  readonly #queue: State[] = [];
  readonly #seen: Uint32Array;
  #visit = 0;
  #work = 0;
  #hasAnchors = false;

  constructor(program: Program, classes: CharClasses) {
    this.#program = program;
    this.#classes = classes;
    this.#seen = new Uint32Array(program.numInst());
    for (let pc = 0; pc < program.numInst(); pc++) {
      if (program.getInst(pc).op === EMPTY_WIDTH) this.#hasAnchors = true;
    }
  }

  make(): RegexTable | undefined {
    const { count } = this.#classes;
    // Row 0 is of the state that nothing leads out of.
    const first = this.#state([this.#program.start], BEGIN_LINE | BEGIN_TEXT);
    if (first === undefined) return undefined;
    for (let state = this.#queue.pop(); state !== undefined; state = this.#queue.pop()) {
      for (let index = 0; index < count; index++) {
        const next = this.#next(state, this.#classes.member(index));
        if (next === undefined || this.#work > MAX_WORK) return undefined;
        this.#cells[state.offset + index] = next;
      }
    }
    const states = this.#states.size + 1;
    const accepting = new Uint8Array(states);
    for (const { offset, accepts } of this.#states.values()) {
      accepting[offset / count] = accepts ? 1 : 0;
    }
    const cells = this.#cells.slice(0, states * count);
    const test = tester(cells, this.#classes, accepting, first.offset);
    return { test, states, cells: cells.length, classes: count, work: this.#work };
  }

  /** The offset of the row after the state's, 0 for none; undefined when there is no room. */
  #next(state: State, rune: number): number | undefined {
    const { waiting } = rune === NEWLINE ? state.beforeNewline : state.middle;
    const targets: number[] = [];
    this.#work += waiting.length;
    for (const pc of waiting) {
      const instruction = this.#program.getInst(pc);
      if (takes(instruction, rune)) targets.push(instruction.out);
    }
    if (targets.length === 0) return 0;
    return this.#state(targets, rune === NEWLINE ? BEGIN_LINE : 0)?.offset;
  }

  #state(targets: readonly number[], before: number): State | undefined {
    const middle = this.#closure(targets, before);
    const beforeNewline = this.#hasAnchors ? this.#closure(targets, before | END_LINE) : middle;
    const atEnd = this.#hasAnchors ? this.#closure(targets, before | END_LINE | END_TEXT) : middle;
    const lines = this.#hasAnchors ? `;${beforeNewline.waiting.join()}` : '';
    const key = `${String(atEnd.matches)};${middle.waiting.join()}${lines}`;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const offset = (this.#states.size + 1) * this.#classes.count;
    if (offset + this.#classes.count > MAX_CELLS) return undefined;
    const state = { offset, middle, beforeNewline, accepts: atEnd.matches };
    this.#states.set(key, state);
    this.#queue.push(state);
    return state;
  }

  #closure(targets: readonly number[], holds: number): Closure {
    this.#visit += 1;
    const waiting: number[] = [];
    let matches = false;
    const stack = [...targets];
    for (let pc = stack.pop(); pc !== undefined; pc = stack.pop()) {
      if (this.#seen[pc] === this.#visit) continue;
      this.#seen[pc] = this.#visit;
      this.#work += 1;
      const { op, out, arg } = this.#program.getInst(pc);
      if (op === ALT || op === ALT_MATCH) stack.push(arg, out);
      else if (op === NOP || op === CAPTURE) stack.push(out);
      else if (op === EMPTY_WIDTH) {
        if ((arg & ~holds) === 0) stack.push(out);
      } else if (op === MATCH) matches = true;
      else if (op === RUNE || op === RUNE1 || op === RUNE_ANY || op === RUNE_ANY_NOT_NEWLINE) {
        waiting.push(pc);
      }
    }
    waiting.sort((one, other) => one - other);
    return { waiting, matches };
  }
}

function takes(instruction: Instruction, rune: number): boolean {
  if (instruction.op === RUNE_ANY) return true;
  if (instruction.op === RUNE_ANY_NOT_NEWLINE) return rune !== NEWLINE;
  return instruction.matchRune(rune);
}

function tester(
  cells: Uint16Array,
  classes: CharClasses,
  accepting: Uint8Array,
  start: number,
): (value: string) => boolean {
  const { latin1, count } = classes;
  return (value) => {
    let row = start;
    for (let at = 0; at < value.length; at++) {
      const unit = value.charCodeAt(at);
      if (unit < 256) row = cells[row + (latin1[unit] ?? 0)] ?? 0;
      else {
        const point = unit >= 0xd800 && unit < 0xdc00 ? (value.codePointAt(at) ?? unit) : unit;
        if (point > 0xffff) at += 1;
        row = cells[row + classes.of(point)] ?? 0;
      }
      if (row === 0) return false;
    }
    return accepting[row / count] === 1;
  };
}
