import { MODIFIERS } from './ast.ts';
import type {
  Condition,
  FieldNode,
  RightOperand,
  TransformerNode,
  TransformerOperand,
} from './ast.ts';

/** Writes a condition so that `parse(print(condition))` is the same tree but for its spans. */
export function print(condition: Condition): string {
  switch (condition.kind) {
    case 'or':
      return condition.operands.map((operand) => group(operand, ['or'])).join(' or ');
    case 'and':
      return condition.operands.map((operand) => group(operand, ['or', 'and'])).join(' and ');
    case 'not':
      // `not not x` would be read as x.
      return `not ${group(condition.operand, ['or', 'and', 'not'])}`;
    case 'macro':
      return condition.name;
    case 'exists':
      return `${printOperand(condition.left)} exists`;
    case 'compare': {
      const modifier = condition.modifier === undefined ? '' : `${condition.modifier} `;
      return `${printOperand(condition.left)} ${condition.operator} ${modifier}${printRight(condition.right)}`;
    }
  }
}

/** `proc.aname[2]`, as in the keys of `output_fields`. */
export function printField(field: Pick<FieldNode, 'name' | 'argument'>): string {
  return field.argument === undefined
    ? field.name
    : `${field.name}[${printArgument(field.argument)}]`;
}

/** Writes the left side of a comparison. */
export function printOperand(operand: FieldNode | TransformerNode): string {
  if (operand.kind === 'field') return printField(operand);
  const argument = operand.argument === undefined ? '' : `[${printArgument(operand.argument)}]`;
  return `${operand.name}(${operand.operands.map(printTransformerOperand).join(', ')})${argument}`;
}

function printTransformerOperand(operand: TransformerOperand): string {
  switch (operand.kind) {
    case 'field':
    case 'transformer':
      return printOperand(operand);
    case 'text':
      // Quoted always: a bare word with a dot would be read as a field.
      return quote(operand.value);
    case 'operands':
      return `(${operand.items.map(printTransformerOperand).join(', ')})`;
  }
}

function printRight(right: RightOperand): string {
  switch (right.kind) {
    case 'text':
      return printText(right.value);
    case 'number':
      return right.text;
    case 'list':
      return `(${right.items.map((item) => printText(item.value)).join(', ')})`;
    case 'val':
      return `val(${printField(right.field)})`;
    case 'transformer':
      return printOperand(right);
  }
}

function group(operand: Condition, kinds: readonly Condition['kind'][]): string {
  return kinds.includes(operand.kind) ? `(${print(operand)})` : print(operand);
}

const PLAIN = /^[A-Za-z0-9_./:@%+*?-]+$/;

function printText(value: string): string {
  const isModifier = (MODIFIERS as readonly string[]).includes(value);
  return PLAIN.test(value) && !isModifier ? value : quote(value);
}

function printArgument(argument: string): string {
  return PLAIN.test(argument) ? argument : quote(argument);
}

const NAMED: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  // Not `\\`: a quote after it would count as escaped, so a string could not end with one.
  '\\': '\\x5c',
  '"': '\\"',
};

/** A string as conditions take it; the bytes that a TextNode has for what is not UTF-8 included. */
function quote(value: string): string {
  const escaped = value.replace(/[\u0000-\u001f"\\\u007f]|\p{Surrogate}/gu, (char) => {
    const code = char.charCodeAt(0);
    return NAMED[char] ?? `\\x${(code & 0xff).toString(16).padStart(2, '0')}`;
  });
  return `"${escaped}"`;
}
