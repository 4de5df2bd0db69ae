import { DEFAULT_LIMITS } from '../language/operand-parser.ts';
import { ItemError } from './diagnostics.ts';
import type { ListDefinition } from './definitions.ts';
import { MappedText } from './source.ts';
import type { Place } from './source.ts';
import type { YamlScalar } from './yaml-node.ts';

/** Bounds: of one condition with its lists filled in, as the parser has it, and of all that is filled in. */
const MAX_FILLED_LENGTH = DEFAULT_LIMITS.maxLength;
const MAX_TOTAL_LENGTH = 4 * MAX_FILLED_LENGTH;
/** Items of all lists together, with those of the lists that they refer to. */
const MAX_ITEMS = 2_000_000;
/** Lists within each other; what is deeper stays a word. */
const MAX_NESTED_LISTS = 100;

const BLANKS = ' \t\b\r\n';
const DELIMITERS = `${BLANKS}(),=`;

/** An item as it stands in a condition: in quotes when it holds a blank and has none of its own (R10). */
function quoted(item: string): string {
  return needsQuotes(item) ? `"${item}"` : item;
}

/** Like an item of a list, of a text that knows where it is from. */
export function quotedItem(item: MappedText): MappedText {
  if (!needsQuotes(item.text)) return item;
  const quote = MappedText.at('"', item.locate({ start: 0, end: 1 }));
  return MappedText.join([quote, item, quote]);
}

function needsQuotes(item: string): boolean {
  return item.includes(' ') && !item.startsWith('"') && !item.startsWith("'");
}

/**
 * Fills lists into conditions (R10): a name between delimiters that is a list's becomes its items. Within quotes
 * nothing is filled in. Items that are lists' names are filled in too, wherever those are defined (S15).
 */
export class ListFiller {
  readonly #lists: ReadonlyMap<string, ListDefinition>;
  /** Names that hold blanks or other delimiters, longest first: words do not find them. */
  readonly #oddNames: readonly string[];
  readonly #filled = new Map<string, string>();
  #items = 0;
  #length = 0;
  /** Lists that a condition or another list refers to. */
  readonly used = new Set<string>();

  constructor(lists: ReadonlyMap<string, ListDefinition>) {
    this.#lists = lists;
    this.#oddNames = [...lists.keys()]
      .filter((name) => !isListName(name))
      .sort((a, b) => b.length - a.length);
    for (const { items, visibility } of lists.values()) {
      for (const { text } of items) {
        const other = lists.get(text);
        if (other !== undefined && other.index < visibility) this.used.add(text);
      }
    }
  }

  /** Throws ItemError when the lists make the condition too long. */
  fill(condition: MappedText): MappedText {
    const pieces: MappedText[] = [];
    const { text } = condition;
    let copied = 0;
    let length = text.length;
    for (const { name, start, end } of this.#names(text)) {
      this.used.add(name);
      const place = condition.locate({ start, end });
      const items = this.#textOf(name, []);
      let from = start;
      let to = end;
      if (items === '') {
        // An empty list takes a comma with it, the one before if there is one.
        while (from > copied && BLANKS.includes(text.charAt(from - 1))) from -= 1;
        while (to < text.length && BLANKS.includes(text.charAt(to))) to += 1;
        if (from > copied && text.charAt(from - 1) === ',') from -= 1;
        else if (text.charAt(to) === ',') to += 1;
      }
      length += items.length - (to - from);
      this.#length += items.length;
      if (length > MAX_FILLED_LENGTH || this.#length > MAX_TOTAL_LENGTH) {
        throw new ItemError(
          'LOAD_ERR_VALIDATE',
          length > MAX_FILLED_LENGTH
            ? `with list '${name}' filled in, the condition is longer than ${MAX_FILLED_LENGTH} characters`
            : `the lists filled into all conditions come to more than ${MAX_TOTAL_LENGTH} characters`,
          place,
        );
      }
      // Blanks keep an empty list from joining what stands around it.
      pieces.push(
        condition.slice(copied, from),
        items === ''
          ? MappedText.at(' ', place)
          : MappedText.at(items, place, (offset) => this.#locate(name, offset, [])),
      );
      copied = to;
    }
    if (pieces.length === 0) return condition;
    pieces.push(condition.slice(copied));
    return MappedText.join(pieces);
  }

  /** A list's items as they stand in a condition. */
  #textOf(name: string, within: readonly string[]): string {
    const known = this.#filled.get(name);
    if (known !== undefined) return known;
    const list = this.#lists.get(name);
    if (list === undefined) return name;
    let filled = '';
    for (const item of list.items) {
      this.#items += 1;
      const { text, isList } = this.#textOfItem(item, name, within);
      if (isList) this.used.add(item.text);
      filled += separator(filled.length, text, isList) + text;
      if (filled.length > MAX_FILLED_LENGTH || this.#items > MAX_ITEMS) {
        throw new ItemError(
          'LOAD_ERR_VALIDATE',
          filled.length > MAX_FILLED_LENGTH
            ? `list '${name}' is longer than ${MAX_FILLED_LENGTH} characters`
            : `the lists have more than ${MAX_ITEMS} items, with those of the lists in them`,
          item.place,
        );
      }
    }
    // Also in a cycle of lists, where the content depends on the list that is expanded first.
    this.#filled.set(name, filled);
    return filled;
  }

  #textOfItem(
    { text }: YamlScalar,
    name: string,
    within: readonly string[],
  ): { readonly text: string; readonly isList: boolean } {
    // In a cycle of lists the name that closes it is a plain word.
    const isList = this.#lists.has(text) && text !== name;
    const isOpen = isList && (within.includes(text) || within.length >= MAX_NESTED_LISTS);
    return {
      text: isList && !isOpen ? this.#textOf(text, [...within, name]) : quoted(text),
      isList,
    };
  }

  /** The place of the item, maybe of a list in the list, that the filled in text has at `offset`. */
  #locate(name: string, offset: number, within: readonly string[]): Place {
    const list = this.#lists.get(name);
    if (list === undefined) throw new Error(`no list ${name}`);
    let length = 0;
    for (const item of list.items) {
      const { text, isList } = this.#textOfItem(item, name, within);
      const start = length + separator(length, text, isList).length;
      length = start + text.length;
      if (offset >= length) continue;
      const at = Math.max(0, offset - start);
      if (isList && text !== quoted(item.text))
        return this.#locate(item.text, at, [...within, name]);
      const bare = text.length === item.text.length ? at : at - 1;
      const inItem = Math.min(Math.max(0, bare), item.text.length - 1);
      return item.mapped().locate({ start: inItem, end: inItem + 1 });
    }
    return list.place;
  }

  /** The names of lists between delimiters, outside of quotes. */
  *#names(text: string): Generator<{ name: string; start: number; end: number }> {
    let at = 0;
    while (at < text.length) {
      const odd = this.#oddNames.find(
        (name) => text.startsWith(name, at) && isDelimited(text, at, at + name.length),
      );
      if (odd !== undefined) {
        yield { name: odd, start: at, end: at + odd.length };
        at += odd.length;
        continue;
      }
      const char = text.charAt(at);
      if (char === '"' || char === "'") {
        at = endOfString(text, at);
        continue;
      }
      WORD.lastIndex = at;
      if (!WORD.test(text)) {
        at += 1;
        continue;
      }
      const end = WORD.lastIndex;
      if (isDelimited(text, at, end)) {
        const name = text.slice(at, end);
        if (this.#lists.has(name)) yield { name, start: at, end };
      }
      at = end;
    }
  }
}

/** What stands before an item: as in Falco, the first one that is not empty has no comma. */
function separator(length: number, text: string, isList: boolean): string {
  return length === 0 || (text === '' && isList) ? '' : ', ';
}

const WORD = /[^ \t\b\r\n(),="']+/y;

/** Is it a name that a condition can hold as one word? */
export function isListName(name: string): boolean {
  return /^[^()"'\s=,]+$/.test(name);
}

function isDelimited(text: string, start: number, end: number): boolean {
  return (
    (start === 0 || DELIMITERS.includes(text.charAt(start - 1))) &&
    (end >= text.length || DELIMITERS.includes(text.charAt(end)))
  );
}

/** After the string that begins at `start`: it ends where the parser has it end. */
function endOfString(text: string, start: number): number {
  const quote = text.charAt(start);
  let close = text.indexOf(quote, start + 1);
  while (close > start + 1 && text.charAt(close - 1) === '\\')
    close = text.indexOf(quote, close + 1);
  return close < 0 ? text.length : close + 1;
}
