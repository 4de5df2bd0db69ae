import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';

export const isContainerTest = ({ left, right }: Test): boolean =>
  left.key === 'container.type' && right === undefined;

/**
 * What a comparison of `container.type` comes to, the one field of a container that is there from the first and never changes. Undefined
 * for all else.
 */
export function containerTestOf(
  test: Test,
  containerType: string | undefined,
): boolean | undefined {
  if (containerType === undefined || !isContainerTest(test)) return undefined;
  return test.operator === 'exists' || predicateOf(test)(containerType);
}
