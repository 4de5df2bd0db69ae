import { someTest } from './compile/checked.ts';
import type { Test } from './compile/checked.ts';
import { predicateOf } from './compile/modifiers.ts';
import { EventView } from './engine.ts';
import { isRaced } from './fields/descriptor.ts';
import type { View } from './fields/field.ts';
import type { LoadedRule } from './rule-set.ts';
import type { Subject } from './subject.ts';

type Holds = (view: View) => boolean;

/** One for all, which nobody keeps. */
const VIEW = new EventView();

/**
 * Whether any comparison of a rule's condition holds for one of the rule's events, except for `evt.type`. It generates no code, as an
 * engine does: a thousand such rules are evaluated only now and then, so generated code would never be optimised. Reports true where that
 * cannot be decided.
 */
export class AnyTest {
  readonly #events: ReadonlySet<string>;
  readonly #tests: readonly Holds[];

  constructor({ condition, events }: LoadedRule) {
    this.#events = events;
    const tests: Holds[] = [];
    someTest(condition, (test) => {
      if (test.left.field !== 'evt.type') tests.push(holdsOf(test));
      return false;
    });
    this.#tests = tests;
  }

  holds(subject: Subject): boolean {
    if (!this.#events.has(subject.event.type)) return false;
    VIEW.show(subject, false);
    if (this.#anyHolds()) return true;
    if (!isRaced(VIEW)) return false;
    VIEW.show(subject, true);
    return this.#anyHolds();
  }

  #anyHolds(): boolean {
    for (const holds of this.#tests) if (holds(VIEW)) return true;
    return false;
  }
}

function holdsOf(test: Test): Holds {
  const { reader } = test.left;
  if (test.right !== undefined || test.operator === 'exists') return () => true;
  const predicate = predicateOf(test);
  switch (reader.shape) {
    case 'single':
      return (view) => {
        const value = reader.read(view);
        return value !== undefined && predicate(value);
      };
    case 'any':
      return (view) => reader.read(view).some(predicate);
    case 'list':
      return () => true;
  }
}
