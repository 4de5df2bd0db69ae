import type { Witness } from './witnesses.ts';

/** The most cells that a search may have: 512 KiB. */
const MAX_CELLS = 128 * 1024;

/** A text to be found, and the bits that say so. */
export interface Wanted extends Witness {
  readonly bits: number;
}

/** Of a row: what is found where the value is read so far, and what is found if it ends there. Then a cell for each class. */
const FOUND = 0;
const FOUND_AT_END = 1;
const CLASSES = 2;

/** The classes of all other characters and of a value's start. */
const OTHER = 0;
const START = 1;

/** What has been read of witnesses. */
interface State {
  readonly index: number;
  readonly next: Map<number, State>;
  /** Bits of what is read whole here. */
  found: number;
  foundAtEnd: number;
}

/**
 * Finds in one pass over a value which witnesses are in it (Aho and Corasick, "Efficient string matching: an aid
 * to bibliographic search", 1975). A value's start is read as a character of its own.
 */
export class WitnessSearch {
  readonly #classes: Uint8Array;
  readonly #rows: Int32Array;
  readonly #first: number;

  private constructor(classes: Uint8Array, rows: Int32Array) {
    this.#classes = classes;
    this.#rows = rows;
    this.#first = rows[CLASSES + START] ?? 0;
  }

  /** Undefined when it would be too large. */
  static of(witnesses: readonly Wanted[]): WitnessSearch | undefined {
    const classes = new Uint8Array(128);
    let width = CLASSES + START + 1;
    const root: State = { index: 0, next: new Map(), found: 0, foundAtEnd: 0 };
    let count = 1;
    const after = (state: State, symbol: number): State => {
      const known = state.next.get(symbol);
      if (known !== undefined) return known;
      const made: State = { index: count++, next: new Map(), found: 0, foundAtEnd: 0 };
      state.next.set(symbol, made);
      return made;
    };
    for (const { text, atStart, atEnd, bits } of witnesses) {
      let state = atStart ? after(root, START) : root;
      for (let at = 0; at < text.length; at++) {
        const unit = text.charCodeAt(at);
        if (classes[unit] === 0) classes[unit] = width++ - CLASSES;
        state = after(state, classes[unit] ?? OTHER);
      }
      if (atEnd) state.foundAtEnd |= bits;
      else state.found |= bits;
      if (count * width > MAX_CELLS) return undefined;
    }
    return new WitnessSearch(classes, rowsOf(root, count, width));
  }

  /** The bits of all that is in the value. */
  find(value: string): number {
    const rows = this.#rows;
    const classes = this.#classes;
    let row = this.#first;
    let found = 0;
    for (let at = 0; at < value.length; at++) {
      const unit = value.charCodeAt(at);
      row = rows[row + CLASSES + (unit < 128 ? (classes[unit] ?? OTHER) : OTHER)] ?? 0;
      found |= rows[row + FOUND] ?? 0;
    }
    return found | (rows[row + FOUND_AT_END] ?? 0);
  }
}

function rowsOf(root: State, count: number, width: number): Int32Array {
  const rows = new Int32Array(count * width);
  const states = [root];
  const fallbacks = new Map<State, number>();
  // Breadth first: where a state falls back to, fewer characters are read, so that this row is filled already.
  for (const state of states) {
    const row = state.index * width;
    const fallback = fallbacks.get(state) ?? 0;
    rows[row + FOUND] = state.found | (rows[fallback + FOUND] ?? 0);
    rows[row + FOUND_AT_END] = state.foundAtEnd | (rows[fallback + FOUND_AT_END] ?? 0);
    for (let cell = CLASSES; cell < width; cell++) {
      const instead = state === root ? 0 : (rows[fallback + cell] ?? 0);
      const next = state.next.get(cell - CLASSES);
      rows[row + cell] = next === undefined ? instead : next.index * width;
      if (next === undefined) continue;
      fallbacks.set(next, instead);
      states.push(next);
    }
  }
  return rows;
}
