import type { RuleSource } from './source.ts';

/** What is wrong with the YAML of a file, at offsets of it. */
export class YamlSyntaxError extends Error {
  override readonly name = 'YamlSyntaxError';
  readonly start: number;

  constructor(message: string, start: number) {
    super(message);
    this.start = start;
  }
}

/** Where one is in a file's text, and in its line. */
export class YamlText {
  readonly text: string;
  at = 0;
  /** Where the line begins that `at` is in. */
  lineStart = 0;
  /** The offset of a tab that was skipped on this line: nothing that counts columns may follow. */
  tabAt: number | undefined;

  constructor({ text }: RuleSource) {
    this.text = text;
  }

  get column(): number {
    return this.at - this.lineStart;
  }

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  char(ahead = 0): string {
    return this.text.charAt(this.at + ahead);
  }

  /** The length of the line break at an offset; 0 when there is none. */
  breakAt(offset = this.at): number {
    const char = this.text.charAt(offset);
    if (char === '\n') return 1;
    return char === '\r' && this.text.charAt(offset + 1) === '\n' ? 2 : 0;
  }

  /** Does a blank, a line break or the end follow? */
  isBlankAt(offset: number): boolean {
    if (offset >= this.text.length) return true;
    const char = this.text.charAt(offset);
    return char === ' ' || char === '\t' || char === '\n' || char === '\r';
  }

  skipBlanks(): void {
    for (;;) {
      const char = this.text.charAt(this.at);
      if (char === '\t') this.tabAt ??= this.at;
      else if (char !== ' ') return;
      this.at += 1;
    }
  }

  /** Past the line break at `at`, if there is one. */
  takeBreak(): boolean {
    const length = this.breakAt();
    if (length === 0) return false;
    this.at += length;
    this.lineStart = this.at;
    this.tabAt = undefined;
    return true;
  }

  skipLine(): void {
    while (!this.atEnd && this.breakAt() === 0) {
      const next = this.text.indexOf('\n', this.at);
      if (next < 0) this.at = this.text.length;
      else this.at = this.text.charAt(next - 1) === '\r' && next > this.at ? next - 1 : next;
    }
  }

  /** Past blanks, comments and line breaks; true when there was a line break. */
  skip(): boolean {
    let crossed = false;
    for (;;) {
      this.skipBlanks();
      if (this.char() === '#') this.skipLine();
      if (!this.takeBreak()) return crossed;
      crossed = true;
    }
  }

  /** `---` or `...` at the beginning of a line, and nothing else in the word. */
  isMarker(marker?: '---' | '...'): boolean {
    if (this.column !== 0 || !this.isBlankAt(this.at + 3)) return false;
    const found = this.text.startsWith('---', this.at)
      ? '---'
      : this.text.startsWith('...', this.at)
        ? '...'
        : undefined;
    return found !== undefined && (marker === undefined || found === marker);
  }

  /** Is it the sign, and one that stands alone? */
  isIndicator(sign: '-' | '?' | ':'): boolean {
    return this.char() === sign && this.isBlankAt(this.at + 1);
  }

  fail(message: string, at = this.at): YamlSyntaxError {
    return new YamlSyntaxError(message, at);
  }
}
