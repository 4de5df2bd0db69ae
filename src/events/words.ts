import { RecordBytes } from './batch.ts';
import { LIMITS } from './table.gen.ts';

/** Most bytes of packed words: twice what the probe copies of argv, since /proc may show more of it. */
export const WORDS_MAX_BYTES = 2 * LIMITS.ARGV_MAX;

/** Where packed words are unpacked. Decoding is synchronous, so one place serves all. */
const scratch = new RecordBytes(new ArrayBuffer(WORDS_MAX_BYTES));

/**
 * NUL-separated words as they came, one character per byte. A flat string that refers to no record and costs as much
 * memory as the bytes; as an array of strings, 8 KiB of short words cost more than 30 KiB.
 */
export type PackedWords = string;

/** A copy of `length` bytes of a record. */
export function packWords(r: RecordBytes, at: number, length: number): PackedWords {
  return r.bytes.toString('latin1', at, at + length);
}

/** The bytes of a text, or of a file, as packed words. */
export function packBytes(bytes: Buffer | string): PackedWords {
  return Buffer.from(bytes as Buffer).toString('latin1');
}

/** The words of a record's bytes, each as text for matching. */
export function readWords(r: RecordBytes, at: number, length: number): string[] {
  const words: string[] = [];
  let start = at;
  const end = at + length;
  while (start < end) {
    const nul = r.bytes.indexOf(0, start);
    const stop = nul < 0 || nul > end ? end : nul;
    words.push(r.text(start, stop - start));
    start = stop + 1;
  }
  return words;
}

/** What `readWords` gives for the bytes that were packed, up to WORDS_MAX_BYTES. */
export function unpackWords(packed: PackedWords): string[] {
  return readWords(scratch, 0, scratch.bytes.write(packed, 0, 'latin1'));
}

/** The same words joined by spaces. Decodes all at once: no character spans a NUL. */
export function joinWords(packed: PackedWords): string {
  const end = packed.endsWith('\0') ? packed.length - 1 : packed.length;
  const length = scratch.bytes.write(packed.slice(0, end), 0, 'latin1');
  for (let at = 0; at < length; at++) if (scratch.bytes[at] === 0) scratch.bytes[at] = 0x20;
  return scratch.text(0, length);
}

/**
 * What follows `prefix` (packed as well) in the first word that begins with it; undefined without such a word. Decodes
 * nothing else.
 */
export function wordAfter(packed: PackedWords, prefix: PackedWords): string | undefined {
  // Searches without the NUL before it: the search looks for the first character, and every third one may be a NUL.
  let at = packed.indexOf(prefix);
  while (at > 0 && packed.charCodeAt(at - 1) !== 0) at = packed.indexOf(prefix, at + 1);
  if (at < 0) return undefined;
  at += prefix.length;
  const nul = packed.indexOf('\0', at);
  const value = packed.slice(at, nul < 0 ? packed.length : nul);
  return scratch.text(0, scratch.bytes.write(value, 0, 'latin1'));
}
