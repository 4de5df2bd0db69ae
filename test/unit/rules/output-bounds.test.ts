import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  MAX_OUTPUT_BYTES,
  MAX_OUTPUT_FIELDS,
  MAX_OUTPUT_FIELDS_BYTES,
  MAX_VALUE_BYTES,
} from '../../../src/rules/detection.ts';
import type { View } from '../../../src/rules/fields/field.ts';
import { cutText } from '../../../src/rules/output/bounded-text.ts';
import { compileOutput, formatOutput } from '../../../src/rules/output/format.ts';
import type { FormattedOutput } from '../../../src/rules/output/format.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { worstViews } from '../../support/worst-views.ts';
import { deliveryOf } from '../streams/delivery-fixture.ts';

const views = ['a', '\ufffd', '😀'].flatMap((unit) => worstViews(unit));

/** The output for the worst event, which is within its bounds. */
function filled(text: string, view = views[0]): FormattedOutput {
  assert.ok(view);
  const output = formatOutput(compileOutput(text), view);
  const bytes = Buffer.byteLength(output.text);
  assert.ok(bytes <= MAX_OUTPUT_BYTES, String(bytes));
  assert.equal(Buffer.from(output.text).toString(), output.text);
  const fields = Object.entries(output.fields);
  assert.ok(fields.length <= MAX_OUTPUT_FIELDS, String(fields.length));
  let all = 0;
  for (const [key, value] of fields) {
    const size = typeof value === 'string' ? Buffer.byteLength(value) : 0;
    assert.ok(size <= MAX_VALUE_BYTES, `${key} ${size}`);
    all += size + Buffer.byteLength(key);
  }
  assert.ok(all <= MAX_OUTPUT_FIELDS_BYTES + 64, String(all));
  return output;
}

test('an output with the arguments of all ancestors 5,880 times is cut, and says so', () => {
  for (const view of views) {
    const output = filled('%proc.aargs'.repeat(5880), view);
    assert.ok(output.truncated);
    assert.ok(output.text.endsWith('…'));
    const value = output.fields['proc.aargs'];
    assert.ok(typeof value === 'string' && value.endsWith('…'), String(value));
  }
});

test('a width of 99,999 pads no further than an output goes', () => {
  const output = filled('%99999evt.num'.repeat(4900));
  assert.ok(output.truncated);
  assert.equal(output.fields['evt.num'], 7);
});

test('a long value leaves room for what comes after it', () => {
  const output = filled('%proc.cmdline by %proc.name');
  assert.ok(output.truncated);
  assert.match(output.text, /a… by a+$/);
});

test('a field is read once for an output, however often it has it', () => {
  const [view] = views;
  assert.ok(view);
  let reads = 0;
  const counting: View = {
    ...view,
    process: {
      ...view.process,
      get parent() {
        reads += 1;
        return undefined;
      },
    },
  };
  const { text } = formatOutput(compileOutput('%proc.pname'.repeat(5000)), counting);
  assert.ok(text.startsWith('<NA><NA>'));
  assert.equal(reads, 1);
});

test('fields past the bounds are left out, and it is said', () => {
  const many = Array.from({ length: 10_000 }, (_, at) => `%proc.aname[${at}]`).join('');
  const output = filled(many);
  assert.ok(output.truncated);
  assert.equal(Object.keys(output.fields).length, MAX_OUTPUT_FIELDS);
});

test('a text that transformers multiply is absent where it is too long to be made', () => {
  let operand = 'proc.args';
  for (let level = 0; level < 6; level++) {
    operand = `join(${operand}, (${Array.from({ length: 60 }, () => '"a"').join(', ')}))`;
  }
  assert.equal(filled(`x %${operand} y`).text, 'x <NA> y');
});

test('both formats of a line say that its output was cut', () => {
  const { text: output, truncated, fields: outputFields } = filled('x=%proc.cmdline');
  const delivery = deliveryOf({ output, truncated, outputFields: { 'evt.num': 1 } });
  const json = JSON.parse(formatLine(delivery, { format: 'json' })) as Record<string, unknown>;
  assert.equal(json['truncated'], true);
  assert.match(formatLine(delivery, { format: 'text' }), /^[^\]]* truncated=true\] x=/);
  assert.ok(outputFields['proc.cmdline']);
});

test('a cut never splits a character and never goes over its bound', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'é', '\ufffd', '😀') }),
      fc.nat({ max: 40 }),
      (text, more) => {
        const cut = cutText(text, 3 + more);
        assert.ok(Buffer.byteLength(cut) <= 3 + more);
        if (cut === text) return;
        assert.ok(Buffer.byteLength(text) > 3 + more);
        assert.equal(Buffer.from(cut).toString(), cut);
        assert.ok(cut.endsWith('…') && text.startsWith(cut.slice(0, -1)));
      },
    ),
  );
});
