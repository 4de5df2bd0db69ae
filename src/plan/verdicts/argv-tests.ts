import type { Test } from '../../rules/compile/checked.ts';
import type { ArgvText } from './call-kinds.ts';
import type { PathTest } from './path-tests.ts';
import { textTestOf } from './text-tests.ts';

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
  const found = textTestOf(test, TEXTS);
  if (found === undefined) return undefined;
  const { decided, judged } = found;
  const machine = decided.machine === 'anywhere' ? 'within' : 'argv';
  return { test: { ...decided, key: `${machine} ${decided.key}`, machine }, judged };
}
