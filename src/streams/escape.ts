/**
 * The only place where attacker-controlled text becomes part of a line. Detections hold names that a
 * container chose: files, arguments, processes. None of them may start a second line, close a field, steer
 * a terminal, or hide or reorder what a human reads.
 *
 * What is escaped, in both forms: everything in the Unicode categories Cc (C0, DEL, C1), Cf (bidi controls,
 * zero width, BOM, soft hyphen, tag characters), Zl and Zp (U+2028/2029), Cs (lone surrogates), and every
 * other default-ignorable code point (invisible fillers, variation selectors). Printable letters of all
 * scripts stay as they are.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
const HIDDEN_OR_BACKSLASH = /[\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Fast path for most texts, also with European letters or cut: nothing in them is hidden. Ten times as fast as HIDDEN. */
const PLAIN = /^[\x20-\x5b\x5d-\x7e\xa1-\xac\xae-\u024f…]*$/;
const PLAIN_OR_BACKSLASH = /^[\x20-\x7e\xa1-\xac\xae-\u024f…]*$/;

/** Names that need no quotes in a text line: no space, quote, bracket, equals sign or backslash. */
const BARE = /^[A-Za-z0-9_.:/@+-]+$/;

const SHORT_ESCAPES = new Map([
  ['\\', '\\\\'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

function toTextEscape(character: string): string {
  const short = SHORT_ESCAPES.get(character);
  if (short !== undefined) return short;
  const code = character.codePointAt(0) ?? 0;
  // A byte that is no text (`decodeText`).
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
  const hex = code.toString(16);
  if (code < 0x80) return `\\x${hex.padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}

function toJsonEscape(character: string): string {
  let escaped = '';
  for (let index = 0; index < character.length; index++) {
    escaped += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }
  return escaped;
}

/**
 * Makes hidden characters visible: `\n`, `\r`, `\t`, `\x1b`, `\u202e`, `\u{e0041}`, and bytes that are no UTF-8: `\xff`. A
 * backslash becomes `\\`, so the original can always be read back. The result is one line of visible text.
 */
export function escapeText(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(HIDDEN_OR_BACKSLASH, toTextEscape);
}

/**
 * As `escapeText`, but a backslash stays one: for a place with an escape of its own for it (RFC 5424, 6.3.3). One line of
 * visible text; a `\n` that was there already cannot be told from a newline.
 */
export function escapeHidden(text: string): string {
  if (PLAIN_OR_BACKSLASH.test(text)) return text;
  return text.replace(HIDDEN, toTextEscape);
}

/**
 * Text in ASCII: hidden characters as `escapeHidden` shows them, and all others beyond ASCII the same way (`\u00e9`). `…`, which
 * marks what was cut, becomes three dots.
 */
export function escapeAscii(text: string): string {
  return text.replaceAll('…', '...').replace(/[^\x20-\x7e]/gu, toTextEscape);
}

/**
 * A value for `key=value` in a text line: as it is when it is a plain ASCII name, otherwise escaped and in
 * double quotes, with `\"` for a quote, so that it ends where it seems to end.
 */
export function quoteField(value: string): string {
  return BARE.test(value) ? value : `"${escapeText(value).replaceAll('"', '\\"')}"`;
}

const HTML_ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Text for HTML, in an element or in a quoted attribute: it is shown and nothing else. Hidden characters are visible as in
 * `escapeHidden`, and so is what HTML forbids (noncharacters).
 */
export function escapeHtml(text: string): string {
  return escapeHidden(text)
    .replace(/\p{Noncharacter_Code_Point}/gu, toTextEscape)
    .replace(/[&<>"']/g, (character) => HTML_ESCAPES[character] ?? '');
}

/**
 * JSON text of a value (RFC 8259) in which hidden characters are `\uXXXX`. `JSON.parse` gives the value back, but rounds
 * integers beyond 2^53, and has U+FFFD where the value had a byte that is no text: readers disagree on lone surrogates
 * (RFC 7493, 2.1). Numbers that JSON cannot hold become null.
 */
export function escapeJson(
  value: string | number | bigint | boolean | null | readonly string[],
): string {
  if (typeof value === 'bigint') return String(value);
  return escapeHiddenJson(JSON.stringify(wellFormed(value)));
}

/** Makes hidden characters in JSON text, as JSON.stringify made it, `\uXXXX`. */
export function escapeHiddenJson(json: string): string {
  // Outside of strings JSON.stringify puts only ASCII, so whatever matches is inside one.
  return PLAIN_OR_BACKSLASH.test(json) ? json : json.replace(HIDDEN, toJsonEscape);
}

function wellFormed<Value>(value: Value): Value | string | string[] {
  if (typeof value === 'string') return value.toWellFormed();
  return Array.isArray(value) ? value.map((item) => String(item).toWellFormed()) : value;
}

/**
 * The longest start of `text` whose encoded form, with `…` after it, takes at most `maxBytes` UTF-8 bytes;
 * the whole text without `…` when that fits. `encode` is one of the functions above, or another that encodes each character
 * for itself. Never splits a surrogate pair. `maxBytes` must hold at least `encode('…')`.
 */
export function shorten(
  text: string,
  maxBytes: number,
  encode: (text: string) => string,
): { readonly encoded: string; readonly cut: boolean } {
  // No encoding makes a UTF-16 unit shorter than a byte, so what lies beyond cannot fit.
  if (text.length <= maxBytes) {
    const whole = encode(text);
    if (Buffer.byteLength(whole) <= maxBytes) return { encoded: whole, cut: false };
  }
  const mark = Buffer.byteLength(encode('…'));
  // With a blank, so that a field is in quotes for its part too.
  const blank = Buffer.byteLength(encode(' '));
  const sizeOf = (start: number, end: number): number =>
    Buffer.byteLength(encode(`${text.slice(start, end)} `)) - blank;
  let spare = maxBytes - mark;
  let end = 0;
  // What fits is looked at once, and of what does not half as much each time: a text costs about twice its length.
  for (let most = Math.min(text.length, spare); end < most;) {
    let next = wholeCharacters(text, Math.ceil((end + most) / 2));
    // A pair is one character: both halves or none.
    if (next === end) next = Math.min(end + 2, text.length);
    const size = next > most ? Infinity : sizeOf(end, next);
    if (size <= spare) {
      spare -= size;
      end = next;
    } else most = Math.min(next, most) - 1;
  }
  return { encoded: encode(`${text.slice(0, end)}…`), cut: true };
}

function wholeCharacters(text: string, units: number): number {
  const splitsPair =
    units > 0 && units < text.length && (text.codePointAt(units - 1) ?? 0) > 0xffff;
  return splitsPair ? units - 1 : units;
}
