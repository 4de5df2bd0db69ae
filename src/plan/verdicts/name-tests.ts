import type { Test } from '../../rules/compile/checked.ts';
import type { Judged } from './call-kinds.ts';
import type { PathTest } from './path-tests.ts';
import { textTestOf } from './text-tests.ts';

/** Fields that are the name of what makes the call. */
const NAMES: Readonly<Record<string, Extract<Judged, 'process' | 'thread'>>> = {
  'proc.name': 'process',
  'thread.name': 'thread',
};

/** A comparison of the name of the process or of the thread that makes a call; undefined for any other. */
export function nameTestOf(
  test: Test,
): { readonly test: PathTest; readonly judged: Judged } | undefined {
  const found = textTestOf(test, NAMES);
  if (found === undefined) return undefined;
  const { decided, judged } = found;
  // Names are short: one automaton decides all of their comparisons.
  return { test: { ...decided, key: `comm ${decided.key}`, machine: 'comm' }, judged };
}
