import type { PolicyTrust } from '../container-files/policy-text.ts';
import type { OverlayCost } from '../rules/cost/budget.ts';
import type { OverlayBounds } from '../rules/loader/overlay.ts';

/** Limits on one app's rules, besides that on the file. */
const VERIFIED: OverlayBounds = {
  items: 100,
  listItems: 2000,
  conditionLength: 8192,
  outputLength: 4096,
  cost: {
    ruleNanos: 2_000_000,
    allNanos: 5_000_000,
    values: 10_000,
    patternCells: 65_536,
    patternWork: 2_000_000,
    outputFields: 64,
    outputWidth: 64,
  },
};

/** For a policy that an intruder may have written: a quarter of everything except the width of a field. */
const UNVERIFIED: OverlayBounds = {
  items: VERIFIED.items / 4,
  listItems: VERIFIED.listItems / 4,
  conditionLength: VERIFIED.conditionLength / 4,
  outputLength: VERIFIED.outputLength / 4,
  cost: {
    ruleNanos: VERIFIED.cost.ruleNanos / 4,
    allNanos: VERIFIED.cost.allNanos / 4,
    values: VERIFIED.cost.values / 4,
    patternCells: VERIFIED.cost.patternCells / 4,
    patternWork: VERIFIED.cost.patternWork / 4,
    outputFields: VERIFIED.cost.outputFields / 4,
    outputWidth: VERIFIED.cost.outputWidth,
  },
};

export const POLICY_BOUNDS: Readonly<Record<PolicyTrust, OverlayBounds>> = {
  verified: VERIFIED,
  unverified: UNVERIFIED,
};

/** An estimate, in microseconds, of the cost of an app's rules for the worst event. */
export interface PolicyCost {
  readonly worstEventUs: number;
  readonly limitUs: number;
  /** The conditions of its own rules and of the rules that it changes, costliest first. */
  readonly rules: readonly { readonly rule: string; readonly us: number }[];
}

const microseconds = (nanos: number): number => Math.ceil(nanos / 1000);

/** The cost as shown by `varvel policy`. */
export function policyCost({ nanos, limitNanos, rules }: OverlayCost): PolicyCost {
  const all = [...rules].map(([rule, cost]) => ({ rule, us: microseconds(cost) }));
  return {
    worstEventUs: microseconds(nanos),
    limitUs: microseconds(limitNanos),
    rules: all.sort((one, other) => other.us - one.us),
  };
}
