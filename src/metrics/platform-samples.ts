import type { Registry } from 'prom-client';
import type { MetricSample } from '../streams/loggregator/metric-sample.ts';

/** The metrics that operators need first, by their Prometheus name; labels other than `by` are summed up. */
const SELECTED: Readonly<
  Record<string, Pick<MetricSample, 'kind' | 'unit'> & { readonly by: readonly string[] }>
> = {
  varvel_detections_total: { kind: 'counter', unit: '', by: ['priority'] },
  varvel_detections_suppressed_total: { kind: 'counter', unit: '', by: [] },
  varvel_records_emitted_total: { kind: 'counter', unit: '', by: [] },
  varvel_records_dropped_total: { kind: 'counter', unit: '', by: [] },
  varvel_held_events_dropped_total: { kind: 'counter', unit: '', by: [] },
  varvel_held_events_expired_total: { kind: 'counter', unit: '', by: [] },
  varvel_stream_deliveries_total: { kind: 'counter', unit: '', by: ['stream', 'result'] },
  varvel_spool_lines: { kind: 'gauge', unit: 'lines', by: ['stream'] },
  varvel_spool_bytes: { kind: 'gauge', unit: 'bytes', by: ['stream'] },
  varvel_canary_runs_total: { kind: 'counter', unit: '', by: ['result'] },
  varvel_cgroups: { kind: 'gauge', unit: 'cgroups', by: ['state'] },
  process_resident_memory_bytes: { kind: 'gauge', unit: 'bytes', by: [] },
  // The platform's counters are integers.
  process_cpu_seconds_total: { kind: 'gauge', unit: 'seconds', by: [] },
};

/** The selected metrics of now, as a scrape would have them. At most some 100. */
export async function platformSamples(registry: Registry): Promise<readonly MetricSample[]> {
  const samples: MetricSample[] = [];
  for (const { name, values } of await registry.getMetricsAsJSON()) {
    const selected = SELECTED[name];
    if (selected === undefined) continue;
    const { kind, unit, by } = selected;
    const sums = new Map<string, { tags: Record<string, string>; value: number }>();
    for (const { labels, value } of values) {
      const tags = Object.fromEntries(
        by.flatMap((label) => {
          const of = (labels as Readonly<Record<string, string | number>>)[label];
          return of === undefined ? [] : [[label, String(of)]];
        }),
      );
      const key = JSON.stringify(tags);
      sums.set(key, { tags, value: (sums.get(key)?.value ?? 0) + value });
    }
    for (const { tags, value } of sums.values()) samples.push({ name, kind, unit, tags, value });
  }
  return samples;
}
