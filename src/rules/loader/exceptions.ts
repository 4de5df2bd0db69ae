import { check } from '../compile/check.ts';
import {
  LIST_OPERATORS,
  MODIFIERS,
  NUMBER_OPERATORS,
  STRING_SYMBOL_OPERATORS,
  STRING_WORD_OPERATORS,
} from '../language/ast.ts';
import { LanguageError } from '../language/errors.ts';
import { parse } from '../language/parser.ts';
import type { Diagnostics } from './diagnostics.ts';
import { invalid, Keyed, misshapen } from './items.ts';
import type { Item } from './items.ts';
import { quotedItem } from './lists.ts';
import { MappedText } from './source.ts';
import type { Place } from './source.ts';
import type { YamlNode, YamlScalar } from './yaml-node.ts';

/** When a rule does not hold although its condition does (R12). */
export interface ExceptionDefinition {
  readonly name: string;
  readonly place: Place;
  /** One field, or several that are compared together. */
  readonly fields: YamlNode | undefined;
  readonly comps: YamlNode | undefined;
  readonly values: YamlNode[];
}

const STRING_OPERATORS: readonly string[] = [...STRING_SYMBOL_OPERATORS, ...STRING_WORD_OPERATORS];
const OPERATORS: readonly string[] = [
  'exists',
  ...NUMBER_OPERATORS,
  ...STRING_OPERATORS,
  ...LIST_OPERATORS,
];

/** An operator with a list on its right: `in`, `startswith oneof`. */
function takesList(operator: string): boolean {
  return (LIST_OPERATORS as readonly string[]).includes(operator) || hasModifier(operator);
}

function hasModifier(operator: string): boolean {
  const [first = '', modifier = '', ...more] = operator.split(' ');
  return (
    more.length === 0 &&
    STRING_OPERATORS.includes(first) &&
    (MODIFIERS as readonly string[]).includes(modifier)
  );
}

/**
 * Reads a rule's exceptions. `appends`: those of an item that adds to a rule, which need name only what they add.
 * Throws ItemError where they have the wrong shape.
 */
export function readExceptions(
  item: Item,
  appends: boolean,
  diagnostics: Diagnostics,
): ExceptionDefinition[] {
  const node = item.node('exceptions');
  if (node === undefined || (node.kind === 'scalar' && node.isNull)) return [];
  if (node.kind !== 'sequence') throw misshapen("'exceptions' must be a list", node.place);
  const names = new Set<string>();
  return node.items.map((entry) => {
    if (entry.kind !== 'map') {
      throw misshapen("an exception must have 'name' and 'fields'", entry.place);
    }
    const keyed = new Keyed(entry);
    const name = keyed.required('name', 'an exception');
    const place = name.place;
    if (names.has(name.text)) {
      diagnostics.warn(
        'LOAD_EXCEPTION_NAME_NOT_UNIQUE',
        `the rule has more than one exception '${name.text}'`,
        place,
        item.owner,
      );
    }
    names.add(name.text);
    const fields = keyed.node('fields');
    if (fields === undefined && !appends) {
      throw misshapen(`exception '${name.text}' needs 'fields'`, entry.place);
    }
    const comps = keyed.node('comps');
    const values = keyed.node('values');
    for (const part of [fields, comps]) if (part !== undefined) refuseEmpty(part);
    if (values === undefined) {
      if (appends) {
        diagnostics.warn(
          'LOAD_APPEND_NO_VALUES',
          `exception '${name.text}' has no 'values': nothing is appended`,
          place,
          item.owner,
        );
      }
      return { name: name.text, place, fields, comps, values: [] };
    }
    if (values.kind !== 'sequence') throw misshapen("'values' must be a list", values.place);
    values.items.forEach(refuseEmpty);
    return { name: name.text, place, fields, comps, values: [...values.items] };
  });
}

function refuseEmpty(node: YamlNode): void {
  if (node.kind === 'sequence') node.items.forEach(refuseEmpty);
  else if (node.kind === 'scalar' && !node.isNull && node.text === '') {
    throw misshapen('an empty value: write \'""\' for an empty text', node.place);
  }
}

/** Is there anything? A map counts for nothing, as in Falco. */
export function isGiven(node: YamlNode | undefined): node is YamlNode {
  if (node?.kind === 'sequence') return node.items.length > 0;
  return node?.kind === 'scalar' && !node.isNull;
}

/**
 * Checks that an exception's fields and operators make sense together. Fields are looked up only where the rule's
 * source is known. Throws ItemError (LOAD_ERR_VALIDATE) with the place of what does not.
 */
export function checkException(exception: ExceptionDefinition, knownSource: boolean): void {
  const { name, fields, comps, place } = exception;
  if (!isGiven(fields)) throw invalid(`exception '${name}' needs 'fields'`, place);
  if (fields.kind === 'sequence') {
    if (isGiven(comps)) {
      const items = comps.kind === 'sequence' ? comps.items : [];
      if (items.length !== fields.items.length) {
        throw invalid(
          `exception '${name}' has ${fields.items.length} fields and ${comps.kind === 'sequence' ? items.length : 'not a list of'} comps: there must be one for each`,
          comps.place,
        );
      }
      for (const comp of items) {
        const operator = operatorOf(comp);
        if (OPERATORS.includes(operator) || hasModifier(operator)) continue;
        throw invalid(`'${operator}' is not an operator`, comp.place);
      }
    }
    if (knownSource) fields.items.forEach(checkField);
    return;
  }
  if (isGiven(comps)) {
    if (comps.kind !== 'scalar') {
      throw invalid(`exception '${name}' has one field: 'comps' must be one operator`, comps.place);
    }
    const operator = operatorOf(comps);
    if (!takesList(operator)) {
      throw invalid(
        `'${operator}' is not for an exception with one field: that takes in, pmatch, intersects or an operator with oneof, anyof or allof`,
        comps.place,
      );
    }
  }
  if (knownSource) checkField(fields);
}

function operatorOf(node: YamlNode): string {
  return node.kind === 'scalar' ? node.text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '') : '';
}

function checkField(node: YamlNode): void {
  const text = node.kind === 'scalar' ? node.text : '';
  if (!isLeftOperand(text)) {
    throw invalid(`'${text}' is not a field that conditions can compare`, node.place);
  }
}

function isLeftOperand(text: string): boolean {
  try {
    const condition = parse(`${text} exists`);
    if (condition.kind !== 'exists' || condition.left.span.end !== text.length) return false;
    check(condition, { macro: refuseMacro, warn: () => undefined });
    return true;
  } catch (error) {
    if (error instanceof LanguageError) return false;
    throw error;
  }
}

function refuseMacro(): never {
  throw new Error('`exists` has no macro');
}

/**
 * The condition of a rule with its exceptions: `(condition) and not exception and not exception…`. Throws ItemError
 * (LOAD_ERR_VALIDATE) where an exception's values do not fit its fields.
 */
export function withExceptions(
  condition: MappedText,
  exceptions: readonly ExceptionDefinition[],
): MappedText {
  if (exceptions.length === 0) return condition;
  const begin = condition.locate({ start: 0, end: 1 });
  const pieces = [MappedText.at('(', begin), condition, MappedText.at(')', begin)];
  for (const exception of exceptions) {
    if (exception.values.length === 0) continue;
    pieces.push(MappedText.at(' and not ', exception.place), MappedText.join(piecesOf(exception)));
  }
  return MappedText.join(pieces);
}

function piecesOf(exception: ExceptionDefinition): MappedText[] {
  const { fields, place } = exception;
  if (fields?.kind === 'sequence') return piecesOfSeveral(exception, fields.items);
  const comps = isGiven(exception.comps) ? operatorOf(exception.comps) : 'in';
  const pieces = [at('(', place), textOf(fields, place), at(` ${comps} (`, place)];
  exception.values.forEach((value, index) => {
    if (value.kind === 'sequence') {
      throw invalid(
        `exception '${exception.name}' has one field: its values must be single ones, not lists`,
        value.place,
      );
    }
    if (index > 0) pieces.push(at(', ', value.place));
    pieces.push(quotedItem(textOf(value, place)));
  });
  pieces.push(at('))', place));
  return pieces;
}

/** `((field op value and field op value) or (…))` */
function piecesOfSeveral(
  exception: ExceptionDefinition,
  fields: readonly YamlNode[],
): MappedText[] {
  const { name, place } = exception;
  const comps = exception.comps?.kind === 'sequence' ? exception.comps.items : [];
  const pieces = [at('(', place)];
  exception.values.forEach((tuple, index) => {
    const values = tuple.kind === 'sequence' ? tuple.items : [];
    if (values.length !== fields.length) {
      const count = tuple.kind === 'sequence' ? `${values.length} in a list` : 'not a list';
      throw invalid(
        `exception '${name}' has a list of ${fields.length} fields, so each of its values must be a list of as many: this is ${count}`,
        tuple.place,
      );
    }
    pieces.push(at(index === 0 ? '(' : ' or (', tuple.place));
    fields.forEach((field, k) => {
      const value = values[k];
      const comp = comps[k];
      const operator = comp === undefined ? '=' : operatorOf(comp);
      if (k > 0) pieces.push(at(' and ', tuple.place));
      pieces.push(textOf(field, place), at(' ', place), at(operator, comp?.place ?? place));
      pieces.push(at(' ', place), MappedText.join(piecesOfValue(value, operator, tuple.place)));
    });
    pieces.push(at(')', tuple.place));
  });
  pieces.push(at(')', place));
  return pieces;
}

function piecesOfValue(value: YamlNode | undefined, operator: string, place: Place): MappedText[] {
  if (value?.kind === 'sequence') {
    const pieces = [at('(', value.place)];
    value.items.forEach((item, index) => {
      if (index > 0) pieces.push(at(', ', item.place));
      pieces.push(quotedItem(textOf(item, place)));
    });
    pieces.push(at(')', value.place));
    return pieces;
  }
  const text = textOf(value, place);
  if (!takesList(operator)) return [quotedItem(text)];
  if (text.text.startsWith('(')) return [text];
  const where = value?.place ?? place;
  return [at('(', where), text, at(')', where)];
}

/** What is no single value has no text. */
function textOf(node: YamlNode | undefined, place: Place): MappedText {
  return node?.kind === 'scalar'
    ? (node satisfies YamlScalar).mapped()
    : at('', node?.place ?? place);
}

const at = (text: string, place: Place): MappedText => MappedText.at(text, place);
