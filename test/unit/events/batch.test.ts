import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeText } from '../../../src/shared/text.ts';
import { recordBytes } from './record-builder.ts';

test('u64 is exact over the whole range', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
      const bytes = Buffer.alloc(16);
      bytes.writeBigUInt64LE(value, 8);
      assert.equal(recordBytes(bytes).u64(8), value);
    }),
  );
});

test('id and signed are exact to 2^53', () => {
  const max = Number.MAX_SAFE_INTEGER;
  fc.assert(
    fc.property(fc.integer({ min: -max, max }), (value) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(BigInt(value), 0);
      assert.equal(recordBytes(bytes).signed(0), value);
      if (value >= 0) assert.equal(recordBytes(bytes).id(0), value);
    }),
  );
  const bytes = Buffer.alloc(8, 0xff);
  assert.equal(recordBytes(bytes).signed(0), -1);
});

test('number, int and short', () => {
  const bytes = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x01, 0x02, 0xfe, 0xff]);
  const r = recordBytes(bytes);
  assert.deepEqual(
    [r.number(0), r.int(0), r.short(4), r.short(6)],
    [4294967295, -1, 0x201, 0xfffe],
  );
});

test('text: what is no text becomes U+FFFD, and never reaches a line end or a terminal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const text = recordBytes(Buffer.from(bytes), Buffer.from('after')).text(0, bytes.length);
      assert.deepEqual(encodeText(text), Buffer.from(bytes));
    }),
  );
  const r = recordBytes(Buffer.from('a\nb\u001b\u0085é€😀\u0000'));
  assert.equal(r.text(0, 17), 'a\nb\u001b\u0085é€😀\0');
  assert.equal(r.text(3, 0), '');
});

test('comm ends at its first NUL or after 16 bytes', () => {
  assert.equal(recordBytes(Buffer.from('name\0rest-of-it!')).comm(0), 'name');
  assert.equal(recordBytes(Buffer.from('0123456789abcdefXX')).comm(0), '0123456789abcdef');
  assert.equal(recordBytes(Buffer.alloc(16)).comm(0), '');
});
