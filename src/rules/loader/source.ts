/** A rule file's text and the name that errors give it. */
export interface RuleSource {
  readonly name: string;
  readonly text: string;
}

/** A stretch of a rule file: UTF-16 offsets, `end` exclusive. */
export interface Place {
  readonly source: RuleSource;
  readonly start: number;
  readonly end: number;
}

const LINE_STARTS = new WeakMap<RuleSource, readonly number[]>();

/**
 * Line and column of an offset, both from 1 (the column counts UTF-16 units), and where its line begins and ends.
 * The lines of a file are looked for once.
 */
export function lineAt(
  source: RuleSource,
  offset: number,
): { line: number; column: number; start: number; end: number } {
  const { text } = source;
  const starts = lineStarts(source);
  const at = Math.min(Math.max(offset, 0), text.length);
  const line = lastAtMost(starts.length, (index) => starts[index] ?? 0, at);
  const start = starts[line] ?? 0;
  const next = starts[line + 1];
  const end = next === undefined ? text.length : next - 1;
  return { line: line + 1, column: at - start + 1, start, end };
}

function lineStarts(source: RuleSource): readonly number[] {
  const known = LINE_STARTS.get(source);
  if (known !== undefined) return known;
  const starts = [0];
  const { text } = source;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  LINE_STARTS.set(source, starts);
  return starts;
}

/** The last of `length` ascending values that is at most `limit`; 0 when none is. */
function lastAtMost(length: number, value: (index: number) => number, limit: number): number {
  let low = 0;
  let high = length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (value(middle) <= limit) low = middle;
    else high = middle - 1;
  }
  return low;
}

interface Part {
  /** Where it begins in the mapped text. */
  readonly at: number;
  readonly length: number;
  readonly source: RuleSource;
  /** Offset in the file per unit of text; one for all of a part that stands for something else there. */
  readonly offsets: Int32Array | number;
  /** Knows better where a unit of text is from, counted from the one at `innerAt`. */
  readonly inner?: Locate | undefined;
  readonly innerAt?: number;
}

/** Where the unit of text at an offset is from. */
export type Locate = (offset: number) => Place;

/**
 * Text that comes from rule files, perhaps folded, unescaped, joined and filled in, and still knows for each of
 * its characters where in which file it is from.
 */
export class MappedText {
  readonly text: string;
  /** Never empty; without parts of no length, unless it is the only one. */
  readonly #parts: readonly Part[];

  private constructor(text: string, parts: readonly Part[]) {
    this.text = text;
    this.#parts = parts;
  }

  /** `offsets[i]` is where `text[i]` is from. */
  static of(text: string, source: RuleSource, offsets: Int32Array): MappedText {
    return new MappedText(text, [{ at: 0, length: text.length, source, offsets }]);
  }

  /** Text that stands for the place as a whole; `inner` finds the places of what is in it, which may be elsewhere. */
  static at(text: string, place: Place, inner?: Locate): MappedText {
    const { source, start } = place;
    return new MappedText(text, [{ at: 0, length: text.length, source, offsets: start, inner }]);
  }

  /** At least one. */
  static join(texts: readonly MappedText[]): MappedText {
    const [first] = texts;
    if (first === undefined) throw new Error('nothing to join');
    const parts: Part[] = [];
    let at = 0;
    for (const piece of texts) {
      for (const part of piece.#parts) {
        if (part.length > 0) parts.push({ ...part, at: at + part.at });
      }
      at += piece.text.length;
    }
    return new MappedText(
      texts.map((piece) => piece.text).join(''),
      parts.length > 0 ? parts : first.#parts,
    );
  }

  slice(start: number, end = this.text.length): MappedText {
    const parts: Part[] = [];
    for (let index = this.#partAt(start); index < this.#parts.length; index++) {
      const part = this.#parts[index];
      if (part === undefined || part.at >= end) break;
      const from = Math.max(start, part.at);
      const to = Math.min(end, part.at + part.length);
      if (from >= to) continue;
      const { offsets } = part;
      parts.push({
        at: from - start,
        length: to - from,
        source: part.source,
        inner: part.inner,
        innerAt: (part.innerAt ?? 0) + from - part.at,
        offsets:
          typeof offsets === 'number' ? offsets : offsets.subarray(from - part.at, to - part.at),
      });
    }
    if (parts.length > 0) return new MappedText(this.text.slice(start, end), parts);
    return MappedText.at('', this.locate({ start, end: start }));
  }

  /** Without blanks at both ends. */
  trim(): MappedText {
    const start = this.text.length - this.text.trimStart().length;
    return this.slice(start, Math.max(start, this.text.trimEnd().length));
  }

  /** Where a span of the text is from. A span at the end is just after the last character. */
  locate(span: { readonly start: number; readonly end: number }): Place {
    const first = this.#locate(span.start);
    const last = this.#locate(Math.max(span.start, span.end - 1));
    const end =
      last.source === first.source && last.offset >= first.offset ? last.offset : first.offset;
    return { source: first.source, start: first.offset, end: end + 1 };
  }

  #partAt(offset: number): number {
    return lastAtMost(this.#parts.length, (index) => this.#parts[index]?.at ?? 0, offset);
  }

  #locate(offset: number): { source: RuleSource; offset: number } {
    const found = this.#parts[this.#partAt(offset)];
    if (found === undefined) throw new Error('text without a source');
    const { offsets, source, inner, innerAt = 0 } = found;
    if (inner !== undefined && offset < found.at + found.length) {
      const place = inner(offset - found.at + innerAt);
      return { source: place.source, offset: place.start };
    }
    if (typeof offsets === 'number') return { source, offset: offsets };
    const index = offset - found.at;
    const known = offsets[index];
    if (known !== undefined) return { source, offset: known };
    return { source, offset: (offsets.at(-1) ?? -1) + 1 };
  }
}
