import type { Value } from '../fields/field.ts';
import type { Test } from './checked.ts';

/** Text that a value holds if a test of it does. */
export interface Witness {
  readonly text: string;
  /** The value begins with it. */
  readonly atStart: boolean;
  /** The value ends with it. */
  readonly atEnd: boolean;
}

/** What `part` of the value the tested text is: its beginning, its end or all of it. */
export type Part = 'start' | 'end' | 'whole';

const ASCII = /^[\0-\x7f]+$/;

/**
 * Where a value holds none of these, the test fails, and `!=` holds. Undefined where no text tells: a regular expression, an
 * order, a test of a text that is not ASCII. The value is text without modifiers or a field on the right.
 */
export function witnessesOf(test: Test, part: Part): readonly Witness[] | undefined {
  if (test.left.kind !== 'text' || test.modifier !== undefined) return undefined;
  if (test.operator === 'exists') return undefined;
  const found = test.values.map((value) => witnessOf(test.operator, value));
  const witnesses = found.filter((witness) => witness !== undefined);
  if (witnesses.length < found.length || witnesses.some(({ text }) => !ASCII.test(text)))
    return undefined;
  return witnesses.map(({ text, atStart, atEnd }) => ({
    text,
    atStart: atStart && part !== 'end',
    atEnd: atEnd && part !== 'start',
  }));
}

function witnessOf(operator: Test['operator'], value: Value): Witness | undefined {
  const text = String(value);
  switch (operator) {
    case '=':
    case '==':
    case '!=':
    case 'in':
      return { text, atStart: true, atEnd: true };
    case 'startswith':
      return { text, atStart: true, atEnd: false };
    case 'endswith':
      return { text, atStart: false, atEnd: true };
    case 'contains':
      return { text, atStart: false, atEnd: false };
    case 'glob':
      return ofGlob(text);
    case 'pmatch':
      return ofPath(text);
    default:
      return undefined;
  }
}

/** Its longest literal text, of what comes before a set or an escape. */
function ofGlob(pattern: string): Witness | undefined {
  const special = pattern.search(/[[\\]/);
  const read = special < 0 ? pattern : pattern.slice(0, special);
  const pieces = read.split(/[*?]/);
  const longest = longestOf(pieces);
  if (longest === undefined) return undefined;
  const index = pieces.indexOf(longest);
  return {
    text: longest,
    atStart: index === 0,
    atEnd: special < 0 && index === pieces.length - 1,
  };
}

/** pmatch takes slashes freely, so that only a component is certain to be there. */
function ofPath(path: string): Witness | undefined {
  const text = longestOf(path.split('/').filter((part) => !/[?*[]/.test(part)));
  return text === undefined ? undefined : { text, atStart: false, atEnd: false };
}

/** Undefined when all are empty. */
function longestOf(texts: readonly string[]): string | undefined {
  const longest = texts.reduce((best, text) => (text.length > best.length ? text : best), '');
  return longest === '' ? undefined : longest;
}
