import type { OpenMask } from '../probe/live.ts';
import { ruleNeeds, type RuleSet } from '../rules/rule-set.ts';
import { hooksFor } from './hooks.ts';
import { openMaskFor } from './open-mask.ts';

/** What a rule set needs of the kernel: everything that one of its rules can match is reported. */
export interface KernelPlan {
  /** Syscall programs, by name. */
  readonly hooks: readonly string[];
  readonly openMask: OpenMask;
}

export function kernelPlanFor(ruleSet: RuleSet): KernelPlan {
  return { hooks: hooksFor(ruleNeeds(ruleSet)), openMask: openMaskFor(ruleSet) };
}

/** Reports what either does: in force while one rule set takes over from another. */
export function widened(one: KernelPlan, other: KernelPlan): KernelPlan {
  return {
    hooks: [...new Set([...one.hooks, ...other.hooks])].sort(),
    openMask: {
      read: one.openMask.read || other.openMask.read,
      write: one.openMask.write || other.openMask.write,
      failed: one.openMask.failed || other.openMask.failed,
    },
  };
}
