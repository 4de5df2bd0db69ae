import { compileGlob } from '../rules/compile/glob.ts';
import { someTest, type Checked, type Test } from '../rules/compile/checked.ts';
import type { LoadedRule } from '../rules/rule-set.ts';

/** A component of a path: a name, or a test of names. */
export type NamedPart = string | ((name: string) => boolean);

/** Paths of files in a container that a rule names. */
export interface NamedPath {
  /** From the root; at least one. */
  readonly parts: readonly NamedPart[];
  /** Also everything below it, if it is a directory. */
  readonly below: boolean;
  /** As the rule has it. */
  readonly text: string;
}

type Named = Omit<NamedPath, 'text'>;

const WILD = /[?*[\\]/;
const anyName = (): boolean => true;

/**
 * The files that these rules name, of those that a process opens (`fd.name`, `fd.directory`): more may be among them than a rule matches.
 * Not among them is what a rule knows by a part of its name alone, such as `fd.name endswith .key`, or by a text without a leading slash.
 */
export function namedPathsOf(rules: Iterable<LoadedRule>): readonly NamedPath[] {
  const found = new Map<string, NamedPath>();
  for (const { condition } of rules)
    for (const [key, path] of pathsIn(condition)) found.set(key, path);
  return [...found.values()].sort((one, other) => rankOf(one) - rankOf(other));
}

/** Single files first: there may be no room for all of a tree. */
const rankOf = ({ parts, below }: NamedPath): number =>
  (below ? 1 : 0) + (parts.every((part) => typeof part === 'string') ? 0 : 2);

/** Whether it is one of the files that the path names. */
export function isNamedBy(path: string, { parts, below }: NamedPath): boolean {
  const names = path.split('/').slice(1);
  if (below ? names.length < parts.length : names.length !== parts.length) return false;
  return parts.every((part, at) => {
    const name = names[at] ?? '';
    return typeof part === 'string' ? part === name : part(name);
  });
}

const KNOWN = new WeakMap<Checked, ReadonlyMap<string, NamedPath>>();

function pathsIn(condition: Checked): ReadonlyMap<string, NamedPath> {
  const known = KNOWN.get(condition);
  if (known !== undefined) return known;
  const found = new Map<string, NamedPath>();
  someTest(condition, (test, isWanted) => {
    const ofDirectory = test.left.field === 'fd.directory';
    if (!isWanted || (!ofDirectory && test.left.field !== 'fd.name')) return false;
    for (const value of test.values) {
      const text = String(value);
      const path = pathOf(test.operator, text, ofDirectory);
      if (path !== undefined)
        found.set(JSON.stringify([ofDirectory, test.operator, text]), { ...path, text });
    }
    return false;
  });
  KNOWN.set(condition, found);
  return found;
}

function pathOf(operator: Test['operator'], text: string, ofDirectory: boolean): Named | undefined {
  if (!text.startsWith('/') || text.includes('\0')) return undefined;
  const names = text.split('/').filter((name) => name !== '');
  // The kernel has no such path.
  if (names.some((name) => name === '.' || name === '..')) return undefined;
  const parts = names.map((name) => (WILD.test(name) ? compileGlob(name).test : name));
  switch (operator) {
    case '=':
    case '==':
    case 'in':
      return named(ofDirectory ? [...names, anyName] : names, false);
    case 'startswith': {
      if (text.endsWith('/')) return named(names, true);
      const beginning = names.pop() ?? '';
      return named([...names, (name) => name.startsWith(beginning)], true);
    }
    case 'glob':
      // A star at its end crosses slashes.
      return named(ofDirectory ? [...parts, anyName] : parts, text.endsWith('*'));
    case 'pmatch':
      return named(parts, true);
    default:
      return undefined;
  }
}

/** The root alone would be all that there is. */
const named = (parts: readonly NamedPart[], below: boolean): Named | undefined =>
  parts.length === 0 || (parts.length === 1 && parts[0] === anyName) ? undefined : { parts, below };
