/** What ends a text that was cut, as in the lines of log streams. */
const MARK = '…';
const MARK_BYTES = Buffer.byteLength(MARK);

/**
 * The text, or the longest start of it that has room for a `…` after it in `maxBytes` (from 3) bytes of UTF-8. A character
 * is never split.
 */
export function cutText(text: string, maxBytes: number): string {
  // No unit of UTF-16 takes more than 3 bytes, and none less than 1.
  if (text.length * 3 <= maxBytes) return text;
  const bytes = Buffer.from(text.length > maxBytes ? text.slice(0, maxBytes + 1) : text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes - MARK_BYTES;
  // Bytes after a character's first begin with the bits 10.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return `${bytes.toString('utf8', 0, end)}${MARK}`;
}

/** The first items that fit into `maxBytes`, and a `…` for the others. */
export function cutList(items: readonly string[], maxBytes: number): readonly string[] {
  let room = maxBytes - MARK_BYTES;
  for (const [index, item] of items.entries()) {
    room -= Buffer.byteLength(item) + 1;
    if (room < 0) return [...items.slice(0, index), MARK];
  }
  return items;
}
