import type { LeftOperand, TransformerName } from '../language/ast.ts';
import { TRANSFORMERS } from '../language/ast.ts';
import { LanguageError, notYet } from '../language/errors.ts';
import { readOperand } from '../compile/check.ts';
import type { Read } from '../compile/checked.ts';
import type { OutputValue } from '../detection.ts';
import type { Value, View } from '../fields/field.ts';
import { longestFieldAt } from '../fields/registry.ts';

/** A rule's output, ready to be filled in: literal text and fields by turns. */
export interface OutputFormat {
  /** One more than `fields`: the text before, between and after them. */
  readonly literals: readonly string[];
  readonly fields: readonly OutputField[];
}

interface OutputField {
  /** Key in `output_fields`: the field as written, without transformers. */
  readonly key: string;
  readonly read: Read;
  /** What `output_fields` holds: the field itself where the text has it transformed (S13). */
  readonly plain: Read;
  /** Text is padded with blanks or cut to this many characters. */
  readonly width: number | undefined;
}

/** Filled in: the text is not escaped and holds what processes chose. */
export interface FormattedOutput {
  readonly text: string;
  readonly fields: Readonly<Record<string, OutputValue>>;
}

const ABSENT = '<NA>';

/**
 * Compiles `%field`, `%field[argument]`, `%20field` and `%tolower(field)` (O1). Throws LanguageError with
 * LOAD_ERR_COMPILE_OUTPUT or LOAD_ERR_NOT_YET and a span of `text`.
 */
export function compileOutput(text: string): OutputFormat {
  const literals: string[] = [];
  const fields: OutputField[] = [];
  let literalStart = 0;
  for (let at = text.indexOf('%'); at >= 0; at = text.indexOf('%', literalStart)) {
    literals.push(text.slice(literalStart, at));
    const { field, end } = compileField(text, at);
    fields.push(field);
    literalStart = end;
  }
  literals.push(text.slice(literalStart));
  return { literals, fields };
}

function compileField(text: string, percent: number): { field: OutputField; end: number } {
  let at = percent + 1;
  const digits = /\d{0,5}/y;
  digits.lastIndex = at;
  const width = digits.exec(text)?.[0] ?? '';
  at += width.length;
  const open: TransformerName[] = [];
  for (;;) {
    const name = TRANSFORMERS.find((word) => text.startsWith(`${word}(`, at));
    if (name === undefined) break;
    open.push(name);
    at += name.length + 1;
  }
  const nameStart = at;
  const length = longestFieldAt(text, at);
  if (length === 0) {
    const word = /[A-Za-z0-9_.]*/y;
    word.lastIndex = at;
    const shown = word.exec(text)?.[0] ?? '';
    throw new LanguageError(
      'LOAD_ERR_COMPILE_OUTPUT',
      shown === '' ? "'%' must be followed by a field" : `nonexistent field ${shown} in the output`,
      { start: percent, end: at + Math.max(shown.length, 1) },
      shown !== '',
    );
  }
  at += length;
  const name = text.slice(nameStart, at);
  let argument: string | undefined;
  if (text.charAt(at) === '[') {
    const close = text.indexOf(']', at);
    if (close < 0) {
      throw new LanguageError('LOAD_ERR_COMPILE_OUTPUT', "expected ']' in the output", {
        start: at,
        end: at + 1,
      });
    }
    argument = text.slice(at + 1, close).replace(/^(["'])(.*)\1$/s, '$2');
    at = close + 1;
  }
  for (const transformer of open) {
    if (text.charAt(at) !== ')') {
      throw new LanguageError(
        'LOAD_ERR_COMPILE_OUTPUT',
        `expected ')' to close ${transformer}( in the output`,
        { start: at, end: at + 1 },
      );
    }
    at += 1;
  }
  const span = { start: percent, end: at };
  // Only a transformer that is known to print something: len() prints <NA> in Falco (S13).
  if (open.includes('len')) throw notYet('len() in an output', span);
  const plainOperand: LeftOperand = { kind: 'field', name, argument, span };
  const operand = open.reduceRight<LeftOperand>(
    (inner, transformer) => ({
      kind: 'transformer',
      name: transformer,
      operands: [inner],
      argument: undefined,
      span,
    }),
    plainOperand,
  );
  const plain = readForOutput(plainOperand);
  return {
    field: {
      key: plain.key,
      read: open.length === 0 ? plain : readForOutput(operand),
      plain,
      width: width === '' ? undefined : Number(width),
    },
    end: at,
  };
}

function readForOutput(operand: LeftOperand): Read {
  try {
    return readOperand(operand);
  } catch (error) {
    if (!(error instanceof LanguageError) || error.code === 'LOAD_ERR_NOT_YET') throw error;
    throw new LanguageError(
      'LOAD_ERR_COMPILE_OUTPUT',
      error.message,
      error.span,
      error.unknownName,
    );
  }
}

/** Fills in an output. Absent is `<NA>` in the text and null among the fields; evt.time is always there. */
export function formatOutput(format: OutputFormat, view: View): FormattedOutput {
  const fields: Record<string, OutputValue> = { 'evt.time': view.event.timeNs };
  let text = format.literals[0] ?? '';
  for (const [index, field] of format.fields.entries()) {
    const value = outputValue(field.read, view);
    const plain = field.plain === field.read ? value : outputValue(field.plain, view);
    if (field.key !== 'evt.time') fields[field.key] = toOutput(plain);
    const shown = value === undefined || value === null ? ABSENT : String(value);
    text += field.width === undefined ? shown : toWidth(shown, field.width);
    text += format.literals[index + 1] ?? '';
  }
  return { text, fields };
}

function outputValue(read: Read, view: View): Value | OutputValue | undefined {
  return read.reader.shape === 'any' ? read.reader.output(view) : read.reader.read(view);
}

function toOutput(value: Value | OutputValue | undefined): OutputValue {
  return value ?? null;
}

function toWidth(text: string, width: number): string {
  const chars = Array.from(text);
  return chars.length > width
    ? chars.slice(0, width).join('')
    : text + ' '.repeat(width - chars.length);
}
