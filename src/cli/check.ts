import { isTooManyEvents } from '../rules/compile/infer.ts';
import { isEventName, unreportedText } from '../rules/fields/events.ts';
import { describeCode } from '../rules/loader/code-descriptions.ts';
import { formatDiagnostic } from '../rules/loader/diagnostics.ts';
import type { Diagnostic, Position } from '../rules/loader/diagnostics.ts';
import { loadRules, readRuleFile } from '../rules/loader/load.ts';
import type { LoadResult } from '../rules/loader/load.ts';
import { engineNotes, RELEASED_ENGINE } from '../rules/loader/other-engine.ts';
import type { EngineNote } from '../rules/loader/other-engine.ts';
import { expandRulePaths } from '../rules/loader/rule-files.ts';
import { formatVersion, parseVersion } from '../rules/loader/versions.ts';
import type { Version } from '../rules/loader/versions.ts';
import { printable } from '../rules/language/errors.ts';
import { ruleNeeds } from '../rules/rule-set.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';

export interface CheckArgs {
  /** Rule files, in the order in which they build on each other; a folder stands for the files in it. */
  readonly files: readonly string[];
  /** One JSON document for machines instead of text. */
  readonly json: boolean;
  /** Of a Falco that is to load them too: `0.62.0`. */
  readonly engine?: string | undefined;
}

/**
 * `varvel check FILE…`: loads rule files as the agent would and says what is wrong with them. Resolves to the
 * exit code: 0 the files load, 1 they have errors or `engine` would not load them, 2 no file was named or one cannot be read.
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
  const engine = args.engine === undefined ? undefined : parseVersion(args.engine);
  if (args.engine !== undefined && engine === undefined) {
    io.stderr(`--engine ${args.engine.slice(0, 100)}: an engine version is such as 0.62.0.\n`);
    return 2;
  }
  let files: readonly string[];
  let result: LoadResult;
  try {
    files = expandRulePaths(args.files);
    result = loadRules(files.map(readRuleFile));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (args.json) io.stdout(`${JSON.stringify(unreadable(args.files, error), undefined, 2)}\n`);
    else io.stderr(`${error.toDisplay()}\n`);
    return 2;
  }
  const notes = engineNotes(
    result.definitions,
    result.ruleSet?.rules ?? [],
    engine ?? RELEASED_ENGINE,
  );
  if (args.json) io.stdout(toJson(result, engine ?? RELEASED_ENGINE, notes));
  else io.stdout(toText(files, result) + (engine === undefined ? '' : notesText(engine, notes)));
  return result.errors.length > 0 || (engine !== undefined && notes.length > 0) ? 1 : 0;
}

function toText(files: readonly string[], result: LoadResult): string {
  const found = [...result.errors, ...result.warnings];
  const details = found.map((diagnostic) => `${formatDiagnostic(diagnostic)}\n\n`).join('');
  const errors = result.errors.length + result.omittedErrors;
  const warnings = result.warnings.length + result.omittedWarnings;
  const omitted = result.omittedErrors + result.omittedWarnings;
  const more = omitted === 0 ? '' : `${omitted} more errors and warnings are not shown.\n\n`;
  const counts = `${count(errors, 'error')}, ${count(warnings, 'warning')}`;
  const where = files.join(', ');
  const rules = `${result.loadedRules} of ${count(result.definedRules, 'rule')}`;
  if (result.ruleSet === undefined) {
    return `${details}${more}${where}: not loaded: ${counts}; ${rules} would load.\n`;
  }
  const disabled = result.ruleSet.rules.filter((rule) => !rule.enabled).length;
  const others = `${count(result.definedMacros, 'macro')}, ${count(result.definedLists, 'list')}`;
  const events = [...ruleNeeds(result.ruleSet)].sort().join(', ');
  const unseen = unseenEvents(result.ruleSet).map(unreportedText).join(', ');
  return (
    `${details}${more}Events they need: ${events === '' ? 'none' : events}.\n` +
    (unseen === '' ? '' : `Events they name that the agent does not report: ${unseen}.\n`) +
    `${where}: ok: ${rules} loaded, ${disabled} of them disabled; ${others}; ${counts}.\n`
  );
}

function notesText(engine: Version, notes: readonly EngineNote[]): string {
  const falco = `A Falco of engine ${formatVersion(engine)}`;
  if (notes.length === 0) return `${falco} would load them.\n`;
  const lines = notes.map(({ file, line, item, message }) =>
    printable(`  ${file}:${line}: ${item} ${message}`),
  );
  return `${falco} would not load them:\n${lines.join('\n')}\n`;
}

/** Events that enabled rules are about and the probe does not report: for these no rule ever fires. */
function unseenEvents({ rules }: RuleSet): string[] {
  const named = rules
    .filter(({ enabled, events }) => enabled && !isTooManyEvents(events))
    .flatMap(({ events }) => [...events].filter((event) => !isEventName(event)));
  return [...new Set(named)].sort();
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Falco's validation result (R15), one a file, and beside it what we know of all files together. */
function toJson(result: LoadResult, engine: Version, notes: readonly EngineNote[]): string {
  const { ruleSet } = result;
  const document = {
    falco_load_results: result.files.map(({ name, errors, warnings }) => ({
      name,
      successful: errors.length === 0,
      errors: errors.map(diagnosticJson),
      warnings: warnings.map(diagnosticJson),
      schema_valid: ![...errors, ...warnings].some(isOfSchema),
      schema_warnings: [...errors, ...warnings].filter(isOfSchema).map(({ message }) => message),
    })),
    summary: {
      successful: result.errors.length === 0,
      errors: result.errors.length + result.omittedErrors,
      warnings: result.warnings.length + result.omittedWarnings,
      rules: {
        defined: result.definedRules,
        loaded: result.loadedRules,
        disabled: ruleSet?.rules.filter((rule) => !rule.enabled).length ?? 0,
      },
      macros: result.definedMacros,
      lists: result.definedLists,
      required_engine_version: result.requiredEngineVersion ?? null,
      events: ruleSet === undefined ? [] : [...ruleNeeds(ruleSet)].sort(),
      events_not_seen: ruleSet === undefined ? [] : unseenEvents(ruleSet),
      falco: {
        engine: formatVersion(engine),
        loads: ruleSet !== undefined && notes.length === 0,
        notes,
      },
    },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** What is wrong with the shape of a file: keys, kinds of items, types of values. */
function isOfSchema({ code }: Diagnostic): boolean {
  return ['LOAD_ERR_YAML_VALIDATE', 'LOAD_UNKNOWN_ITEM', 'LOAD_UNKNOWN_KEY'].includes(code);
}

function diagnosticJson(found: Diagnostic): object {
  const { code, message, snippet } = found;
  return {
    code,
    codedesc: describeCode(code),
    message,
    context: { locations: locationsOf(found), snippet },
  };
}

/** From the file to the item to the very place, as Falco has it; lines and columns are from 1. */
function locationsOf(found: Diagnostic): object[] {
  const { owner, file, offset } = found;
  const locations = [
    location('rules content', '', owner?.file ?? file, { line: 1, column: 1, offset: 0 }),
  ];
  if (owner !== undefined) {
    locations.push(location(owner.kind.replaceAll('_', ' '), owner.name, owner.file, owner));
    if (owner.file === file && owner.offset === offset) return locations;
  }
  locations.push(location(itemType(found), '', file, found));
  return locations;
}

function itemType({ code }: Diagnostic): string {
  switch (code) {
    case 'LOAD_ERR_COMPILE_CONDITION':
    case 'LOAD_COMPILE_CONDITION':
    case 'LOAD_NO_EVTTYPE':
      return 'condition expression';
    case 'LOAD_ERR_COMPILE_OUTPUT':
      return 'rule output expression';
    case 'LOAD_UNKNOWN_ITEM':
      return 'rules content item';
    default:
      return 'value for';
  }
}

function location(
  type: string,
  name: string,
  file: string,
  { line, column, offset }: Position,
): object {
  return {
    item_type: type,
    item_name: name,
    position: { name: file, line, column, offset },
  };
}

function unreadable(files: readonly string[], error: UserError): object {
  const file = error.position?.file ?? files.join(', ');
  const code = 'LOAD_ERR_FILE_READ';
  const failed = {
    code,
    codedesc: describeCode(code),
    message: error.message,
    context: {
      locations: [location('rules content', '', file, { line: 1, column: 1, offset: 0 })],
      snippet: '',
    },
  };
  return {
    falco_load_results: [{ name: file, successful: false, errors: [failed], warnings: [] }],
    summary: { successful: false, errors: 1, warnings: 0 },
  };
}
