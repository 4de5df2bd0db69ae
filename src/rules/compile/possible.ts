import type { Value } from '../fields/field.ts';
import type { Checked, CheckedMacro, Read, Test } from './checked.ts';
import { predicateOf } from './modifiers.ts';
import { WitnessSearch } from './witness-search.ts';
import type { Wanted } from './witness-search.ts';
import { witnessesOf } from './witnesses.ts';
import type { Witness } from './witnesses.ts';

/** Possible outcomes of a condition once one field's value is known; both if the value decides nothing. */
const CAN_HOLD = 1;
const CAN_FAIL = 2;
const EITHER = CAN_HOLD | CAN_FAIL;

/** The outcomes for the value that is being looked at. */
type Outcomes = () => number;

/** Can a rule match an event, by what is known of the field? */
export interface Possible {
  /** Its value; undefined: it is absent. */
  of(value: Value | undefined): boolean;
  /** Only what was found in its text by `Possibilities.search`. */
  ofFound(found: number): boolean;
}

/**
 * What one field's value says of conditions in events of some types, whatever the rest of the event. Tests of other fields can
 * hold and can fail, unless the field implies them or they test the event's type. Equal tests and macros are evaluated once per
 * value, however many rules share them.
 */
export class Possibilities {
  readonly #key: string;
  readonly #events: readonly string[];
  readonly #tests = new Map<string, Outcomes>();
  readonly #macros = new Map<CheckedMacro, Outcomes>();
  /** For tests of text: without a witness in the text, the outcome is certain. */
  readonly #witnesses: Wanted[] = [];
  readonly #bits = new Map<string, number>();
  #value: Value | undefined;
  /** What was found in the value's text, where only that is looked at. */
  #found: number | undefined;
  /** Counts values, so that outcomes kept for another one are told apart. */
  #turn = 0;

  constructor(field: Read, events: readonly string[]) {
    this.#key = field.key;
    this.#events = events;
  }

  /** Undefined when the field's value says nothing of the condition. */
  of(condition: Checked): Possible | undefined {
    const outcomes = this.#outcomes(condition);
    if (outcomes === undefined) return undefined;
    const canHold = (value: Value | undefined, found: number | undefined): boolean => {
      // One value is looked at for many rules in a row.
      if (this.#turn === 0 || value !== this.#value || found !== this.#found) {
        this.#value = value;
        this.#found = found;
        this.#turn += 1;
      }
      return (outcomes() & CAN_HOLD) !== 0;
    };
    return {
      of: (value) => canHold(value, undefined),
      ofFound: (found) => canHold(undefined, found),
    };
  }

  /**
   * Finds in a text what tests of the conditions that were asked for depend on: texts with equal results have equal `ofFound`.
   * Undefined when no test does, or too many.
   */
  search(): WitnessSearch | undefined {
    return this.#witnesses.length === 0 ? undefined : WitnessSearch.of(this.#witnesses);
  }

  /** Undefined stands for EITHER. */
  #outcomes(condition: Checked): Outcomes | undefined {
    switch (condition.kind) {
      case 'and':
        return this.#joint(condition.operands, CAN_HOLD, CAN_FAIL);
      case 'or':
        return this.#joint(condition.operands, CAN_FAIL, CAN_HOLD);
      case 'not': {
        const operand = this.#outcomes(condition.operand);
        if (operand === undefined) return undefined;
        return () => {
          const found = operand();
          return ((found & CAN_HOLD) << 1) | ((found & CAN_FAIL) >> 1);
        };
      }
      case 'macro':
        return this.#macro(condition.macro);
      case 'test':
        return this.#test(condition.test);
    }
  }

  /** `all`: the outcome that needs every part; `some`: the outcome for which one part suffices. */
  #joint(operands: readonly Checked[], all: number, some: number): Outcomes | undefined {
    const known = operands.map((operand) => this.#outcomes(operand));
    const parts = known.filter((part) => part !== undefined);
    if (parts.length === 0) return undefined;
    const rest = parts.length === known.length ? 0 : some;
    return () => {
      let found = rest | all;
      for (const part of parts) {
        const one = part();
        found = (found & (one | some)) | (one & some);
      }
      return found;
    };
  }

  #macro(macro: CheckedMacro): Outcomes | undefined {
    const known = this.#macros.get(macro);
    if (known !== undefined) return known === UNKNOWN ? undefined : known;
    const body = this.#outcomes(macro.body);
    const outcomes = body === undefined ? undefined : this.#once(body);
    this.#macros.set(macro, outcomes ?? UNKNOWN);
    return outcomes;
  }

  #test(test: Test): Outcomes | undefined {
    const { left, right } = test;
    if (right !== undefined || left.reader.shape !== 'single') return undefined;
    if (test.operator === 'exists' && left.reader.exists !== undefined) return undefined;
    const known = this.#tests.get(test.key);
    if (known !== undefined) return known;
    const outcomes = this.#outcomesOf(test);
    if (outcomes !== undefined) this.#tests.set(test.key, outcomes);
    return outcomes;
  }

  #outcomesOf(test: Test): Outcomes | undefined {
    const { key, field, implied } = test.left;
    const ofField = key === this.#key;
    const ofImplied = implied?.by === this.#key;
    if (!ofField && !ofImplied && field !== 'evt.type') return undefined;
    const holds = predicateOf(test);
    const outcome = (value: Value | undefined): number =>
      value !== undefined && holds(value) ? CAN_HOLD : CAN_FAIL;
    const any = (values: readonly (Value | undefined)[]): number =>
      values.reduce<number>((found, value) => found | outcome(value), 0);
    if (ofField) return this.#once(this.#unlessFound(test, () => outcome(this.#value)));
    if (ofImplied)
      return this.#once(this.#unlessFound(test, () => any(implied.values(this.#value))));
    const ofEvents = any(this.#events);
    return ofEvents === EITHER ? undefined : () => ofEvents;
  }

  /** The outcomes of a test of the value, and what is certain of it where only what was found is known. */
  #unlessFound(test: Test, ofValue: Outcomes): Outcomes {
    const { implied } = test.left;
    const ofPart = implied?.by === this.#key ? implied : undefined;
    const witnesses = witnessesOf(test, ofPart?.part ?? 'whole');
    const isUncertain =
      witnesses === undefined ||
      // A part that is in no text tells nothing, and `!=` holds for one that is absent as well as for another.
      (ofPart !== undefined && (test.operator === '!=' || predicateOf(test)('/')));
    if (isUncertain) return () => (this.#found === undefined ? ofValue() : EITHER);
    let any = 0;
    for (const witness of witnesses) {
      const bits = this.#bitOf(witness);
      this.#witnesses.push({ ...witness, bits });
      any |= bits;
    }
    const without = test.operator === '!=' ? CAN_HOLD : CAN_FAIL;
    return () => {
      if (this.#found === undefined) return ofValue();
      return (this.#found & any) === 0 ? without : EITHER;
    };
  }

  /** One of 32 bits, shared by what is likely found together: texts at the start with the same first directory. */
  #bitOf({ text, atStart, atEnd }: Witness): number {
    const shared = atStart ? (/^\/[^/]+/.exec(text)?.[0] ?? text) : text;
    const key = `${atStart}${atEnd}${shared}`;
    const bit = this.#bits.get(key) ?? this.#bits.size % 32;
    this.#bits.set(key, bit);
    return 1 << bit;
  }

  #once(compute: Outcomes): Outcomes {
    let turn = 0;
    let kept = EITHER;
    return () => {
      if (turn !== this.#turn) {
        kept = compute();
        turn = this.#turn;
      }
      return kept;
    };
  }
}

/** In the table of macros: the field says nothing of this one. */
const UNKNOWN: Outcomes = () => EITHER;
