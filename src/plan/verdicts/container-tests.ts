import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';

export const isContainerTest = ({ left, right }: Test): boolean =>
  left.key === 'container.type' && right === undefined;

/**
 * The result of a comparison of `container.type`, the only container field that is known from the start and never changes.
 * Undefined for anything else.
 */
export function containerTestOf(
  test: Test,
  containerType: string | undefined,
): boolean | undefined {
  if (containerType === undefined || !isContainerTest(test)) return undefined;
  return test.operator === 'exists' || predicateOf(test)(containerType);
}
