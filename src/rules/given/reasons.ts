import { someTest } from '../compile/checked.ts';
import type { Checked, Read, Test } from '../compile/checked.ts';
import { generate } from '../compile/generate.ts';
import type { Evaluator } from '../compile/generate.ts';
import type { Value } from '../fields/field.ts';
import { NO_EVENT } from './no-event.ts';

/** A comparison that had a part in the outcome. */
export interface DecidingTest {
  /** The comparison in its canonical form. */
  readonly condition: string;
  readonly holds: boolean;
  /** The values that it saw, by the fields' canonical text; null is absent. */
  readonly values: Readonly<Record<string, Value | readonly Value[] | null>>;
}

/** What a condition is of given fields, and why. */
export interface Outcome {
  readonly holds: boolean;
  /** The comparisons that decide the outcome, in the order of evaluation. */
  readonly decidedBy: readonly DecidingTest[];
}

/** Names of events that are none: the condition is run under the one, its comparisons under the other. */
const WHOLE = 'whole';
const PARTS = 'parts';

/**
 * A condition that can explain its outcome: each of its comparisons is also compiled on its own. Its fields must read given
 * values (GivenFields), and are evaluated with the current ones.
 */
export class Reasons {
  readonly #condition: Checked;
  /** The numbers of the comparisons among what was compiled; 0 is the condition. */
  readonly #numbers: ReadonlyMap<Test, number>;
  readonly #evaluator: Evaluator;

  constructor(condition: Checked) {
    this.#condition = condition;
    const tests = testsOf(condition);
    this.#numbers = new Map(tests.map((test, index) => [test, index + 1]));
    this.#evaluator = generate([
      { condition, events: new Set([WHOLE]) },
      ...tests.map((test) => ({ condition: alone(test), events: new Set([PARTS]) })),
    ]);
  }

  /** Of the fields as they are now. */
  outcome(): Outcome {
    const found = new Int32Array(this.#numbers.size + 1);
    const run = (event: string): ReadonlySet<number> =>
      new Set(found.subarray(0, this.#evaluator.all.get(event)?.(found) ?? 0));
    this.#evaluator.begin(NO_EVENT);
    const whole = run(WHOLE).size === 1;
    const held = run(PARTS);
    const holds = (test: Test): boolean => held.has(this.#numbers.get(test) ?? -1);
    const decidedBy = new Deciding(holds).of(this.#condition).map((test): DecidingTest => ({
      condition: test.key,
      holds: holds(test),
      values: Object.fromEntries(
        [test.left, test.right]
          .filter((read) => read !== undefined)
          .map((read) => [read.key, valueOf(read)]),
      ),
    }));
    return { holds: whole, decidedBy };
  }
}

/**
 * A comparison as a condition, not marked as recurring. With many rules for one event, recurring fields select the rules to
 * run, and evt.type is known from the event's name. Neither applies here: there are many comparisons under a pseudo name.
 */
function alone(test: Test): Checked {
  const left = { ...test.left, recurring: false };
  return { kind: 'test', test: { ...test, left }, height: 1 };
}

function valueOf({ reader }: Read): Value | readonly Value[] | null {
  const value = reader.read(NO_EVENT);
  if (value === undefined) return null;
  return typeof value === 'object' && value.length === 0 && reader.shape === 'any' ? null : value;
}

/** Every comparison once, whatever refers to it how often. */
function testsOf(condition: Checked): Test[] {
  const tests = new Set<Test>();
  someTest(condition, (test) => {
    tests.add(test);
    return false;
  });
  return [...tests];
}

/** Which comparisons decided, when it is known which ones hold. Each part is looked at once. @internal */
class Deciding {
  readonly #holds: (test: Test) => boolean;
  readonly #truths = new Map<Checked, boolean>();
  readonly #seen = new Set<Checked>();

  constructor(holds: (test: Test) => boolean) {
    this.#holds = holds;
  }

  of(condition: Checked): Test[] {
    if (this.#seen.has(condition)) return [];
    this.#seen.add(condition);
    switch (condition.kind) {
      case 'and':
      case 'or': {
        // The first operand that settles the chain, or all when none does.
        const settles = condition.kind === 'or';
        const first = condition.operands.find((operand) => this.#truth(operand) === settles);
        return (first === undefined ? condition.operands : [first]).flatMap((operand) =>
          this.of(operand),
        );
      }
      case 'not':
        return this.of(condition.operand);
      case 'macro':
        return this.of(condition.macro.body);
      case 'test':
        return [condition.test];
    }
  }

  #truth(condition: Checked): boolean {
    const known = this.#truths.get(condition);
    if (known !== undefined) return known;
    const truth = this.#find(condition);
    this.#truths.set(condition, truth);
    return truth;
  }

  #find(condition: Checked): boolean {
    switch (condition.kind) {
      case 'and':
        return condition.operands.every((operand) => this.#truth(operand));
      case 'or':
        return condition.operands.some((operand) => this.#truth(operand));
      case 'not':
        return !this.#truth(condition.operand);
      case 'macro':
        return this.#truth(condition.macro.body);
      case 'test':
        return this.#holds(condition.test);
    }
  }
}
