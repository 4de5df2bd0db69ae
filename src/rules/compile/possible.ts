import type { Value } from '../fields/field.ts';
import type { Checked, CheckedMacro, Read, Test } from './checked.ts';
import { predicateOf } from './modifiers.ts';

/** Possible outcomes of a condition once one field's value is known; both if the value decides nothing. */
const CAN_HOLD = 1;
const CAN_FAIL = 2;
const EITHER = CAN_HOLD | CAN_FAIL;

/** The outcomes for the value that is being looked at. */
type Outcomes = () => number;

/** Can the rule match an event in which the field has this value (undefined: is absent)? */
export type Possible = (value: Value | undefined) => boolean;

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
  #value: Value | undefined;
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
    return (value) => {
      // One value is looked at for many rules in a row.
      if (this.#turn === 0 || value !== this.#value) {
        this.#value = value;
        this.#turn += 1;
      }
      return (outcomes() & CAN_HOLD) !== 0;
    };
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
    if (ofField) return this.#once(() => outcome(this.#value));
    if (ofImplied) return this.#once(() => any(implied.values(this.#value)));
    const ofEvents = any(this.#events);
    return ofEvents === EITHER ? undefined : () => ofEvents;
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
