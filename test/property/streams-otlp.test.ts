import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PRIORITIES } from '../../src/rules/detection.ts';
import { escapeHidden, escapeText } from '../../src/streams/escape.ts';
import { formatLine } from '../../src/streams/format.ts';
import { encodeRequest } from '../../src/streams/otlp/api.ts';
import { exportRequestOf } from '../../src/streams/otlp/export-request.ts';
import { containerFacts } from '../../src/streams/otlp/resource.ts';
import { recordsIn, REQUEST } from '../support/otlp-proto.ts';
import { runs } from '../support/runs.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';
import { appOf, lineOf } from '../unit/streams/outgoing-line-fixture.ts';

const HOSTILE = [
  '"',
  '\\',
  '\n',
  '\0',
  '\x1b[2J',
  '\u202e',
  '\ud800',
  '\udcff',
  '€',
  '🦅',
  '{"$int":"1"}',
];

/** Written apart from `escape.ts`: what a reader must be able to see. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 4, arbitrary: fc.string({ unit: fc.constantFrom(...HOSTILE), maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...HOSTILE, 'x'), fc.integer({ min: 1000, max: 65_536 }))
      .map(([unit, count]) => unit.repeat(count)),
  },
);
const value = fc.oneof(
  text,
  fc.integer(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
  fc.array(text, { maxLength: 3 }),
);

test('whatever a container says, a receiver reads one valid record, with nothing hidden, and every short field as it was', () => {
  const fields = fc.dictionary(fc.oneof(text, fc.constant('log.record.uid')), value, {
    maxKeys: 6,
  });
  const tags = fc.dictionary(text, text, { maxKeys: 4 });
  fc.assert(
    fc.property(
      fields,
      text,
      tags,
      fc.constantFrom(...PRIORITIES),
      (outputFields, output, own, priority) => {
        const delivery = deliveryOf({ outputFields, output, priority });
        const line = lineOf({
          priority,
          timeNs: delivery.detection.timeNs,
          text: formatLine(delivery, { format: 'json' }),
          app: appOf({ name: output, tags: own }),
          facts: containerFacts(containerOf({ name: output })),
        });
        const bytes = encodeRequest(exportRequestOf([line]));
        const [found] = recordsIn(REQUEST.deserialize(bytes));
        assert.ok(found !== undefined && bytes.length < 40_000, String(bytes.length));
        const { attributes, record, resource } = found;
        const shown = [record.body.stringValue, ...textsIn(attributes), ...textsIn(resource)];
        assert.ok(!shown.some((it) => HIDDEN.test(it ?? '')));
        assert.equal(attributes['log.record.uid'], line.id);
        assert.equal(attributes['security_rule.name'], line.rule);
        if (attributes['varvel.truncated'] === true) return;
        // Names that JSON cannot tell apart are one: the last counts.
        const sent = new Map(
          Object.entries(outputFields).map(([key, it]) => [key.toWellFormed(), it]),
        );
        for (const [key, given] of sent) {
          const name = `falco.${escapeText(key)}`;
          if (typeof given === 'string')
            assert.equal(attributes[name], escapeHidden(given.toWellFormed()));
          if (typeof given === 'bigint') assert.equal(String(attributes[name]), String(given));
          if (typeof given === 'number') assert.ok(Number(attributes[name]) === given);
          if (given === null) assert.equal(attributes[name], undefined);
        }
      },
    ),
    { numRuns: runs(300) },
  );
});

function textsIn(given: unknown): string[] {
  if (typeof given === 'string') return [given];
  if (typeof given !== 'object' || given === null) return [];
  return Object.entries(given).flatMap(([key, it]) => [key, ...textsIn(it)]);
}
