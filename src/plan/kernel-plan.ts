import type { EventMasks } from '../probe/live.ts';
import { ruleNeeds, type RuleSet } from '../rules/rule-set.ts';
import { hooksFor } from './hooks.ts';
import { messageMaskFor } from './message-mask.ts';
import { openMaskFor } from './open-mask.ts';

/** What a rule set needs of the kernel: everything that one of its rules can match is reported. */
export interface KernelPlan {
  /** Syscall programs, by name. */
  readonly hooks: readonly string[];
  readonly masks: EventMasks;
}

export function kernelPlanFor(ruleSet: RuleSet): KernelPlan {
  return {
    hooks: hooksFor(ruleNeeds(ruleSet)),
    masks: { opens: openMaskFor(ruleSet), messages: messageMaskFor(ruleSet) },
  };
}

/** Reports what either does: in force while one rule set takes over from another. */
export function widened(one: KernelPlan, other: KernelPlan): KernelPlan {
  return {
    hooks: [...new Set([...one.hooks, ...other.hooks])].sort(),
    masks: {
      opens: either(one.masks.opens, other.masks.opens),
      messages: either(one.masks.messages, other.masks.messages),
    },
  };
}

function either<T extends { readonly [K in keyof T]: boolean }>(one: T, other: T): T {
  const keys = Object.keys(one) as (keyof T)[];
  return Object.fromEntries(keys.map((key) => [key, one[key] || other[key]])) as unknown as T;
}
