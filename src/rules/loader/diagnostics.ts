import { drawSnippet, LanguageError, lineAndColumn } from '../language/errors.ts';
import type { ErrorCode, WarningCode } from '../language/errors.ts';
import type { Place } from './source.ts';

/** Something wrong with a rule file, or worth a word, at a place in it. */
export interface Diagnostic {
  readonly severity: 'error' | 'warning';
  readonly code: ErrorCode | WarningCode;
  /** What is wrong, without position. */
  readonly message: string;
  readonly file: string;
  /** From 1, as editors count. */
  readonly line: number;
  readonly column: number;
  /** The line of the file and a caret under the place; safe to print. */
  readonly snippet: string;
  /** `rule "Shell in app container"`; undefined outside of an item. */
  readonly item: string | undefined;
}

/** Collects what is found while loading: errors and warnings in the order of their finding. */
export class Diagnostics {
  readonly errors: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];

  error(code: ErrorCode, message: string, place: Place, item?: string): void {
    this.errors.push(diagnostic('error', code, message, place, item));
  }

  warn(code: WarningCode, message: string, place: Place, item?: string): void {
    this.warnings.push(diagnostic('warning', code, message, place, item));
  }
}

/** Stops the reading of one item: the place is in a file. @internal to the loader */
export class ItemError extends Error {
  override readonly name = 'ItemError';
  readonly code: ErrorCode;
  readonly place: Place;

  constructor(code: ErrorCode, message: string, place: Place) {
    super(message);
    this.code = code;
    this.place = place;
  }
}

/** Runs `read`; what goes wrong in it becomes an error of the item. Undefined when something did. */
export function collecting<T>(
  diagnostics: Diagnostics,
  item: string | undefined,
  read: () => T,
): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ItemError)) throw error;
    diagnostics.error(error.code, error.message, error.place, item);
    return undefined;
  }
}

/** `file:line:column: error: message (CODE)`, and the snippet below. */
export function formatDiagnostic(found: Diagnostic): string {
  const item = found.item === undefined ? '' : `in ${found.item}: `;
  const head = `${found.file}:${found.line}:${found.column}: ${found.severity}: ${item}${found.message} (${found.code})`;
  const snippet = found.snippet
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
  return `${head}\n${snippet}`;
}

function diagnostic(
  severity: Diagnostic['severity'],
  code: ErrorCode | WarningCode,
  message: string,
  place: Place,
  item: string | undefined,
): Diagnostic {
  const { text, name } = place.source;
  return {
    severity,
    code,
    message,
    file: name,
    ...lineAndColumn(text, place.start),
    snippet: drawSnippet(text, place.start, place.end - place.start),
    item,
  };
}

/** An error of a condition or an output, at its place in the file. */
export function atPlace(
  error: LanguageError,
  text: { locate(span: LanguageError['span']): Place },
): ItemError {
  return new ItemError(error.code, error.message, text.locate(error.span));
}
