import { encodeText } from '../../shared/text.ts';

/** Bytes of a text of a condition or an event (see `decodeText`). */
export function byteLength(text: string): number {
  // Only a lone surrogate is written as the replacement character, of three bytes.
  return text.isWellFormed() ? Buffer.byteLength(text) : encodeText(text).length;
}

/** The bytes of a text, as a value of kind 'bytes': one character each. */
export function bytesOf(text: string): string {
  return encodeText(text).toString('latin1');
}
