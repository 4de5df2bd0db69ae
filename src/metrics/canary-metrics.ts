import { Counter, Gauge, type Registry } from 'prom-client';
import { size } from './collected.ts';

/** The agent's own canary; asked at each scrape. */
export type CanarySource = () =>
  | {
      readonly runs: Readonly<Record<string, number>>;
      /** The last run, whatever became of it; Unix ms. */
      readonly last?: { readonly atMs: number };
      /** The last one whose line arrived. */
      readonly lastGood?: { readonly atMs: number; readonly seconds: number };
    }
  | undefined;

/** Whether the agent's own test detection arrived in the log system. */
export function canaryMetrics(registers: Registry[], source: CanarySource): void {
  new Counter({
    name: 'varvel_canary_runs_total',
    help: 'Runs of the canary, by what became of its line: seen in the log system, delivered by every stream (no log system is read), not_seen, failed.',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(source()?.runs ?? {}))
        this.inc({ result }, count);
    },
  });
  size(
    registers,
    'varvel_canary_last_run_timestamp_seconds',
    'Unix time of the end of the canary’s last run; 0 before the first.',
    () => (source()?.last?.atMs ?? 0) / 1000,
  );
  size(
    registers,
    'varvel_canary_last_seen_timestamp_seconds',
    'Unix time at which the canary’s line was last seen in the log system, or delivered by every stream where none is read; 0 before.',
    () => (source()?.lastGood?.atMs ?? 0) / 1000,
  );
  new Gauge({
    name: 'varvel_canary_seconds',
    help: 'Seconds from the canary’s action until its line was read back, in the last run whose line arrived; absent before.',
    // With no label it would be 0 from the start.
    labelNames: [],
    registers,
    collect() {
      this.remove();
      const seconds = source()?.lastGood?.seconds;
      if (seconds !== undefined) this.set(seconds);
    },
  });
}
