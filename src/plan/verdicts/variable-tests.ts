import { LIMITS } from '../../events/table.gen.ts';
import type { Test } from '../../rules/compile/checked.ts';
import { ofWords } from './argv-tests.ts';
import { ANY_ANCESTOR, VARIABLE, type Variable } from './call-kinds.ts';
import { failsWithoutVariable } from './form-tests.ts';
import type { PathTest } from './path-tests.ts';
import { plainTextTestOf } from './text-tests.ts';

/** The bytes of a name that the kernel compares at once: no shorter one is looked for. */
const HEAD_BYTES = 3;

/** A comparison of a variable of the environment with which a program is run; undefined for any other. */
export function variableTestOf(
  test: Test,
): { readonly test: PathTest; readonly judged: Variable } | undefined {
  const [, lowered, name = ''] = /^(tolower\()?proc\.env\[(\w+)\]\)?$/.exec(test.left.key) ?? [];
  if (name.length < HEAD_BYTES || name.length >= LIMITS.VERDICT_VARIABLE_MAX) return undefined;
  const decided = plainTextTestOf(test, lowered !== undefined);
  return decided && { test: ofWords(decided), judged: `${VARIABLE}${name}` };
}

/** A comparison that only an ancestor with a variable `LD_*` can make true. */
export interface LoadsTest {
  readonly key: string;
  readonly machine: 'loads';
}

/** A comparison of a variable `LD_*` of the container's ancestors that can hold only if one has such; undefined for any other. */
export function loadsTestOf(
  test: Test,
): { readonly test: LoadsTest; readonly judged: typeof ANY_ANCESTOR } | undefined {
  return /^proc\.container_aenv\[LD_\w*\]$/.test(test.left.key) && failsWithoutVariable(test)
    ? { test: { key: test.key, machine: 'loads' }, judged: ANY_ANCESTOR }
    : undefined;
}
