import type { Span } from './ast.ts';

/** What can be wrong with a rule file so that it is not loaded: Falco's codes. */
export const ERROR_CODES = [
  'LOAD_ERR_FILE_READ',
  'LOAD_ERR_YAML_PARSE',
  'LOAD_ERR_YAML_VALIDATE',
  'LOAD_ERR_COMPILE_CONDITION',
  'LOAD_ERR_COMPILE_OUTPUT',
  'LOAD_ERR_VALIDATE',
  'LOAD_ERR_EXTENSION',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** What is worth a word but loads: Falco's codes, and from LOAD_NEVER_MATCHES on ours. */
export const WARNING_CODES = [
  'LOAD_UNKNOWN_SOURCE',
  'LOAD_UNSAFE_NA_CHECK',
  'LOAD_NO_EVTTYPE',
  'LOAD_UNKNOWN_FILTER',
  'LOAD_UNUSED_MACRO',
  'LOAD_UNUSED_LIST',
  'LOAD_UNKNOWN_ITEM',
  'LOAD_DEPRECATED_ITEM',
  'LOAD_WARNING_EXTENSION',
  'LOAD_APPEND_NO_VALUES',
  'LOAD_EXCEPTION_NAME_NOT_UNIQUE',
  'LOAD_INVALID_MACRO_NAME',
  'LOAD_INVALID_LIST_NAME',
  'LOAD_COMPILE_CONDITION',
  'LOAD_UNKNOWN_KEY',
  'LOAD_NEVER_MATCHES',
  'LOAD_ABSENT_FIELD',
  'LOAD_NO_CAPTURE',
  'LOAD_EMPTY_FILE',
] as const;
export type WarningCode = (typeof WARNING_CODES)[number];

/** An error in a condition or an output, at a span of that text. The loader maps it to the file. */
export class LanguageError extends Error {
  override readonly name = 'LanguageError';
  readonly code: ErrorCode;
  readonly span: Span;
  /** The name does not exist at all, so `skip-if-unknown-filter` may skip the rule (R9). */
  readonly unknownName: boolean;

  constructor(code: ErrorCode, message: string, span: Span, unknownName = false) {
    super(message);
    this.code = code;
    this.span = span;
    this.unknownName = unknownName;
  }
}

/** Line and column of an offset, both from 1; the column counts UTF-16 units as editors do. */
export function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const at = Math.min(Math.max(offset, 0), text.length);
  let line = 1;
  let lineStart = 0;
  for (;;) {
    const newline = text.indexOf('\n', lineStart);
    if (newline < 0 || newline >= at) break;
    line += 1;
    lineStart = newline + 1;
  }
  return { line, column: at - lineStart + 1 };
}

/**
 * Text of a rule file that is safe to print: whoever wrote the file must not be able to drive the reader's terminal,
 * nor to break the line.
 */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    '\ufffd',
  );
}

const SNIPPET_WIDTH = 100;

/**
 * The line around an offset and a caret under it: two lines, at most 100 columns wide, safe to print
 * on a terminal. `length` is how far the underline goes; it stops at the end of the line.
 */
export function drawSnippet(text: string, offset: number, length = 1): string {
  const at = Math.min(Math.max(offset, 0), text.length);
  // At 0, lastIndexOf would look at the first character all the same.
  const lineStart = at === 0 ? 0 : text.lastIndexOf('\n', at - 1) + 1;
  const newline = text.indexOf('\n', at);
  const lineEnd = newline < 0 ? text.length : newline;
  const column = at - lineStart;
  const windowStart = lineStart + Math.max(0, column - SNIPPET_WIDTH / 2);
  const windowEnd = Math.min(lineEnd, windowStart + SNIPPET_WIDTH);
  const shown = printable(text.slice(windowStart, windowEnd).replace(/\t/g, ' '));
  const before = windowStart > lineStart ? '…' : '';
  const after = windowEnd < lineEnd ? '…' : '';
  const caretAt = before.length + (at - windowStart);
  const carets = Math.max(1, Math.min(length, windowEnd - at));
  return `${before}${shown}${after}\n${' '.repeat(caretAt)}${'^'.repeat(carets)}`;
}
