import type { Test } from '../../rules/compile/checked.ts';
import type { ArgvText } from './call-kinds.ts';
import { pathTestOf, type PathTest } from './path-tests.ts';

/** Fields that are a text of the words of a program. */
const TEXTS: Readonly<Record<string, ArgvText>> = {
  'proc.args': 'args',
  'proc.cmdline': 'command line',
  'proc.exe': 'first word',
};

/** A comparison of the words with which a program is run; undefined for any other. */
export function argvTestOf(
  test: Test,
): { readonly test: PathTest; readonly judged: ArgvText } | undefined {
  const [, lowered, field = ''] = /^(tolower\()?([a-z.]+)\)?$/.exec(test.left.key) ?? [];
  const judged = TEXTS[field];
  // As a path, a text would have components.
  if (judged === undefined || test.operator === 'pmatch') return undefined;
  const decided = pathTestOf(test, { part: 'path', lowered: lowered !== undefined });
  if (decided === undefined) return undefined;
  const machine = decided.machine === 'anywhere' ? 'within' : 'argv';
  return { test: { ...decided, key: `${machine} ${decided.key}`, machine }, judged };
}
