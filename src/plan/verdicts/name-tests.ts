import type { Test } from '../../rules/compile/checked.ts';
import type { Judged } from './call-kinds.ts';
import { pathTestOf, type PathTest } from './path-tests.ts';

/** Fields that are the name of what makes the call. */
const NAMES: Readonly<Record<string, Extract<Judged, 'process' | 'thread'>>> = {
  'proc.name': 'process',
  'thread.name': 'thread',
};

/** A comparison of the name of the process or of the thread that makes a call; undefined for any other. */
export function nameTestOf(
  test: Test,
): { readonly test: PathTest; readonly judged: Judged } | undefined {
  const [, lowered, field = ''] = /^(tolower\()?([a-z.]+)\)?$/.exec(test.left.key) ?? [];
  const judged = NAMES[field];
  // As a path, a name would have components.
  if (judged === undefined || test.operator === 'pmatch') return undefined;
  const decided = pathTestOf(test, { part: 'path', lowered: lowered !== undefined });
  if (decided === undefined) return undefined;
  // Names are short: one automaton decides all of their comparisons.
  return { test: { ...decided, key: `comm ${decided.key}`, machine: 'comm' }, judged };
}
