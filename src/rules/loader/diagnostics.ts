import { drawSnippet, printable } from '../language/errors.ts';
import type { ErrorCode, LanguageError, WarningCode } from '../language/errors.ts';
import { lineAt } from './source.ts';
import type { Place } from './source.ts';

/** Errors and warnings that are kept of each kind; those past it are counted. */
export const MAX_DIAGNOSTICS = 1000;

/** An item of a rule file that something is wrong with. */
export interface Owner {
  /** `rule`, `macro`, `list`, `required_engine_version`… */
  readonly kind: string;
  /** '' when it has none. */
  readonly name: string;
  readonly place: Place;
}

/** A point in a rule file: line and column from 1, as editors count, the offset from 0, in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
  readonly offset: number;
}

/** Something wrong with a rule file, or worth a word, at a place in it. */
export interface Diagnostic extends Position {
  readonly severity: 'error' | 'warning';
  readonly code: ErrorCode | WarningCode;
  /** What is wrong, without position. */
  readonly message: string;
  readonly file: string;
  /** The line of the file and a caret under the place; safe to print. */
  readonly snippet: string;
  /** `rule "Shell in app container"`; undefined outside of an item. */
  readonly item: string | undefined;
  /** The item and where it begins; undefined outside of one. */
  readonly owner:
    | ({ readonly kind: string; readonly name: string; readonly file: string } & Position)
    | undefined;
}

/** Collects what is found while loading: errors and warnings in the order of their finding. */
export class Diagnostics {
  readonly errors: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];
  /** How many more there were than MAX_DIAGNOSTICS. */
  omittedErrors = 0;
  omittedWarnings = 0;

  error(code: ErrorCode, message: string, place: Place, owner?: Owner): void {
    if (this.isFull) this.omittedErrors += 1;
    else this.errors.push(diagnostic('error', code, message, place, owner));
  }

  warn(code: WarningCode, message: string, place: Place, owner?: Owner): void {
    if (this.warnings.length >= MAX_DIAGNOSTICS) this.omittedWarnings += 1;
    else this.warnings.push(diagnostic('warning', code, message, place, owner));
  }

  /** So many errors that to look for more helps nobody. */
  get isFull(): boolean {
    return this.errors.length >= MAX_DIAGNOSTICS;
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

/** `file:line:column: error: message (CODE)`, and the snippet below. Safe to print. */
export function formatDiagnostic(found: Diagnostic): string {
  const item = found.item === undefined ? '' : `in ${found.item}: `;
  const head = printable(
    `${found.file}:${found.line}:${found.column}: ${found.severity}: ${item}${found.message} (${found.code})`,
  );
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
  owner: Owner | undefined,
): Diagnostic {
  return {
    severity,
    code,
    message,
    file: place.source.name,
    ...positionOf(place),
    snippet: snippetOf(place),
    item: owner === undefined ? undefined : labelOf(owner),
    owner:
      owner === undefined
        ? undefined
        : {
            kind: owner.kind,
            name: owner.name,
            file: owner.place.source.name,
            ...positionOf(owner.place),
          },
  };
}

function labelOf({ kind, name }: Owner): string {
  return name === '' ? kind : `${kind} "${name}"`;
}

function positionOf({ source, start }: Place): Position {
  const { line, column } = lineAt(source, start);
  return { line, column, offset: start };
}

/** Drawn from the line alone, and from no more of it than a snippet shows: a file may be one long line. */
function snippetOf({ source, start, end }: Place): string {
  const line = lineAt(source, start);
  const at = Math.min(Math.max(start, line.start), line.end);
  const from = Math.max(line.start, at - 80);
  return drawSnippet(source.text.slice(from, Math.min(line.end, at + 160)), at - from, end - start);
}

/** An error of a condition or an output, at its place in the file. */
export function atPlace(
  error: LanguageError,
  text: { locate(span: LanguageError['span']): Place },
): ItemError {
  return new ItemError(error.code, error.message, text.locate(error.span));
}
