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
  return { test: ofWords(found.decided), judged: found.judged };
}

/** The same comparison by the automata that read words. */
export function ofWords(decided: PathTest): PathTest {
  const machine = decided.machine === 'anywhere' ? 'within' : 'argv';
  return { ...decided, key: `${machine} ${decided.key}`, machine };
}
