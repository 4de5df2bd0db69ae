import { printField, print, printOperand } from '../language/printer.ts';
import type {
  CompareNode,
  Condition,
  FieldNode,
  LeftOperand,
  RightOperand,
  Span,
  TextNode,
  TransformerNode,
} from '../language/ast.ts';
import { LanguageError, notYet } from '../language/errors.ts';
import type { WarningCode } from '../language/errors.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { isEventName } from '../fields/events.ts';
import { isFalcoEvent } from '../fields/falco-events.ts';
import { kindOf } from '../fields/field.ts';
import type { AvailableField, Value, ValueKind } from '../fields/field.ts';
import { FIELD_NAMES, findField } from '../fields/registry.ts';
import { MAX_HEIGHT } from './checked.ts';
import type { Checked, CheckedMacro, Read, Test } from './checked.ts';
import { parseConstant } from './constant.ts';
import { OPERATORS } from './operators.ts';
import { transform } from './transform.ts';

/** Something worth a word that does not keep the rule from loading. */
export interface LanguageWarning {
  readonly code: WarningCode;
  readonly message: string;
  readonly span: Span;
}

/** What a condition's names refer to, and where its warnings go. */
export interface CheckContext {
  /**
   * The macro of that name, checked. `depth` is to be passed on to check(). Throws LanguageError when
   * there is none.
   */
  macro(name: string, span: Span, depth: number): CheckedMacro;
  warn(warning: LanguageWarning): void;
}

/**
 * Resolves the names of a condition and checks its types. Throws LanguageError with a span of the
 * condition's text: LOAD_ERR_COMPILE_CONDITION, or LOAD_ERR_NOT_YET for what is still to come.
 * `depth` is that of the condition within others, for a macro.
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
        left: readOperand(condition.left),
        operator: 'exists',
        modifier: undefined,
        values: [],
        right: undefined,
      };
      return { kind: 'test', test, height: 1 };
    }
    case 'compare':
      return { kind: 'test', test: checkCompare(condition, context), height: 1 };
  }
}

/** Resolves a field or a transformer over one, as a condition's left side or an output has it. */
export function readOperand(operand: LeftOperand): Read {
  if (operand.kind === 'transformer') return readTransformer(operand);
  const { field, argument } = resolveField(operand);
  const kind = kindOf(field.type);
  if (kind === undefined) throw notYet(`the type of ${field.name}`, operand.span);
  const reader = field.reader(argument);
  if ('problem' in reader) {
    if (reader.notYet) throw notYet(`field ${field.name} ${reader.problem}`, operand.span);
    throw new LanguageError(
      'LOAD_ERR_COMPILE_CONDITION',
      `field ${field.name} ${reader.problem}`,
      operand.span,
      true,
    );
  }
  return {
    key: printField({ name: operand.name, argument: operand.argument }),
    kind,
    reader,
    pathDependent: field.pathDependent,
    field: field.name,
  };
}

function resolveField(node: FieldNode): { field: AvailableField; argument: string | undefined } {
  const found = findField(node.name);
  if (found === undefined) {
    const close = nearestWord(node.name, FIELD_NAMES);
    throw new LanguageError(
      'LOAD_ERR_COMPILE_CONDITION',
      `nonexistent field ${node.name}${close === undefined ? '' : `: did you mean ${close}?`}`,
      node.span,
      true,
    );
  }
  const { field, dotArgument } = found;
  if (field.status === 'not yet') throw notYet(`field ${field.name}`, node.span);
  const argument = node.argument ?? dotArgument;
  const fail = (what: string): LanguageError =>
    new LanguageError('LOAD_ERR_COMPILE_CONDITION', `field ${field.name} ${what}`, node.span);
  if (node.argument !== undefined && dotArgument !== undefined) throw fail('has two arguments');
  if (field.argument === 'none' && argument !== undefined) throw fail('takes no argument');
  if (field.argument === 'required' && argument === undefined) throw fail('needs an argument');
  return { field, argument };
}

function readTransformer(node: TransformerNode): Read {
  const [operand] = node.operands;
  if (
    node.operands.length !== 1 ||
    operand === undefined ||
    (operand.kind !== 'field' && operand.kind !== 'transformer')
  ) {
    throw notYet(`${node.name}() over anything but one field`, node.span);
  }
  const inner = readOperand(operand);
  if (inner.reader.shape === 'any') {
    throw notYet(`${node.name}() over ${inner.key}, which has several values,`, node.span);
  }
  const transformed = transform(node.name, inner.kind, inner.reader);
  if (transformed === 'not yet') throw notYet(`transformer ${node.name}()`, node.span);
  if (transformed === 'wrong type') {
    throw new LanguageError(
      'LOAD_ERR_COMPILE_CONDITION',
      `${node.name}() does not take ${inner.key}`,
      node.span,
    );
  }
  return {
    key: printOperand(node),
    kind: transformed.kind,
    reader: transformed.reader,
    pathDependent: inner.pathDependent,
    field: undefined,
  };
}

const KIND_NAMES: Readonly<Record<ValueKind, string>> = {
  text: 'a text',
  number: 'a number',
  wide: 'a time',
  bool: 'true or false',
  ip: 'an IP address',
  net: 'an IP network',
};

function checkCompare(node: CompareNode, context: CheckContext): Test {
  const left = readOperand(node.left);
  const definition = OPERATORS[node.operator];
  if (definition.status === 'not yet') throw notYet(`operator ${node.operator}`, node.operatorSpan);
  if (!definition.kinds.includes(left.kind)) {
    throw new LanguageError(
      'LOAD_ERR_COMPILE_CONDITION',
      `operator ${node.operator} is not for ${left.key}, which is ${KIND_NAMES[left.kind]}`,
      node.operatorSpan,
    );
  }
  const key = print(node);
  const common = { key, left, operator: node.operator, modifier: node.modifier };
  if (node.right.kind === 'val' || node.right.kind === 'transformer') {
    return { ...common, values: [], right: checkRightField(node, left, node.right) };
  }
  return { ...common, values: checkConstants(node, left, node.right, context), right: undefined };
}

function checkRightField(
  node: CompareNode,
  left: Read,
  right: Extract<RightOperand, { kind: 'val' | 'transformer' }>,
): Read {
  const fail = (message: string): LanguageError =>
    new LanguageError('LOAD_ERR_COMPILE_CONDITION', message, right.span);
  if (!OPERATORS[node.operator].val) {
    throw fail(`operator ${node.operator} takes no field on its right`);
  }
  if (isEventType(left)) throw fail(`${left.key} can only be compared with names of events`);
  const operand = right.kind === 'val' ? right.field : right;
  const read = readOperand(operand);
  if (right.kind === 'val' && resolveField(right.field).field.noVal) {
    throw fail(`${read.key} may not stand on the right`);
  }
  if (read.reader.shape === 'any') throw fail(`${read.key} may not stand on the right`);
  if (read.kind !== left.kind || left.kind === 'net') {
    throw fail(
      `${left.key} is ${KIND_NAMES[left.kind]} and ${read.key} is ${KIND_NAMES[read.kind]}: they cannot be compared`,
    );
  }
  return read;
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
    if (isEventType(left) && node.operator !== 'contains' && node.operator !== 'icontains') {
      checkEventName(text, item.span);
    }
    const type = left.field === undefined ? undefined : findField(left.field)?.field.type;
    const constant = parseConstant(left.kind, type, text);
    if ('problem' in constant) {
      if (constant.notYet) throw notYet(constant.problem, item.span);
      throw new LanguageError('LOAD_ERR_COMPILE_CONDITION', constant.problem, item.span);
    }
    if (item.kind === 'text') warnOfFieldName(node, item, context);
    return constant.value;
  });
}

/** `proc.name = proc.pname` compares with that very text, which is seldom what is meant (S21). */
function warnOfFieldName(node: CompareNode, item: TextNode, context: CheckContext): void {
  if (node.operator === 'in' || !item.value.includes('.')) return;
  if (findField(item.value) === undefined) return;
  context.warn({
    code: 'LOAD_COMPILE_CONDITION',
    message: `'${item.value}' is the name of a field but is compared as a text: write val(${item.value}) to compare with the field`,
    span: item.span,
  });
}

function isEventType(read: Read): boolean {
  return read.field === 'evt.type' || read.field === 'syscall.type';
}

function checkEventName(name: string, span: Span): void {
  if (isEventName(name)) return;
  if (isFalcoEvent(name)) throw notYet(`event ${name}`, span);
  throw new LanguageError('LOAD_ERR_COMPILE_CONDITION', `unknown event type ${name}`, span, true);
}
