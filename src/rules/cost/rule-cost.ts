import type { Checked, CheckedMacro, Read, Test } from '../compile/checked.ts';
import type { OutputFormat } from '../output/format.ts';
import type { LoadedRule } from '../rule-set.ts';
import { COST } from './constants.ts';
import { testNanos } from './test-cost.ts';

/** What makes up a cost: a comparison or the reading of a field. */
export interface CostPart {
  readonly nanos: number;
  /** As it is written: `proc.cmdline contains x`, `proc.aargs`. */
  readonly what: string;
  readonly test: Test;
  /** The macro that the comparison stands in; undefined for the condition itself. */
  readonly macro: string | undefined;
}

/** What a condition may cost for the worst event. */
export interface ConditionCost {
  readonly nanos: number;
  /** Constants that are compared with, those of lists included. */
  readonly values: number;
  /** Undefined for a condition without comparisons that count. */
  readonly costliest: CostPart | undefined;
}

/** Costs of tests that were worked out before: the same ones are in many rules. */
const KNOWN = new WeakMap<Test, number>();

function nanosOf(test: Test): number {
  const known = KNOWN.get(test) ?? testNanos(test);
  KNOWN.set(test, known);
  return known;
}

/** What costs nothing, as the operator's rules have it: by key. */
export interface FreeParts {
  readonly tests: ReadonlyMap<string, Test>;
  readonly reads: ReadonlySet<string>;
}

/**
 * The most that conditions can cost together for one event: each comparison is made once, and each field is read once, as in the generated
 * code. A comparison that `free` has with fewer values costs only the additional ones.
 */
export function conditionCost(
  conditions: readonly Checked[],
  free: FreeParts = NOTHING,
): ConditionCost {
  const macros = new Set<CheckedMacro>();
  const tests = new Set<string>();
  const reads = new Set<string>();
  let nanos = 0;
  let values = 0;
  let costliest: CostPart | undefined;
  const add = (part: CostPart): void => {
    nanos += part.nanos;
    if (part.nanos > (costliest?.nanos ?? 0)) costliest = part;
  };
  const visit = (condition: Checked, macro: string | undefined): void => {
    switch (condition.kind) {
      case 'and':
      case 'or':
        for (const operand of condition.operands) visit(operand, macro);
        return;
      case 'not':
        visit(condition.operand, macro);
        return;
      case 'macro':
        nanos += COST.value;
        if (macros.has(condition.macro)) return;
        macros.add(condition.macro);
        visit(condition.macro.body, condition.macro.name);
        return;
      case 'test': {
        const { test } = condition;
        nanos += COST.value;
        if (tests.has(test.key) || free.tests.has(test.key)) return;
        tests.add(test.key);
        values += test.values.length;
        const nanosMore = nanosOf(test) - grownFrom(test, free);
        add({ nanos: Math.max(0, nanosMore), what: test.key, test, macro });
        for (const read of readsOf(test)) {
          if (reads.has(read.key) || free.reads.has(read.key)) continue;
          reads.add(read.key);
          add({ nanos: read.bound.nanos, what: read.key, test, macro });
        }
      }
    }
  };
  for (const condition of conditions) visit(condition, undefined);
  return { nanos, values, costliest };
}

const NOTHING: FreeParts = { tests: new Map(), reads: new Set() };

/** The highest cost of a free version of the comparison with a part of its values; 0 if there is none. */
function grownFrom(test: Test, free: FreeParts): number {
  let most = 0;
  for (const one of free.tests.values()) {
    const isAlike =
      one.left.key === test.left.key &&
      one.operator === test.operator &&
      one.modifier === test.modifier &&
      one.right === test.right &&
      one.values.length < test.values.length;
    if (!isAlike) continue;
    const values = new Set(test.values);
    if (one.values.every((value) => values.has(value))) most = Math.max(most, nanosOf(one));
  }
  return most;
}

const readsOf = ({ left, right }: Test): readonly Read[] =>
  right === undefined ? [left] : [left, right];

/** The comparisons and fields of conditions. */
export function partsOf(conditions: readonly Checked[]): FreeParts {
  const tests = new Map<string, Test>();
  const reads = new Set<string>();
  const macros = new Set<CheckedMacro>();
  const visit = (part: Checked): void => {
    switch (part.kind) {
      case 'and':
      case 'or':
        part.operands.forEach(visit);
        return;
      case 'not':
        visit(part.operand);
        return;
      case 'macro':
        if (macros.has(part.macro)) return;
        macros.add(part.macro);
        visit(part.macro.body);
        return;
      case 'test':
        tests.set(part.test.key, part.test);
        for (const read of readsOf(part.test)) reads.add(read.key);
    }
  };
  conditions.forEach(visit);
  return { tests, reads };
}

/** Nanoseconds that making a detection and its output may take. */
export function outputNanos({
  output,
  extraFields = [],
}: Pick<LoadedRule, 'output' | 'extraFields'>): number {
  const formats: readonly OutputFormat[] = [output, ...extraFields.map(({ format }) => format)];
  return formats.reduce<number>((sum, format) => {
    const reads = new Map<string, number>();
    for (const { read, plain } of format.fields) {
      for (const one of read === undefined ? plain : [read, ...plain]) {
        reads.set(one.key, one.bound.nanos);
      }
    }
    const reading = [...reads.values()].reduce((all, one) => all + one, 0);
    return sum + reading + format.fields.length * COST.outputField;
  }, COST.output);
}

/** Nanoseconds that a rule may take for the worst event: its condition, and its output. */
export function ruleNanos(rule: LoadedRule): number {
  return conditionCost([rule.condition]).nanos + outputNanos(rule);
}
