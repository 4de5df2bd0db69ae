import { milliseconds } from '../rules/cost/budget.ts';
import { formatDiagnostic } from '../rules/loader/diagnostics.ts';
import { loadRules } from '../rules/loader/load.ts';
import type { RuleSource } from '../rules/loader/source.ts';
import { POLICY_RESPONSE_NAMES } from '../shared/response-names.ts';
import { UserError } from '../shared/user-error.ts';
import { compilePolicy } from './app-policy.ts';
import type { CompiledPolicy, OperatorRules } from './app-policy.ts';
import { readPolicy } from './policy-document.ts';
import type { PolicySummary } from './policy-in-force.ts';

/** Rules to check policies against, as if the operator had no own settings. Throws UserError. */
export function operatorRulesOf(sources: readonly RuleSource[]): OperatorRules {
  const { ruleSet, definitions, errors } = loadRules(sources);
  const [error] = errors;
  if (ruleSet === undefined) {
    throw new UserError(
      `The rules do not load:\n${error === undefined ? '' : formatDiagnostic(error)}`,
    );
  }
  return {
    ruleSet,
    definitions,
    minimumPriority: 'Debug',
    appendOutput: [],
    pinned: [],
    responses: POLICY_RESPONSE_NAMES,
  };
}

/** Reads and compiles a policy as an agent does for a file that is older than the app's start. */
export function checkPolicy(source: RuleSource, operator: OperatorRules): CompiledPolicy {
  const { document, errors } = readPolicy(source);
  if (document === undefined) return { policy: undefined, errors, warnings: [] };
  return compilePolicy(document, operator, 'verified');
}

/** Describes a policy's mistakes and effects for people, in lines that are safe to print. */
export function describeCheck(file: string, { policy, errors, warnings }: CompiledPolicy): string {
  const found = [...errors, ...warnings].map((one) => `${formatDiagnostic(one)}\n\n`).join('');
  if (policy === undefined) {
    const count = `${errors.length} error${errors.length === 1 ? '' : 's'}`;
    return `${found}${file}: ${count}: an app with this policy runs with the operator’s rules as they are.\n`;
  }
  return `${found}${describe(file, policy.summary).join('\n')}\n`;
}

/** Limit on rules shown with their costs, costliest first. */
const MAX_COSTS = 10;

function describe(file: string, summary: PolicySummary): string[] {
  const { own, excepted, adjusted, enabled, muted, minimumPriority, active } = summary;
  const { killing, denying } = summary;
  const { worstEventUs, limitUs, rules: costs } = summary.cost;
  const list = (what: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : [`${what}:`, ...names.map((name) => `  ${name}`)];
  const ms = (us: number): string => milliseconds(us * 1000);
  const rules = active === 1 ? '1 rule watches' : `${active} rules watch`;
  return [
    `${file}: ${rules} the app, from ${minimumPriority} up.`,
    ...list('Its own', own),
    ...list(
      `Cost for the worst event: ${ms(worstEventUs)} of ${ms(limitUs)}, estimated. The conditions`,
      costs.slice(0, MAX_COSTS).map(({ rule, us }) => `${ms(us)}  ${rule}`),
    ),
    ...list('With exceptions of its own', excepted),
    ...list('Adjusted by its variables', adjusted),
    ...list('Switched on', enabled),
    ...list('Switched off, or below the least priority', muted),
    ...list('Ending the process, where the operator allows it (policies.responses)', killing),
    ...list('Denying, where the operator allows it (policies.responses)', denying),
  ];
}
