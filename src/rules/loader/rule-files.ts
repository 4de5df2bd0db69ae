import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentConfig } from '../../config/config.ts';
import type { Logger } from '../../shared/logger.ts';
import { UserError } from '../../shared/user-error.ts';
import type { RuleSet } from '../rule-set.ts';
import { formatDiagnostic } from './diagnostics.ts';
import { loadRules, readRuleFile } from './load.ts';

/**
 * The rule files that paths name: a file is itself, a folder its `*.yaml` and `*.yml` in the order of their names
 * (hidden ones left out). Throws UserError for a folder without any, and for one that cannot be read; whether a
 * file can be read shows when it is.
 */
export function expandRulePaths(paths: readonly string[]): readonly string[] {
  return paths.flatMap((path) => {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
    let names: string[];
    try {
      names = readdirSync(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      throw new UserError(`The rule folder ${path} cannot be read (${code}).`, { cause: error });
    }
    const files = names.filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort();
    if (files.length === 0) {
      throw new UserError(
        `The rule folder ${path} has no *.yaml file. Put one there or name another path in rules_files.`,
      );
    }
    return files.map((name) => join(path, name));
  });
}

/** Loads the configured rules; throws UserError with every error, placed, if there is one. */
export function loadConfiguredRules(config: AgentConfig, logger: Logger): RuleSet {
  const files = expandRulePaths(config.rulesFiles);
  const result = loadRules(files.map(readRuleFile), { minimumPriority: config.minimumPriority });
  for (const warning of result.warnings) logger.warn({ rules: true }, formatDiagnostic(warning));
  if (result.ruleSet === undefined) {
    const errors = result.errors.map(formatDiagnostic).join('\n');
    throw new UserError(`The rules do not load:\n${errors}`);
  }
  return result.ruleSet;
}
