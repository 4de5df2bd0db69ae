import { isAlias, isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { Document, Scalar } from 'yaml';
import { MappedText } from './source.ts';
import type { Place, RuleSource } from './source.ts';

/** Bounds of a rule file. */
const MAX_NODES = 200_000;
const MAX_DEPTH = 32;

/** A YAML value with its place: all that the loader knows of YAML. */
export type YamlNode = YamlScalar | YamlSequence | YamlMap;

export interface YamlScalar {
  readonly kind: 'scalar';
  /** As written, unquoted and unfolded; '' for null. */
  readonly text: string;
  readonly isNull: boolean;
  readonly place: Place;
  /** The text with the place of each character. */
  mapped(): MappedText;
}

export interface YamlSequence {
  readonly kind: 'sequence';
  readonly items: readonly YamlNode[];
  readonly place: Place;
}

export interface YamlEntry {
  readonly key: YamlScalar;
  readonly value: YamlNode;
}

export interface YamlMap {
  readonly kind: 'map';
  readonly entries: readonly YamlEntry[];
  readonly place: Place;
}

/** What is wrong with the YAML of a file. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

/** Reads a file's documents; an empty one is left out. Throws YamlError at the first thing wrong. */
export function readYaml(source: RuleSource): YamlNode[] {
  let documents: Document.Parsed[];
  try {
    // Keys may repeat in Falco's files: which one counts is the reader's business.
    const parsed = parseAllDocuments(source.text, {
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'silent',
    });
    documents = Array.isArray(parsed) ? parsed : [];
  } catch (error) {
    throw new YamlError(error instanceof RangeError ? 'too deeply nested' : String(error), {
      source,
      start: 0,
      end: 1,
    });
  }
  const nodes: YamlNode[] = [];
  const budget = { nodes: MAX_NODES };
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) {
      const [start, end] = error.pos;
      throw new YamlError(firstLine(error.message), { source, start, end });
    }
    const { contents } = document;
    if (contents === null) continue;
    const node = new Reader(source, document, budget).read(contents, 0);
    if (node.kind === 'scalar' && node.isNull) continue;
    nodes.push(node);
  }
  return nodes;
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}

/** @internal */
class Reader {
  readonly #source: RuleSource;
  readonly #document: Document.Parsed;
  readonly #budget: { nodes: number };

  constructor(source: RuleSource, document: Document.Parsed, budget: { nodes: number }) {
    this.#source = source;
    this.#document = document;
    this.#budget = budget;
  }

  read(node: unknown, depth: number): YamlNode {
    const place = this.#place(node);
    this.#budget.nodes -= 1;
    // Aliases can make a small file mean an endless one.
    if (this.#budget.nodes < 0) throw new YamlError(`more than ${MAX_NODES} values`, place);
    if (depth > MAX_DEPTH) throw new YamlError('too deeply nested', place);
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target === undefined) throw new YamlError(`unknown alias *${node.source}`, place);
      return this.read(target, depth + 1);
    }
    if (isScalar(node)) return this.#scalar(node, place);
    if (isSeq(node)) {
      return {
        kind: 'sequence',
        place,
        items: node.items.map((item) => this.read(item, depth + 1)),
      };
    }
    if (isMap(node)) {
      const entries = node.items.map(({ key, value }): YamlEntry => {
        const read = this.read(key, depth + 1);
        if (read.kind !== 'scalar') throw new YamlError('a key must be a word', read.place);
        return { key: read, value: value === null ? nullAfter(read) : this.read(value, depth + 1) };
      });
      return { kind: 'map', place, entries };
    }
    throw new YamlError('not a value', place);
  }

  #scalar(node: Scalar, place: Place): YamlScalar {
    const isNull = node.value === null;
    // What a plain scalar is written as counts, not what YAML makes of it: `022` and `1e3` are texts here.
    const text = isNull
      ? ''
      : typeof node.value === 'string'
        ? node.value
        : (node.source ?? String(node.value));
    const { type } = node;
    return {
      kind: 'scalar',
      text,
      isNull,
      place,
      mapped: () => mapScalar(text, place, type),
    };
  }

  #place(node: unknown): Place {
    const range =
      typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
        ? (node.range as readonly unknown[])
        : [];
    const [start, end] = range;
    const from = typeof start === 'number' ? start : 0;
    return { source: this.#source, start: from, end: typeof end === 'number' ? end : from + 1 };
  }
}

function nullAfter(key: YamlScalar): YamlScalar {
  const place = { ...key.place, start: key.place.end };
  return { kind: 'scalar', text: '', isNull: true, place, mapped: () => MappedText.at('', place) };
}

/**
 * Finds each character of a scalar's value in the file. Folding and quoting change blanks and escapes only: the
 * characters that show stand in the file in the same order, so walking both side by side finds them.
 */
function mapScalar(text: string, place: Place, type: Scalar.Type | null | undefined): MappedText {
  const file = place.source.text;
  const double = type === 'QUOTE_DOUBLE';
  let at = place.start;
  if (type === 'BLOCK_FOLDED' || type === 'BLOCK_LITERAL') {
    // Past the header: `>-`, and a comment after it.
    const newline = file.indexOf('\n', place.start);
    at = newline < 0 ? place.end : newline + 1;
  } else if (double || type === 'QUOTE_SINGLE') at += 1;
  const offsets = new Int32Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const char = text.charAt(index);
    if (isBlank(char)) {
      offsets[index] = Math.min(at, place.end);
      if (file.charAt(at) === char) at += 1;
      else if (double && isEscape(file, at)) at += escapeLength(file, at);
      continue;
    }
    while (at < place.end && isBlank(file.charAt(at))) at += 1;
    // A backslash at the end of a line joins it with the next one.
    while (double && file.charAt(at) === '\\' && !isEscape(file, at)) {
      at += 1;
      while (at < place.end && isBlank(file.charAt(at))) at += 1;
    }
    offsets[index] = Math.min(at, place.end);
    if (double && isEscape(file, at)) at += escapeLength(file, at);
    else if (type === 'QUOTE_SINGLE' && file.startsWith("''", at)) at += 2;
    else at += 1;
  }
  return MappedText.of(text, place.source, offsets);
}

function isBlank(char: string): boolean {
  return char === ' ' || char === '\t' || char === '\n' || char === '\r';
}

/** A backslash that stands for a character, not one at the end of a line. */
function isEscape(file: string, at: number): boolean {
  return file.charAt(at) === '\\' && !/^[\r\n]?$/.test(file.charAt(at + 1));
}

function escapeLength(file: string, at: number): number {
  switch (file.charAt(at + 1)) {
    case 'x':
      return 4;
    case 'u':
      return 6;
    case 'U':
      return 10;
    default:
      return 2;
  }
}
