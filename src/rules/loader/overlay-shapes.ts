import { PRIORITIES } from '../detection.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { Keyed, misshapen } from './items.ts';
import type { Item } from './items.ts';
import { parsePriority } from './rule-definitions.ts';
import type { YamlNode } from './yaml-node.ts';

/** What the value of a key looks like: what an app writes is held to it, and its JSON Schema is made from it. */
export type ValueShape =
  /** One value that is not empty. */
  | 'text'
  /** A list of them. */
  | 'texts'
  | 'flag'
  | 'priority'
  /** Of a rule of its own: each with `name` and `fields`. */
  | 'exceptions'
  /** For a rule that is there: each with `name`. */
  | 'added exceptions'
  /** `{exceptions: append}` */
  | 'exceptions append';

/** The keys of an item. */
export interface ItemShape {
  readonly required: Readonly<Record<string, ValueShape>>;
  readonly optional: Readonly<Record<string, ValueShape>>;
}

/** What an app can add: items of its own, and exceptions to a rule that is there. */
export const ADDED_ITEMS = {
  list: { required: { list: 'text', items: 'texts' }, optional: {} },
  macro: { required: { macro: 'text', condition: 'text' }, optional: {} },
  rule: {
    required: {
      rule: 'text',
      desc: 'text',
      condition: 'text',
      output: 'text',
      priority: 'priority',
    },
    optional: {
      enabled: 'flag',
      exceptions: 'exceptions',
      'skip-if-unknown-filter': 'flag',
      source: 'text',
      tags: 'texts',
      warn_evttypes: 'flag',
    },
  },
  exceptions: {
    required: { rule: 'text', exceptions: 'added exceptions', override: 'exceptions append' },
    optional: {},
  },
} as const satisfies Readonly<Record<string, ItemShape>>;

/** The keys of one exception. */
export const EXCEPTION_KEYS = ['name', 'fields', 'comps', 'values'] as const;

/** Throws ItemError where the item is not of this shape; a key that it does not know is an error too. */
export function checkShape(item: Item, shape: ItemShape, what: string): void {
  const keys = [...Object.keys(shape.required), ...Object.keys(shape.optional)];
  for (const { text, place } of item.keys()) {
    if (keys.includes(text)) continue;
    const near = nearestWord(text, keys);
    const hint =
      near === undefined ? `: it can have ${keys.join(', ')}` : `: did you mean '${near}'?`;
    throw misshapen(`${what} has no '${text}'${hint}`, place);
  }
  for (const [key, value] of Object.entries(shape.required)) {
    const node = item.node(key);
    if (node === undefined) {
      const needed = Object.keys(shape.required).map((one) => `'${one}'`);
      throw misshapen(`${what} needs ${needed.join(', ')}: there is no '${key}'`, item.place);
    }
    checkValue(key, node, value);
  }
  for (const [key, value] of Object.entries(shape.optional)) {
    const node = item.node(key);
    if (node !== undefined) checkValue(key, node, value);
  }
}

function checkValue(key: string, node: YamlNode, shape: ValueShape): void {
  switch (shape) {
    case 'text':
      if (!isText(node)) throw misshapen(`'${key}' must be one value, and not empty`, node.place);
      return;
    case 'texts':
      for (const one of itemsOf(key, node)) {
        if (!isText(one)) throw misshapen(`'${key}' must hold single values`, one.place);
      }
      return;
    case 'priority': {
      const text = isText(node) ? node.text : '';
      if (parsePriority(text) !== undefined) return;
      const names = PRIORITIES.map((name) => name.toLowerCase());
      const near = nearestWord(text, names);
      const hint = near === undefined ? `it can be ${names.join(', ')}` : `did you mean '${near}'?`;
      throw misshapen(`'${text}' is no priority: ${hint}`, node.place);
    }
    case 'flag':
      if (node.kind === 'scalar' && FLAGS.has(node.text)) return;
      throw misshapen(`'${key}' must be true or false`, node.place);
    case 'exceptions':
    case 'added exceptions':
      for (const one of itemsOf(key, node)) checkException(one, shape === 'exceptions');
      return;
    case 'exceptions append': {
      const [entry, ...more] = node.kind === 'map' ? node.entries : [];
      const value = entry?.value.kind === 'scalar' ? entry.value.text : '';
      if (entry?.key.text === 'exceptions' && value === 'append' && more.length === 0) return;
      throw misshapen("'override' can be {exceptions: append}, and nothing else", node.place);
    }
  }
}

function checkException(node: YamlNode, needsFields: boolean): void {
  if (node.kind !== 'map') throw misshapen("an exception has 'name' and 'values'", node.place);
  const keyed = new Keyed(node);
  for (const { text, place } of keyed.keys()) {
    if ((EXCEPTION_KEYS as readonly string[]).includes(text)) continue;
    throw misshapen(
      `an exception has no '${text}': it can have ${EXCEPTION_KEYS.join(', ')}`,
      place,
    );
  }
  for (const key of needsFields ? ['name', 'fields'] : ['name']) {
    if (!keyed.has(key)) throw misshapen(`an exception needs '${key}'`, node.place);
  }
  keyed.required('name', 'an exception');
  for (const key of ['fields', 'comps']) {
    const value = keyed.node(key);
    if (value !== undefined && !isText(value)) checkValue(key, value, 'texts');
  }
  const values = keyed.node('values');
  for (const value of values === undefined ? [] : itemsOf('values', values)) {
    if (isText(value)) continue;
    // A tuple: one value for each field, or a list of them.
    for (const part of itemsOf('values', value)) {
      if (!isText(part)) checkValue('values', part, 'texts');
    }
  }
}

function itemsOf(key: string, node: YamlNode): readonly YamlNode[] {
  if (node.kind !== 'sequence') throw misshapen(`'${key}' must be a list`, node.place);
  return node.items;
}

function isText(node: YamlNode): node is YamlNode & { readonly kind: 'scalar' } {
  return node.kind === 'scalar' && !node.isNull && node.text !== '';
}

/** YAML 1.1's words: in small letters, in capitals, or with one capital. */
export const FLAGS: ReadonlySet<string> = new Set(
  ['true', 'yes', 'on', 'y', 'false', 'no', 'off', 'n'].flatMap((word) => [
    word,
    word.toUpperCase(),
    word.charAt(0).toUpperCase() + word.slice(1),
  ]),
);
