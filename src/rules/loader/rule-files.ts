import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../shared/user-error.ts';

/** Whether a file in a rule folder is loaded. */
export function isRuleFileName(name: string): boolean {
  return /^[^.].*\.ya?ml$/.test(name);
}

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
      throw new UserError(`The folder ${path} cannot be read (${code}).`, { cause: error });
    }
    const files = names.filter(isRuleFileName).sort();
    if (files.length === 0) {
      throw new UserError(
        `The folder ${path} has no *.yaml file. Put one there, or name another path.`,
      );
    }
    return files.map((name) => join(path, name));
  });
}
