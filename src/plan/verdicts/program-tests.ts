import type { Test } from '../../rules/compile/checked.ts';
import { pathFieldOf, type PathField } from './path-fields.ts';

/** A comparison of a call's path with that of the calling program: it holds if they are the same. */
export interface ProgramTest {
  readonly key: string;
  readonly machine: 'program';
}

/** `evt.arg.path = val(proc.exepath)`, and the field on its left; undefined for any other comparison. */
export function programTestOf(
  test: Test,
): (ProgramTest & { readonly field: PathField }) | undefined {
  const { key, operator, modifier, right } = test;
  if (right?.field !== 'proc.exepath' || modifier !== undefined) return undefined;
  if (operator !== '=' && operator !== '==') return undefined;
  const field = pathFieldOf(test);
  if (field === undefined || field.part !== 'path' || field.lowered) return undefined;
  if (field.sources.some(({ judged }) => judged === 'program')) return undefined;
  return { key, machine: 'program', field };
}
