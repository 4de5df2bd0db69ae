import { isEventName, unreportedText } from '../fields/events.ts';
import { findField } from '../fields/registry.ts';
import { isTooManyEvents } from './infer.ts';
import { someTest } from './checked.ts';
import type { Checked, CheckedMacro, Test } from './checked.ts';
import { predicateOf } from './modifiers.ts';

/** A comparison that never holds here, as its field has no value in any event. */
export interface AbsentTest {
  readonly field: string;
  readonly test: Test;
  /** The macro that it stands in; undefined for the condition's own text. */
  readonly macro: CheckedMacro | undefined;
  /** It stands below an odd number of `not`s, where it first does. */
  readonly negated: boolean;
}

/** The comparisons of fields without a value, the first of each field and macro. */
export function absentTests(condition: Checked): readonly AbsentTest[] {
  const found = new Map<string, AbsentTest>();
  const seen = new Set<CheckedMacro>();
  const visit = (part: Checked, macro: CheckedMacro | undefined, negated: boolean): void => {
    switch (part.kind) {
      case 'and':
      case 'or':
        for (const operand of part.operands) visit(operand, macro, negated);
        return;
      case 'not':
        visit(part.operand, macro, !negated);
        return;
      case 'macro':
        if (seen.has(part.macro)) return;
        seen.add(part.macro);
        visit(part.macro.body, part.macro, negated);
        return;
      case 'test': {
        const field = absentField(part.test);
        const key = `${macro?.name ?? ''} ${field ?? ''}`;
        if (field !== undefined && !found.has(key))
          found.set(key, { field, test: part.test, macro, negated });
      }
    }
  };
  visit(condition, undefined, false);
  return [...found.values()];
}

/**
 * Why no reported event can match, as the rest of a sentence that begins with the rule. Undefined if one can, judging by event
 * type and absent fields only. `events` as inferred, `absent` from `absentTests`.
 */
export function whyIdle(
  condition: Checked,
  events: ReadonlySet<string>,
  absent: readonly AbsentTest[],
): string | undefined {
  if (events.size === 0) {
    // `evt.num = 0` is how rule files switch a rule off.
    return someTest(condition, ({ left }) => left.field === 'evt.num')
      ? undefined
      : 'is about no event: what it says of evt.type cannot all hold';
  }
  const reported = [...events].filter(isEventName);
  if (reported.length === 0) {
    const names = [...events].sort();
    const shown =
      names.slice(0, 5).map(unreportedText).join(', ') + (names.length > 5 ? ', …' : '');
    return `is about events that the agent does not report: ${shown}`;
  }
  if (absent.length === 0) return undefined;
  const types = isTooManyEvents(events) ? [undefined] : reported;
  if (types.some((type) => (outcomesOf(condition, type, new Map()) & CAN_HOLD) !== 0))
    return undefined;
  const fields = [...new Set(absent.map(({ field }) => field))].sort();
  return `needs a field that has no value in any event here: ${fields.join(', ')}`;
}

function absentField({ left, right }: Test): string | undefined {
  return [...left.fields, ...(right?.fields ?? [])].find(
    (name) => findField(name)?.field.absent === true,
  );
}

const CAN_HOLD = 1;
const CAN_FAIL = 2;

/** What can become of the condition in an event of this type, undefined for any: CAN_HOLD, CAN_FAIL or both. */
function outcomesOf(
  condition: Checked,
  type: string | undefined,
  macros: Map<CheckedMacro, number>,
): number {
  switch (condition.kind) {
    case 'and':
    case 'or': {
      const all = condition.kind === 'and' ? CAN_HOLD : CAN_FAIL;
      const some = all ^ (CAN_HOLD | CAN_FAIL);
      return condition.operands
        .map((operand) => outcomesOf(operand, type, macros))
        .reduce((found, one) => (found & one & all) | ((found | one) & some), all);
    }
    case 'not': {
      const operand = outcomesOf(condition.operand, type, macros);
      return ((operand & CAN_HOLD) << 1) | ((operand & CAN_FAIL) >> 1);
    }
    case 'macro': {
      const known = macros.get(condition.macro);
      if (known !== undefined) return known;
      const found = outcomesOf(condition.macro.body, type, macros);
      macros.set(condition.macro, found);
      return found;
    }
    case 'test': {
      const { test } = condition;
      if (absentField(test) !== undefined) return CAN_FAIL;
      if (type === undefined || test.left.field !== 'evt.type' || test.right !== undefined)
        return CAN_HOLD | CAN_FAIL;
      return predicateOf(test)(type) ? CAN_HOLD : CAN_FAIL;
    }
  }
}
