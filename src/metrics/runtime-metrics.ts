import { Counter, Gauge, type Registry } from 'prom-client';
import type { RuntimeStatus } from '../apps/runtimes/runtime.ts';

/** The runtimes that are configured, asked at each scrape. */
export type RuntimeSource = () => Iterable<RuntimeStatus>;

/** Series by runtime: whether it is connected, and the results of requests about containers. */
export function runtimeMetrics(registers: Registry[], runtimes: RuntimeSource): void {
  new Gauge({
    name: 'varvel_runtime_connected',
    help: '1 while the container runtime answers.',
    labelNames: ['runtime'],
    registers,
    collect() {
      for (const { name: runtime, connected } of runtimes())
        this.set({ runtime }, connected ? 1 : 0);
    },
  });
  for (const [field, help] of [
    ['connects', 'Connections made to the container runtime.'],
    ['questions', 'Questions to the container runtime about containers.'],
    ['failures', 'Such questions without a usable answer.'],
    ['refused', 'Containers that were not asked for, because too many waited.'],
    ['oversized', 'Descriptions of containers that were longer than the limit.'],
  ] as const) {
    new Counter({
      name: `varvel_runtime_${field}_total`,
      help,
      labelNames: ['runtime'],
      registers,
      collect() {
        this.reset();
        for (const { name: runtime, counters } of runtimes()) {
          const count = counters?.[field];
          if (count !== undefined) this.inc({ runtime }, count);
        }
      },
    });
  }
}
