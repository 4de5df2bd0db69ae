import type { YamlText } from './yaml-text.ts';

/**
 * A stretch of a scalar's value: as it stands in the file from `offset` on, or, with `made`, standing for what is
 * there.
 */
export interface Piece {
  readonly text: string;
  readonly offset: number;
  readonly made: boolean;
}

/** Collects a scalar's value. @internal */
class Pieces {
  readonly list: Piece[] = [];

  verbatim(text: string, offset: number): void {
    if (text !== '') this.list.push({ text, offset, made: false });
  }

  made(text: string, offset: number): void {
    if (text !== '') this.list.push({ text, offset, made: true });
  }
}

const FLOW_SIGNS = ',[]{}';

/** May a plain scalar begin here? */
export function startsPlain(yaml: YamlText, inFlow: boolean): boolean {
  const char = yaml.char();
  if (char === '' || ',[]{}#&*!|>\'"%@`'.includes(char)) return false;
  if (!'-?:'.includes(char)) return true;
  return !(yaml.isBlankAt(yaml.at + 1) || (inFlow && FLOW_SIGNS.includes(yaml.char(1))));
}

/** The end of the part of a plain scalar that is on this line, without blanks after it. */
function plainEnd(yaml: YamlText, inFlow: boolean): number {
  const { text } = yaml;
  let end = yaml.at;
  for (let at = yaml.at; at < text.length && yaml.breakAt(at) === 0; at++) {
    const char = text.charAt(at);
    if (char === ':') {
      if (yaml.isBlankAt(at + 1)) break;
      if (inFlow && ',]}'.includes(text.charAt(at + 1))) break;
    } else if (inFlow && (FLOW_SIGNS.includes(char) || char === '?')) break;
    else if (char === '#' && at > yaml.at && yaml.isBlankAt(at - 1)) break;
    if (char !== ' ' && char !== '\t') end = at + 1;
  }
  return end;
}

/** The first line of a plain scalar: a key, or the beginning of a value. */
export function scanPlainLine(yaml: YamlText, inFlow: boolean): Piece[] {
  const start = yaml.at;
  yaml.at = plainEnd(yaml, inFlow);
  return [{ text: yaml.text.slice(start, yaml.at), offset: start, made: false }];
}

/** The further lines of a plain scalar: those that begin past column `parent`. */
export function scanPlainRest(
  yaml: YamlText,
  first: Piece[],
  parent: number,
  inFlow: boolean,
): Piece[] {
  const pieces = new Pieces();
  for (const piece of first) pieces.verbatim(piece.text, piece.offset);
  for (;;) {
    const { at, lineStart, tabAt } = yaml;
    yaml.skipBlanks();
    const fold = yaml.at;
    let breaks = 0;
    while (yaml.takeBreak()) {
      breaks += 1;
      yaml.skipBlanks();
      if (!inFlow && yaml.tabAt !== undefined && yaml.tabAt - yaml.lineStart <= parent) {
        throw yaml.fail('a tab may not be used as indentation', yaml.tabAt);
      }
    }
    const ends =
      breaks === 0 ||
      yaml.atEnd ||
      yaml.char() === '#' ||
      yaml.isMarker() ||
      (!inFlow && yaml.column <= parent) ||
      plainEnd(yaml, inFlow) === yaml.at;
    if (ends) {
      yaml.at = at;
      yaml.lineStart = lineStart;
      yaml.tabAt = tabAt;
      return pieces.list;
    }
    pieces.made(breaks === 1 ? ' ' : '\n'.repeat(breaks - 1), fold);
    const start = yaml.at;
    yaml.at = plainEnd(yaml, inFlow);
    pieces.verbatim(yaml.text.slice(start, yaml.at), start);
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '0': '\0',
  a: '\x07',
  b: '\b',
  t: '\t',
  '\t': '\t',
  n: '\n',
  v: '\v',
  f: '\f',
  r: '\r',
  e: '\x1b',
  ' ': ' ',
  '"': '"',
  "'": "'",
  '/': '/',
  '\\': '\\',
  N: '\x85',
  _: '\xa0',
  L: '\u2028',
  P: '\u2029',
};
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** '…' or "…", over lines as it may be. */
export function scanQuoted(yaml: YamlText): Piece[] {
  const open = yaml.at;
  const quote = yaml.char();
  const stop = quote === '"' ? /["\\\n]/g : /['\n]/g;
  const pieces = new Pieces();
  yaml.at += 1;
  for (;;) {
    const start = yaml.at;
    stop.lastIndex = start;
    const found = stop.exec(yaml.text);
    if (found === null) throw yaml.fail(`a closing ${quote} is missing`, open);
    if (yaml.isMarker())
      throw yaml.fail(`a closing ${quote} is missing before the document's end`, open);
    const [sign] = found;
    const before = yaml.text.slice(start, found.index);
    yaml.at = found.index;
    if (sign === '\n') {
      const kept = before.replace(/[ \t]*\r?$/, '');
      pieces.verbatim(kept, start);
      yaml.at = start + kept.length;
      foldLines(yaml, pieces, true);
      continue;
    }
    pieces.verbatim(before, start);
    if (sign === '\\') {
      escape(yaml, pieces);
      continue;
    }
    if (quote === "'" && yaml.char(1) === "'") {
      pieces.made("'", yaml.at);
      yaml.at += 2;
      continue;
    }
    yaml.at += 1;
    return pieces.list;
  }
}

/** Past line breaks within a quoted scalar: one is a blank, the more of them are themselves. */
function foldLines(yaml: YamlText, pieces: Pieces, joined: boolean): void {
  const fold = yaml.at;
  let breaks = 0;
  yaml.skipBlanks();
  while (yaml.takeBreak()) {
    breaks += 1;
    yaml.skipBlanks();
  }
  pieces.made(breaks > 1 ? '\n'.repeat(breaks - 1) : joined ? ' ' : '', fold);
}

function escape(yaml: YamlText, pieces: Pieces): void {
  const start = yaml.at;
  const char = yaml.char(1);
  if (yaml.breakAt(start + 1) > 0) {
    yaml.at += 1;
    foldLines(yaml, pieces, false);
    return;
  }
  const digits = HEX_DIGITS[char];
  if (digits === undefined) {
    const value = ESCAPES[char];
    if (value === undefined) throw yaml.fail(`\\${char} is no escape in a text with "`, start);
    pieces.made(value, start);
    yaml.at += 2;
    return;
  }
  const hex = yaml.text.slice(start + 2, start + 2 + digits);
  const code = new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(hex) ? Number.parseInt(hex, 16) : -1;
  if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw yaml.fail(`\\${char} needs ${digits} hexadecimal digits of a character`, start);
  }
  pieces.made(String.fromCodePoint(code), start);
  yaml.at += 2 + digits;
}

interface BlockLine {
  readonly text: string;
  readonly offset: number;
}

/** `|` or `>` and the lines below; `parent` is the column of the collection that it is in, -1 outside of one. */
export function scanBlock(yaml: YamlText, parent: number): Piece[] {
  const folded = yaml.char() === '>';
  yaml.at += 1;
  const header = /[-+\d]*/y;
  header.lastIndex = yaml.at;
  const signs = header.exec(yaml.text)?.[0] ?? '';
  if (!/^(?:[-+]?[1-9]?|[1-9][-+])$/.test(signs)) {
    throw yaml.fail(`'${signs}' after | or > is not one of -, + and a digit from 1 to 9`);
  }
  yaml.at += signs.length;
  yaml.skipBlanks();
  if (yaml.char() === '#') yaml.skipLine();
  if (!yaml.atEnd && !yaml.takeBreak()) throw yaml.fail('a line break must follow after | and >');
  const given = /\d/.exec(signs)?.[0];
  const { lines, trailing, ended } = blockLines(
    yaml,
    parent,
    given === undefined ? undefined : Number(given),
  );
  const pieces = new Pieces();
  if (folded) joinFolded(lines, pieces);
  else {
    lines.forEach(({ text, offset }, index) => {
      pieces.verbatim(text, offset);
      if (index < lines.length - 1) pieces.made('\n', offset + text.length);
    });
  }
  const chomp = /[-+](?=[^-+]*$)/.exec(signs)?.[0];
  const last = lines.at(-1);
  const end = last === undefined ? yaml.at : last.offset + last.text.length;
  if (chomp === '+') pieces.made('\n'.repeat((last === undefined ? 0 : 1) + trailing), end);
  else if (chomp === undefined && last !== undefined && ended) pieces.made('\n', end);
  return pieces.list;
}

/** Up to the last line that is not empty; how many empty ones follow, and whether it ends with a line break. */
function blockLines(
  yaml: YamlText,
  parent: number,
  given: number | undefined,
): { lines: BlockLine[]; trailing: number; ended: boolean } {
  let indent = given === undefined ? parent + 1 : Math.max(parent, 0) + given;
  if (given === undefined && parent < 0) indent = 1;
  let detecting = given === undefined;
  const lines: BlockLine[] = [];
  let filled = 0;
  let ended = false;
  while (!yaml.atEnd) {
    const lineStart = yaml.at;
    while (yaml.char() === ' ' && (detecting || yaml.column < indent)) yaml.at += 1;
    if (detecting) indent = Math.max(indent, yaml.column);
    const empty = yaml.breakAt() > 0 || yaml.atEnd;
    if (!empty && yaml.column < indent) {
      if (yaml.char() === '\t') throw yaml.fail('a tab may not be used as indentation');
      yaml.at = lineStart;
      break;
    }
    const start = yaml.at;
    yaml.skipLine();
    const text = yaml.text.slice(start, yaml.at);
    lines.push({ text, offset: start });
    if (text !== '') {
      detecting = false;
      filled = lines.length;
    }
    const broken = yaml.takeBreak();
    ended = broken || text === '';
    if (!broken) break;
  }
  return { lines: lines.slice(0, filled), trailing: lines.length - filled, ended };
}

/** Lines as one, but for those that are empty or begin with a blank. */
function joinFolded(lines: readonly BlockLine[], pieces: Pieces): void {
  let before: BlockLine | undefined;
  let empty = 0;
  for (const line of lines) {
    if (line.text === '') {
      empty += 1;
      continue;
    }
    const apart = isIndented(line) || (before !== undefined && isIndented(before));
    const at = before === undefined ? line.offset : before.offset + before.text.length;
    if (before === undefined) pieces.made('\n'.repeat(empty), at);
    else if (apart) pieces.made('\n'.repeat(empty + 1), at);
    else pieces.made(empty === 0 ? ' ' : '\n'.repeat(empty), at);
    pieces.verbatim(line.text, line.offset);
    before = line;
    empty = 0;
  }
}

function isIndented({ text }: BlockLine): boolean {
  return text.startsWith(' ') || text.startsWith('\t');
}
