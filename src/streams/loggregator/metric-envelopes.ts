import type { CounterEnvelope, Envelope, GaugeEnvelope } from './api.ts';
import type { MetricSample } from './metric-sample.ts';

/** Who the numbers are of. */
export interface MetricSource {
  readonly sourceId: string;
  readonly instanceId: string;
}

/** The tag by which the platform's own components say whose a metric is. */
const ORIGIN = 'varvel';

/**
 * Converts samples to envelopes as the platform's own agents send theirs. A counter has its total and the increase since the
 * previous send; gauges with the same tags share an envelope. The platform's forwarder adds what it knows (deployment, job,
 * index, ip).
 */
export class MetricEnvelopes {
  readonly #source: MetricSource;
  /** Totals that have been sent, by name and tags. */
  readonly #sent = new Map<string, bigint>();

  constructor(source: MetricSource) {
    this.#source = source;
  }

  /** `timeNs` is Unix ns. Call `sent` once they are sent: until then the increase is added again. */
  of(
    samples: readonly MetricSample[],
    timeNs: bigint,
  ): { readonly envelopes: readonly Envelope[]; readonly sent: () => void } {
    const envelopes: Envelope[] = [];
    const totals = new Map<string, bigint>();
    const gauges = new Map<string, MetricSample[]>();
    for (const sample of samples) {
      const tags = JSON.stringify(sample.tags);
      if (sample.kind === 'gauge') {
        gauges.set(tags, [...(gauges.get(tags) ?? []), sample]);
        continue;
      }
      const key = JSON.stringify([sample.name, tags]);
      const total = BigInt(Math.round(sample.value));
      totals.set(key, total);
      envelopes.push(this.#counter(sample, total, total - (this.#sent.get(key) ?? 0n), timeNs));
    }
    for (const together of gauges.values()) envelopes.push(this.#gauge(together, timeNs));
    const sent = (): void => {
      for (const [key, total] of totals) this.#sent.set(key, total);
    };
    return { envelopes, sent };
  }

  #counter(
    { name, tags }: MetricSample,
    total: bigint,
    delta: bigint,
    timeNs: bigint,
  ): CounterEnvelope {
    return {
      ...this.#addressed(tags, timeNs),
      counter: { name, delta: String(delta), total: String(total) },
    };
  }

  #gauge(samples: readonly MetricSample[], timeNs: bigint): GaugeEnvelope {
    return {
      ...this.#addressed(samples[0]?.tags ?? {}, timeNs),
      gauge: {
        metrics: Object.fromEntries(
          samples.map(({ name, unit, value }) => [name, { unit, value }]),
        ),
      },
    };
  }

  #addressed(tags: MetricSample['tags'], timeNs: bigint): Omit<CounterEnvelope, 'counter'> {
    const { sourceId, instanceId } = this.#source;
    return {
      timestamp: String(timeNs),
      sourceId,
      instanceId,
      tags: { ...tags, origin: ORIGIN, source_id: sourceId, instance_id: instanceId },
    };
  }
}
