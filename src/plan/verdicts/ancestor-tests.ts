import { LIMITS } from '../../events/table.gen.ts';
import { someTest, type Checked, type Test } from '../../rules/compile/checked.ts';
import { ANY_ANCESTOR, ancestorAt, type AncestorJudged } from './call-kinds.ts';
import { isAgeTest } from './container-tests.ts';
import { pathTestOf, type PathTest } from './path-tests.ts';
import { loadsTestOf } from './variable-tests.ts';

/** Fields of ancestors, without an index and with one: what of them is compared, and whether only the container's count. */
const FIELDS: Readonly<Record<string, { readonly of: 'path' | 'name'; readonly inner: boolean }>> =
  {
    'proc.aexepath': { of: 'path', inner: false },
    'proc.aname': { of: 'name', inner: false },
    'proc.container_aexepath': { of: 'path', inner: true },
    'proc.container_aname': { of: 'name', inner: true },
  };
const OF_PARENT: Readonly<Record<string, string>> = {
  'proc.pexepath': 'proc.aexepath[1]',
  'proc.pname': 'proc.aname[1]',
};

/**
 * Whether a condition asks for an ancestor, or for the age of the oldest one: of those the agent may know less than the kernel, where
 * its own bounds are reached.
 */
export const asksForAncestors = (condition: Checked): boolean =>
  someTest(
    condition,
    (test) => isAgeTest(test) || (ancestorTestOf(test) ?? loadsTestOf(test)) !== undefined,
  );

/**
 * A comparison of the path or the name of an ancestor of the process; undefined for any other. Of those of any ancestor only the ones
 * that one ancestor makes true.
 */
export function ancestorTestOf(
  test: Test,
): { readonly test: PathTest; readonly judged: AncestorJudged } | undefined {
  const [, transformer, plain = ''] =
    /^(?:(tolower|basename)\()?([^()]+)\)?$/.exec(test.left.key) ?? [];
  const key = Object.hasOwn(OF_PARENT, plain) ? (OF_PARENT[plain] ?? '') : plain;
  const [, name = '', index] = /^([a-z._]+)(?:\[(\d+)\])?$/.exec(key) ?? [];
  const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
  const level = index === undefined ? undefined : Number(index);
  const isJudged =
    level === undefined ? field?.inner : level >= 1 && level <= LIMITS.VERDICT_LEVELS;
  if (field === undefined || isJudged !== true) return undefined;
  // As a path, a name would have components.
  if (field.of === 'name' && (test.operator === 'pmatch' || transformer === 'basename'))
    return undefined;
  const part = transformer === 'basename' ? 'name' : 'path';
  const decided = pathTestOf(test, { part, lowered: transformer === 'tolower' });
  if (decided === undefined || (level === undefined && decided.negated)) return undefined;
  const judged = level === undefined ? ANY_ANCESTOR : ancestorAt(level, field.inner);
  return field.of === 'name'
    ? { test: { ...decided, key: `comm ${decided.key}`, machine: 'comm' }, judged }
    : { test: decided, judged };
}
