const LONE = /[\udc80-\udcff]/;

/** Bytes of a condition's text in UTF-8; a lone surrogate is one byte (see TextNode). */
export function byteLength(text: string): number {
  const length = Buffer.byteLength(text);
  // Only a lone surrogate is written as the replacement character, of three bytes.
  return LONE.test(text) ? bytesOf(text).length : length;
}

/** The bytes of a condition's text, as a value of kind 'bytes': one character each. */
export function bytesOf(text: string): string {
  if (!LONE.test(text)) return Buffer.from(text).toString('latin1');
  const parts = Array.from(text, (char) => {
    const code = char.charCodeAt(0);
    return char.length === 1 && code >= 0xdc80 && code <= 0xdcff
      ? String.fromCharCode(code - 0xdc00)
      : Buffer.from(char).toString('latin1');
  });
  return parts.join('');
}
