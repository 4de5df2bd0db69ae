import { Counter, type Registry } from 'prom-client';
import { size, total } from './collected.ts';

/** Rules with series of their own; the others are one, `other`. */
const RULE_SERIES_MAX = 1000;

/** What rules cost and which fail, asked at each scrape. */
export type CostSource = () => {
  /** The operator's, the costliest first. */
  readonly rules: readonly {
    readonly rule: string;
    readonly evaluations: number;
    readonly seconds: number;
    readonly failures: number;
  }[];
  readonly failedEvents: number;
  readonly policies: {
    readonly inForce: number;
    readonly refused: number;
    readonly paused: number;
    readonly totals: {
      readonly events: number;
      readonly cpuMs: number;
      readonly pauses: number;
      readonly cutEvents: number;
      readonly failures: number;
    };
  };
};

/** What the operator's rules and apps' own rules cost. */
export function costMetrics(registers: Registry[], source: CostSource): void {
  const series = new Set<string>();
  for (const [name, help, field] of [
    [
      'varvel_rule_evaluations_total',
      'Events that a rule was run for: an estimate from one event in 256.',
      'evaluations',
    ],
    [
      'varvel_rule_evaluation_seconds_total',
      'Time that a rule took: its condition by an estimate from one event in 256, its outputs as measured.',
      'seconds',
    ],
    ['varvel_rule_failures_total', 'Times that a rule failed with an error.', 'failures'],
  ] as const) {
    new Counter({
      name,
      help,
      labelNames: ['rule'],
      registers,
      collect() {
        this.reset();
        for (const { rule, [field]: value } of source().rules) {
          if (series.size < RULE_SERIES_MAX) series.add(rule);
          this.inc({ rule: series.has(rule) ? rule : 'other' }, value);
        }
      },
    });
  }
  total(
    registers,
    'varvel_events_failed_total',
    'Events given up because of an error that is no rule’s.',
    () => source().failedEvents,
  );
  policyMetrics(registers, () => source().policies);
}

function policyMetrics(
  registers: Registry[],
  policies: () => ReturnType<CostSource>['policies'],
): void {
  for (const [name, help, field] of [
    ['in_force', 'Containers with a policy of their own in force.', 'inForce'],
    ['refused', 'Containers whose policy was refused.', 'refused'],
    [
      'paused',
      'Containers whose own rules are paused: they cost more than their budget.',
      'paused',
    ],
  ] as const)
    size(registers, `varvel_policies_${name}`, help, () => policies()[field]);
  for (const [name, help, field] of [
    ['events', 'Events that apps’ own rules were run for.', 'events'],
    ['pauses', 'Times that a container’s own rules were paused.', 'pauses'],
    [
      'cut_events',
      'Events whose last own rules were left out: their time was used up.',
      'cutEvents',
    ],
    ['failures', 'Times that an app’s own rule or policy failed with an error.', 'failures'],
  ] as const)
    total(registers, `varvel_policy_${name}_total`, help, () => policies().totals[field]);
  total(
    registers,
    'varvel_policy_cpu_seconds_total',
    'CPU time of apps’ own rules, all containers together.',
    () => policies().totals.cpuMs / 1000,
  );
}
