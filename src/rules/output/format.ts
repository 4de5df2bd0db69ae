import type { LeftOperand, TransformerOperand } from '../language/ast.ts';
import { LanguageError } from '../language/errors.ts';
import { parseArgumentAt, parseTransformerAt } from '../language/parser.ts';
import { FROM_EVENT, readOperand } from '../compile/read.ts';
import type { FieldSource } from '../compile/read.ts';
import type { Read } from '../compile/checked.ts';
import type { OutputValue } from '../detection.ts';
import type { View } from '../fields/field.ts';
import { findField, longestFieldAt } from '../fields/registry.ts';

/** A rule's output, ready to be filled in: literal text and fields by turns. */
export interface OutputFormat {
  /** One more than `fields`: the text before, between and after them. */
  readonly literals: readonly string[];
  readonly fields: readonly OutputField[];
}

interface OutputField {
  /** What the text has; undefined prints as absent. */
  readonly read: Read | undefined;
  /** What `output_fields` has: the fields themselves where the text has them transformed (S13). */
  readonly plain: readonly Read[];
  /** Text is padded with blanks or cut to this many characters. */
  readonly width: number | undefined;
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
  readonly text: string;
  readonly fields: Readonly<Record<string, OutputValue>>;
}

const ABSENT = '<NA>';

/**
 * Compiles `%field`, `%field[argument]`, `%20field` and `%tolower(field)` (O1). Throws LanguageError with
 * LOAD_ERR_COMPILE_OUTPUT and a span of `text`.
 */
export function compileOutput(text: string, source: FieldSource = FROM_EVENT): OutputFormat {
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
  return { literals, fields };
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
 * Fills in an output. Absent is `<NA>` in the text and null among the fields; evt.time is always there, and what
 * `extra` adds.
 */
export function formatOutput(
  format: OutputFormat,
  view: View,
  extra: readonly ExtraOutputField[] = [],
): FormattedOutput {
  const fields: Record<string, OutputValue> = { 'evt.time': view.event.timeNs };
  let text = format.literals[0] ?? '';
  for (const [index, { read, plain, width }] of format.fields.entries()) {
    const value = read === undefined ? undefined : outputValue(read, view);
    for (const one of plain) {
      if (one.key === 'evt.time') continue;
      fields[one.key] = (one === read ? value : outputValue(one, view)) ?? null;
    }
    const shown = textOf(value);
    text += width === undefined ? shown : toWidth(shown, width);
    text += format.literals[index + 1] ?? '';
  }
  for (const { key, format: own, raw } of extra) {
    const filled = formatOutput(own, view);
    const [only] = own.fields;
    fields[key] = raw ? (filled.fields[only?.plain[0]?.key ?? ''] ?? null) : filled.text;
  }
  return { text, fields };
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
