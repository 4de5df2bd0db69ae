import type { Read, Test } from '../compile/checked.ts';
import { MAX_CONSTANT_BYTES } from '../compile/constant.ts';
import { compileGlob } from '../compile/glob.ts';
import { compileRegex } from '../compile/regex.ts';
import type { Operator } from '../language/ast.ts';
import type { Value } from '../fields/field.ts';
import { COST } from './constants.ts';

/** What one comparison may cost, besides reading its fields: for each value of the field and for each unit of them. */
interface Steps {
  readonly perValue: number;
  readonly perUnit: number;
}

const steps = (perValue: number, perUnit: number): Steps => ({ perValue, perUnit });

/** Nanoseconds that a test may take for the worst values of its fields, which are read already. */
export function testNanos(test: Test): number {
  const { operator, left, right, values } = test;
  if (operator === 'exists') return COST.test;
  const { bound } = left;
  if (left.reader.shape === 'list') {
    const others = right === undefined ? 0 : right.bound.total;
    const items = bound.values + (right?.bound.values ?? 0);
    return COST.test + COST.value * items + COST.hashUnit * (bound.total + others);
  }
  const compared = right === undefined ? ofConstants(test, values) : ofField(operator, right);
  return COST.test + bound.values * compared.perValue + bound.total * compared.perUnit;
}

function ofConstants({ operator, modifier, left }: Test, values: readonly Value[]): Steps {
  if (operator === 'exists') return steps(0, 0);
  if (modifier === undefined) return ofOperator(operator, left.kind, values);
  // With a modifier each constant is compared on its own.
  return addUp(values.map((value) => ofOperator(operator, left.kind, [value])));
}

function addUp(all: readonly Steps[]): Steps {
  return all.reduce(
    (sum, one) => steps(sum.perValue + one.perValue + COST.value, sum.perUnit + one.perUnit),
    steps(0, 0),
  );
}

function ofOperator(operator: Operator, kind: Read['kind'], values: readonly Value[]): Steps {
  const text = String(values[0] ?? '');
  if (kind === 'net') return steps(COST.network * (values.length + 1), 0);
  switch (operator) {
    case '=':
    case '==':
    case '!=':
    case 'startswith':
    case 'bstartswith':
    case 'endswith':
      return steps(COST.value + text.length, 0);
    case '<':
    case '<=':
    case '>':
    case '>=':
      return kind === 'text' ? steps(200 + text.length, COST.orderUnit) : steps(COST.value, 0);
    case 'in':
    case 'intersects':
      return steps(COST.value, COST.hashUnit);
    case 'contains':
    case 'bcontains':
      return steps(COST.value, COST.searchUnit);
    case 'icontains':
      return steps(COST.value, COST.searchUnit + COST.caseUnit);
    case 'glob':
      return ofGlob(text, false);
    case 'iglob':
      return ofGlob(text, true);
    case 'regex':
      return ofRegex(text);
    case 'pmatch':
      return ofPaths(values.map(String));
  }
}

/** By a field's value, which a process may choose. */
function ofField(operator: Operator, right: Read): Steps {
  const { length } = right.bound;
  switch (operator) {
    case 'contains':
    case 'bcontains':
    case 'icontains':
      return steps(
        COST.value + length * (COST.searchUnit + COST.caseUnit),
        COST.searchUnit + COST.caseUnit,
      );
    case 'glob':
    case 'iglob': {
      const words = (MAX_CONSTANT_BYTES >> 5) + 1;
      return steps(COST.globCompile, patternUnit(512) + words * COST.globWord + COST.caseUnit);
    }
    default:
      return steps(COST.value + length * COST.orderUnit, COST.orderUnit);
  }
}

const patternUnit = (classes: number): number =>
  COST.patternUnit + COST.classStep * Math.ceil(Math.log2(classes));

function ofGlob(pattern: string, foldCase: boolean): Steps {
  const { words, classes } = compileGlob(pattern, foldCase);
  const folding = foldCase ? COST.caseUnit : 0;
  const unit = words === 0 ? COST.searchUnit : patternUnit(classes) + words * COST.globWord;
  return steps(COST.value + pattern.length, unit + folding);
}

function ofRegex(pattern: string): Steps {
  const compiled = compileRegex(pattern);
  if (typeof compiled === 'string') return steps(0, 0);
  const { table, instructions } = compiled;
  const unit =
    table === undefined ? instructions * COST.instructionUnit : patternUnit(table.classes);
  return steps(COST.value, unit);
}

function ofPaths(paths: readonly string[]): Steps {
  let perValue: number = COST.value;
  let perUnit: number = COST.splitUnit;
  for (const path of paths) {
    const parts = path.split('/').filter((part) => part !== '');
    perValue += COST.value + parts.length * COST.component;
    // Each part of the value is looked at once for each path.
    const globs = parts.filter((part) => /[?*[]/.test(part)).map((part) => ofGlob(part, false));
    perValue += globs.reduce((sum, glob) => sum + glob.perValue, 0);
    perUnit += globs.reduce((most, glob) => Math.max(most, glob.perUnit), 0);
  }
  return steps(perValue, perUnit);
}
