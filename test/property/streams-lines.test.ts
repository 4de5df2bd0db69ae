import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { PRIORITIES, type OutputValue } from '../../src/rules/detection.ts';
import {
  escapeHidden,
  escapeJson,
  escapeText,
  quoteField,
  shorten,
} from '../../src/streams/escape.ts';
import { MAX_LINEAGE_ANCESTORS } from '../../src/rules/lineage.ts';
import { LONG_LINE_BYTES } from '../../src/streams/brief-output.ts';
import { formatLine, MAX_LINE_BYTES, MIN_LINE_BYTES } from '../../src/streams/format.ts';
import type { Lineage } from '../../src/rules/lineage.ts';
import type { Delivery } from '../../src/streams/stream.ts';
import { detectionSchema } from '../../src/streams/detection-schema.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';
import { anySize, nasty, text } from '../support/hostile-text.ts';
import { runs } from '../support/runs.ts';

// Written out by code point, not taken from the code under test.
const FORBIDDEN_RANGES: readonly [number, number][] = [
  [0x00, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad],
  [0x61c, 0x61c],
  [0x180e, 0x180e],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0x3164, 0x3164],
  [0xd800, 0xdfff],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xfff9, 0xfffb],
  [0xe0000, 0xe0fff],
];

function assertVisible(line: string): void {
  for (const character of line) {
    const code = character.codePointAt(0)!;
    const bad = FORBIDDEN_RANGES.some(([from, to]) => code >= from && code <= to);
    assert.ok(!bad, `U+${code.toString(16)} is in the line`);
  }
}

const value: fc.Arbitrary<OutputValue> = fc.oneof(
  anySize,
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .map((number) => (Object.is(number, -0) ? 0 : number)),
  fc.boolean(),
  fc.constant(null),
  fc.array(text(), { maxLength: 30 }),
);
const key = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'proc.name',
      'container.id',
      'container.name',
      'fd.name',
      'proc.args',
    ),
  },
  { weight: 1, arbitrary: text(6) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 60 }).map((n) => `container.x${n}`) },
);
const optional = fc.option(anySize, { nil: undefined });

/** Names as the kernel has them: at most 15 bytes, whatever a process chose. */
const lineageProcess = fc
  .tuple(fc.nat({ max: 4_194_304 }), fc.nat({ max: 0xffff_ffff }), text(4))
  .map(([pid, start, name]) => {
    return { pid, start, name: Buffer.from(name).subarray(0, 15).toString() };
  });
const lineage: fc.Arbitrary<Lineage> = fc
  .tuple(
    fc.array(lineageProcess, { minLength: 1, maxLength: MAX_LINEAGE_ANCESTORS + 1 }),
    fc.constantFrom<Lineage['above'][]>('outside', 'more', 'unknown'),
  )
  .map(([processes, above]) => ({ processes, above }));

const mixed: fc.Arbitrary<Delivery> = fc
  .record({
    rule: anySize,
    priority: fc.constantFrom(...PRIORITIES),
    tags: fc.array(text(), { maxLength: 40 }),
    timeNs: fc.bigInt({ min: 0n, max: 4_102_444_800_000_000_000n }),
    output: anySize,
    fields: fc.array(fc.tuple(key, value), { maxLength: 60 }),
    app: fc.record({
      name: anySize,
      guid: optional,
      space: optional,
      org: optional,
      processType: optional,
      instance: optional,
    }),
    known: fc.boolean(),
    lineage,
    hostname: anySize,
    seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  })
  .map(({ fields, app, known, hostname, seq, ...detection }) =>
    deliveryOf(
      {
        ...detection,
        outputFields: Object.fromEntries(fields),
        container: known ? containerOf({}, app) : undefined,
      },
      { hostname, seq },
    ),
  );
/** The worst case: everything that can be long is, in what takes most bytes escaped. */
const allHuge: fc.Arbitrary<Delivery> = fc
  .tuple(nasty, fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 0, max: 50 }))
  .map(([part, count, nameLength]) => {
    const long = part.repeat(count);
    const app = {
      name: long,
      guid: long,
      space: long,
      org: long,
      processType: long,
      instance: long,
    };
    const names = Array.from(
      { length: 40 },
      (_, n) => `${n % 2 ? 'fd.' : 'container.'}${'n'.repeat(nameLength)}${n}`,
    );
    return deliveryOf(
      {
        rule: long,
        priority: 'Informational',
        output: long,
        tags: Array.from({ length: 200 }, (_, n) => `${n}${part.repeat(n)}`),
        outputFields: Object.fromEntries(names.map((name) => [name, long])),
        container: containerOf({}, app),
        lineage: {
          processes: Array.from({ length: MAX_LINEAGE_ANCESTORS + 1 }, () => ({
            pid: 4_194_304,
            start: 0xffff_ffff,
            name: Buffer.from(long).subarray(0, 15).toString(),
          })),
          above: 'outside',
        },
        incident: 'k3x9abcd',
      },
      { hostname: long, seq: Number.MAX_SAFE_INTEGER, id: 'Z'.repeat(26) },
    );
  });
const delivery = fc.oneof({ weight: 4, arbitrary: mixed }, { weight: 1, arbitrary: allHuge });
const bound = fc.constantFrom(MIN_LINE_BYTES, 4094, MAX_LINE_BYTES);

interface ParsedLine {
  readonly [key: string]: unknown;
  readonly output_fields: Record<string, unknown>;
  readonly truncated?: true;
  readonly lineage?: Omit<Lineage, 'above'> & Partial<Pick<Lineage, 'above'>>;
}

/** What a line tells of it is true, and the process itself comes first; what is left out are ancestors, and it says so. */
function assertLineage(told: ParsedLine['lineage'], { processes, above }: Lineage): void {
  if (told === undefined) return;
  assert.ok(told.processes.length > 0);
  assert.deepEqual(told.processes, processes.slice(0, told.processes.length));
  const expected = told.processes.length < processes.length ? 'more' : above;
  assert.equal(told.above ?? 'outside', expected);
}

/** A short line has it whole; in a long one pieces of it may be missing, and `…` is in the place of each. */
function assertOutput(told: string, output: string, line: string): void {
  const whole = escapeHidden(output);
  if (told.endsWith(` ${whole}`)) return;
  assert.ok(Buffer.byteLength(line) > LONG_LINE_BYTES - whole.length);
  const message = told.replace(/^[\d:.]+: \w+ /, '');
  let from = 0;
  for (const piece of message.split('…')) {
    const at = whole.indexOf(piece, from);
    assert.ok(at >= 0);
    from = at + piece.length;
  }
}

/** As JSON has it: without lone surrogates, in keys neither. */
function wellFormed<Value>(value: Value): Value {
  if (typeof value === 'string') return value.toWellFormed() as Value;
  if (Array.isArray(value)) return value.map(wellFormed) as Value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(wellFormed)) as Value;
}

const isStartOf = (short: unknown, long: string): boolean =>
  typeof short === 'string' &&
  (short === long || (short.endsWith('…') && long.startsWith(short.slice(0, -1))));

test('a JSON line is one visible line within its bound and gives the values back', () => {
  fc.assert(
    fc.property(delivery, bound, (sample, maxBytes) => {
      const line = formatLine(sample, { format: 'json', maxBytes });
      assertVisible(line);
      assert.ok(Buffer.byteLength(line) <= maxBytes);
      assert.equal(line, formatLine(sample, { format: 'json', maxBytes }));
      const parsed = JSON.parse(line) as ParsedLine;
      const detection = wellFormed(sample.detection);
      assert.equal(parsed['priority'], detection.priority);
      assert.equal(parsed['id'], sample.id);
      assert.equal(parsed['seq'], sample.seq);
      assert.equal(parsed['incident'], sample.detection.incident);
      assert.match(parsed['time'] as string, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
      assert.equal(parsed['app'] !== undefined, detection.container !== undefined);
      if (detection.lineage === undefined) assert.equal(parsed.lineage, undefined);
      else assertLineage(parsed.lineage, detection.lineage);
      if (parsed.truncated === undefined) {
        assert.equal(parsed['rule'], detection.rule);
        assert.deepEqual(parsed['tags'], wellFormed([...sample.detection.tags].sort()));
        assertVisible(parsed['output'] as string);
        assertOutput(parsed['output'] as string, sample.detection.output, line);
        assert.equal(parsed.lineage === undefined, detection.lineage === undefined);
        // Through JSON: a key like __proto__ and doubles compare as JSON sees them.
        assert.equal(JSON.stringify(parsed.output_fields), JSON.stringify(detection.outputFields));
      } else {
        assert.ok(isStartOf(parsed['rule'], detection.rule));
        const kept = Object.keys(detection.outputFields)
          .filter((name) => name === 'container.id' || name === 'container.name')
          .slice(0, 8);
        const before = Object.keys(detection.outputFields).filter((name) =>
          name.startsWith('container.'),
        );
        if (before.length <= 8) for (const name of kept) assert.ok(name in parsed.output_fields);
        for (const [name, short] of Object.entries(parsed.output_fields)) {
          const full = detection.outputFields[name];
          if (typeof full === 'string') assert.ok(isStartOf(short, full), name);
        }
      }
    }),
    { numRuns: runs(400) },
  );
});

test('the line for readers of Falco’s events: output is in ASCII, and output_fields say what their own keys say elsewhere', () => {
  fc.assert(
    fc.property(delivery, bound, (sample, maxBytes) => {
      const line = formatLine(sample, { format: 'falco', maxBytes });
      assertVisible(line);
      assert.ok(Buffer.byteLength(line) <= maxBytes);
      const { output, output_fields: fields, ...others } = JSON.parse(line) as ParsedLine;
      assert.match(String(output), /^\d\d:\d\d:\d\d\.\d{9}: [A-Z][a-z]+ [\x20-\x7e]*$/);
      const json = formatLine(sample, { format: 'json', maxBytes });
      const { output_fields: plain, ...expected } = JSON.parse(json) as ParsedLine;
      if (others.truncated === expected.truncated && others.truncated === undefined)
        assert.deepEqual({ ...others, output: expected['output'] }, expected);
      if (others.truncated === true) return;
      const { detection, id, seq } = sample;
      const own = {
        ...Object.fromEntries(
          Object.entries(others['app'] ?? {}).map(([key, value]) => [`app.${key}`, value]),
        ),
        ...(detection.incident === undefined ? {} : { 'varvel.incident': detection.incident }),
        'varvel.id': id,
        'varvel.seq': seq,
      };
      const { 'varvel.lineage': words, ...rest } = fields;
      assert.equal(words === undefined, detection.lineage === undefined);
      assert.deepEqual({ ...own, ...plain }, rest);
    }),
    { numRuns: runs(400) },
  );
});

test('a text line is one visible line within its bound, and its fields are the ones we put there', () => {
  fc.assert(
    fc.property(delivery, bound, (sample, maxBytes) => {
      const line = formatLine(sample, { format: 'text', maxBytes });
      assertVisible(line);
      assert.ok(Buffer.byteLength(line) <= maxBytes);
      const fields = parseFields(line);
      const { detection } = sample;
      assert.equal(fields.get('id'), sample.id);
      assert.equal(fields.get('seq'), String(sample.seq));
      assert.equal(fields.get('incident'), sample.detection.incident);
      assert.ok(isStartOf(fields.get('rule'), detection.rule));
      assert.equal(fields.has('lineage'), detection.lineage !== undefined);
      const [first] = detection.lineage?.processes ?? [];
      if (first !== undefined) assert.match(fields.get('lineage') ?? '', textLineage(first.pid));
      const app = detection.container?.app;
      assert.equal(fields.get('app') === undefined, app === undefined);
      if (app !== undefined) {
        assert.ok(isStartOf(fields.get('app'), app.name));
      }
    }),
    { numRuns: runs(400) },
  );
});

const textLineage = (pid: number): RegExp =>
  new RegExp(`^[^()<>]*\\(${pid}\\)(?:<[^()<>]*\\(\\d+\\))*(?:<…|<\\?)?$`, 's');

/** Reads a text line as its documentation says, strictly from its start. */
function parseFields(line: string): Map<string, string> {
  const head = /^\d\d:\d\d:\d\d\.\d{9}: [A-Z][a-z]+ \[/.exec(line);
  assert.ok(head !== null);
  const fields = new Map<string, string>();
  const pattern = /([a-z]+)=("(?:[^"\\]|\\.)*"|[A-Za-z0-9_.:/@+-]+)( |\] )/y;
  pattern.lastIndex = head[0].length;
  for (;;) {
    const match = pattern.exec(line);
    assert.ok(match !== null);
    const [, name, raw, end] = match;
    assert.ok(!fields.has(name!), 'no field twice');
    fields.set(name!, unescape(raw!.startsWith('"') ? raw!.slice(1, -1) : raw!));
    if (end === '] ') return fields;
  }
}

function unescape(escaped: string): string {
  return escaped.replace(/\\(?:x(..)|u\{([^}]+)\}|u(....)|(.))/gs, (_, x, braced, u, short) => {
    // From 0x80 it is a byte that is no text.
    if (x !== undefined && Number.parseInt(x as string, 16) >= 0x80)
      return String.fromCharCode(0xdc00 + Number.parseInt(x as string, 16));
    const hex = (x ?? braced ?? u) as string | undefined;
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    return { n: '\n', r: '\r', t: '\t' }[short as string] ?? (short as string);
  });
}

test('text escaping can be undone: no two texts look the same', () => {
  fc.assert(
    fc.property(text(), (sample) => {
      // A pair that two escapes yield is the pair that two lone halves in a row are.
      assert.equal(unescape(escapeText(sample)), sample);
      const quoted = quoteField(sample);
      assertVisible(quoted);
      assert.equal(unescape(quoted.startsWith('"') ? quoted.slice(1, -1) : quoted), sample);
    }),
    { numRuns: runs(1000) },
  );
});

test('shortening keeps as much as fits, and never half a character', () => {
  const encoders = fc.constantFrom<(text: string) => string>(escapeText, quoteField, escapeJson);
  fc.assert(
    fc.property(text(12), fc.integer({ min: 8, max: 80 }), encoders, (sample, maxBytes, encode) => {
      const { encoded, cut } = shorten(sample, maxBytes, encode);
      const size = (units: number): number =>
        Buffer.byteLength(encode(`${sample.slice(0, units)}…`));
      assert.ok(Buffer.byteLength(encoded) <= maxBytes);
      assert.equal(cut, Buffer.byteLength(encode(sample)) > maxBytes);
      if (!cut) {
        assert.equal(encoded, encode(sample));
        return;
      }
      let longest = 0;
      let units = 0;
      for (const character of sample) {
        units += character.length;
        if (size(units) <= maxBytes) longest = units;
      }
      assert.equal(encoded, encode(`${sample.slice(0, longest)}…`));
    }),
    { numRuns: runs(1000) },
  );
});

test('each JSON line, cut or whole, is as varvel schema detection says, and has no key that it does not tell', () => {
  const schema = detectionSchema() as { properties: Record<string, object> };
  // Every key is to be in the schema, although it forbids none.
  const validate = new Ajv2020({ allowUnionTypes: true }).compile({
    ...schema,
    additionalProperties: false,
  });
  let cut = 0;
  fc.assert(
    fc.property(delivery, bound, (one, maxBytes) => {
      const line = JSON.parse(formatLine(one, { format: 'json', maxBytes })) as ParsedLine;
      if (line.truncated === true) cut++;
      assert.ok(validate(line), JSON.stringify(validate.errors));
      assert.ok(!validate({ ...line, id: undefined }));
    }),
    { numRuns: runs(300) },
  );
  assert.ok(cut > 0, 'none was cut');
});
