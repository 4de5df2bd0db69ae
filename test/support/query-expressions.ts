// Expressions of KQL, SPL and ES|QL, as far as the queries of `varvel alerts` go in them: line-queries.ts runs those.
import assert from 'node:assert/strict';

export type Value = string | number | boolean | null | { readonly [key: string]: Value };
/** What a line has, by the names of fields. */
export type Row = ReadonlyMap<string, Value>;
export type Expression = (row: Row) => Value;

/** What differs between them. */
export interface Language {
  /** Names of fields, one token. */
  readonly name: string;
  readonly functions: Readonly<Record<string, (...values: Value[]) => Value>>;
}

/** In seconds. */
export const NOW = 1_800_000_000;
const SECONDS: Readonly<Record<string, number>> = {
  m: 60,
  h: 3600,
  minutes: 60,
  hours: 3600,
};

const number = (value: Value = null): Value =>
  typeof value === 'string' && /^-?\d+$/.test(value)
    ? Number(value)
    : typeof value === 'number'
      ? value
      : null;
/** As text; nothing is empty. */
export const text = (value: Value = null): string => {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};
const either = (condition: Value = null, yes: Value = null, no: Value = null): Value =>
  condition === true ? yes : no;

export const KQL: Language = {
  name: '[A-Za-z_]\\w*',
  functions: {
    parse_json: (value = null) => JSON.parse(text(value)) as Value,
    tostring: text,
    tolong: number,
    long: (value = null) => value,
    isempty: (value) => text(value) === '',
    iff: either,
    ago: (seconds = null) => NOW - Number(seconds),
  },
};
export const SPL: Language = {
  name: '[A-Za-z_]\\w*',
  functions: {
    tonumber: number,
    coalesce: (...values) => values.find((value) => value !== null) ?? null,
    if: either,
    null: () => null,
    now: () => NOW,
  },
};
export const ESQL: Language = {
  name: '[A-Za-z_@][\\w@]*(?:\\.[\\w@]+)*',
  functions: { TO_LONG: number, CASE: either, NOW: () => NOW },
};

/** An expression of one of the languages; `&&` of what has no value is not true. */
export class Parser {
  readonly #tokens: string[];
  readonly #language: Language;
  #at = 0;

  constructor(source: string, language: Language) {
    this.#language = language;
    const pattern = new RegExp(
      `"(?:[^"\\\\]|\\\\.)*"|'[^']*'|\\d+|${language.name}|[=!<>]=|[-+<>=(),.*\\[\\]]`,
      'g',
    );
    this.#tokens = source.match(pattern) ?? [];
    assert.equal(source.replace(pattern, '').trim(), '', `unknown in ${source}`);
  }

  whole(): Expression {
    const expression = this.#any();
    assert.equal(this.#tokens[this.#at], undefined, this.#tokens.slice(this.#at).join(' '));
    return expression;
  }

  #take(...words: readonly string[]): string | undefined {
    const token = this.#tokens[this.#at];
    if (token === undefined || !words.includes(token.toLowerCase())) return undefined;
    this.#at++;
    return token.toLowerCase();
  }

  #need(word: string): void {
    assert.equal(this.#take(word), word, `in ${this.#tokens.join(' ')}`);
  }

  #any(): Expression {
    let left = this.#all();
    while (this.#take('or') !== undefined) {
      const [a, b] = [left, this.#all()];
      left = (row) => a(row) === true || b(row) === true;
    }
    return left;
  }

  #all(): Expression {
    let left = this.#compared();
    while (this.#take('and') !== undefined) {
      const [a, b] = [left, this.#compared()];
      left = (row) => a(row) === true && b(row) === true;
    }
    return left;
  }

  #compared(): Expression {
    const a = this.#sum();
    if (this.#take('is') !== undefined) {
      const not = this.#take('not') !== undefined;
      this.#need('null');
      return (row) => (a(row) === null) !== not;
    }
    const operator = this.#take('=', '==', '!=', '<', '>', 'like');
    if (operator === undefined) return a;
    const b = this.#sum();
    return (row) => {
      const [left, right] = [a(row), b(row)];
      if (left === null || right === null) return null;
      if (operator === 'like') return likes(text(left), text(right));
      if (operator === '<') return left < right;
      if (operator === '>') return left > right;
      return (left === right) === (operator !== '!=');
    };
  }

  #sum(): Expression {
    let left = this.#one();
    for (let sign; (sign = this.#take('+', '-')) !== undefined;) {
      const [a, b, by] = [left, this.#one(), sign === '+' ? 1 : -1];
      left = (row) => Number(a(row)) + by * Number(b(row));
    }
    return left;
  }

  #one(): Expression {
    if (this.#take('(') !== undefined) {
      const inner = this.#any();
      this.#need(')');
      return inner;
    }
    const token = this.#tokens[this.#at++] ?? assert.fail('something is missing at the end');
    if (token.startsWith('"')) {
      const value = JSON.parse(token) as string;
      return () => value;
    }
    if (/^\d/.test(token)) {
      const unit = SECONDS[this.#take(...Object.keys(SECONDS)) ?? ''] ?? 1;
      return () => Number(token) * unit;
    }
    const call = this.#language.functions[token];
    if (call !== undefined && this.#take('(') !== undefined) {
      const values: Expression[] = [];
      while (this.#take(')') === undefined) {
        values.push(this.#any());
        this.#take(',');
      }
      return (row) => call(...values.map((value) => value(row)));
    }
    if (token === 'null') return () => null;
    assert.match(token, new RegExp(`^(?:'.*'|${this.#language.name})$`), token);
    const name = token.replaceAll("'", '');
    let of: Expression = (row) => row.get(name) ?? null;
    for (let next; (next = this.#take('.', '[')) !== undefined;) {
      const key = (this.#tokens[this.#at++] ?? '').replaceAll('"', '');
      if (next === '[') this.#need(']');
      const whole = of;
      of = (row) => (whole(row) as Readonly<Record<string, Value>> | null)?.[key] ?? null;
    }
    return of;
  }
}

function likes(value: string, pattern: string): boolean {
  const expression = pattern.replace(/\\(.)|([*?])|([.+^$()|[\]{}])/gs, (_, kept, wild, plain) =>
    wild === undefined ? `\\${(kept ?? plain) as string}` : wild === '*' ? '.*' : '.',
  );
  return new RegExp(`^${expression}$`, 's').test(value);
}
