import { createHash } from 'node:crypto';
import type { RuleSettings } from '../config/config.ts';
import { nearestWord } from '../shared/nearest.ts';
import { inTurns } from '../shared/turns.ts';
import { UserError } from '../shared/user-error.ts';
import type { SourcePosition } from '../shared/user-error.ts';
import { LanguageError } from './language/errors.ts';
import type { Definitions } from './loader/definitions.ts';
import { formatDiagnostic } from './loader/diagnostics.ts';
import type { Diagnostic } from './loader/diagnostics.ts';
import { loadSteps, readRuleBytes, toRuleSource } from './loader/load.ts';
import type { LoadOptions } from './loader/load.ts';
import { expandRulePaths } from './loader/rule-files.ts';
import { fitsAll, selects } from './loader/selection.ts';
import { compileOutput } from './output/format.ts';
import type { RuleSet } from './rule-set.ts';

/** Errors that a failure spells out; `varvel check` shows all. */
const MAX_ERRORS_SHOWN = 10;

/** What the configuration makes of the rule files, as they were when they were read. */
export interface ConfiguredRules {
  readonly ruleSet: RuleSet;
  /** What rules of an app's own can build on. */
  readonly definitions: Definitions;
  /** In the order of loading. */
  readonly files: readonly string[];
  /** SHA-256 of the files' bytes one after the other, as `cat FILES | sha256sum` prints it. */
  readonly digest: string;
  /** Sentences with their places, for the log. */
  readonly warnings: readonly string[];
}

/**
 * Loads the configured rules in turns of a few ms, or as long as one file takes to parse; others run in between.
 * Throws UserError with what is wrong, placed, when they do not load, or when no rule is enabled and `rulesAllowNone` is off.
 */
export async function loadConfiguredRules(settings: RuleSettings): Promise<ConfiguredRules> {
  checkAppendOutput(settings);
  const files = expandRulePaths(settings.rulesFiles);
  const digest = createHash('sha256');
  const sources = files.map((path) => {
    const bytes = readRuleBytes(path);
    digest.update(bytes);
    return toRuleSource(path, bytes);
  });
  const { ruleSet, definitions, errors, omittedErrors, warnings } = await inTurns(
    loadSteps(sources, loadOptions(settings)),
  );
  if (ruleSet === undefined) throw notLoaded(errors, omittedErrors);
  if (!settings.rulesAllowNone && !ruleSet.rules.some(({ enabled }) => enabled))
    throw noRules(settings, files, ruleSet.rules.length);
  return {
    ruleSet,
    definitions,
    files,
    digest: digest.digest('hex'),
    warnings: [
      ...warnings.map(formatDiagnostic),
      ...idleSelections(settings, ruleSet),
      ...idleResponses(settings, ruleSet),
    ],
  };
}

/** The settings as the loader takes them. */
export function loadOptions(settings: RuleSettings): LoadOptions {
  return {
    minimumPriority: settings.minimumPriority,
    selection: settings.ruleSelection,
    appendOutput: settings.appendOutput,
    outputStyle: settings.outputStyle,
  };
}

/** Throws UserError, at the entry in the configuration, when what it adds to outputs does not compile. */
export function checkAppendOutput({ appendOutput }: RuleSettings): void {
  for (const { extraOutput = '', extraFields = [], position } of appendOutput) {
    const formats = extraFields.flatMap((field) =>
      typeof field === 'string' ? [`%${field}`] : Object.values(field),
    );
    for (const format of [extraOutput, ...formats]) {
      try {
        compileOutput(format);
      } catch (error) {
        if (!(error instanceof LanguageError)) throw error;
        throw new UserError(
          `append_output: in ${JSON.stringify(format)}: ${error.message}. "varvel fields" lists the fields.`,
          position === undefined ? {} : { position },
        );
      }
    }
  }
}

function notLoaded(errors: readonly Diagnostic[], omitted: number): UserError {
  const shown = errors.slice(0, MAX_ERRORS_SHOWN).map(formatDiagnostic);
  const more = errors.length + omitted - shown.length;
  if (more > 0) shown.push(`${more} more errors: "varvel check" shows all.`);
  return new UserError(`The rules do not load:\n${shown.join('\n')}`);
}

/** Files that are empty by accident, or emptied by an intruder, would disable detection silently. */
function noRules(settings: RuleSettings, files: readonly string[], loaded: number): UserError {
  const where = files.length === 0 ? settings.rulesFiles.join(', ') : files.join(', ');
  const what =
    loaded === 0 ? 'contain no rule' : `contain ${loaded} rules, of which none is enabled`;
  return new UserError(
    `The rule files ${where} ${what}: the agent would watch nothing. Check rules_files, rules and minimum_priority. To run without rules of your own, set rules_allow_none: true.`,
  );
}

/** A mistyped name or tag would leave a rule as it is without a word. */
function idleSelections({ ruleSelection }: RuleSettings, { rules }: RuleSet): string[] {
  return ruleSelection.flatMap((selection) => {
    if (rules.some(selects(selection))) return [];
    const { enable, position } = selection;
    const entry = `entry of "rules" ${enable ? 'enables' : 'disables'} nothing`;
    return [warning(entry, missingOf(selection, rules), position)];
  });
}

/** A response that no detection can have. Only a warning: a host that is not watched at all is worse. */
function idleResponses({ responses }: RuleSettings, { rules }: RuleSet): string[] {
  return responses.flatMap(({ match, position }) => {
    if (rules.some((rule) => rule.enabled && fitsAll(match)(rule))) return [];
    const { rule, tag } = match;
    const missing = missingOf(
      {
        rule: rule !== undefined && !rules.some(fitsAll({ rule })) ? rule : undefined,
        tag: tag !== undefined && !rules.some(fitsAll({ tag })) ? tag : undefined,
      },
      rules,
    );
    const why = missing === '' ? 'no enabled rule fits all of its match.' : missing;
    return [warning('entry of "responses" answers nothing', why, position)];
  });
}

function warning(entry: string, missing: string, position: SourcePosition | undefined): string {
  const options = position === undefined ? {} : { position };
  return new UserError(`This ${entry}: ${missing}`, options).toDisplay();
}

/** That there is no such rule and no such tag, and which is like it; '' where nothing is asked for. */
function missingOf(
  { rule, tag }: { readonly rule?: string | undefined; readonly tag?: string | undefined },
  rules: RuleSet['rules'],
): string {
  const names = rules.map(({ name }) => name);
  const tags = rules.flatMap((one) => one.tags);
  const near =
    (rule === undefined ? undefined : nearestWord(rule, names)) ??
    (tag === undefined ? undefined : nearestWord(tag, tags));
  const says = [
    ...(rule === undefined ? [] : [`no loaded rule is called ${JSON.stringify(rule)}`]),
    ...(tag === undefined ? [] : [`no loaded rule has the tag ${JSON.stringify(tag)}`]),
  ];
  if (says.length === 0) return '';
  const hint = near === undefined ? '' : ` Did you mean ${JSON.stringify(near)}?`;
  return `${says.join(' and ')}.${hint}`;
}
