import { ARGV_TEXTS, isAncestor, variableOf } from './call-kinds.ts';
import type { Literal } from './conjunctions.ts';
import { isInsideAge } from './number-tests.ts';

/**
 * When the hooks that deny look again whether a rule can still be certain, as in shared.h: after the call and its thread's name, after
 * its program, and of a program that is run after its words, and after its environment.
 */
export const SETTLED = ['call', 'program', 'words', 'environment'] as const;
export type SettledStage = (typeof SETTLED)[number];

/** The age of the container's processes is that of an ancestor, too. */
const isAfterEnvironment = ({ judged, test }: Literal): boolean =>
  isAncestor(judged) || isInsideAge(test);

const isAfterWords = (literal: Literal): boolean =>
  isAfterEnvironment(literal) || variableOf(literal.judged) !== undefined;

const isAfterProgram = (literal: Literal): boolean =>
  isAfterWords(literal) || (ARGV_TEXTS as readonly string[]).includes(literal.judged);

/** About the process that makes the call, or a comparison of the call with that. */
const isAfterCall = (literal: Literal): boolean =>
  isAfterProgram(literal) ||
  literal.test.machine === 'program' ||
  literal.test.machine === 'number' ||
  literal.judged === 'program' ||
  literal.judged === 'process';

/** Whether what a comparison is about is only looked at after the stage. */
export const IS_AFTER: Readonly<Record<SettledStage, (literal: Literal) => boolean>> = {
  call: isAfterCall,
  program: isAfterProgram,
  words: isAfterWords,
  environment: isAfterEnvironment,
};
