// A collector reads what the stream sends, whatever a container says: with its own decoder, where its sources are given (see
// CONTRIBUTING.md).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PRIORITIES } from '../../src/rules/detection.ts';
import { formatLine } from '../../src/streams/format.ts';
import { encodeRequest } from '../../src/streams/otlp/api.ts';
import { exportRequestOf } from '../../src/streams/otlp/export-request.ts';
import { containerFacts } from '../../src/streams/otlp/resource.ts';
import { anySize, text } from '../support/hostile-text.ts';
import { collectorReads, whyNoCollector } from '../support/otel-collector.ts';
import { plainValue, recordsIn, REQUEST } from '../support/otlp-proto.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';
import { appOf, lineOf } from '../unit/streams/outgoing-line-fixture.ts';

const value = fc.oneof(
  anySize,
  fc.integer(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
  fc.array(text(), { maxLength: 3 }),
);

/** A line of any app, rule and output. */
const line = fc
  .record({
    outputFields: fc.dictionary(text(6), value, { maxKeys: 6 }),
    output: anySize,
    name: anySize,
    tags: fc.dictionary(text(6), text(), { maxKeys: 4 }),
    priority: fc.constantFrom(...PRIORITIES),
    truncated: fc.boolean(),
  })
  .map(({ name, tags, ...detection }) => {
    const lineage = {
      processes: [{ pid: 31, start: 0xffff_ffff, name }],
      above: 'more',
      origin: 'ssh',
    } as const;
    const delivery = deliveryOf({ ...detection, lineage, incident: 'k3x9abcd' });
    return lineOf({
      priority: detection.priority,
      timeNs: delivery.detection.timeNs,
      text: formatLine(delivery, { format: 'json' }),
      app: appOf({ name, tags }),
      facts: containerFacts(containerOf({ name })),
    });
  });

/** All of a record, in which protobufjs also names the kind of each value. */
const shown = ({ record, ...others }: ReturnType<typeof recordsIn>[number]): object => ({
  ...others,
  record: { ...record, body: plainValue(record.body), attributes: undefined },
});

test(
  'a collector reads each record as it was sent, from protobuf and from JSON',
  { skip: whyNoCollector() ?? false },
  () => {
    const requests = fc
      .sample(fc.array(line, { minLength: 1, maxLength: 5 }), 200)
      .map((lines) => exportRequestOf(lines));
    const protobuf = requests.map((request) => encodeRequest(request));
    const read = collectorReads([
      ...protobuf,
      ...requests.map((request) => JSON.stringify(request)),
    ]);
    for (const [index, bytes] of protobuf.entries()) {
      const sent = recordsIn(REQUEST.deserialize(bytes)).map(shown);
      for (const seen of [read[index]!, read[index + requests.length]!])
        assert.deepEqual(recordsIn(seen).map(shown), sent);
    }
  },
);
