import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricEnvelopes } from '../../../src/streams/loggregator/metric-envelopes.ts';
import type { MetricSample } from '../../../src/streams/loggregator/metric-sample.ts';

const SOURCE = { sourceId: 'varvel', instanceId: 'cell-1' };

const counter = (value: number, tags: Record<string, string> = {}): MetricSample => ({
  name: 'detections',
  kind: 'counter',
  unit: '',
  tags,
  value,
});
const gauge = (name: string, value: number, tags: Record<string, string> = {}): MetricSample => ({
  name,
  kind: 'gauge',
  unit: 'bytes',
  tags,
  value,
});

test('a counter has its total, and what was added since it was last sent; tags of its own and of its origin', () => {
  const envelopes = new MetricEnvelopes(SOURCE);
  const at = (value: number) => envelopes.of([counter(value, { priority: 'Error' })], 5n);
  const first = at(7);
  assert.deepEqual(first.envelopes, [
    {
      timestamp: '5',
      ...SOURCE,
      tags: { priority: 'Error', origin: 'varvel', source_id: 'varvel', instance_id: 'cell-1' },
      counter: { name: 'detections', delta: '7', total: '7' },
    },
  ]);
  const deltaOf = ({ envelopes: [one] }: ReturnType<typeof at>) =>
    one !== undefined && 'counter' in one ? [one.counter.delta, one.counter.total] : undefined;
  assert.deepEqual(deltaOf(at(9)), ['9', '9'], 'the first was not sent');
  const sent = at(10);
  sent.sent();
  assert.deepEqual(deltaOf(at(10)), ['0', '10']);
  assert.deepEqual(deltaOf(at(2 ** 53 - 1)), [String(2 ** 53 - 11), String(2 ** 53 - 1)]);
});

test('counters of the same name and other tags are others', () => {
  const envelopes = new MetricEnvelopes(SOURCE);
  const samples = [counter(3, { priority: 'Error' }), counter(5, { priority: 'Debug' })];
  envelopes.of(samples, 1n).sent();
  const { envelopes: next } = envelopes.of([...samples, counter(1)], 2n);
  assert.deepEqual(
    next.map((it) => ('counter' in it ? it.counter.delta : undefined)),
    ['0', '0', '1'],
  );
});

test('gauges with the same tags go together', () => {
  const { envelopes } = new MetricEnvelopes(SOURCE).of(
    [gauge('rss', 1.5), gauge('spool', 2, { stream: 'http' }), gauge('cpu', 3)],
    1n,
  );
  assert.deepEqual(
    envelopes.map((it) => ('gauge' in it ? [it.tags['stream'], it.gauge.metrics] : undefined)),
    [
      [undefined, { rss: { unit: 'bytes', value: 1.5 }, cpu: { unit: 'bytes', value: 3 } }],
      ['http', { spool: { unit: 'bytes', value: 2 } }],
    ],
  );
});
