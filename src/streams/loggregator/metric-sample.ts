/** One number of the agent's own, as it is now. */
export interface MetricSample {
  readonly name: string;
  /** A counter is a total since the agent's start, and only grows. */
  readonly kind: 'counter' | 'gauge';
  /** Of a gauge: `bytes`, `seconds`, …; '' for a counter. */
  readonly unit: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly value: number;
}
