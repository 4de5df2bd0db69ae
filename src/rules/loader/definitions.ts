import { PRIORITIES } from '../detection.ts';
import type { Priority } from '../detection.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { collecting } from './diagnostics.ts';
import type { Diagnostics } from './diagnostics.ts';
import type { Item } from './items.ts';
import { MappedText } from './source.ts';
import type { Place } from './source.ts';
import { checkEngineVersion, checkPluginVersions } from './versions.ts';
import type { YamlScalar } from './yaml.ts';

interface Named {
  readonly name: string;
  readonly place: Place;
  /** Place in the order of definitions: the first one's stays (R6). */
  readonly index: number;
  /** The last time it was touched: it sees what is defined before (R11). */
  visibility: number;
}

export interface ListDefinition extends Named {
  items: readonly YamlScalar[];
}

export interface MacroDefinition extends Named {
  condition: MappedText;
}

export interface RuleDefinition extends Named {
  condition: MappedText;
  output: MappedText;
  description: string;
  priority: Priority;
  source: string;
  enabled: boolean;
  tags: readonly string[];
  warnEvttypes: boolean;
  skipIfUnknownFilter: boolean;
}

/** What the items of all files amount to: redefinitions, appends and overrides are done (R3 to R7). */
export class Definitions {
  readonly lists = new Map<string, ListDefinition>();
  readonly macros = new Map<string, MacroDefinition>();
  readonly rules = new Map<string, RuleDefinition>();
  readonly #diagnostics: Diagnostics;
  #count = 0;

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics;
  }

  /** Takes the next item. What is wrong with it becomes an error, and it is left out. */
  add(item: Item): void {
    const named = item.kind === 'list' || item.kind === 'macro' || item.kind === 'rule';
    const label =
      named && item.node(item.kind)?.kind === 'scalar' && item.scalar(item.kind)?.text !== ''
        ? item.label
        : undefined;
    collecting(this.#diagnostics, label, () => {
      this.#count += 1;
      switch (item.kind) {
        case 'required_engine_version':
          checkEngineVersion(item);
          return;
        case 'required_plugin_versions':
          checkPluginVersions(item);
          return;
        case 'list':
          this.#list(item);
          return;
        case 'macro':
          this.#macro(item);
          return;
        case 'rule':
          this.#rule(item);
      }
    });
  }

  #named(item: Item, known: Named | undefined): Named {
    const { name, place } = item;
    return { name, place, index: known?.index ?? this.#count, visibility: this.#count };
  }

  #list(item: Item): void {
    const known = this.lists.get(item.name);
    const changes = this.#changes(item, known, ['items']);
    const items = item.scalars('items');
    if (items === undefined) throw item.invalid("a list needs 'items'");
    if (!/^[a-zA-Z][a-zA-Z0-9_]*$/.test(item.name)) {
      this.#warnOfName(item, 'LOAD_INVALID_LIST_NAME');
    }
    if (changes === undefined || known === undefined) {
      this.lists.set(item.name, { ...this.#named(item, known), items });
      return;
    }
    known.items = changes.get('items') === 'append' ? [...known.items, ...items] : items;
    known.visibility = this.#count;
  }

  #macro(item: Item): void {
    const known = this.macros.get(item.name);
    const changes = this.#changes(item, known, ['condition']);
    const condition = requiredText(item, 'condition');
    if (!/^[a-zA-Z][a-zA-Z0-9_]*$/.test(item.name)) {
      this.#warnOfName(item, 'LOAD_INVALID_MACRO_NAME');
    }
    if (changes === undefined || known === undefined) {
      this.macros.set(item.name, { ...this.#named(item, known), condition });
      return;
    }
    known.condition =
      changes.get('condition') === 'append' ? appended(known.condition, condition) : condition;
    known.visibility = this.#count;
  }

  #warnOfName(item: Item, code: 'LOAD_INVALID_LIST_NAME' | 'LOAD_INVALID_MACRO_NAME'): void {
    this.#diagnostics.warn(
      code,
      `the name may hold only letters, digits and '_', and begins with a letter: conditions cannot refer to '${item.name}'`,
      item.scalar(item.kind)?.place ?? item.place,
      item.label,
    );
  }

  #rule(item: Item): void {
    const known = this.rules.get(item.name);
    this.#refuseExceptions(item);
    const changes = this.#changes(item, known, [
      'condition',
      'output',
      'desc',
      'tags',
      'exceptions',
      'priority',
      'capture',
      'capture_duration',
      'enabled',
      'warn_evttypes',
      'skip-if-unknown-filter',
    ]);
    if (changes !== undefined && known !== undefined) {
      this.#changeRule(item, known, changes);
      return;
    }
    if (!['condition', 'output', 'desc', 'priority'].some((key) => item.has(key))) {
      this.#enableOnly(item, known);
      return;
    }
    const source = item.scalar('source')?.text ?? 'syscall';
    if (known !== undefined && known.source !== source) {
      throw item.invalid(
        `rule "${item.name}" was defined for source '${known.source}' before`,
        item.keyPlace('source'),
      );
    }
    this.rules.set(item.name, {
      ...this.#named(item, known),
      // All four before the priority is looked at: which is missing counts first.
      condition: requiredText(item, 'condition'),
      output: requiredText(item, 'output').trim(),
      description: requiredText(item, 'desc').text.trim(),
      priority: readPriority(item),
      source,
      enabled: item.boolean('enabled', true),
      tags: readTags(item),
      warnEvttypes: item.boolean('warn_evttypes', true),
      skipIfUnknownFilter: item.boolean('skip-if-unknown-filter', false),
    });
  }

  /** Exceptions belong to the language's next part: a rule that has some must not load without them. */
  #refuseExceptions(item: Item): void {
    const node = item.node('exceptions');
    if (node === undefined || (node.kind === 'sequence' && node.items.length === 0)) return;
    if (node.kind === 'scalar' && node.isNull) return;
    const error = item.invalid("'exceptions' are not supported yet", item.keyPlace('exceptions'));
    this.#diagnostics.error('LOAD_ERR_NOT_YET', error.message, error.place, item.label);
  }

  #enableOnly(item: Item, known: RuleDefinition | undefined): void {
    if (!item.has('enabled')) {
      throw item.invalid("a rule needs 'condition', 'output', 'desc' and 'priority'");
    }
    if (known === undefined) throw item.invalid(`there is no rule "${item.name}" to enable`);
    this.#diagnostics.warn(
      'LOAD_DEPRECATED_ITEM',
      "a rule with 'enabled' alone is deprecated: add 'override: {enabled: replace}'",
      item.keyPlace('enabled'),
      item.label,
    );
    known.enabled = item.boolean('enabled', true);
  }

  #changeRule(item: Item, known: RuleDefinition, changes: Changes): void {
    const source = item.scalar('source')?.text;
    if (source !== undefined && source !== known.source) {
      throw item.invalid(
        `rule "${item.name}" is for source '${known.source}'`,
        item.keyPlace('source'),
      );
    }
    for (const [key, change] of changes) {
      const append = change === 'append';
      switch (key) {
        case 'condition':
        case 'output': {
          const text = requiredText(item, key);
          known[key] = append ? appended(known[key], text).trim() : text.trim();
          break;
        }
        case 'desc': {
          const text = requiredText(item, key).text.trim();
          known.description = append ? `${known.description} ${text}` : text;
          break;
        }
        case 'tags':
          known.tags = append ? [...new Set([...known.tags, ...readTags(item)])] : readTags(item);
          break;
        case 'priority':
          known.priority = readPriority(item);
          break;
        case 'enabled':
          known.enabled = item.boolean(key, true);
          break;
        case 'warn_evttypes':
          known.warnEvttypes = item.boolean(key, true);
          break;
        case 'skip-if-unknown-filter':
          known.skipIfUnknownFilter = item.boolean(key, false);
          break;
        default:
          break;
      }
    }
    known.visibility = this.#count;
  }

  /**
   * What an item changes of an earlier one, by key; undefined when it is a definition of its own. Throws
   * ItemError for a change to nothing, and for keys that `override` and the item do not agree on (R7).
   */
  #changes(
    item: Item,
    known: Named | undefined,
    changeable: readonly string[],
  ): Changes | undefined {
    const appends = item.boolean('append', false);
    if (!appends && !item.has('override')) return undefined;
    if (item.has('append') && item.has('override')) {
      throw item.invalid("'append' and 'override' cannot stand together", item.keyPlace('append'));
    }
    const changes: Changes = new Map();
    const given = item.keys().filter((key) => changeable.includes(key));
    if (appends) {
      this.#diagnostics.warn(
        'LOAD_DEPRECATED_ITEM',
        "'append' is deprecated: use 'override'",
        item.keyPlace('append'),
        item.label,
      );
      for (const key of given) changes.set(key, 'append');
    } else readOverride(item, given, changeable, changes);
    if (known === undefined) {
      const verb = appends ? 'append to' : 'override';
      throw item.invalid(
        `there is no ${item.kind} "${item.name}" to ${verb}: it must be defined before`,
      );
    }
    return changes;
  }
}

type Changes = Map<string, 'append' | 'replace'>;

/** Keys that hold one value have nothing to append to. */
const APPENDABLE: ReadonlySet<string> = new Set([
  'items',
  'condition',
  'output',
  'desc',
  'tags',
  'exceptions',
]);

function readOverride(
  item: Item,
  given: readonly string[],
  changeable: readonly string[],
  changes: Changes,
): void {
  const node = item.node('override');
  if (node?.kind !== 'map') {
    throw item.invalid(
      "'override' must be a map such as {condition: append}",
      item.keyPlace('override'),
    );
  }
  for (const { key, value } of node.entries) {
    const word = value.kind === 'scalar' ? value.text : '';
    if (!changeable.includes(key.text)) {
      throw item.invalid(`'override' cannot name '${key.text}' in a ${item.kind}`, key.place);
    }
    if (word !== 'append' && word !== 'replace') {
      throw item.invalid(`'${key.text}' must be 'append' or 'replace'`, value.place);
    }
    if (word === 'append' && !APPENDABLE.has(key.text)) {
      throw item.invalid(`'${key.text}' can be replaced but not appended to`, value.place);
    }
    if (!item.has(key.text)) {
      throw item.invalid(`'override' names '${key.text}', but the item has no such key`, key.place);
    }
    changes.set(key.text, word);
  }
  const unnamed = given.find((key) => !changes.has(key));
  if (unnamed !== undefined) {
    throw item.invalid(
      `Unexpected key '${unnamed}': no corresponding entry under 'override' is defined.`,
      item.keyPlace(unnamed),
    );
  }
}

function requiredText(item: Item, key: string): MappedText {
  const scalar = item.scalar(key);
  if (scalar === undefined) throw item.invalid(`a ${item.kind} needs '${key}'`);
  if (scalar.text.trim() === '') throw item.invalid(`'${key}' is empty`, item.keyPlace(key));
  return scalar.mapped();
}

function appended(before: MappedText, after: MappedText): MappedText {
  const blank = MappedText.at(' ', after.locate({ start: 0, end: 1 }));
  return MappedText.join([before, blank, after]);
}

const PRIORITY_WORDS: ReadonlyMap<string, Priority> = new Map([
  ...PRIORITIES.map((priority) => [priority.toLowerCase(), priority] as const),
  ['info', 'Informational'],
]);

/** A priority by its name in any case (R5); undefined when there is none of that name. */
export function parsePriority(word: string): Priority | undefined {
  return PRIORITY_WORDS.get(word.toLowerCase());
}

function readPriority(item: Item): Priority {
  const scalar = item.scalar('priority');
  if (scalar === undefined) throw item.invalid("a rule needs 'priority'");
  const priority = parsePriority(scalar.text);
  if (priority !== undefined) return priority;
  const close = nearestWord(scalar.text, PRIORITY_WORDS.keys());
  throw item.invalid(
    `Invalid priority '${scalar.text}'${close === undefined ? '' : `: did you mean '${close}'?`}`,
    scalar.place,
  );
}

function readTags(item: Item): readonly string[] {
  return [...new Set((item.scalars('tags') ?? []).map((tag) => tag.text))];
}
