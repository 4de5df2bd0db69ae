import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';

/**
 * What a comparison of `container.type` comes to, the one field of a container that is there from the first and never changes. Undefined
 * for all else.
 */
export function containerTestOf(test: Test, containerType: string): boolean | undefined {
  if (test.left.key !== 'container.type' || test.right !== undefined) return undefined;
  return test.operator === 'exists' || predicateOf(test)(containerType);
}
