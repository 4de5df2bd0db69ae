import type { CostBudget } from '../cost/budget.ts';
import { print } from '../language/printer.ts';
import type { CompareNode, Condition, Operator, RightOperand, Span } from '../language/ast.ts';
import { LanguageError } from '../language/errors.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { FALCO_EVENT_NAMES, isFalcoEvent } from '../fields/falco-events.ts';
import type { Value, ValueKind } from '../fields/field.ts';
import { MAX_HEIGHT } from './checked.ts';
import type { Checked, CheckedMacro, Read, Test } from './checked.ts';
import { parseConstant } from './constant.ts';
import { OPERATORS } from './operators.ts';
import { readOperand } from './read.ts';
import type { FieldSource } from './read.ts';
import { compileRegex } from './regex.ts';
import { suspicions } from './warnings.ts';
import type { LanguageWarning } from './warnings.ts';

/** What a condition's names refer to, and where its warnings go. */
export interface CheckContext {
  /**
   * The macro of that name, checked. `depth` is to be passed on to check(). Throws LanguageError when
   * there is none.
   */
  macro(name: string, span: Span, depth: number): CheckedMacro;
  warn(warning: LanguageWarning): void;
  /** Where fields' values come from; FROM_EVENT when it is not there. */
  readonly source?: FieldSource;
  /** What an app's rules may cost; undefined for the operator's. */
  readonly budget?: CostBudget | undefined;
}

/**
 * Resolves the names of a condition and checks its types. Throws LanguageError
 * (LOAD_ERR_COMPILE_CONDITION) with a span of the condition's text. `depth` is that of the condition within others, for a macro.
 */
export function check(condition: Condition, context: CheckContext, depth = 0): Checked {
  if (depth > MAX_HEIGHT) throw tooDeep(condition.span);
  const checked = checkNode(condition, context, depth);
  if (checked.height > MAX_HEIGHT) throw tooDeep(condition.span);
  return checked;
}

function tooDeep(span: Span): LanguageError {
  return new LanguageError(
    'LOAD_ERR_COMPILE_CONDITION',
    `more than ${MAX_HEIGHT} conditions and macros within each other`,
    span,
  );
}

function checkNode(condition: Condition, context: CheckContext, depth: number): Checked {
  switch (condition.kind) {
    case 'or':
    case 'and': {
      const operands = condition.operands.map((operand) => check(operand, context, depth + 1));
      const height = 1 + operands.reduce((most, operand) => Math.max(most, operand.height), 0);
      return { kind: condition.kind, operands, height };
    }
    case 'not': {
      const operand = check(condition.operand, context, depth + 1);
      return { kind: 'not', operand, height: operand.height + 1 };
    }
    case 'macro': {
      const macro = context.macro(condition.name, condition.span, depth + 1);
      return { kind: 'macro', macro, height: macro.body.height + 1 };
    }
    case 'exists': {
      const test: Test = {
        key: print(condition),
        left: readOperand(condition.left, context.source),
        operator: 'exists',
        modifier: undefined,
        values: [],
        right: undefined,
        span: condition.span,
      };
      return { kind: 'test', test, height: 1 };
    }
    case 'compare':
      return { kind: 'test', test: checkCompare(condition, context), height: 1 };
  }
}

const KIND_NAMES: Readonly<Record<ValueKind, string>> = {
  text: 'a text',
  bytes: 'bytes',
  number: 'a number',
  wide: 'a time',
  bool: 'true or false',
  ip: 'an IP address',
  net: 'an IP network',
  opaque: 'nothing that can be compared',
};

const whatIs = (read: Read): string =>
  read.reader.shape === 'list' ? 'a list' : KIND_NAMES[read.kind];

/** What lists can be asked for (C2). */
const LIST_OPERATORS: readonly Operator[] = ['in', 'intersects'];

function checkCompare(node: CompareNode, context: CheckContext): Test {
  const left = readOperand(node.left, context.source);
  const definition = OPERATORS[node.operator];
  const allowed =
    left.reader.shape === 'list'
      ? LIST_OPERATORS.includes(node.operator)
      : definition.kinds.includes(left.kind);
  if (!allowed) {
    throw new LanguageError(
      'LOAD_ERR_COMPILE_CONDITION',
      `operator ${node.operator} is not for ${left.key}, which is ${whatIs(left)}`,
      node.operatorSpan,
    );
  }
  const { operator, modifier, span } = node;
  const common = { key: print(node), left, operator, modifier, span };
  if (node.right.kind === 'val' || node.right.kind === 'transformer') {
    return { ...common, values: [], right: checkRightField(node, left, node.right, context) };
  }
  return { ...common, values: checkConstants(node, left, node.right, context), right: undefined };
}

function checkRightField(
  node: CompareNode,
  left: Read,
  right: Extract<RightOperand, { kind: 'val' | 'transformer' }>,
  context: CheckContext,
): Read {
  const fail = (message: string, span = right.span): LanguageError =>
    new LanguageError('LOAD_ERR_COMPILE_CONDITION', message, span);
  if (!OPERATORS[node.operator].val) {
    throw fail(`operator ${node.operator} takes no field on its right`);
  }
  const read = readOperand(right.kind === 'val' ? right.field : right, context.source);
  if (left.noVal || left.kind === 'net') {
    throw fail(`${left.key} cannot be compared with a field`, node.left.span);
  }
  if (read.noVal) throw fail(`${read.key} may not stand on the right`);
  const lists = [left, read].map(({ reader }) => reader.shape === 'list');
  if (read.type !== left.type || lists[0] !== lists[1]) {
    const types = left.kind === read.kind ? ` (${left.type} and ${read.type})` : '';
    throw fail(
      `${left.key} is ${whatIs(left)} and ${read.key} is ${whatIs(read)}${types}: they cannot be compared`,
    );
  }
  return read;
}

/** The rest of a sentence that begins with "the regular expression"; undefined: it can be compiled, and is taken. */
function problemOfRegex(pattern: string, budget: CostBudget | undefined): string | undefined {
  const compiled = compileRegex(pattern);
  return typeof compiled === 'string' ? compiled : budget?.refuseRegex(pattern, compiled);
}

function checkConstants(
  node: CompareNode,
  left: Read,
  right: Exclude<RightOperand, { kind: 'val' | 'transformer' }>,
  context: CheckContext,
): Value[] {
  const items = right.kind === 'list' ? right.items : [right];
  return items.map((item) => {
    const text = item.kind === 'number' ? item.text : item.value;
    const fail = (message: string, unknown = false): LanguageError =>
      new LanguageError('LOAD_ERR_COMPILE_CONDITION', message, item.span, unknown);
    // Whatever the operator, as in Falco (S7).
    if (left.field === 'evt.type' && !isFalcoEvent(text)) {
      const close = nearestWord(text, FALCO_EVENT_NAMES);
      throw fail(
        `unknown event type ${text}${close === undefined ? '' : `: did you mean ${close}?`}`,
        true,
      );
    }
    const constant = parseConstant(left.kind, left.type, node.operator, text);
    if ('problem' in constant) throw fail(constant.problem);
    if (node.operator === 'regex') {
      const problem = context.budget?.refuseSize(text) ?? problemOfRegex(text, context.budget);
      if (problem !== undefined) throw fail(`the regular expression ${problem}`);
    }
    for (const warning of suspicions(node.operator, text, item.span)) context.warn(warning);
    return constant.value;
  });
}
