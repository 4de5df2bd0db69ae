import { ItemError } from './diagnostics.ts';
import type { Diagnostics } from './diagnostics.ts';
import { misshapen, NoSuchItem } from './items.ts';
import type { Item } from './items.ts';
import { isListName } from './lists.ts';
import { readOverrides } from './overrides.ts';
import type { Overridable } from './overrides.ts';
import { madeRule, takeRule } from './rule-definitions.ts';
import type { RuleDefinition } from './rule-definitions.ts';
import { MappedText } from './source.ts';
import type { Place } from './source.ts';
import { isOlder, readEngineVersion, readPlugins } from './versions.ts';
import type { PluginAlternatives, Version } from './versions.ts';
import type { YamlScalar } from './yaml-node.ts';

/** What lists, macros and rules have in common. */
export interface Named {
  readonly name: string;
  readonly place: Place;
  /** Place in the order of definitions: the first one's stays (R6). */
  readonly index: number;
  /** The last time it was touched: it sees what is defined before (R11). */
  visibility: number;
}

export interface ListDefinition extends Named {
  readonly items: YamlScalar[];
}

export interface MacroDefinition extends Named {
  /** What was appended to each other: texts, not conditions (R7). */
  readonly condition: MappedText[];
}

const LIST_OVERRIDES: Overridable = { append: ['items'], replace: ['items'] };
const MACRO_OVERRIDES: Overridable = { append: ['condition'], replace: ['condition'] };

/** What the items of all files amount to: redefinitions, appends and overrides are done (R3 to R7). */
export class Definitions {
  readonly lists = new Map<string, ListDefinition>();
  readonly macros = new Map<string, MacroDefinition>();
  readonly rules = new Map<string, RuleDefinition>();
  readonly plugins: PluginAlternatives[] = [];
  /** The newest one that was asked for. */
  engineVersion: Version | undefined;
  /** Where that was. */
  enginePlace: Place | undefined;
  /** Macros whose own items are wrong: that they are missing is no error of those that refer to them. */
  readonly brokenMacros = new Set<string>();
  readonly #broken = new Set<string>();
  #count = 0;

  /** A copy to build on: additions to it, or to its rules' exceptions, do not change the original. */
  copy(): Definitions {
    const copy = new Definitions();
    for (const [name, list] of this.lists) copy.lists.set(name, list);
    for (const [name, macro] of this.macros) copy.macros.set(name, macro);
    for (const [name, rule] of this.rules) {
      const exceptions = rule.exceptions.map((one) => ({ ...one, values: [...one.values] }));
      copy.rules.set(name, { ...rule, exceptions });
    }
    copy.#count = this.#count;
    return copy;
  }

  /** A copy in which these lists, which must be there, have more items at their ends. */
  withListItems(added: ReadonlyMap<string, readonly YamlScalar[]>): Definitions {
    const copy = this.copy();
    for (const [name, more] of added) {
      const list = copy.lists.get(name);
      if (list !== undefined) copy.lists.set(name, { ...list, items: [...list.items, ...more] });
    }
    return copy;
  }

  /** Adds a rule that is in no file, with the condition alone. */
  addRule(name: string, condition: string): void {
    this.#count += 1;
    const source = { name: '', text: condition };
    const place = { source, start: 0, end: 1 };
    const definition = madeRule(name, MappedText.at(condition, place), place, this.#count);
    this.rules.set(name, definition);
  }

  /** Takes the next item. What is wrong with it becomes an error, and it is left out. */
  add(item: Item, diagnostics: Diagnostics): void {
    this.#count += 1;
    try {
      this.#take(item, diagnostics);
    } catch (error) {
      if (!(error instanceof ItemError)) throw error;
      const { kind, name } = item.owner;
      const known = error instanceof NoSuchItem && this.#broken.has(`${kind} ${name}`);
      if (!known) diagnostics.error(error.code, error.message, error.place, item.owner);
      this.#broken.add(`${kind} ${name}`);
      if (kind === 'macro') this.brokenMacros.add(name);
    }
    item.warnOfKeys(diagnostics);
  }

  #take(item: Item, diagnostics: Diagnostics): void {
    switch (item.kind) {
      case 'required_engine_version': {
        const version = readEngineVersion(item);
        if (this.engineVersion === undefined || isOlder(this.engineVersion, version)) {
          this.engineVersion = version;
          this.enginePlace = item.place;
        }
        return;
      }
      case 'required_plugin_versions':
        for (const plugin of readPlugins(item)) this.plugins.push(plugin);
        return;
      case 'list':
        this.#list(item, diagnostics);
        return;
      case 'macro':
        this.#macro(item, diagnostics);
        return;
      case 'rule':
        takeRule(item, this.rules, this.#count, diagnostics);
    }
  }

  #list(item: Item, diagnostics: Diagnostics): void {
    const { name, place } = item;
    if (!isListName(name)) {
      diagnostics.warn(
        'LOAD_INVALID_LIST_NAME',
        `a list's name should hold no blanks, quotes, parentheses, commas or equal signs: '${name}'`,
        item.scalar('list')?.place ?? place,
        item.owner,
      );
    }
    const items = item.scalars('items');
    if (items === undefined) throw misshapen("a list needs 'items'", place);
    if (appendsTo(item, 'items', LIST_OVERRIDES, diagnostics)) {
      const known = existing(item, this.lists.get(name));
      for (const value of items) known.items.push(value);
      known.visibility = this.#count;
      return;
    }
    this.lists.set(name, { ...this.#named(item, this.lists.get(name)), items: [...items] });
  }

  #macro(item: Item, diagnostics: Diagnostics): void {
    const { name, place } = item;
    if (!/^[a-zA-Z]+[a-zA-Z0-9_]*$/.test(name)) {
      diagnostics.warn(
        'LOAD_INVALID_MACRO_NAME',
        `a macro's name may hold only letters, digits and '_', and begins with a letter: conditions cannot refer to '${name}'`,
        item.scalar('macro')?.place ?? place,
        item.owner,
      );
    }
    const condition = item.required('condition', 'a macro').mapped();
    if (appendsTo(item, 'condition', MACRO_OVERRIDES, diagnostics)) {
      const known = existing(item, this.macros.get(name));
      known.condition.push(condition);
      known.visibility = this.#count;
      return;
    }
    this.macros.set(name, {
      ...this.#named(item, this.macros.get(name)),
      condition: [condition],
    });
  }

  #named(item: Item, known: Named | undefined): Named {
    const { name, place } = item;
    return { name, place, index: known?.index ?? this.#count, visibility: this.#count };
  }
}

/** Does a list or a macro add to an earlier one? Otherwise it is one of its own, `replace` or not. */
function appendsTo(
  item: Item,
  key: string,
  overridable: Overridable,
  diagnostics: Diagnostics,
): boolean {
  const overrides = readOverrides(item, overridable, diagnostics);
  return overrides === 'append' || overrides?.append.has(key) === true;
}

function existing<T>(item: Item, known: T | undefined): T {
  if (known !== undefined) return known;
  throw new NoSuchItem(item, 'append to');
}

/** Texts that were appended to each other as one, with a blank between. */
export function appended(texts: readonly MappedText[]): MappedText {
  const pieces = texts.flatMap((text, index) =>
    index === 0 ? [text] : [MappedText.at(' ', text.locate({ start: 0, end: 1 })), text],
  );
  return MappedText.join(pieces);
}
