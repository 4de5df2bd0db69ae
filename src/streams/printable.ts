/** Go's \s, which the platform means: ASCII only. Each run becomes a hyphen. */
export function dashed(text: string): string {
  return text.replace(/[\t\n\f\r ]+/g, '-');
}

/** RFC 5424's PRINTUSASCII (%d33-126) of a text, or NILVALUE (`-`) when it has none. */
export function printable(text: string, maxLength: number): string {
  return (
    text
      .slice(0, 4096)
      .replace(/[^\x21-\x7e]+/g, '')
      .slice(0, maxLength) || '-'
  );
}
