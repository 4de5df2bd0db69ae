import { Counter, Gauge, type Registry } from 'prom-client';

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

/** Whether a detection that the agent made itself came out of the log system. Times are absent before there is one. */
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
  const gauge = (name: string, help: string, value: () => number | undefined): void => {
    new Gauge({
      name,
      help,
      // Without a value there is no series: a 0 would be a time of 1970.
      labelNames: [],
      registers,
      collect() {
        this.remove();
        const now = value();
        if (now !== undefined) this.set(now);
      },
    });
  };
  gauge(
    'varvel_canary_last_run_timestamp_seconds',
    'Unix time of the end of the canary’s last run.',
    () => seconds(source()?.last?.atMs),
  );
  gauge(
    'varvel_canary_last_seen_timestamp_seconds',
    'Unix time at which the canary’s line was last seen in the log system, or delivered by every stream where none is read.',
    () => seconds(source()?.lastGood?.atMs),
  );
  gauge(
    'varvel_canary_seconds',
    'Of the last run whose line arrived: from the action to the line that was read back.',
    () => source()?.lastGood?.seconds,
  );
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
