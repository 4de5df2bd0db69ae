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

/** Lower case for ASCII letters only, as Falco compares. */
export function lowerAscii(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, (run) => run.toLowerCase()) : text;
}

/** Upper case for ASCII letters only. */
export function upperAscii(text: string): string {
  return /[a-z]/.test(text) ? text.replace(/[a-z]+/g, (run) => run.toUpperCase()) : text;
}

/**
 * fnmatch(3) without flags (glob), or with FNM_CASEFOLD: `*` crosses '/', the whole value must match, an empty
 * pattern matches nothing (S10). Takes at most pattern × value steps: no pattern is exponential.
 */
export function compileGlob(pattern: string, foldCase = false): (value: string) => boolean {
  if (pattern === '') return () => false;
  const parts = parseGlob(foldCase ? lowerAscii(pattern) : pattern);
  return (value) => matchGlob(parts, foldCase ? lowerAscii(value) : value);
}

function matchGlob(parts: readonly GlobPart[], value: string): boolean {
  let part = 0;
  let at = 0;
  let runPart = -1;
  let runAt = 0;
  while (at < value.length) {
    const expected = parts[part];
    if (expected?.kind === 'run') {
      runPart = part;
      runAt = at;
      part += 1;
      continue;
    }
    const point = value.codePointAt(at) ?? 0;
    if (expected !== undefined && matchPart(expected, point)) {
      part += 1;
      at += point > 0xffff ? 2 : 1;
      continue;
    }
    // Only the last run needs to give: an earlier one taking more cannot help.
    if (runPart < 0) return false;
    runAt += (value.codePointAt(runAt) ?? 0) > 0xffff ? 2 : 1;
    at = runAt;
    part = runPart + 1;
  }
  while (parts[part]?.kind === 'run') part += 1;
  return part === parts.length;
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

/**
 * pmatch: is the value below one of the paths? By component, leading and double slashes do not count, a
 * component may be a glob, and the root (or '') holds every path (E2, S10).
 */
export function compilePathMatch(paths: readonly string[]): (value: string) => boolean {
  const prefixes = paths.map((path) =>
    components(path).map((component) =>
      /[?*[]/.test(component) ? compileGlob(component) : component,
    ),
  );
  return (value) => {
    const parts = components(value);
    return prefixes.some((prefix) => {
      if (prefix.length > parts.length) return false;
      return prefix.every((expected, index) => {
        const part = parts[index] ?? '';
        return typeof expected === 'string' ? expected === part : expected(part);
      });
    });
  };
}

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}
