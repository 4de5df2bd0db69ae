import { DEFAULT_RULES_FILE } from '../config/config.ts';
import { checkPolicy, describeCheck, operatorRulesOf } from '../policy/check-policy.ts';
import { BadFile, readPolicyFile } from '../policy/policy-file.ts';
import { policySchema } from '../policy/policy-schema.ts';
import { readRuleFile, toRuleSource } from '../rules/loader/load.ts';
import { expandRulePaths } from '../rules/loader/rule-files.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';

export interface PolicyArgs {
  readonly file: string | undefined;
  /** The operator's rules that it is checked against; none: those that come with varvel. */
  readonly rules: readonly string[];
  readonly json: boolean;
  /** Only print the JSON Schema of policies. */
  readonly schema: boolean;
}

/**
 * `varvel policy FILE`: whether an app's policy can be used, and what it comes to. Resolves to the exit code: 0 it can be
 * used, 1 it has errors. Throws UserError for what cannot be read.
 */
// Asynchronous like every command.
// eslint-disable-next-line @typescript-eslint/require-await
export async function runPolicy(args: PolicyArgs, io: Pick<Io, 'stdout'>): Promise<number> {
  const { file = 'varvel.yml', rules, json, schema } = args;
  if (schema) {
    io.stdout(`${JSON.stringify(policySchema(), undefined, 2)}\n`);
    return 0;
  }
  const paths = expandRulePaths(rules.length === 0 ? [DEFAULT_RULES_FILE] : rules);
  const operator = operatorRulesOf(paths.map(readRuleFile));
  const checked = checkPolicy(toRuleSource(file, bytesOf(file)), operator);
  const { policy, ...found } = checked;
  if (json) {
    const { digest, summary } = policy ?? {};
    const all = { file, ok: policy !== undefined, digest, ...summary, ...found };
    io.stdout(`${JSON.stringify(all, undefined, 2)}\n`);
  } else io.stdout(describeCheck(file, checked));
  return policy === undefined ? 1 : 0;
}

/** Throws UserError, a sentence with what to do. */
function bytesOf(file: string): Buffer {
  const unreadable = (reason: string): UserError =>
    new UserError(`Cannot read the policy: ${reason}`, { position: { file }, exitCode: 2 });
  try {
    const bytes = readPolicyFile(file);
    if (bytes !== undefined) return bytes;
  } catch (error) {
    if (error instanceof BadFile) throw unreadable(error.message);
    throw error;
  }
  throw unreadable('there is no such file; check the path.');
}
