import type { Steps } from '../../shared/turns.ts';
import { CLASSES_MAX } from './layout.ts';
import type { PathTest, Point } from './path-tests.ts';
import { anything, type Part } from './patterns.ts';

/** What a state says about the path that led to it: the numbers of the tests with a matching pattern, at each point. */
export type Accepted = Readonly<Record<Point, ReadonlySet<number>>>;

/** A deterministic automaton over bytes. It starts in state 0. */
export interface Automaton {
  /** The class of each byte: bytes of one class lead to the same state from every state. */
  readonly classes: Uint8Array;
  readonly classCount: number;
  /** By state and class: the next state, at `state * classCount + class`. */
  readonly next: Uint16Array;
  readonly accepted: readonly Accepted[];
}

/** A position in a pattern, and what it leads to. */
interface Position {
  readonly test: number;
  readonly point: Point;
  readonly bytes: Uint8Array | undefined;
  readonly many: boolean;
  /** Default: the one after it. */
  readonly next?: number;
}

/**
 * One automaton for the patterns of all tests: it is in one state after each byte, whatever their number. Undefined if it would
 * have more than `maxStates`, or more than CLASSES_MAX byte classes.
 */
export function* automatonOf(
  tests: readonly PathTest[],
  maxStates: number,
): Steps<Automaton | undefined> {
  const positions: Position[] = [];
  const first: number[] = [];
  const anywhere: number[] = [];
  // What follows the beginnings that a test accepts is the same: with one for each, there would be as many states for all that follows.
  const tails = new Map<number, { readonly bytes: Part['bytes']; readonly at: number }[]>();
  for (const [test, { patterns, point }] of tests.entries()) {
    for (const whole of patterns) {
      const isFloating = whole.length > 1 && isAnything(whole[0]);
      const pattern = isFloating ? whole.slice(1) : whole;
      const starts = isFloating ? anywhere : first;
      const tail = pattern.at(-1);
      if (tail?.many !== true || pattern.at(-2)?.many !== false) {
        starts.push(positions.length);
        for (const { bytes, many } of pattern) positions.push({ test, point, bytes, many });
        positions.push({ test, point, bytes: undefined, many: false });
        continue;
      }
      const known = tails.get(test)?.find(({ bytes }) => bytes === tail.bytes);
      const next = known?.at ?? positions.length;
      if (known === undefined) {
        tails.set(test, [...(tails.get(test) ?? []), { bytes: tail.bytes, at: next }]);
        positions.push({ test, point, bytes: tail.bytes, many: true });
        positions.push({ test, point, bytes: undefined, many: false });
      }
      starts.push(positions.length);
      for (const { bytes, many } of pattern.slice(0, -2))
        positions.push({ test, point, bytes, many });
      positions.push({ test, point, bytes: pattern.at(-2)?.bytes, many: false, next });
    }
  }
  const { classes, members } = classesOf(positions);
  if (members.length > CLASSES_MAX) return undefined;
  return yield* new Builder(positions, classes, members, maxStates).build(first, anywhere);
}

const isAnything = (part: Part | undefined): boolean =>
  part?.many === true && part.bytes === anything.bytes;

/** Limit on positions in all sets, about half a second of work; the default rules need an eighth of it. */
const WORK_MAX = 20_000_000;

/** Hashes a number to 32 bits, so that sums of different sets differ. */
function scattered(number: number): number {
  const mixed = Math.imul(number + 1, 0x9e37_79b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0x85eb_ca6b);
}

/** Builds the states, each a set of positions. Sets are built in one buffer and copied only if new: most are not. */
class Builder {
  readonly #positions: readonly Position[];
  readonly #classes: Uint8Array;
  readonly #members: readonly number[];
  readonly #maxStates: number;
  /** Numbers of states, by a sum over the positions of their sets. */
  readonly #numbers = new Map<number, number[]>();
  readonly #states: Int32Array[] = [];
  /** The current set, in the order of entering; and by position, the mark of the last set that contained it. */
  readonly #set: Int32Array;
  #size = 0;
  readonly #seen: Uint32Array;
  #mark = 0;
  #entered = 0;

  constructor(
    positions: readonly Position[],
    classes: Uint8Array,
    members: readonly number[],
    maxStates: number,
  ) {
    this.#positions = positions;
    this.#classes = classes;
    this.#members = members;
    this.#maxStates = maxStates;
    this.#set = new Int32Array(positions.length);
    this.#seen = new Uint32Array(positions.length);
  }

  /** Patterns start at `first`, or anywhere in the path for those in `anywhere`: these are in every state implicitly. */
  *build(first: readonly number[], anywhere: readonly number[]): Steps<Automaton | undefined> {
    this.#begin(anywhere);
    const everywhere = this.#taken();
    const begun = this.#members.map((byte) => {
      this.#begin([]);
      this.#enterAfter(everywhere, byte);
      return this.#taken();
    });
    this.#begin(first);
    this.#number();
    const classCount = this.#members.length;
    const next: number[] = [];
    const accepted: Accepted[] = [];
    for (let state = 0; state < this.#states.length; state++) {
      const set = this.#states[state] ?? new Int32Array();
      for (let index = 0; index < classCount; index++) {
        this.#begin(begun[index] ?? []);
        this.#enterAfter(set, this.#members[index] ?? 0);
        const number = this.#number();
        if (number === undefined) return undefined;
        next.push(number);
      }
      if (this.#entered > WORK_MAX) return undefined;
      accepted.push(this.#accepted(set, everywhere));
      yield;
    }
    return {
      classes: this.#classes,
      classCount,
      next: Uint16Array.from(next),
      accepted,
    };
  }

  /** Starts a new set with these positions. */
  #begin(positions: Iterable<number>): void {
    this.#mark++;
    this.#size = 0;
    for (const position of positions) this.#enter(position);
  }

  /** Adds the positions that the byte leads to from a set. */
  #enterAfter(set: Int32Array, byte: number): void {
    for (let index = 0; index < set.length; index++) {
      const at = set[index] ?? 0;
      const position = this.#positions[at];
      if (position?.bytes?.[byte] === 1)
        this.#enter(position.many ? at : (position.next ?? at + 1));
    }
  }

  /** A repeated part may occur zero times, so the next position is entered too. */
  #enter(position: number): void {
    for (let at = position; this.#seen[at] !== this.#mark; at++) {
      this.#entered++;
      this.#seen[at] = this.#mark;
      this.#set[this.#size++] = at;
      if (this.#positions[at]?.many !== true) break;
    }
  }

  #taken(): Int32Array {
    return this.#set.slice(0, this.#size);
  }

  /** The number of the state with this set; undefined if there are too many. */
  #number(): number | undefined {
    let sum = 0;
    for (let index = 0; index < this.#size; index++)
      sum = (sum + scattered(this.#set[index] ?? 0)) | 0;
    const alike = this.#numbers.get(sum) ?? [];
    for (const number of alike) if (this.#isSet(this.#states[number])) return number;
    const number = this.#states.length;
    if (number >= this.#maxStates) return undefined;
    alike.push(number);
    this.#numbers.set(sum, alike);
    this.#states.push(this.#taken());
    return number;
  }

  /** Whether a state has the positions of the current set, in any order. */
  #isSet(state: Int32Array | undefined): boolean {
    if (state?.length !== this.#size) return false;
    return state.every((at) => this.#seen[at] === this.#mark);
  }

  #accepted(...sets: readonly Int32Array[]): Accepted {
    const found = { end: new Set<number>(), slash: new Set<number>() };
    for (const set of sets) {
      for (const at of set) {
        const position = this.#positions[at];
        if (position !== undefined && position.bytes === undefined)
          found[position.point].add(position.test);
      }
    }
    return found;
  }
}

/** Bytes that no pattern distinguishes form one class. */
function classesOf(positions: readonly Position[]): {
  readonly classes: Uint8Array;
  readonly members: readonly number[];
} {
  const sets = new Set(positions.flatMap(({ bytes }) => bytes ?? []));
  // Each set splits the existing classes in two.
  let classes = new Array<number>(256).fill(0);
  for (const set of sets) {
    const numbers = new Map<string, number>();
    classes = classes.map((one, byte) => {
      const key = `${one}:${set[byte] ?? 0}`;
      const number = numbers.get(key) ?? numbers.size;
      numbers.set(key, number);
      return number;
    });
  }
  const members: number[] = [];
  for (const [byte, number] of classes.entries()) members[number] ??= byte;
  return { classes: Uint8Array.from(classes), members };
}
