import { RE2JS } from 're2js';
import { RecentMap } from '../../shared/recent-map.ts';
import { regexTable } from './regex-dfa.ts';
import type { RegexTable } from './regex-dfa.ts';

/** A regular expression, ready to be tested. */
export interface CompiledRegex {
  /** Does the whole value match? Takes time linear in the value. */
  readonly test: (value: string) => boolean;
  /**
   * One look-up per character decides. Undefined for an expression that no table of bounded size stands for: then the
   * library does it, and each character may take as many steps as the expression has instructions.
   */
  readonly table: Pick<RegexTable, 'states' | 'cells' | 'classes' | 'work'> | undefined;
  /** Of the library's program: 2 to about 4,000. */
  readonly instructions: number;
}

const EMPTY: CompiledRegex = {
  test: (value) => value === '',
  table: { states: 1, cells: 1, classes: 1, work: 1 },
  instructions: 1,
};

/**
 * Compiles a regular expression as Falco has them: POSIX egrep syntax as RE2 reads it (no `\d`, `\w`, `\b`, `(?…)`),
 * the whole value must match (S11), so that an empty one matches the empty value alone (S10). Returns what is wrong with the pattern as the
 * rest of a sentence.
 */
export function compileRegex(pattern: string): CompiledRegex | string {
  const known = RECENT.get(pattern);
  if (known !== undefined) return known;
  const compiled = compileNew(pattern);
  RECENT.set(pattern, compiled);
  return compiled;
}

/** A rule's expression is asked for more than once while the rule is compiled. At most 64 tables of 32 KiB. */
const MAX_RECENT = 64;
const RECENT = new RecentMap<string, CompiledRegex | string>(MAX_RECENT);

/**
 * How many characters, sets and groups the pattern has once its repetitions are written out: 16 for `(ab[cd]){4}`. It grows
 * with the time that compiling takes, and costs next to nothing itself. 0 for a pattern that is wrong.
 */
export function writtenOutSize(pattern: string): number {
  const translated = toRe2Syntax(pattern);
  return 'problem' in translated ? 0 : translated.size;
}

function compileNew(pattern: string): CompiledRegex | string {
  if (pattern === '') return EMPTY;
  const translated = toRe2Syntax(pattern);
  if ('problem' in translated) return translated.problem;
  try {
    // RE2's POSIX syntax lets ^ and $ match at the ends of lines.
    const compiled = RE2JS.compile(translated.pattern, RE2JS.MULTILINE);
    const table = regexTable(compiled);
    return {
      test: table?.test ?? ((value) => compiled.testExact(value)),
      table,
      instructions: compiled.programSize(),
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return `is wrong: ${message.replace('error parsing regexp: ', '').replace('(?m)', '')}`;
  }
}

/** What may follow a backslash besides punctuation and octal digits. */
const ESCAPED = 'afnrtvx';

/**
 * The library knows Perl's syntax, of which POSIX's is all but a part: what POSIX lacks is refused here, and a
 * repetition of a repetition (`a+?`, which is Perl's lazy one) gets a group of its own.
 */
function toRe2Syntax(
  pattern: string,
): { readonly pattern: string; readonly size: number } | { readonly problem: string } {
  let out = '';
  /** Written out: of all so far, of the last atom, and of what was before each open group. */
  let size = 0;
  let atomSize = 0;
  const sizes: number[] = [];
  /** Where the last atom begins in `out`, and whether it has been repeated. */
  let atom = 0;
  let repeated = false;
  const groups: number[] = [];
  let at = 0;
  const take = (text: string): void => {
    atom = out.length;
    atomSize = 1;
    size += 1;
    repeated = false;
    out += text;
    at += text.length;
  };
  while (at < pattern.length) {
    const char = pattern.charAt(at);
    if (char === '\\') {
      const next = pattern.charAt(at + 1);
      if (next === '') return { problem: 'ends with a backslash' };
      if (/[a-zA-Z89]/.test(next) && !ESCAPED.includes(next)) {
        return { problem: `has the escape \\${next}, which POSIX syntax lacks` };
      }
      const escape = /\\(?:x\{[0-9a-fA-F]*\}|x[0-9a-fA-F]{0,2}|[0-7]{1,3}|[^])/uy;
      escape.lastIndex = at;
      take(escape.exec(pattern)?.[0] ?? char);
    } else if (char === '[') {
      const end = endOfClass(pattern, at);
      if (end < 0) return { problem: 'lacks a closing ]' };
      const set = pattern.slice(at, end);
      const perl = /\\([dswDSWpPbBQE])/.exec(set);
      if (perl !== null) {
        return { problem: `has the escape \\${perl[1] ?? ''}, which POSIX syntax lacks` };
      }
      take(set);
    } else if (char === '(') {
      if (pattern.charAt(at + 1) === '?') {
        return { problem: 'has (?, which POSIX syntax lacks' };
      }
      groups.push(out.length);
      sizes.push(size);
      out += char;
      at += 1;
      repeated = false;
    } else if (char === ')') {
      const open = groups.pop();
      out += char;
      at += 1;
      atom = open ?? 0;
      size += 1;
      atomSize = size - (sizes.pop() ?? 0);
      repeated = false;
    } else {
      const repetition = /[*+?]|\{(\d+)(,(\d*))?\}/y;
      repetition.lastIndex = at;
      const found = repetition.exec(pattern);
      if (found === null) take(String.fromCodePoint(pattern.codePointAt(at) ?? 0));
      else {
        const [text, least = '1', isRange, most = ''] = found;
        // `a{3,}` is three and one more.
        const times = most === '' ? Number(least) + (isRange === undefined ? 0 : 1) : Number(most);
        size += atomSize * (Math.max(1, times) - 1);
        atomSize *= Math.max(1, times);
        if (repeated) {
          out = `${out.slice(0, atom)}(?:${out.slice(atom)})`;
          // A group of its own, whatever it repeats: an outer repetition writes it out as well.
          size += 1;
          atomSize += 1;
        }
        out += text;
        at += text.length;
        repeated = true;
      }
    }
  }
  return { pattern: out, size };
}

/** The offset after a bracket expression that begins at `open`; -1 when it does not end. */
function endOfClass(pattern: string, open: number): number {
  let at = open + 1;
  if (pattern.charAt(at) === '^') at += 1;
  // A bracket that comes first is a member.
  if (pattern.charAt(at) === ']') at += 1;
  while (at < pattern.length) {
    const char = pattern.charAt(at);
    if (char === ']') return at + 1;
    if (char === '\\') at += 2;
    else if (pattern.startsWith('[:', at)) {
      const close = pattern.indexOf(':]', at + 2);
      at = close < 0 ? at + 1 : close + 2;
    } else at += 1;
  }
  return -1;
}
