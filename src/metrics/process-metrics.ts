import { Gauge, type Registry } from 'prom-client';
import { size, total } from './collected.ts';

/** The agent's own process, by the names that Prometheus's clients agree on. */
export function processMetrics(registers: Registry[]): void {
  size(registers, 'process_resident_memory_bytes', 'Resident memory of the agent.', () =>
    process.memoryUsage.rss(),
  );
  total(
    registers,
    'process_cpu_seconds_total',
    'CPU time of the agent, user and system.',
    cpuSeconds,
  );
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'Unix time of the agent’s start.',
    registers,
  }).set(Math.round(Date.now() / 1000 - process.uptime()));
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
