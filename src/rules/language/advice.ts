/** Words that are operators in capitals, or elsewhere, and what they are called here. */
const WORDS: Readonly<Record<string, string>> = {
  like: "'glob' (with * and ?), or 'contains'",
  matches: "'regex'",
  match: "'regex'",
  is: "'='",
  eq: "'='",
  equals: "'='",
  ne: "'!='",
  has: "'contains'",
  includes: "'contains'",
};
const OPERATORS =
  /^(?:not\s+)?(?:in|intersects|pmatch|contains|icontains|startswith|endswith|glob|regex|exists|and|or|not)\b/i;
/** ns of what durations are often written in. */
const DURATIONS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Where the parser came to nothing it knows. */
export type Expected = 'joint' | 'check' | 'operator' | 'value';

/**
 * What to write instead of the text at `offset`, for authors who come from another language: a sentence, where there is one to say.
 * Looks at 80 characters on either side.
 */
export function advice(text: string, offset: number, expected: Expected): string | undefined {
  const rest = text.slice(offset, offset + 80);
  const before = text.slice(Math.max(0, offset - 80), offset);
  return (
    ofSymbol(rest) ??
    ofWord(rest, expected) ??
    ofDuration(before, rest) ??
    ofRest(before, rest, expected)
  );
}

function ofSymbol(rest: string): string | undefined {
  if (rest.startsWith('&')) return "Write 'and'.";
  if (rest.startsWith('|')) return "Write 'or'.";
  if (rest.startsWith('!') && !rest.startsWith('!=')) return "Write 'not'.";
  if (rest.startsWith('~')) return "Write 'regex'.";
  return undefined;
}

function ofWord(rest: string, expected: Expected): string | undefined {
  const word = /^[A-Za-z]+/.exec(rest)?.[0];
  if (word === undefined) return undefined;
  if (expected === 'operator') {
    const instead = WORDS[word] ?? WORDS[word.toLowerCase()];
    if (instead !== undefined) return `Write ${instead}.`;
    if (/^not\s+in\b/i.test(rest)) return "Write 'not' before the field: not FIELD in (a, b).";
  }
  const isWritten = word === word.toLowerCase();
  return OPERATORS.test(rest) && !isWritten
    ? `Write '${word.toLowerCase()}', in small letters.`
    : undefined;
}

function ofDuration(before: string, rest: string): string | undefined {
  const number = /(?:^|[\s(])(\d+(?:\.\d+)?)$/.exec(before)?.[1];
  const unit = /^(ns|us|ms|s|m|h)(?![A-Za-z0-9_])/.exec(rest)?.[1];
  if (number === undefined || unit === undefined) return undefined;
  return `Durations are numbers of nanoseconds: write ${Number(number) * (DURATIONS[unit] ?? 1)}.`;
}

function ofRest(before: string, rest: string, expected: Expected): string | undefined {
  if (expected === 'joint' && rest.startsWith('-')) {
    const name = /[A-Za-z_][\w]*$/.exec(before)?.[0];
    const end = /^[-\w]*/.exec(rest)?.[0] ?? '';
    if (name !== undefined)
      return `Names of macros have letters, digits and '_': ${`${name}${end}`.replaceAll('-', '_')}.`;
  }
  const capitals =
    expected === 'joint' ? /(?:^|[\s(])(NOT|AND|OR)\s+$/.exec(before)?.[1] : undefined;
  if (capitals !== undefined) return `Write '${capitals.toLowerCase()}', in small letters.`;
  if (expected === 'joint' && /=~\s*$/.test(before)) return "Write 'regex'.";
  if (expected === 'joint' && rest.startsWith(',')) return 'Put brackets around a list: (a, b).';
  const operator = /([a-z]+|==?|!=)\s*$/.exec(before)?.[1];
  if (expected === 'value' && rest.startsWith('(') && operator !== undefined) {
    return /=/.test(operator)
      ? "Write 'in' before a list: FIELD in (a, b)."
      : `For several values: ${operator} anyof (a, b).`;
  }
  return undefined;
}

/** For a name of which there is no macro, at `offset`: whether it was meant as another value of the comparison before it. */
export function adviceOnName(text: string, offset: number, name: string): string {
  const comparison = /([a-z]+(?:\.[a-z_]+)+(?:\[[^\]]*\])?)\s*(=|==)\s*([^\s()]+)\s+or\s+$/.exec(
    text.slice(Math.max(0, offset - 200), offset),
  );
  if (comparison === null) return '';
  const [, field = '', , value = ''] = comparison;
  return ` If it is another value of ${field}, write: ${field} in (${value}, ${name}).`;
}
