import { Gauge, type Registry } from 'prom-client';
import { total, size } from './collected.ts';

/** The agent's ceilings and what they cost, asked at each scrape. */
export type CeilingSource = () => {
  readonly ceilings: {
    readonly cpuPercent: number | undefined;
    readonly memoryBytes: number | undefined;
  };
  readonly rulesOff: number;
  readonly sheds: number;
  readonly restores: number;
  readonly stuck: number;
};

/** What the agent may use, and which rules are off for it. */
export function ceilingMetrics(registers: Registry[], source: CeilingSource): void {
  new Gauge({
    name: 'varvel_ceiling_cpu_percent',
    help: 'CPU time that the agent may use (ceilings.cpu_percent); 100 is one CPU. Absent without one.',
    registers,
    collect() {
      this.remove();
      const { cpuPercent } = source().ceilings;
      if (cpuPercent !== undefined) this.set(cpuPercent);
    },
  });
  new Gauge({
    name: 'varvel_ceiling_memory_bytes',
    help: 'Resident memory that the agent may use, by ceilings.memory or its cgroup. Absent without either.',
    registers,
    collect() {
      this.remove();
      const { memoryBytes } = source().ceilings;
      if (memoryBytes !== undefined) this.set(memoryBytes);
    },
  });
  size(
    registers,
    'varvel_rules_shed',
    'Rules that are off because the agent would be over a ceiling.',
    () => source().rulesOff,
  );
  for (const [name, help] of [
    ['sheds', 'Times that rules were switched off because the agent was over a ceiling.'],
    ['restores', 'Times that such rules were switched on again.'],
    ['stuck', 'Times that the agent was over a ceiling with nothing left to switch off.'],
  ] as const)
    total(registers, `varvel_ceiling_${name}_total`, help, () => source()[name]);
}
