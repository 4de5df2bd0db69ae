import { nearestWord } from '../../shared/nearest.ts';
import { ItemError } from './diagnostics.ts';
import type { Diagnostics, Owner } from './diagnostics.ts';
import type { Place } from './source.ts';
import type { YamlEntry, YamlMap, YamlNode, YamlScalar } from './yaml-node.ts';

/** What an item of a rule file can be, by the key that says so; in Falco's order of precedence (R2). */
export const ITEM_KINDS = [
  'required_engine_version',
  'required_plugin_versions',
  'list',
  'macro',
  'rule',
] as const;
export type ItemKind = (typeof ITEM_KINDS)[number];

const KEYS: Readonly<Record<ItemKind, readonly string[]>> = {
  required_engine_version: ['required_engine_version'],
  required_plugin_versions: ['required_plugin_versions'],
  list: ['list', 'items', 'append', 'override'],
  macro: ['macro', 'condition', 'append', 'override'],
  rule: [
    'rule',
    'condition',
    'output',
    'desc',
    'priority',
    'source',
    'enabled',
    'tags',
    'exceptions',
    'warn_evttypes',
    'skip-if-unknown-filter',
    'capture',
    'capture_duration',
    'append',
    'override',
  ],
};

/** A map of a rule file whose values are read by key. A value of the wrong shape is LOAD_ERR_YAML_VALIDATE. */
export class Keyed {
  readonly place: Place;
  protected readonly entries = new Map<string, YamlEntry>();

  constructor(map: YamlMap) {
    this.place = map.place;
    for (const entry of map.entries) {
      // Of a key that is there twice the first one counts, as in Falco.
      if (!this.entries.has(entry.key.text)) this.entries.set(entry.key.text, entry);
    }
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }

  /** Each once. */
  *keys(): Generator<YamlScalar> {
    for (const { key } of this.entries.values()) yield key;
  }

  node(key: string): YamlNode | undefined {
    return this.entries.get(key)?.value;
  }

  keyPlace(key: string): Place {
    return this.entries.get(key)?.key.place ?? this.place;
  }

  /** A single value that is not empty; undefined when the key is not there. Throws ItemError when it is no such. */
  scalar(key: string): YamlScalar | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    if (node.kind !== 'scalar') throw misshapen(`'${key}' must be one value`, node.place);
    if (node.isNull || node.text === '') throw misshapen(`'${key}' is empty`, this.keyPlace(key));
    return node;
  }

  /** Like scalar(), for a key that must be there. `what` begins the sentence: `a rule`. */
  required(key: string, what: string): YamlScalar {
    const scalar = this.scalar(key);
    if (scalar === undefined) throw misshapen(`${what} needs '${key}'`, this.place);
    return scalar;
  }
}

/** An integer of 32 bits without sign, as C reads it: 0x1f is hexadecimal, 017 octal. */
export function parseUnsigned(text: string): number | undefined {
  const match = /^\+?(?:0x(?<hex>[0-9a-f]+)|0(?<octal>[0-7]*)|(?<decimal>[1-9]\d*))$/i.exec(text);
  if (match === null) return undefined;
  const { hex, octal, decimal } = match.groups ?? {};
  const number =
    hex !== undefined
      ? Number.parseInt(hex, 16)
      : octal !== undefined
        ? Number.parseInt(`0${octal}`, 8)
        : Number(decimal);
  return number <= 0xffff_ffff ? number : undefined;
}

/** The error of a value whose shape is wrong. */
export function misshapen(message: string, place: Place): ItemError {
  return new ItemError('LOAD_ERR_YAML_VALIDATE', message, place);
}

/** The error of something that has the right shape and makes no sense. */
export function invalid(message: string, place: Place): ItemError {
  return new ItemError('LOAD_ERR_VALIDATE', message, place);
}

/** The error of an item that builds on an earlier one which is not there. */
export class NoSuchItem extends ItemError {
  constructor(item: Item, verb: string) {
    super(
      'LOAD_ERR_VALIDATE',
      `there is no ${item.kind} "${item.name}" to ${verb}: it must be defined before`,
      item.place,
    );
  }
}

/** One item of a rule file: its kind, its name and its keys, values not yet looked at. */
export class Item extends Keyed {
  readonly kind: ItemKind;
  readonly #map: YamlMap;

  constructor(kind: ItemKind, map: YamlMap) {
    super(map);
    this.kind = kind;
    this.#map = map;
  }

  /** For messages: the item as far as it has a name. */
  get owner(): Owner {
    const node = this.kind.startsWith('required') ? undefined : this.node(this.kind);
    const name = node?.kind === 'scalar' ? node.text : '';
    return { kind: this.kind, name, place: this.place };
  }

  /** Throws ItemError when there is none. */
  get name(): string {
    return this.required(this.kind, `a ${this.kind}`).text;
  }

  boolean(key: string, otherwise: boolean): boolean {
    const scalar = this.scalar(key);
    if (scalar === undefined) return otherwise;
    // YAML 1.1's words, which Falco's reader takes: in small letters, in capitals, or with one capital.
    const { text } = scalar;
    const small = text.toLowerCase();
    if (text === small || text === text.toUpperCase() || text.slice(1) === small.slice(1)) {
      if (['true', 'yes', 'on', 'y'].includes(small)) return true;
      if (['false', 'no', 'off', 'n'].includes(small)) return false;
    }
    throw misshapen(`'${key}' must be true or false`, scalar.place);
  }

  unsigned(key: string, otherwise: number): number {
    const scalar = this.scalar(key);
    if (scalar === undefined) return otherwise;
    const number = parseUnsigned(scalar.text);
    if (number !== undefined) return number;
    throw misshapen(`'${key}' must be a number from 0 to 4294967295`, scalar.place);
  }

  /** A list of single values. */
  scalars(key: string): readonly YamlScalar[] | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    if (node.kind !== 'sequence') throw misshapen(`'${key}' must be a list`, node.place);
    return node.items.map((item) => {
      if (item.kind !== 'scalar' || item.isNull)
        throw misshapen(`'${key}' must hold single values`, item.place);
      return item;
    });
  }

  /** Says which keys are ignored (R2). */
  warnOfKeys(diagnostics: Diagnostics): void {
    const seen = new Set<string>();
    for (const { key } of this.#map.entries) {
      if (!KEYS[this.kind].includes(key.text)) {
        const close = nearestWord(key.text, KEYS[this.kind]);
        const hint = close === undefined ? '' : `: did you mean '${close}'?`;
        const message = `unknown key '${key.text}'${hint}`;
        diagnostics.warn('LOAD_UNKNOWN_KEY', message, key.place, this.owner);
      } else if (seen.has(key.text)) {
        const message = `key '${key.text}' is there twice: the first one counts`;
        diagnostics.warn('LOAD_UNKNOWN_KEY', message, key.place, this.owner);
      }
      seen.add(key.text);
    }
  }
}

/**
 * Calls `take` for each item of a file's documents, in order (R1, R2); what is no item is said. With `strict` an item of no
 * known kind is an error.
 */
export function readItems(
  documents: readonly YamlNode[],
  diagnostics: Diagnostics,
  take: (item: Item) => void,
  strict = false,
): void {
  for (const document of documents) {
    if (document.kind !== 'sequence') {
      diagnostics.error(
        'LOAD_ERR_YAML_VALIDATE',
        "Rules content is not yaml array of objects: each item must begin with '- '",
        document.place,
      );
      continue;
    }
    for (const node of document.items) {
      if (diagnostics.isFull) return;
      if (node.kind === 'scalar' && node.isNull) continue;
      if (node.kind !== 'map') {
        diagnostics.error(
          'LOAD_ERR_YAML_VALIDATE',
          "Unexpected element: an item must have a key such as 'rule', 'macro' or 'list'",
          node.place,
        );
        continue;
      }
      const keys = node.entries.map((entry) => entry.key.text);
      const kind = ITEM_KINDS.find((candidate) => keys.includes(candidate));
      if (kind === undefined) sayUnknown(node, diagnostics, strict);
      else take(new Item(kind, node));
    }
  }
}

function sayUnknown(node: YamlMap, diagnostics: Diagnostics, strict: boolean): void {
  const [first] = node.entries;
  const word = first?.key.text ?? '';
  const close = nearestWord(word, ITEM_KINDS);
  const hint = close === undefined ? '' : `: did you mean '${close}'?`;
  const message =
    first === undefined ? 'an empty item' : `unknown item, it begins with '${word}'${hint}`;
  const place = first?.key.place ?? node.place;
  if (strict) diagnostics.error('LOAD_ERR_YAML_VALIDATE', message, place);
  else diagnostics.warn('LOAD_UNKNOWN_ITEM', message, place);
}
