import type { EventName } from '../events/table.gen.ts';
import type { EventMasks } from '../probe/live.ts';
import { ruleNeeds, type RuleSet } from '../rules/rule-set.ts';
import { readsAnyOf } from './fields-read.ts';
import { hooksFor } from './hooks.ts';
import { dupMaskFor } from './dup-mask.ts';
import { messageMaskFor } from './message-mask.ts';
import { openMaskFor } from './open-mask.ts';
import { socketMaskFor } from './socket-mask.ts';

/** Fields that are kept up to date by events, and these events. */
const WORKING_DIRECTORY = ['proc.cwd'];
const MOVES: readonly EventName[] = ['chdir', 'fchdir'];
const GROUPS = [
  'proc.sid',
  'proc.sname',
  'proc.sid.exe',
  'proc.sid.exepath',
  'proc.is_sid_leader',
  'proc.vpgid',
  'proc.vpgid.name',
  'proc.vpgid.exe',
  'proc.vpgid.exepath',
  'proc.pgid',
  'proc.pgid.name',
  'proc.pgid.exe',
  'proc.pgid.exepath',
  'proc.is_vpgid_leader',
  'proc.is_pgid_leader',
];
const REGROUPINGS: readonly EventName[] = ['setsid', 'setpgid'];
const ENVIRONMENT = ['proc.env', 'proc.aenv', 'proc.container_aenv'];
const CONTAINER_DETAILS = [
  'container.privileged',
  'container.mounts',
  'container.mount',
  'container.mount.source',
  'container.mount.dest',
  'container.mount.mode',
  'container.mount.rdwr',
  'container.mount.propagation',
  'container.host_pid',
  'container.host_network',
  'container.host_ipc',
];

/** What a rule set needs from kernel and runtimes, so that everything that its rules can match is reported. */
export interface KernelPlan {
  /** Syscall programs, by name. */
  readonly hooks: readonly string[];
  readonly masks: EventMasks;
  /** Whether rules read fields that need an inspection of the container. */
  readonly containerDetails: boolean;
}

const PLANS = new WeakMap<RuleSet, KernelPlan>();

/** Computed once per set: every change of apps' own sets asks for all of them again. */
export function kernelPlanFor(ruleSet: RuleSet): KernelPlan {
  const plan = PLANS.get(ruleSet) ?? planOf(ruleSet);
  PLANS.set(ruleSet, plan);
  return plan;
}

function planOf(ruleSet: RuleSet): KernelPlan {
  const needs = new Set<EventName>(ruleNeeds(ruleSet));
  if (readsAnyOf(ruleSet, WORKING_DIRECTORY)) for (const event of MOVES) needs.add(event);
  if (readsAnyOf(ruleSet, GROUPS)) for (const event of REGROUPINGS) needs.add(event);
  return {
    hooks: hooksFor(needs),
    masks: {
      opens: openMaskFor(ruleSet),
      messages: messageMaskFor(ruleSet),
      dups: dupMaskFor(ruleSet),
      sockets: socketMaskFor(ruleSet),
      env: readsAnyOf(ruleSet, ENVIRONMENT),
    },
    containerDetails: readsAnyOf(ruleSet, CONTAINER_DETAILS),
  };
}

/** Reports what either plan reports: in force while one rule set replaces another. */
export function widened(one: KernelPlan, other: KernelPlan): KernelPlan {
  return {
    hooks: [...new Set([...one.hooks, ...other.hooks])].sort(),
    masks: {
      opens: either(one.masks.opens, other.masks.opens),
      messages: either(one.masks.messages, other.masks.messages),
      dups: either(one.masks.dups, other.masks.dups),
      sockets: either(one.masks.sockets, other.masks.sockets),
      env: one.masks.env || other.masks.env,
    },
    containerDetails: one.containerDetails || other.containerDetails,
  };
}

function either<T extends { readonly [K in keyof T]: boolean }>(one: T, other: T): T {
  const keys = Object.keys(one) as (keyof T)[];
  return Object.fromEntries(keys.map((key) => [key, one[key] || other[key]])) as unknown as T;
}
