import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TextCache } from '../../../src/events/text-cache.ts';
import { decodeText } from '../../../src/shared/text.ts';

function decode(cache: TextCache, bytes: Buffer, at = 0, length = bytes.length - at): string {
  // Into memory of its own, which is aligned and has whole words, as records have.
  const copy = new ArrayBuffer((bytes.length + 7) & ~7);
  bytes.copy(Buffer.from(copy));
  const from = {
    bytes: Buffer.from(copy, 0, bytes.length),
    i32: new Int32Array(copy),
    view: new DataView(copy, 0, bytes.length),
  };
  return cache.decode(from, at, length);
}

describe('texts kept by their bytes', () => {
  test('are what decoding gives, whatever came before, at any offset', () => {
    const cache = new TextCache();
    const texts = Array.from({ length: 30_000 }, (_, index) => {
      // Short ones share places soon: 30,000 texts and 8192 places.
      const bytes = Buffer.from(`/p${index % 20_000}/\u00e9${'x'.repeat(index % 140)}`);
      if (index % 7 === 0) bytes[3] = 0xff;
      if (index % 11 === 0) bytes[2] = 0x0a;
      return bytes;
    });
    for (const [index, bytes] of [...texts, ...texts].entries()) {
      const shifted = Buffer.concat([Buffer.alloc(index % 5), bytes, Buffer.from('rest')]);
      assert.equal(decode(cache, shifted, index % 5, bytes.length), decodeText(bytes));
    }
  });

  test('neither a prefix nor a longer text is the text', () => {
    const cache = new TextCache();
    const bytes = Buffer.from('/etc/shadow-backup\0');
    for (let length = 0; length <= bytes.length; length++) {
      assert.equal(
        decode(cache, bytes, 0, length),
        decodeText(bytes.subarray(0, length)),
        String(length),
      );
    }
  });

  test('outlive the bytes they were read from', () => {
    const cache = new TextCache();
    const bytes = Buffer.from('/etc/passwd');
    const first = decode(cache, bytes);
    bytes.fill('x');
    assert.equal(first, '/etc/passwd');
    assert.equal(decode(cache, bytes), 'xxxxxxxxxxx');
    assert.equal(decode(cache, Buffer.from('/etc/passwd')), '/etc/passwd');
  });
});
