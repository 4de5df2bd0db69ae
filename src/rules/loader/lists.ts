import { ItemError } from './diagnostics.ts';
import type { ListDefinition } from './definitions.ts';
import { MappedText } from './source.ts';

/** Longest text of a condition with its lists filled in: as much as the parser takes. */
const MAX_FILLED_LENGTH = 262_144;

/**
 * Fills lists into conditions (R10): a word between delimiters that is a list's name becomes its items.
 * Words within quotes are left alone. Items that are lists' names are filled in too, wherever those are
 * defined (S15).
 */
export class ListFiller {
  readonly #lists: ReadonlyMap<string, ListDefinition>;
  readonly #filled = new Map<string, readonly string[]>();
  readonly used = new Set<string>();

  constructor(lists: ReadonlyMap<string, ListDefinition>) {
    this.#lists = lists;
  }

  /** Throws ItemError when lists refer to each other in a ring or make the condition too long. */
  fill(condition: MappedText): MappedText {
    const pieces: MappedText[] = [];
    const { text } = condition;
    let copied = 0;
    let length = text.length;
    for (const { word, start, end } of words(text)) {
      if (!this.#lists.has(word)) continue;
      this.used.add(word);
      const place = condition.locate({ start, end });
      const items = this.#items(word, []);
      let from = start;
      let to = end;
      // An empty list takes a comma with it, the one before if there is one.
      if (items.length === 0) {
        const before = /,[ \t\b\r\n]*$/.exec(text.slice(copied, start));
        const after = /^[ \t\b\r\n]*,/.exec(text.slice(end));
        if (before !== null) from -= before[0].length;
        else if (after !== null) to += after[0].length;
      }
      const filled = items.join(', ');
      length += filled.length - (to - from);
      if (length > MAX_FILLED_LENGTH) {
        throw new ItemError(
          'LOAD_ERR_VALIDATE',
          `with list '${word}' filled in, the condition is longer than ${MAX_FILLED_LENGTH} characters`,
          place,
        );
      }
      pieces.push(condition.slice(copied, from), MappedText.at(filled, place));
      copied = to;
    }
    if (pieces.length === 0) return condition;
    pieces.push(condition.slice(copied));
    return MappedText.join(pieces.filter((piece) => piece.text !== ''));
  }

  /** A list's items as they stand in a condition. */
  #items(name: string, within: readonly string[]): readonly string[] {
    const known = this.#filled.get(name);
    if (known !== undefined) return known;
    const list = this.#lists.get(name);
    if (list === undefined) return [name];
    if (within.includes(name) || within.length > 100) {
      throw new ItemError('LOAD_ERR_VALIDATE', `list '${name}' refers to itself`, list.place);
    }
    const items: string[] = [];
    let length = 0;
    for (const item of list.items) {
      const isList = item.text !== name && this.#lists.has(item.text);
      if (isList) this.used.add(item.text);
      const filled = isList ? this.#items(item.text, [...within, name]) : [quoted(item.text)];
      for (const text of filled) {
        length += text.length + 2;
        items.push(text);
      }
      if (length > MAX_FILLED_LENGTH) {
        throw new ItemError(
          'LOAD_ERR_VALIDATE',
          `list '${name}' is longer than ${MAX_FILLED_LENGTH} characters`,
          item.place,
        );
      }
    }
    this.#filled.set(name, items);
    return items;
  }
}

/** The words between blanks, parentheses, commas and equal signs, outside of quotes. */
function* words(text: string): Generator<{ word: string; start: number; end: number }> {
  const token = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^ \t\b\r\n(),="']+|["']/gs;
  for (const match of text.matchAll(token)) {
    const [word] = match;
    const start = match.index;
    const end = start + word.length;
    // Glued to a quote it is part of a longer word.
    if (/["']/.test(text.charAt(start - 1) + text.charAt(end))) continue;
    if (/^["']/.test(word)) continue;
    yield { word, start, end };
  }
}

/** Items with blanks are quoted, unless the file did so already. */
function quoted(item: string): string {
  if (item === '') return '""';
  if (!/[ \t\r\n]/.test(item) || /^["']/.test(item)) return item;
  return item.includes('"') && !item.includes("'") ? `'${item}'` : `"${item}"`;
}
