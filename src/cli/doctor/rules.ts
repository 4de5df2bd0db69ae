import type { AgentConfig } from '../../config/config.ts';
import { checkAppendOutput, loadOptions } from '../../rules/configured-rules.ts';
import { formatDiagnostic } from '../../rules/loader/diagnostics.ts';
import { loadRules, readRuleFile } from '../../rules/loader/load.ts';
import { expandRulePaths } from '../../rules/loader/rule-files.ts';
import type { RuleSet } from '../../rules/rule-set.ts';
import { fail, ok, warn, type Verdict } from './finding.ts';

/** `onLoaded` has the rules where they load. */
export function checkRules(
  config: AgentConfig,
  onLoaded: (ruleSet: RuleSet) => void = () => undefined,
): Verdict {
  checkAppendOutput(config);
  const files = expandRulePaths(config.rulesFiles);
  const result = loadRules(files.map(readRuleFile), loadOptions(config));
  if (result.ruleSet !== undefined) onLoaded(result.ruleSet);
  const [error] = result.errors;
  if (error !== undefined) {
    return fail(
      `The rules have ${count(result.errors.length, 'error')}; the first:\n${formatDiagnostic(error)}`,
      `See them all: varvel check ${files.join(' ')}`,
    );
  }
  const says = `${count(result.loadedRules, 'rule')} from ${files.join(', ')}.`;
  if (result.ruleSet?.rules.some(({ enabled }) => enabled) !== true) {
    const what = `No rule from ${files.join(', ')} is enabled`;
    return config.rulesAllowNone
      ? warn(`${what}; rules_allow_none is on.`, 'Check rules_files, rules and minimum_priority.')
      : fail(
          `${what}: the agent does not start.`,
          'Check rules_files, rules and minimum_priority; or set rules_allow_none: true.',
        );
  }
  if (result.warnings.length > 0) {
    return warn(
      `${says} ${count(result.warnings.length, 'warning')}.`,
      `See them: varvel check ${files.join(' ')}`,
    );
  }
  return ok(says);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
