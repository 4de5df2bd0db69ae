const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

/**
 * Text from bytes that a container chose (names, paths, arguments), as conditions see it: nothing is left out or
 * replaced. A byte outside of well-formed UTF-8 becomes the lone surrogate U+DC00 + byte, which UTF-8 cannot encode.
 * Control characters stay: output for people or lines needs an escape of `streams/escape.ts`, or `replaceControls`.
 * Takes time linear in the bytes. Never throws.
 */
export function decodeText(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  return text.includes('\ufffd') ? decodeWithBytes(bytes) : text;
}

/** Text in which every control character (C0, DEL, C1) is U+FFFD: it can neither end a line nor steer a terminal. */
export function replaceControls(text: string): string {
  return text.replace(CONTROLS, '\ufffd');
}

const LONE = /[\udc80-\udcff]/;

/** The bytes that `decodeText` was given: UTF-8, and a byte for each lone surrogate of its making. */
export function encodeText(text: string): Buffer {
  if (text.isWellFormed() || !LONE.test(text)) return Buffer.from(text);
  return Buffer.concat(
    // Between captured separators: text and lone surrogates take turns.
    text.split(/(\p{Surrogate}+)/u).map((part, index) =>
      index % 2 === 0
        ? Buffer.from(part)
        : Buffer.concat(
            Array.from(part, (char) => {
              const code = char.charCodeAt(0);
              return code >= 0xdc80 && code <= 0xdcff
                ? Buffer.of(code - 0xdc00)
                : Buffer.from(char);
            }),
          ),
    ),
  );
}

function decodeWithBytes(bytes: Buffer): string {
  // A byte makes at most one unit: the sequences of 4 make two.
  const units = Buffer.allocUnsafe(2 * bytes.length);
  let length = 0;
  const add = (unit: number): void => {
    units[length] = unit & 0xff;
    units[length + 1] = unit >> 8;
    length += 2;
  };
  for (let at = 0; at < bytes.length;) {
    const size = sequenceLength(bytes, at);
    if (size === 0) add(0xdc00 + (bytes[at] ?? 0));
    else {
      const point = pointAt(bytes, at, size);
      if (point < 0x10000) add(point);
      else {
        add(0xd800 + ((point - 0x10000) >> 10));
        add(0xdc00 + ((point - 0x10000) & 0x3ff));
      }
    }
    at += Math.max(size, 1);
  }
  return units.toString('utf16le', 0, length);
}

/** The length of the well-formed sequence at `at` (Unicode, table 3-7); 0 where there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  for (let index = 1; index < size; index++) {
    const byte = bytes[at + index] ?? 0;
    const [low, high] = index === 1 ? secondByte(first) : [0x80, 0xbf];
    if (byte < low || byte > high) return 0;
  }
  return size;
}

/** No overlong forms, no surrogates, nothing past U+10FFFF. */
function secondByte(first: number): readonly [number, number] {
  if (first === 0xe0) return [0xa0, 0xbf];
  if (first === 0xed) return [0x80, 0x9f];
  if (first === 0xf0) return [0x90, 0xbf];
  if (first === 0xf4) return [0x80, 0x8f];
  return [0x80, 0xbf];
}

function pointAt(bytes: Buffer, at: number, size: number): number {
  const first = bytes[at] ?? 0;
  if (size === 1) return first;
  let point = first & (0xff >> (size + 1));
  for (let index = 1; index < size; index++)
    point = (point << 6) | ((bytes[at + index] ?? 0) & 0x3f);
  return point;
}
