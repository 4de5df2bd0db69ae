import type { Test } from '../../rules/compile/checked.ts';
import { pathTestOf, type PathTest } from './path-tests.ts';

/**
 * A comparison of one of these fields, or of its lower case, that an automaton decides, and what the field is; undefined for any
 * other. The fields hold a text without components.
 */
export function textTestOf<Of>(
  test: Test,
  fields: Readonly<Record<string, Of>>,
): { readonly decided: PathTest; readonly judged: Of } | undefined {
  const [, lowered, field = ''] = /^(tolower\()?([a-z.]+)\)?$/.exec(test.left.key) ?? [];
  const judged = Object.hasOwn(fields, field) ? fields[field] : undefined;
  if (judged === undefined) return undefined;
  const decided = plainTextTestOf(test, lowered !== undefined);
  return decided && { decided, judged };
}

/** The same of any field that holds such a text. */
export function plainTextTestOf(test: Test, lowered: boolean): PathTest | undefined {
  // As a path, a text would have components.
  return test.operator === 'pmatch' ? undefined : pathTestOf(test, { part: 'path', lowered });
}
