import { nearestWord } from '../../shared/nearest.ts';
import { ItemError } from './diagnostics.ts';
import type { Diagnostics } from './diagnostics.ts';
import type { Place } from './source.ts';
import type { YamlEntry, YamlMap, YamlNode, YamlScalar } from './yaml.ts';

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

/** One item of a rule file: its kind, its name and its keys, values not yet looked at. */
export class Item {
  readonly kind: ItemKind;
  readonly place: Place;
  readonly #entries = new Map<string, YamlEntry>();

  constructor(kind: ItemKind, map: YamlMap, diagnostics: Diagnostics) {
    this.kind = kind;
    this.place = map.place;
    for (const entry of map.entries) {
      const key = entry.key.text;
      if (!KEYS[kind].includes(key)) {
        const close = nearestWord(key, KEYS[kind]);
        const hint = close === undefined ? '' : `: did you mean '${close}'?`;
        diagnostics.warn('LOAD_UNKNOWN_KEY', `unknown key '${key}'${hint}`, entry.key.place);
      } else if (this.#entries.has(key)) {
        diagnostics.warn(
          'LOAD_UNKNOWN_KEY',
          `key '${key}' is there twice: the first one counts`,
          entry.key.place,
        );
      } else this.#entries.set(key, entry);
    }
  }

  /** `rule "Shell in app container"`, for messages. */
  get label(): string {
    return `${this.kind} "${this.name}"`;
  }

  /** Throws ItemError when there is none. */
  get name(): string {
    const text = this.scalar(this.kind)?.text ?? '';
    if (text === '') throw this.invalid(`a ${this.kind} needs a name`);
    return text;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  keys(): readonly string[] {
    return [...this.#entries.keys()];
  }

  node(key: string): YamlNode | undefined {
    return this.#entries.get(key)?.value;
  }

  keyPlace(key: string): Place {
    return this.#entries.get(key)?.key.place ?? this.place;
  }

  /** A single value; undefined when the key is not there. Throws ItemError when it is a list or a map. */
  scalar(key: string): YamlScalar | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    if (node.kind !== 'scalar') throw this.invalid(`'${key}' must be one value`, node.place);
    return node;
  }

  boolean(key: string, otherwise: boolean): boolean {
    const scalar = this.scalar(key);
    if (scalar === undefined) return otherwise;
    // YAML 1.1's words, which Falco's reader takes.
    const text = scalar.text.toLowerCase();
    if (['true', 'yes', 'on', 'y'].includes(text)) return true;
    if (['false', 'no', 'off', 'n'].includes(text)) return false;
    throw this.invalid(`'${key}' must be true or false`, scalar.place);
  }

  /** A list of single values. */
  scalars(key: string): readonly YamlScalar[] | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    if (node.kind === 'scalar' && node.isNull) return [];
    if (node.kind !== 'sequence') throw this.invalid(`'${key}' must be a list`, node.place);
    return node.items.map((item) => {
      if (item.kind !== 'scalar')
        throw this.invalid(`'${key}' must hold single values`, item.place);
      return item;
    });
  }

  invalid(message: string, place = this.place): ItemError {
    return new ItemError('LOAD_ERR_VALIDATE', message, place);
  }
}

/** The items of a file's documents, in order (R1, R2). */
export function readItems(documents: readonly YamlNode[], diagnostics: Diagnostics): Item[] {
  const items: Item[] = [];
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
      if (kind === undefined) {
        const [first = ''] = keys;
        const close = nearestWord(first, ITEM_KINDS);
        const hint = close === undefined ? '' : `: did you mean '${close}'?`;
        diagnostics.warn(
          'LOAD_UNKNOWN_ITEM',
          `unknown item, it begins with '${first}'${hint}`,
          node.entries[0]?.key.place ?? node.place,
        );
        continue;
      }
      items.push(new Item(kind, node, diagnostics));
    }
  }
  return items;
}
