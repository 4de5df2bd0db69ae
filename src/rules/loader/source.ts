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

interface Part {
  /** Where it begins in the mapped text. */
  readonly at: number;
  readonly length: number;
  readonly source: RuleSource;
  /** Offset in the file per unit of text; one for all of a part that stands for something else there. */
  readonly offsets: Int32Array | number;
}

/**
 * Text that comes from rule files, perhaps folded, unescaped, joined and filled in, and still knows for each of
 * its characters where in which file it is from.
 */
export class MappedText {
  readonly text: string;
  readonly #parts: readonly Part[];

  private constructor(text: string, parts: readonly Part[]) {
    this.text = text;
    this.#parts = parts;
  }

  /** `offsets[i]` is where `text[i]` is from. */
  static of(text: string, source: RuleSource, offsets: Int32Array): MappedText {
    return new MappedText(text, [{ at: 0, length: text.length, source, offsets }]);
  }

  /** Text that stands for the place as a whole. */
  static at(text: string, place: Place): MappedText {
    const part = { at: 0, length: text.length, source: place.source, offsets: place.start };
    return new MappedText(text, [part]);
  }

  static join(texts: readonly MappedText[]): MappedText {
    const parts: Part[] = [];
    let at = 0;
    for (const { text, pieces } of texts.map((piece) => ({
      text: piece.text,
      pieces: piece.#parts,
    }))) {
      for (const part of pieces) parts.push({ ...part, at: at + part.at });
      at += text.length;
    }
    return new MappedText(texts.map((piece) => piece.text).join(''), parts);
  }

  slice(start: number, end = this.text.length): MappedText {
    const parts: Part[] = [];
    for (const part of this.#parts) {
      const from = Math.max(start, part.at);
      const to = Math.min(end, part.at + part.length);
      if (from >= to && part.length > 0) continue;
      const { offsets } = part;
      parts.push({
        at: Math.max(0, from - start),
        length: Math.max(0, to - from),
        source: part.source,
        offsets:
          typeof offsets === 'number' ? offsets : offsets.subarray(from - part.at, to - part.at),
      });
    }
    return new MappedText(
      this.text.slice(start, end),
      parts.length > 0 ? parts : this.#parts.slice(0, 1),
    );
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

  #locate(offset: number): { source: RuleSource; offset: number } {
    let found = this.#parts[0];
    for (const part of this.#parts) if (part.at <= offset && part.length > 0) found = part;
    if (found === undefined) throw new Error('text without a source');
    const { offsets, source } = found;
    if (typeof offsets === 'number') return { source, offset: offsets };
    const index = offset - found.at;
    const known = offsets[index];
    if (known !== undefined) return { source, offset: known };
    return { source, offset: (offsets.at(-1) ?? -1) + 1 };
  }
}
