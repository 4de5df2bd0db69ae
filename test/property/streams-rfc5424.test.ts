import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { PRIORITIES } from '../../src/rules/detection.ts';
import { MAX_FRAME_BYTES, renderRfc5424 } from '../../src/streams/syslog/rfc5424.ts';
import { parseRfc5424 } from '../support/rfc5424-parser.ts';
import { runs } from '../support/runs.ts';

const OURS = [
  'app_id',
  'source_id',
  'app_name',
  'organization_name',
  'space_name',
  'process_type',
  'instance_id',
  'source_type',
  'varvel_priority',
  'varvel_rule',
  'varvel_seq',
  'varvel_id',
];
const HOSTILE = [
  '"',
  ']',
  '\\',
  '"]\\',
  '\n',
  '\0',
  '\x1b[2J',
  '\u202e',
  '\ud800',
  '€',
  '🦅',
  ' ',
  '=',
];

/** Written apart from `escape.ts`: what a reader must be able to see. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u;

const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 4, arbitrary: fc.string({ unit: fc.constantFrom(...HOSTILE), maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...HOSTILE, 'x'), fc.integer({ min: 1000, max: 65_536 }))
      .map(([unit, count]) => unit.repeat(count)),
  },
);
const name = fc.oneof(
  fc.constantFrom(...OURS, 'varvel_truncated', 'varvel_x', '__proto__', 'team'),
  text,
);
const maybe = fc.option(text, { nil: undefined });
const app = fc.record({
  name: text,
  guid: maybe,
  space: maybe,
  org: maybe,
  processType: maybe,
  instance: maybe,
  tags: fc.array(fc.tuple(name, text), { maxLength: 90 }).map((tags) => Object.fromEntries(tags)),
});
const line = fc.record({
  id: text,
  seq: fc.nat(),
  timeNs: fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n }),
  priority: fc.constantFrom(...PRIORITIES),
  rule: text,
  hostname: text,
  text,
  app: fc.option(app, { nil: undefined }),
});
const sourceType = fc.string({ minLength: 1, maxLength: 32 }).filter((it) => /[^ -]/.test(it));

test('any line is a message of RFC 5424 below the bound that gives back what was put in', () => {
  fc.assert(
    fc.property(line, sourceType, (outgoing, source) => {
      const rendered = renderRfc5424(outgoing, { sourceType: source });
      const bytes = Buffer.from(rendered.text);
      assert.ok(`${bytes.length} `.length + bytes.length <= MAX_FRAME_BYTES);
      assert.doesNotMatch(rendered.text, CONTROL);

      const message = parseRfc5424(bytes);
      assert.ok(message.pri === 11 || message.pri === 14);
      const ms = Number(outgoing.timeNs / 1_000_000n);
      assert.equal(Date.parse(message.timestamp!.replace(/\d{3}\+/, '+')), ms);
      assert.deepEqual([...message.structuredData.keys()], ['tags@47450']);

      const params = message.structuredData.get('tags@47450')!;
      const names = params.map(([it]) => it);
      assert.equal(new Set(names).size, names.length, 'no name twice');
      const values = new Map(params);
      const given: Record<string, string | undefined> = {
        ...Object.fromEntries(
          Object.entries(outgoing.app?.tags ?? {}).filter(([key]) => !key.startsWith('varvel_')),
        ),
        ...Object.fromEntries(
          Object.entries({
            app_id: outgoing.app?.guid,
            source_id: outgoing.app?.guid,
            app_name: outgoing.app?.name,
            organization_name: outgoing.app?.org,
            space_name: outgoing.app?.space,
            process_type: outgoing.app?.processType,
            instance_id: outgoing.app?.instance,
          }).filter(([, value]) => value !== undefined),
        ),
        source_type: source,
        varvel_priority: outgoing.priority,
        varvel_rule: outgoing.rule,
        varvel_seq: String(outgoing.seq),
        varvel_id: outgoing.id,
      };
      let missing = 0;
      for (const [key, value] of Object.entries(given)) {
        const got = values.get(key);
        if (got === undefined) missing++;
        else if (isPlain(value!)) assert.equal(got, value);
        else if (got.endsWith('…')) assert.equal(values.get('varvel_truncated'), 'true');
      }
      assert.equal(missing, rendered.droppedTags, 'what is not there is counted');
      for (const key of OURS.slice(7)) assert.ok(values.has(key), key);
      assert.equal(values.get('varvel_truncated'), rendered.cut ? 'true' : undefined);
      if (isPlain(outgoing.text)) assert.equal(message.message, outgoing.text);
    }),
    { numRuns: runs(600) },
  );
});

/** Short, and with nothing that has to be made visible. */
function isPlain(value: string): boolean {
  return value.length < 120 && !/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u.test(value);
}
