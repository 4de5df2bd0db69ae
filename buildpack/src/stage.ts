import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkPolicy, describeCheck, operatorRulesOf } from '../../src/policy/check-policy.ts';
import { BadFile, readPolicyFile } from '../../src/policy/policy-file.ts';
import { toRuleSource } from '../../src/rules/loader/load.ts';
import { UserError } from '../../src/shared/user-error.ts';

/** In the app's root folder. */
const POLICY_FILE = 'varvel.yml';

/** The file that the agent reads in the droplet, as JSON. */
export interface StagedPolicy {
  readonly format: 1;
  /** The version of the buildpack. */
  readonly varvel: string;
  /** The text of varvel.yml; '' if the app has none. The agent checks it again. */
  readonly policy: string;
}

/** The inputs of staging: where the app is, and where the policy goes. */
export interface Staging {
  /** The buildpack's own root: `rules/` contains the operator's rules. */
  readonly buildpack: string;
  readonly version: string;
  readonly app: string;
  /** A folder that the platform gave this buildpack; only `policy.json` is written to it. */
  readonly target: string;
  readonly say: (text: string) => void;
}

/**
 * Reads the app's policy, checks it as the agent does, and writes it where the agent finds it. Returns whether staging may
 * continue: for an invalid policy it prints the mistakes and writes nothing.
 */
export function stage({ buildpack, version, app, target, say }: Staging): boolean {
  const text = policyText(app, say);
  if (text === undefined) return false;
  const rules = join(buildpack, 'rules');
  const sources = readdirSync(rules)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => toRuleSource(name, readFileSync(join(rules, name))));
  const checked = checkPolicy(toRuleSource(POLICY_FILE, text), operatorRulesOf(sources));
  say(describeCheck(POLICY_FILE, checked));
  if (checked.policy === undefined) {
    say('Mend varvel.yml, or take it out to be watched by the operator’s rules as they are.\n');
    return false;
  }
  const staged: StagedPolicy = { format: 1, varvel: version, policy: text.toString('utf8') };
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, 'policy.json'), `${JSON.stringify(staged, undefined, 2)}\n`, {
    mode: 0o644,
  });
  return true;
}

function policyText(app: string, say: Staging['say']): Buffer | undefined {
  try {
    const bytes = readPolicyFile(join(app, POLICY_FILE));
    if (bytes === undefined) say('The app has no varvel.yml: the operator’s rules watch it.\n');
    return bytes ?? Buffer.alloc(0);
  } catch (error) {
    if (!(error instanceof BadFile)) throw error;
    say(`varvel.yml: ${error.message}\n`);
    return undefined;
  }
}

/** The error's reason, as a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof UserError) return error.toDisplay();
  return error instanceof Error ? error.message : String(error);
}
