import { encodeText } from '../../shared/text.ts';

/** One byte of a set, or any number of them. */
export interface Part {
  /** 256 flags, by byte. */
  readonly bytes: Uint8Array;
  readonly many: boolean;
}

/** Matches a whole text, part by part. */
export type Pattern = readonly Part[];

const SLASH = 0x2f;

const setOf = (has: (byte: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => (has(byte) ? 1 : 0));
const SINGLE = Array.from({ length: 256 }, (_, byte) => setOf((one) => one === byte));
const ANY = setOf(() => true);
const NO_SLASH = setOf((byte) => byte !== SLASH);

/** One shared part per byte: a pattern has as many parts as its text has bytes. */
const LITERAL = SINGLE.map((bytes): Part => ({ bytes, many: false }));

/** Any bytes. */
export const anything: Part = { bytes: ANY, many: true };
/** Any bytes but slashes: part of a name. */
export const withinName: Part = { bytes: NO_SLASH, many: true };
export const slash: Part = { bytes: SINGLE[SLASH] ?? ANY, many: false };

/** How text is compared: as it is, ignoring the case of ASCII letters, or against a lowered value. */
export type Letters = 'as they are' | 'either case' | 'lower case of the value';

/**
 * The bytes of a text. Undefined for text that is not well-formed: a byte that is not UTF-8 decodes to half of a surrogate
 * pair. As text, that half may also be found within a pair where there is no such byte.
 */
export function textParts(text: string, letters: Letters = 'as they are'): Pattern | undefined {
  if (!text.isWellFormed()) return undefined;
  return Array.from(encodeText(text), (byte) => partFor(byte, letters));
}

const isUpper = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a;
const isLower = (byte: number): boolean => byte >= 0x61 && byte <= 0x7a;

function partFor(byte: number, letters: Letters): Part {
  const literal = LITERAL[byte] ?? anything;
  if (letters === 'as they are' || !(isUpper(byte) || isLower(byte))) return literal;
  // A lowered value never contains it.
  if (letters === 'lower case of the value' && isUpper(byte)) return NONE;
  return EITHER_CASE[byte] ?? literal;
}

const NONE: Part = { bytes: setOf(() => false), many: false };
const EITHER_CASE = SINGLE.map((_, byte): Part => ({
  bytes: setOf((one) => one === byte || one === (byte ^ 0x20)),
  many: false,
}));

/** A glob of literal text and `*`; undefined for any other glob syntax. */
export function globParts(
  glob: string,
  star: Part,
  letters: Letters = 'as they are',
): Pattern | undefined {
  if (/[?[\]\\]/.test(glob)) return undefined;
  const texts = glob.split('*').map((text) => textParts(text, letters));
  const parts: Part[] = [];
  for (const [index, text] of texts.entries()) {
    if (text === undefined) return undefined;
    if (index > 0) parts.push(star);
    parts.push(...text);
  }
  return parts;
}
