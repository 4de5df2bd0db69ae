import { formatDiagnostic } from '../rules/loader/diagnostics.ts';
import type { Diagnostic } from '../rules/loader/diagnostics.ts';
import { loadRules, readRuleFile } from '../rules/loader/load.ts';
import type { LoadResult } from '../rules/loader/load.ts';
import { ruleNeeds } from '../rules/rule-set.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';

export interface CheckArgs {
  /** Rule files, in the order in which they build on each other. */
  readonly files: readonly string[];
  /** One JSON document for machines instead of text. */
  readonly json: boolean;
}

/**
 * `varvel check FILE…`: loads rule files as the agent would and says what is wrong with them. Resolves to the
 * exit code: 0 the files load, 1 they have errors, 2 no file was named or one cannot be read.
 */
// Asynchronous like every command.
// eslint-disable-next-line @typescript-eslint/require-await
export async function runCheck(
  args: CheckArgs,
  io: Pick<Io, 'stdout' | 'stderr'>,
): Promise<number> {
  if (args.files.length === 0) {
    io.stderr('Name at least one rule file: varvel check FILE…\n');
    return 2;
  }
  let result: LoadResult;
  try {
    result = loadRules(args.files.map(readRuleFile));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (args.json) io.stdout(`${JSON.stringify(unreadable(args.files, error), undefined, 2)}\n`);
    else io.stderr(`${error.toDisplay()}\n`);
    return 2;
  }
  io.stdout(args.json ? toJson(args.files, result) : toText(args.files, result));
  return result.errors.length === 0 ? 0 : 1;
}

function toText(files: readonly string[], result: LoadResult): string {
  const found = [...result.errors, ...result.warnings];
  const details = found.map((diagnostic) => `${formatDiagnostic(diagnostic)}\n\n`).join('');
  const counts = `${count(result.errors.length, 'error')}, ${count(result.warnings.length, 'warning')}`;
  const where = files.join(', ');
  const rules = `${result.loadedRules} of ${count(result.definedRules, 'rule')}`;
  if (result.ruleSet === undefined) {
    return `${details}${where}: not loaded: ${counts}; ${rules} would load.\n`;
  }
  const disabled = result.ruleSet.rules.filter((rule) => !rule.enabled).length;
  const events = [...ruleNeeds(result.ruleSet)].sort().join(', ');
  return (
    `${details}${where}: ok: ${rules} loaded, ${disabled} of them disabled; ${counts}.\n` +
    `Events they need: ${events === '' ? 'none' : events}.\n`
  );
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Falco's validation result (R15), as far as its keys go. */
function toJson(files: readonly string[], result: LoadResult): string {
  const document = {
    name: files.join(', '),
    successful: result.errors.length === 0,
    errors: result.errors.map(diagnosticJson),
    warnings: result.warnings.map(diagnosticJson),
    rules: { defined: result.definedRules, loaded: result.loadedRules },
    events: result.ruleSet === undefined ? [] : [...ruleNeeds(result.ruleSet)].sort(),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function diagnosticJson(found: Diagnostic): object {
  const { code, message, file, line, column, snippet, item } = found;
  return {
    code,
    message,
    context: {
      locations: [{ item_name: item ?? '', position: { name: file, line, column } }],
      snippet,
    },
  };
}

function unreadable(files: readonly string[], error: UserError): object {
  return {
    name: files.join(', '),
    successful: false,
    errors: [
      {
        code: 'LOAD_ERR_FILE_READ',
        message: error.message,
        context: {
          locations: [{ item_name: '', position: { name: error.position?.file ?? '' } }],
          snippet: '',
        },
      },
    ],
    warnings: [],
  };
}
