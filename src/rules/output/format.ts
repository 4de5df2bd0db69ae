import type { LeftOperand, Span, TransformerOperand } from '../language/ast.ts';
import { LanguageError } from '../language/errors.ts';
import { parseArgumentAt, parseTransformerAt } from '../language/parser.ts';
import { FROM_EVENT, readOperand } from '../compile/read.ts';
import type { FieldSource } from '../compile/read.ts';
import type { Read } from '../compile/checked.ts';
import {
  MAX_OUTPUT_BYTES,
  MAX_OUTPUT_FIELDS,
  MAX_OUTPUT_FIELDS_BYTES,
  MAX_VALUE_BYTES,
} from '../detection.ts';
import type { OutputValue } from '../detection.ts';
import type { View } from '../fields/field.ts';
import { findField, longestFieldAt } from '../fields/registry.ts';
import { cutList, cutText } from './bounded-text.ts';
import { labelOf, Word } from './words.ts';

/** A rule's output, ready to be filled in: literal text and fields by turns. */
export interface OutputFormat {
  /** One more than `fields`: the text before, between and after them. */
  readonly literals: readonly string[];
  readonly fields: readonly OutputField[];
  /** What the words read beside their own fields, by name. */
  readonly beside: ReadonlyMap<string, Read>;
  /** Whether `output_fields` has all fields, and evt.time; else none of a word that was left out, and evt.time where it is named. */
  readonly keepsFields: boolean;
}

/** `short` leaves out words of the details that say nothing, and their fields (O5); `falco` prints `<NA>` and what is repeated, as Falco does. */
export type OutputStyle = 'short' | 'falco';

export interface OutputField {
  /** Where it stands in the output's text. */
  readonly span: Span;
  /** What the text has; undefined prints as absent. */
  readonly read: Read | undefined;
  /** What `output_fields` has: the fields themselves where the text has them transformed (S13). */
  readonly plain: readonly Read[];
  /** Text is padded with blanks or cut to this many characters, and to MAX_VALUE_BYTES at most. */
  readonly width: number | undefined;
  /** Present if short outputs may leave out the field and the name before it. */
  readonly word?: Word;
}

/** A key of `output_fields` that the output's text does not have (O4). */
export interface ExtraOutputField {
  readonly key: string;
  readonly format: OutputFormat;
  /** The value is that of the format's one field, typed; otherwise it is the text, filled in. */
  readonly raw: boolean;
}

/** Filled in: the text is not escaped and holds what processes chose. */
export interface FormattedOutput {
  /** At most MAX_OUTPUT_BYTES of UTF-8. */
  readonly text: string;
  /** At most MAX_OUTPUT_FIELDS of them, of MAX_OUTPUT_FIELDS_BYTES. */
  readonly fields: Readonly<Record<string, OutputValue>>;
  /** Something was cut or left out. */
  readonly truncated: boolean;
}

const ABSENT = '<NA>';

/**
 * Compiles `%field`, `%field[argument]`, `%20field` and `%tolower(field)` (O1). Throws LanguageError with
 * LOAD_ERR_COMPILE_OUTPUT and a span of `text`.
 */
export function compileOutput(
  text: string,
  source: FieldSource = FROM_EVENT,
  style: OutputStyle = 'short',
): OutputFormat {
  const literals: string[] = [];
  const fields: OutputField[] = [];
  let literalStart = 0;
  for (let at = text.indexOf('%'); at >= 0; at = text.indexOf('%', literalStart)) {
    literals.push(text.slice(literalStart, at));
    const { field, end } = compileField(text, at, source);
    fields.push(field);
    literalStart = end;
  }
  literals.push(text.slice(literalStart));
  if (style === 'falco') return { literals, fields, beside: new Map(), keepsFields: true };
  const withWords = findWords(literals, fields);
  const span = { start: 0, end: 0 };
  const beside = new Map<string, Read>();
  for (const name of withWords.flatMap(({ word }) => word?.reads ?? []))
    beside.set(name, readOperand({ kind: 'field', name, argument: undefined, span }, source));
  return { literals, fields: withWords, beside, keepsFields: false };
}

function findWords(
  literals: readonly string[],
  fields: readonly OutputField[],
): readonly OutputField[] {
  // What is cut or changed does not show a value.
  const whole = fields.filter(
    ({ read, width }) => read?.field !== undefined && width === undefined,
  );
  const keys = new Set(whole.map(({ read }) => read?.key ?? ''));
  let isDetail = false;
  return fields.map((field, index) => {
    const before = literals[index] ?? '';
    isDetail ||= before.includes('|');
    const { read, width } = field;
    if (!isDetail || width !== undefined || read?.field === undefined) return field;
    const label = labelOf(before, literals[index + 1] ?? '');
    return label === undefined ? field : { ...field, word: new Word(label, read.key, keys) };
  });
}

function compileField(
  text: string,
  percent: number,
  source: FieldSource,
): { field: OutputField; end: number } {
  const digits = /\d{0,5}/y;
  digits.lastIndex = percent + 1;
  const width = Number(digits.exec(text)?.[0] ?? '');
  const at = digits.lastIndex;
  const bare = asOutputError(() => parseTransformerAt(text, at)) ?? plainField(text, percent, at);
  const { operand, read, end } = asOutputError(() => longestRead(text, percent, bare, source));
  const plain = operand.kind === 'field' ? [read] : readPlain(operand, source);
  const field: OutputField = {
    span: { start: percent, end },
    // Falco prints no number that a transformer makes (S13).
    read: operand.kind === 'transformer' && read.kind !== 'text' ? undefined : read,
    plain,
    // A width of 0 is none.
    width: width === 0 ? undefined : width,
  };
  return { field, end };
}

interface Placed {
  readonly operand: LeftOperand;
  readonly end: number;
}

/**
 * Brackets are the operand's argument where they can be, and text where they cannot: `%proc.name[%proc.pid]` is two
 * fields. Throws LanguageError.
 */
function longestRead(
  text: string,
  percent: number,
  bare: Placed,
  source: FieldSource,
): Placed & { readonly read: Read } {
  const takesOne = bare.operand.kind === 'field' || bare.operand.name === 'getopt';
  const bracket = takesOne ? parseArgumentAt(text, bare.end) : undefined;
  if (bracket === undefined) return { ...bare, read: readShown(bare.operand, source) };
  const span = { start: percent, end: bracket.end };
  const whole = { ...bare.operand, argument: bracket.argument, span };
  try {
    return { operand: whole, end: bracket.end, read: readShown(whole, source) };
  } catch (error) {
    if (!(error instanceof LanguageError)) throw error;
    try {
      return { ...bare, read: readShown(bare.operand, source) };
    } catch {
      throw error;
    }
  }
}

/** A field that is for conditions only is absent in outputs, as in Falco. */
function readShown(operand: LeftOperand, source: FieldSource): Read {
  const read = readOperand(operand, source);
  const filterOnly = findField(read.field ?? '')?.field.filterOnly === true;
  return filterOnly ? { ...read, reader: { shape: 'single', read: () => undefined } } : read;
}

function plainField(text: string, percent: number, nameStart: number): Placed {
  const end = nameStart + longestFieldAt(text, nameStart);
  if (end === nameStart) {
    const word = /[A-Za-z0-9_.]*/y;
    word.lastIndex = nameStart;
    const shown = word.exec(text)?.[0] ?? '';
    throw new LanguageError(
      'LOAD_ERR_COMPILE_OUTPUT',
      shown === '' ? "'%' must be followed by a field" : `nonexistent field ${shown} in the output`,
      { start: percent, end: nameStart + Math.max(shown.length, 1) },
      // To Falco any token that is no field is one that it does not know, but none at all is wrong in any case.
      nameStart < text.length,
    );
  }
  const span = { start: percent, end };
  const name = text.slice(nameStart, end);
  return { operand: { kind: 'field', name, argument: undefined, span }, end };
}

/** The fields that a transformer is over: what `output_fields` has in its place (S13). */
function readPlain(operand: TransformerOperand, source: FieldSource): readonly Read[] {
  switch (operand.kind) {
    case 'text':
      return [];
    case 'field':
      return [readOperand(operand, source)];
    case 'operands':
      return operand.items.flatMap((item) => readPlain(item, source));
    case 'transformer':
      return operand.operands.flatMap((inner) => readPlain(inner, source));
  }
}

function asOutputError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof LanguageError)) throw error;
    // Whatever is wrong with a field, to Falco it is one that it does not know.
    throw new LanguageError('LOAD_ERR_COMPILE_OUTPUT', error.message, error.span, true);
  }
}

/**
 * Fills in an output. Absent is `<NA>` in the text and null among the fields, but for words that are left out (O5). What
 * `extra` adds is always there. Whoever wrote the rule and whatever the event holds, the text and the fields stay within their bounds.
 */
export function formatOutput(
  format: OutputFormat,
  view: View,
  extra: readonly ExtraOutputField[] = [],
): FormattedOutput {
  return new Filling(view).fill(format, extra);
}

/** One output that is being filled in. */
class Filling {
  readonly #view: View;
  /** What was read: an output may have the same field thousands of times. */
  readonly #values = new Map<string, OutputValue | undefined>();
  readonly #fields: Record<string, OutputValue> = {};
  #text = '';
  #textBytes = 0;
  #count = 0;
  #fieldsBytes = 0;
  #truncated = false;

  constructor(view: View) {
    this.#view = view;
  }

  fill(format: OutputFormat, extra: readonly ExtraOutputField[]): FormattedOutput {
    const beside = (name: string): OutputValue | undefined => {
      const read = format.beside.get(name);
      return read && this.#valueOf(read);
    };
    const { timeNs } = this.#view.event;
    if (format.keepsFields) this.#setField('evt.time', timeNs);
    for (const [index, { read, plain, width, word }] of format.fields.entries()) {
      const value = read && this.#valueOf(read);
      const saysNothing = word?.saysNothing(value, beside) === true;
      const isLeftOut = saysNothing && !format.keepsFields && !word.isOnlyAmongFields;
      for (const one of isLeftOut ? [] : plain)
        this.#addField(one.key, one.key === 'evt.time' ? timeNs : this.#valueOf(one));
      // Fields are still of use when the text is full.
      if (this.#textBytes > MAX_OUTPUT_BYTES) continue;
      const before = format.literals[index] ?? '';
      if (saysNothing) {
        this.#addText(before.slice(0, -word.label.length));
        continue;
      }
      const shown = textOf(value);
      this.#addText(before);
      this.#addText(width === undefined ? shown : toWidth(shown, Math.min(width, MAX_VALUE_BYTES)));
    }
    this.#addText(format.literals.at(-1) ?? '');
    for (const { key, format: own, raw } of extra) {
      const filled = formatOutput(own, this.#view);
      const [only] = own.fields;
      if (filled.truncated) this.#truncated = true;
      const value = raw ? filled.fields[only?.plain[0]?.key ?? ''] : this.#cut(filled.text);
      this.#setField(key, value ?? null);
    }
    const text = cutText(this.#text, MAX_OUTPUT_BYTES);
    return { text, fields: this.#fields, truncated: this.#truncated };
  }

  /** One piece more than fits is taken, so that there is something to cut. */
  #addText(piece: string): void {
    if (this.#textBytes > MAX_OUTPUT_BYTES) return;
    const bounded = cutText(piece, MAX_OUTPUT_BYTES);
    this.#text += bounded;
    this.#textBytes += Buffer.byteLength(bounded);
    if (bounded !== piece || this.#textBytes > MAX_OUTPUT_BYTES) this.#truncated = true;
  }

  /** The first value of a key stays. */
  #addField(key: string, value: OutputValue = null): void {
    if (Object.hasOwn(this.#fields, key)) return;
    this.#setField(key, value);
  }

  #setField(key: string, value: OutputValue): void {
    const bytes = Buffer.byteLength(key) + bytesOf(value);
    const isFull =
      this.#count >= MAX_OUTPUT_FIELDS || this.#fieldsBytes + bytes > MAX_OUTPUT_FIELDS_BYTES;
    if (isFull) {
      this.#truncated = true;
      return;
    }
    this.#count += 1;
    this.#fieldsBytes += bytes;
    this.#fields[key] = value;
  }

  #valueOf(read: Read): OutputValue | undefined {
    if (this.#values.has(read.key)) return this.#values.get(read.key);
    const value = this.#cut(outputValue(read, this.#view));
    this.#values.set(read.key, value);
    return value;
  }

  #cut<T extends OutputValue | undefined>(value: T): T | string | readonly string[] {
    if (typeof value !== 'string' && !Array.isArray(value)) return value;
    const bounded =
      typeof value === 'string'
        ? cutText(value, MAX_VALUE_BYTES)
        : cutList(value as readonly string[], MAX_VALUE_BYTES);
    if (bounded !== value) this.#truncated = true;
    return bounded;
  }
}

function bytesOf(value: OutputValue): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  // A number has at most 20 digits.
  return Array.isArray(value)
    ? value.reduce<number>((sum, item) => sum + Buffer.byteLength(String(item)), 0)
    : 20;
}

function outputValue(read: Read, view: View): OutputValue | undefined {
  const { reader } = read;
  if (reader.shape === 'any') return reader.output(view);
  const value = reader.read(view);
  return typeof value === 'object' ? value.map(String) : value;
}

function textOf(value: OutputValue | undefined): string {
  if (value === undefined || value === null) return ABSENT;
  return typeof value === 'object' ? `(${value.join(',')})` : String(value);
}

function toWidth(text: string, width: number): string {
  const chars = Array.from(text);
  return chars.length > width
    ? chars.slice(0, width).join('')
    : text + ' '.repeat(width - chars.length);
}
