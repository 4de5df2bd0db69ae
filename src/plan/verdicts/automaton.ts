import type { Steps } from '../../shared/turns.ts';
import { CLASSES_MAX } from './layout.ts';
import type { PathTest, Point } from './path-tests.ts';
import { anything, type Part } from './patterns.ts';

/** What a state says of the path that led to it: the tests, by number, one of whose patterns matches, at each point. */
export type Accepted = Readonly<Record<Point, ReadonlySet<number>>>;

/** A deterministic automaton over bytes. State 0 is where it begins. */
export interface Automaton {
  /** The class of each byte: bytes of one class lead to the same state from everywhere. */
  readonly classes: Uint8Array;
  readonly classCount: number;
  /** By state and class: the next state, at `state * classCount + class`. */
  readonly next: Uint16Array;
  readonly accepted: readonly Accepted[];
}

/** A place in a pattern, and what it leads to. */
interface Position {
  readonly test: number;
  readonly point: Point;
  readonly bytes: Uint8Array | undefined;
  readonly many: boolean;
}

/**
 * One automaton for the patterns of all tests: it is in one state after each byte, whatever their number. Undefined where it would
 * have more than `maxStates`, or more than CLASSES_MAX classes of bytes.
 */
export function* automatonOf(
  tests: readonly PathTest[],
  maxStates: number,
): Steps<Automaton | undefined> {
  const positions: Position[] = [];
  const first: number[] = [];
  const anywhere: number[] = [];
  for (const [test, { patterns, point }] of tests.entries()) {
    for (const whole of patterns) {
      const isFloating = whole.length > 1 && isAnything(whole[0]);
      const pattern = isFloating ? whole.slice(1) : whole;
      (isFloating ? anywhere : first).push(positions.length);
      for (const { bytes, many } of pattern) positions.push({ test, point, bytes, many });
      positions.push({ test, point, bytes: undefined, many: false });
    }
  }
  const { classes, members } = classesOf(positions);
  if (members.length > CLASSES_MAX) return undefined;
  return yield* new Builder(positions, classes, members, maxStates).build(first, anywhere);
}

const isAnything = (part: Part | undefined): boolean =>
  part?.many === true && part.bytes === anything.bytes;

class Builder {
  readonly #positions: readonly Position[];
  readonly #classes: Uint8Array;
  readonly #members: readonly number[];
  readonly #maxStates: number;
  readonly #numbers = new Map<string, number>();
  readonly #states: Int32Array[] = [];
  /** Marks of positions that are in the set which is being made. */
  readonly #seen: Uint32Array;
  #mark = 0;

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
    this.#seen = new Uint32Array(positions.length);
  }

  /** Patterns begin at `first`, and those that begin anywhere in `anywhere`: in every state, so that none has to name them. */
  *build(first: readonly number[], anywhere: readonly number[]): Steps<Automaton | undefined> {
    const everywhere = this.#entered(anywhere);
    const begun = this.#members.map((byte) => this.#after(everywhere, byte));
    this.#numberOf(this.#entered(first));
    const rows: number[][] = [];
    for (let state = 0; state < this.#states.length; state++) {
      const set = this.#states[state] ?? new Int32Array();
      const row: number[] = [];
      for (const [index, byte] of this.#members.entries()) {
        const next = this.#numberOf(this.#after(set, byte, begun[index]));
        if (next === undefined) return undefined;
        row.push(next);
      }
      rows.push(row);
      yield;
    }
    return {
      classes: this.#classes,
      classCount: this.#members.length,
      next: Uint16Array.from(rows.flat()),
      accepted: this.#states.map((set) => this.#accepted([...set, ...everywhere])),
    };
  }

  #entered(positions: readonly number[]): number[] {
    this.#mark++;
    const set: number[] = [];
    for (const position of positions) this.#enter(position, set);
    return set;
  }

  /** Where the byte leads from the set, and where it leads anyway. */
  #after(set: Iterable<number>, byte: number, anyway: readonly number[] = []): number[] {
    const next = this.#entered(anyway);
    for (const at of set) {
      const position = this.#positions[at];
      if (position?.bytes?.[byte] !== 1) continue;
      this.#enter(position.many ? at : at + 1, next);
    }
    return next;
  }

  /** A part that may be there any number of times may be there not at all. */
  #enter(position: number, set: number[]): void {
    for (let at = position; this.#seen[at] !== this.#mark; at++) {
      this.#seen[at] = this.#mark;
      set.push(at);
      if (this.#positions[at]?.many !== true) break;
    }
  }

  #numberOf(set: number[]): number | undefined {
    const sorted = Int32Array.from(set).sort();
    const key = sorted.join();
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.#states.length >= this.#maxStates) return undefined;
    this.#numbers.set(key, this.#states.length);
    this.#states.push(sorted);
    return this.#states.length - 1;
  }

  #accepted(set: readonly number[]): Accepted {
    const found = { end: new Set<number>(), slash: new Set<number>() };
    for (const at of set) {
      const position = this.#positions[at];
      if (position !== undefined && position.bytes === undefined)
        found[position.point].add(position.test);
    }
    return found;
  }
}

/** Bytes that no pattern tells apart are one class. */
function classesOf(positions: readonly Position[]): {
  readonly classes: Uint8Array;
  readonly members: readonly number[];
} {
  const sets = new Set(positions.flatMap(({ bytes }) => bytes ?? []));
  // Each set splits the classes so far in two.
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
