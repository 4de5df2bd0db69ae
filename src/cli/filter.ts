import { evaluateGiven } from '../rules/given/evaluate-given.ts';
import { GivenFieldError } from '../rules/given/given-fields.ts';
import type { Given } from '../rules/given/given-fields.ts';
import { drawSnippet, LanguageError, lineAndColumn } from '../rules/language/errors.ts';
import { parse } from '../rules/language/parser.ts';
import { print } from '../rules/language/printer.ts';
import { readRuleBytes } from '../rules/loader/load.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';
import { jsonDocument, reasonLine } from './reason-text.ts';

export interface FilterArgs {
  /** `parse EXPR` or `eval EXPR`. */
  readonly operands: readonly string[];
  /** eval: a JSON object of field values, or `@FILE`. */
  readonly fields: string | undefined;
  readonly json: boolean;
}

/**
 * `varvel filter parse|eval EXPR`: the canonical form of a condition, or what it is of given field values.
 * Resolves to the exit code: 0 it was parsed or evaluated, be it true or false; 1 something is wrong with it
 * or the fields. Throws UserError (exit code 2) for the command line.
 */
// Asynchronous like every command.
// eslint-disable-next-line @typescript-eslint/require-await
export async function runFilter(args: FilterArgs, io: Io): Promise<number> {
  const [verb, text, ...rest] = args.operands;
  if ((verb !== 'parse' && verb !== 'eval') || text === undefined || rest.length > 0) {
    throw new UserError(
      'Say varvel filter parse EXPR or varvel filter eval EXPR, EXPR in quotes.',
      {
        exitCode: 2,
      },
    );
  }
  try {
    if (verb === 'parse') {
      const ast = parse(text);
      const canonical = print(ast);
      io.stdout(args.json ? jsonDocument({ canonical, ast }) : `${canonical}\n`);
      return 0;
    }
    const result = evaluateGiven(text, readFields(args.fields));
    const warnings = result.warnings.map(({ code, message, span }) => {
      return { code, message, ...lineAndColumn(text, span.start) };
    });
    if (args.json) {
      io.stdout(jsonDocument({ result: result.holds, decidedBy: result.decidedBy, warnings }));
      return 0;
    }
    io.stdout(
      `${result.holds}\n${result.decidedBy.map((test) => `  ${reasonLine(test)}\n`).join('')}`,
    );
    for (const { code, message, line, column } of warnings) {
      io.stderr(`${line}:${column}: warning: ${message} (${code})\n`);
    }
    return 0;
  } catch (error) {
    if (error instanceof LanguageError) {
      const { code, message, span } = error;
      const place = lineAndColumn(text, span.start);
      if (args.json) io.stdout(jsonDocument({ error: { code, message, ...place } }));
      else {
        const snippet = drawSnippet(text, span.start, span.end - span.start);
        const indented = snippet.replace(/^/gm, '  ');
        io.stderr(`${place.line}:${place.column}: error: ${message} (${code})\n${indented}\n`);
      }
      return 1;
    }
    if (error instanceof GivenFieldError) {
      const { key, message } = error;
      if (args.json) io.stdout(jsonDocument({ error: { field: key, message } }));
      else io.stderr(`--fields: error: ${message}\n`);
      return 1;
    }
    throw error;
  }
}

function readFields(option: string | undefined): Readonly<Record<string, Given>> {
  if (option === undefined) return {};
  const text = option.startsWith('@')
    ? readRuleBytes(option.slice(1), 'file of --fields').toString('utf8')
    : option;
  let value: unknown;
  try {
    value = JSON.parse(exactIntegers(text));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(`--fields is not JSON: ${reason}.`, { exitCode: 2 });
  }
  return asGiven(value, '--fields');
}

/** Integers that JSON.parse would round, such as times in nanoseconds, as texts: fields take either. */
function exactIntegers(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|(?<![\w.+-])-?\d{16,}(?![\w.])/g, (token) =>
    token.startsWith('"') ? token : `"${token}"`,
  );
}

const isScalar = (value: unknown): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);

/** A JSON value as an event's fields. Throws UserError when it is none. */
function asGiven(value: unknown, what: string): Readonly<Record<string, Given>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UserError(`${what} must be an object such as {"proc.name": "cat"}.`, { exitCode: 2 });
  }
  for (const [key, item] of Object.entries(value) as [string, unknown][]) {
    const fine = item === null || isScalar(item) || (Array.isArray(item) && item.every(isScalar));
    if (!fine) {
      throw new UserError(`${what}: ${key} must be a value, a list of values or null.`, {
        exitCode: 2,
      });
    }
  }
  return value as Readonly<Record<string, Given>>;
}
