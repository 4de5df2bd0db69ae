/** What the engine's own change of case would change as well. */
const OTHER = /[^\0-\x7f]/;

/** Lower case for ASCII letters only, as Falco compares. Takes time linear in the text, whatever is in it. */
export function lowerAscii(text: string): string {
  if (!/[A-Z]/.test(text)) return text;
  return OTHER.test(text) ? withCase(text, 0x41, 0x5a) : text.toLowerCase();
}

/** Upper case for ASCII letters only. */
export function upperAscii(text: string): string {
  if (!/[a-z]/.test(text)) return text;
  return OTHER.test(text) ? withCase(text, 0x61, 0x7a) : text.toUpperCase();
}

/** With the other case of the letters from `first` to `last`. */
function withCase(text: string, first: number, last: number): string {
  // Units of 16 bits: nothing but the letters changes, halves of pairs included.
  const units = Buffer.from(text, 'utf16le');
  for (let at = 0; at < units.length; at += 2) {
    const low = units[at] ?? 0;
    if (units[at + 1] === 0 && low >= first && low <= last) units[at] = low ^ 0x20;
  }
  return units.toString('utf16le');
}
