import { decodeText } from '../../shared/text.ts';
import type { Span } from './ast.ts';
import { LanguageError } from './errors.ts';

const BLANK = /[ \t\b\r\n]/;
const BLANKS = /[ \t\b\r\n]*/y;
const IDENTIFIER = /[a-zA-Z]+[a-zA-Z0-9_]*/y;
const FIELD_NAME = /[a-zA-Z]+[a-zA-Z0-9_]*(?:\.[a-zA-Z]+[a-zA-Z0-9_]*)+/y;
const FIELD_ARGUMENT = /[^\][ \t\n\v\f\r"']+/y;
const BARE_STRING = /[^()"' \t\n\v\f\r=,]+/y;
const NUMBER = /0[xX][0-9a-fA-F]+|[+-]?\d+\.?\d*(?:[eE][+-]\d+)?/y;

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '\\': '\\',
  '/': '/',
  // Kept for old files: a backslash before a blank stands for itself (G9).
  ' ': '\\',
};

/**
 * Reads one token at a time. What a token is depends on where it stands (`runc:[0:PARENT]` is one bare
 * string after an operator and nothing at all elsewhere), so the parser says what it expects.
 */
export class Lexer {
  readonly text: string;
  position = 0;

  constructor(text: string) {
    this.text = text;
  }

  atEnd(): boolean {
    return this.position >= this.text.length;
  }

  /** Skips blanks; true when there was at least one. */
  skipBlanks(): boolean {
    const before = this.position;
    BLANKS.lastIndex = before;
    BLANKS.exec(this.text);
    this.position = BLANKS.lastIndex;
    return this.position > before;
  }

  /** Takes exactly `symbol` if it is next. */
  take(symbol: string): boolean {
    if (!this.text.startsWith(symbol, this.position)) return false;
    this.position += symbol.length;
    return true;
  }

  isNext(symbol: string): boolean {
    return this.text.startsWith(symbol, this.position);
  }

  /** Is `word` next, and followed by a blank or one of `others`? */
  isWord(word: string, others: string): boolean {
    if (!this.text.startsWith(word, this.position)) return false;
    const next = this.text.charAt(this.position + word.length);
    return next !== '' && (BLANK.test(next) || others.includes(next));
  }

  /** Is `word` next as a whole identifier (so `or` in `or(`, `or x` and `or` at the end, not in `order`)? */
  isKeyword(word: string): boolean {
    IDENTIFIER.lastIndex = this.position;
    return IDENTIFIER.exec(this.text)?.[0] === word;
  }

  /** `proc.name`: at least one dot. */
  fieldName(): string | undefined {
    return this.#match(FIELD_NAME);
  }

  /** `spawned_process`: a macro, a list or a transformer. */
  identifier(): string | undefined {
    return this.#match(IDENTIFIER);
  }

  /** What stands bare in a field's brackets. */
  fieldArgument(): string | undefined {
    return this.#match(FIELD_ARGUMENT);
  }

  bareString(): string | undefined {
    return this.#match(BARE_STRING);
  }

  number(): string | undefined {
    return this.#match(NUMBER);
  }

  /**
   * A string in '…' or "…"; undefined when neither quote is next. It ends, as in Falco, at the first such quote
   * that no backslash stands before, be that one escaped itself or not. Throws at an escape that is not one.
   */
  quotedString(): string | undefined {
    const quote = this.text.charAt(this.position);
    if (quote !== '"' && quote !== "'") return undefined;
    const start = this.position;
    let close = this.text.indexOf(quote, start + 1);
    while (close >= 0 && this.text.charAt(close - 1) === '\\' && close > start + 1) {
      close = this.text.indexOf(quote, close + 1);
    }
    if (close < 0) {
      const hint = this.text.indexOf(quote, start + 1) < 0 ? '' : ` that no '\\' stands before`;
      throw this.error(`expected a closing ${quote}${hint}`, { start, end: start + 1 });
    }
    let value = '';
    let copied = start + 1;
    for (;;) {
      const backslash = this.text.indexOf('\\', copied);
      if (backslash < 0 || backslash >= close) break;
      value += this.text.slice(copied, backslash);
      this.position = backslash;
      value += this.#escape(quote, close);
      copied = this.position;
    }
    value += this.text.slice(copied, close);
    this.position = close + 1;
    return value;
  }

  spanFrom(start: number): Span {
    return { start, end: Math.max(start, this.position) };
  }

  /** A syntax error, by default at the next character. */
  error(message: string, span?: Span): LanguageError {
    return new LanguageError(
      'LOAD_ERR_COMPILE_CONDITION',
      message,
      span ?? { start: this.position, end: this.position + 1 },
    );
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.position += found.length;
    return found;
  }

  #escape(quote: string, close: number): string {
    const start = this.position;
    const char = this.text.charAt(start + 1);
    if (char === quote) {
      this.position += 2;
      return quote;
    }
    if (char === 'x') return this.#bytes(close);
    const value = ESCAPES[char];
    if (value === undefined) {
      throw this.error(`invalid escape sequence '\\${char}' in a string`, {
        start,
        end: start + 2,
      });
    }
    this.position += 2;
    return value;
  }

  /** A run of \xHH: bytes, which together are UTF-8 as every text of an event is. */
  #bytes(close: number): string {
    const run = /(?:\\x[0-9a-fA-F]{2})+/y;
    run.lastIndex = this.position;
    const found = run.exec(this.text)?.[0];
    if (found === undefined || this.position + found.length > close) {
      throw this.error('expected two hexadecimal digits after \\x', {
        start: this.position,
        end: this.position + 2,
      });
    }
    this.position += found.length;
    return decodeText(Buffer.from(found.replaceAll('\\x', ''), 'hex'));
  }
}
