import { bytesOf } from './bytes.ts';
import { charClasses } from './char-classes.ts';
import type { CharClasses } from './char-classes.ts';
import { lowerAscii } from './letters.ts';
import { ENGINE_SEARCH } from './search.ts';

/** Part of a glob: a literal character, any character, any run of characters, or a set of characters. */
type GlobPart =
  | { readonly kind: 'char'; readonly char: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'run' }
  | {
      readonly kind: 'set';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [number, number])[];
    };

const CLASSES: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  alnum: [
    [48, 57],
    [65, 90],
    [97, 122],
  ],
  alpha: [
    [65, 90],
    [97, 122],
  ],
  blank: [
    [9, 9],
    [32, 32],
  ],
  cntrl: [
    [0, 31],
    [127, 127],
  ],
  digit: [[48, 57]],
  graph: [[33, 126]],
  lower: [[97, 122]],
  print: [[32, 126]],
  punct: [
    [33, 47],
    [58, 64],
    [91, 96],
    [123, 126],
  ],
  space: [
    [9, 13],
    [32, 32],
  ],
  upper: [[65, 90]],
  xdigit: [
    [48, 57],
    [65, 70],
    [97, 102],
  ],
};

/** A glob, ready to be tested. */
export interface CompiledGlob {
  readonly test: (value: string) => boolean;
  /** 32-bit words that each character of a value costs a step in; 0: literal text and `*` only, which is searched for. */
  readonly words: number;
  /** How many classes of characters it tells apart; 1 where it only has literal text and `*`. */
  readonly classes: number;
}

/**
 * fnmatch(3) without flags, or with FNM_CASEFOLD: `*` crosses '/', the whole value must match, an empty pattern
 * matches the empty value alone (S10). Takes one pass over the value, with a step per byte for each 32 bytes of the pattern.
 */
export function compileGlob(pattern: string, foldCase = false): CompiledGlob {
  if (pattern === '') return { test: (value) => value === '', words: 0, classes: 1 };
  const folded = foldCase ? lowerAscii(pattern) : pattern;
  const compiled = literalGlob(parseGlob(folded)) ?? byteGlob(folded);
  if (!foldCase) return compiled;
  return { ...compiled, test: (value) => compiled.test(lowerAscii(value)) };
}

/** Half of a surrogate pair stands for a byte that is no text: it must not be found inside of a pair. */
const SURROGATE = /^[\ud800-\udfff]$/;

/** For a glob of literal text and `*`; undefined for others. */
function literalGlob(parts: readonly GlobPart[]): CompiledGlob | undefined {
  const texts = [''];
  for (const part of parts) {
    if (part.kind === 'run') texts.push('');
    else if (part.kind !== 'char' || SURROGATE.test(part.char)) return undefined;
    else texts.push(`${texts.pop() ?? ''}${part.char}`);
  }
  if (texts.some(({ length }) => length > ENGINE_SEARCH)) return undefined;
  const [first = '', ...rest] = texts;
  const last = rest.pop();
  if (last === undefined) return { test: (value) => value === first, words: 0, classes: 1 };
  const test = (value: string): boolean => {
    const end = value.length - last.length;
    if (end < first.length || !value.startsWith(first) || !value.endsWith(last)) return false;
    let at = first.length;
    // The first place is as good as any: an earlier run taking more cannot help.
    for (const text of rest) {
      const found = value.indexOf(text, at);
      if (found < 0) return false;
      at = found + text.length;
    }
    return at <= end;
  };
  return { test, words: 0, classes: 1 };
}

/** By byte, as fnmatch(3) in the C locale, which Falco runs in: `?` is one byte of a letter that has several. */
function byteGlob(pattern: string): CompiledGlob {
  const { test, ...cost } = bitGlob(parseGlob(bytesOf(pattern)));
  return { ...cost, test: (value) => test(ASCII.test(value) ? value : bytesOf(value)) };
}

const ASCII = /^[\0-\x7f]*$/;

/**
 * Bit n of the state says that the first n parts (runs left out) have matched what was read (Baeza-Yates and Gonnet,
 * "A new approach to text searching", 1992). A part's bit moves on by one where the character is one of it, and stays where
 * a run follows.
 */
function bitGlob(parts: readonly GlobPart[]): CompiledGlob {
  const places = parts.filter((part) => part.kind !== 'run');
  const words = (places.length >> 5) + 1;
  const stays = new Int32Array(words);
  let place = 0;
  for (const part of parts) {
    if (part.kind !== 'run') place += 1;
    else stays[place >> 5] = (stays[place >> 5] ?? 0) | (1 << (place & 31));
  }
  const classes = charClasses(places.flatMap(boundsOf));
  // By class, the bits that it moves on to.
  const takes = new Int32Array(classes.count * words);
  for (let index = 0; index < classes.count; index++) {
    const point = classes.member(index);
    for (const [at, part] of places.entries()) {
      if (!matchPart(part, point)) continue;
      const bit = at + 1;
      const word = index * words + (bit >> 5);
      takes[word] = (takes[word] ?? 0) | (1 << (bit & 31));
    }
  }
  return { test: bitTester(classes, words, stays, takes, place), words, classes: classes.count };
}

function bitTester(
  classes: CharClasses,
  words: number,
  stays: Int32Array,
  takes: Int32Array,
  last: number,
): (value: string) => boolean {
  // One value at a time: nothing is allocated for it.
  const state = new Int32Array(words);
  return (value) => {
    state.fill(0);
    state[0] = 1;
    for (let at = 0; at < value.length; at++) {
      const point = value.codePointAt(at) ?? 0;
      if (point > 0xffff) at += 1;
      const row = (point < 256 ? (classes.latin1[point] ?? 0) : classes.of(point)) * words;
      let carry = 0;
      let alive = 0;
      for (let word = 0; word < words; word++) {
        const old = state[word] ?? 0;
        const next = (((old << 1) | carry) & (takes[row + word] ?? 0)) | (old & (stays[word] ?? 0));
        carry = old >>> 31;
        alive |= next;
        state[word] = next;
      }
      if (alive === 0) return false;
    }
    return (((state[last >> 5] ?? 0) >>> (last & 31)) & 1) === 1;
  };
}

/** Where the code points that the part takes begin, and where they end. */
function boundsOf(part: GlobPart): number[] {
  if (part.kind === 'char') {
    const point = part.char.codePointAt(0) ?? 0;
    return [point, point + 1];
  }
  return part.kind === 'set' ? part.ranges.flatMap(([from, to]) => [from, to + 1]) : [];
}

function matchPart(part: GlobPart, point: number): boolean {
  switch (part.kind) {
    case 'char':
      return part.char.codePointAt(0) === point;
    case 'any':
      return true;
    case 'run':
      return false;
    case 'set':
      return part.ranges.some(([from, to]) => point >= from && point <= to) !== part.negated;
  }
}

function parseGlob(pattern: string): GlobPart[] {
  const parts: GlobPart[] = [];
  const chars = Array.from(pattern);
  let at = 0;
  while (at < chars.length) {
    const char = chars[at] ?? '';
    if (char === '*') {
      if (parts.at(-1)?.kind !== 'run') parts.push({ kind: 'run' });
    } else if (char === '?') parts.push({ kind: 'any' });
    else if (char === '\\') {
      at += 1;
      const escaped = chars[at];
      // With nothing to escape it the pattern matches nothing, as in fnmatch(3).
      if (escaped === undefined) parts.push({ kind: 'set', negated: false, ranges: [] });
      else parts.push({ kind: 'char', char: escaped });
    } else if (char === '[') {
      const set = parseSet(chars, at);
      // A bracket that is never closed is itself.
      if (set === undefined) parts.push({ kind: 'char', char });
      else {
        parts.push(set.part);
        at = set.end;
      }
    } else parts.push({ kind: 'char', char });
    at += 1;
  }
  return parts;
}

function parseSet(
  chars: readonly string[],
  open: number,
): { part: GlobPart; end: number } | undefined {
  let at = open + 1;
  const negated = chars[at] === '!' || chars[at] === '^';
  if (negated) at += 1;
  const ranges: (readonly [number, number])[] = [];
  for (let first = true; at < chars.length; first = false) {
    let char = chars[at] ?? '';
    if (char === ']' && !first) return { part: { kind: 'set', negated, ranges }, end: at };
    if (char === '[' && chars[at + 1] === ':') {
      const close = chars.indexOf(':', at + 2);
      const named = close < 0 ? undefined : CLASSES[chars.slice(at + 2, close).join('')];
      if (named !== undefined && chars[close + 1] === ']') {
        ranges.push(...named);
        at = close + 2;
        continue;
      }
    }
    if (char === '\\' && at + 1 < chars.length) {
      at += 1;
      char = chars[at] ?? '';
    }
    const from = char.codePointAt(0) ?? 0;
    let to = from;
    if (chars[at + 1] === '-' && at + 2 < chars.length && chars[at + 2] !== ']') {
      at += 2;
      if (chars[at] === '\\' && at + 1 < chars.length) at += 1;
      to = chars[at]?.codePointAt(0) ?? 0;
    }
    ranges.push([from, to]);
    at += 1;
  }
  return undefined;
}
