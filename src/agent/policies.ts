import type { PolicyText } from '../container-files/policy-text.ts';
import type { Container } from '../apps/identity.ts';
import { POLICY_LABEL } from '../apps/labels.ts';
import { THREAD_CLOCKS } from '../host/cpu-time.ts';
import type { RuleSettings } from '../config/config.ts';
import type { OperatorRules } from '../policy/app-policy.ts';
import { Policies } from '../policy/policies.ts';
import type { PolicyNews } from '../policy/policy-news.ts';
import type { ConfiguredRules } from '../rules/configured-rules.ts';
import type { Detection } from '../rules/detection.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';
import { ownRulesNotice, policyNotice } from '../streams/notices.ts';

export interface AgentPoliciesOptions {
  readonly rules: ConfiguredRules;
  readonly settings: RuleSettings;
  readonly logger: Logger;
  /** The policy from the container's own file. */
  readonly fileOf: (container: Container) => PolicyText | 'none' | undefined;
  readonly say: (line: Detection) => void;
  readonly onChanged: (ruleSets: readonly RuleSet[]) => void;
  readonly onReady: (container: Container) => void;
}

/** The policies of this agent's containers; changes are reported to their apps and in the agent's own log. */
export function agentPolicies(options: AgentPoliciesOptions): Policies {
  const { rules, settings, logger, fileOf, say, onChanged, onReady } = options;
  return new Policies({
    operator: operatorRules(rules, settings),
    textOf: (container) => labelText(container) ?? fileOf(container),
    tell: (news) => {
      log(logger, news);
      say(policyNotice(news, BigInt(Date.now()) * 1_000_000n));
    },
    tellOwnRules: (news) => {
      const { container, state, rule, spentMs, text } = news;
      const about = { container: container.id, app: container.app?.name, rule, spentMs };
      if (state === 'resumed') logger.info(about, text);
      else logger.warn(about, text);
      say(ownRulesNotice(news, BigInt(Date.now()) * 1_000_000n));
    },
    onChanged,
    onReady,
    clocks: THREAD_CLOCKS,
  });
}

/** The operator's rules on which apps' policies are based; undefined if policies are off. */
export function operatorRules(
  { ruleSet, definitions }: ConfiguredRules,
  { policies, minimumPriority, ...settings }: RuleSettings,
): OperatorRules | undefined {
  if (!policies.enabled) return undefined;
  const { pinned, responses, budget } = policies;
  const { appendOutput, outputStyle } = settings;
  const output = { appendOutput, outputStyle };
  return { ruleSet, definitions, minimumPriority, ...output, pinned, responses, budget };
}

/**
 * The policy in a container's label. Labels belong to the runtime and were set before the app started: processes in the
 * container cannot change them.
 */
function labelText({ labels }: Container): PolicyText | undefined {
  const text = labels[POLICY_LABEL];
  return text === undefined ? undefined : { name: POLICY_LABEL, text, trust: 'verified' };
}

function log(logger: Logger, { container, state, text, digest }: PolicyNews): void {
  const about = { container: container.id, app: container.app?.name, digest };
  if (state === 'refused') logger.warn(about, text);
  else logger.info(about, text);
}
